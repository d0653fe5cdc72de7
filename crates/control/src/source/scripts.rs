//! Whether the Lua of a configuration compiles.
//!
//! Every script is compiled once by a VM that runs none of them, so a slip in a hook is found where
//! slips in the file are found: before anything is served with it. Modules that they require are looked for.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use tidegate_config::{Diagnostic, Severity};
use tidegate_core::{
    Snapshot,
    snapshot::{LuaSettings, Route, Run, Script, ServerTls, scripts_of},
};
use tidegate_lua::{Dicts, Vm, WorkerIdentity};

use super::modules;

/// Longest line, in bytes, that a diagnostic shows.
const SHOWN: usize = 160;

/// Scripts that do not work, by name and text. Empty lines before the text do not count: they move with whatever
/// stands above it.
pub(crate) type Broken = BTreeSet<(String, String)>;

/// What came of all scripts of a configuration.
#[derive(Debug, Default)]
pub(super) struct Verdict {
    /// A mistake for each that does not compile, and a warning for each module that is not there.
    pub(super) found: Vec<Diagnostic>,
    /// Those that only some requests need.
    pub(super) broken: Broken,
    /// Nothing can begin without the others.
    pub(super) is_fatal: bool,
}

pub(super) fn check(snapshot: &Snapshot) -> Verdict {
    let lua = &snapshot.lua;
    let apps = snapshot.fleets.values().filter_map(|fleet| match &fleet.run {
        Run::Lua(app) => Some(app),
        Run::Worker(worker) => Some(&worker.script),
        Run::Command(_) | Run::Exec(_) | Run::Node => None,
    });
    let needed: Vec<&Script> = apps.chain(&lua.init).collect();
    let whole = [&lua.init_worker, &lua.exit_worker, &lua.server_rewrite].into_iter().flatten();
    let handshakes =
        snapshot.listeners.iter().filter_map(|one| one.tls.as_ref()).flat_map(ServerTls::scripts);
    let hooks = snapshot.routes.iter().flat_map(Route::scripts);
    let others: Vec<&Script> =
        whole.chain(handshakes).chain(scripts_of(&snapshot.vars)).chain(hooks).collect();
    let mut verdict = Verdict::default();
    if needed.is_empty() && others.is_empty() {
        return verdict;
    }
    let (dicts, identity) = (Dicts::new(&BTreeMap::new()), WorkerIdentity { id: 0, count: 1 });
    let settings = LuaSettings {
        package_path: lua.package_path.clone(),
        package_cpath: lua.package_cpath.clone(),
        prefix: lua.prefix.clone(),
        ..LuaSettings::default()
    };
    let vm = match Vm::new(&settings, dicts, identity, Arc::new(|_| ())) {
        Ok(vm) => vm,
        Err(error) => {
            let found = vec![diagnostic("lua", 1, error.to_string())];
            return Verdict { found, is_fatal: true, ..verdict };
        }
    };
    verdict.found.extend(needed.iter().filter_map(|script| mistake(&vm, script)));
    verdict.is_fatal = !verdict.found.is_empty();
    for &script in &others {
        let mistake = if script.unreadable.is_some() { None } else { mistake(&vm, script) };
        if mistake.is_some() || script.unreadable.is_some() {
            verdict.broken.insert((script.name.to_string(), script.source.trim_start().to_owned()));
        }
        verdict.found.extend(mistake);
    }
    verdict.found.extend(modules::check(&vm, needed.into_iter().chain(others)));
    verdict
}

pub(super) fn mistake(vm: &Vm, script: &Script) -> Option<Diagnostic> {
    let error = vm.load(script).err()?.to_string();
    // "hooks/auth.lua:3: unexpected symbol near '='"
    let rest = error.strip_prefix(&*script.name).and_then(|rest| rest.strip_prefix(':'));
    let (line, message) = rest
        .and_then(|rest| rest.split_once(": "))
        .and_then(|(line, message)| Some((line.parse().ok()?, message)))
        .unwrap_or((1, &error));
    let mut found = diagnostic(&script.name, line, format!("this Lua does not compile: {message}"));
    if let Some(text) = script.source.lines().nth(line.saturating_sub(1)).filter(|text| text.len() <= SHOWN) {
        found.column = 1 + text.chars().take_while(|c| c.is_whitespace()).count();
        found.excerpt = Some(text.trim().to_owned());
        found.source_line = Some(text.to_owned());
    }
    Some(found)
}

fn diagnostic(file: &str, line: usize, message: String) -> Diagnostic {
    Diagnostic {
        file: file.to_owned(),
        line,
        column: 1,
        severity: Severity::Error,
        message,
        help: Some("LuaJIT speaks Lua 5.1; mend the script and load again".to_owned()),
        excerpt: None,
        source_line: None,
    }
}
