//! Whether the Lua of a configuration compiles.
//!
//! Every script is compiled once by a VM that runs none of them, so a slip in a hook is found where
//! slips in the file are found: before anything is served with it.

use std::{collections::BTreeMap, sync::Arc};

use tidegate_config::{Diagnostic, Severity};
use tidegate_core::{
    Snapshot,
    snapshot::{LuaSettings, Route, Run, Script, scripts_of},
};
use tidegate_lua::{Dicts, Vm, WorkerIdentity};

/// Longest line, in bytes, that a diagnostic shows.
const SHOWN: usize = 160;

/// What is wrong with the scripts of `snapshot`, a mistake for each.
pub(super) fn check(snapshot: &Snapshot) -> Vec<Diagnostic> {
    let lua = &snapshot.lua;
    let whole = [&lua.init, &lua.init_worker, &lua.exit_worker, &lua.server_rewrite].into_iter().flatten();
    let vars = scripts_of(&snapshot.vars);
    let hooks = snapshot.routes.iter().flat_map(Route::scripts);
    let apps = snapshot.fleets.values().filter_map(|fleet| match &fleet.run {
        Run::Lua(app) => Some(app),
        Run::Worker(worker) => Some(&worker.script),
        Run::Command(_) => None,
    });
    let scripts: Vec<&Script> = whole.chain(vars).chain(hooks).chain(apps).collect();
    if scripts.is_empty() {
        return Vec::new();
    }
    let (dicts, identity) = (Dicts::new(&BTreeMap::new()), WorkerIdentity { id: 0, count: 1 });
    match Vm::new(&LuaSettings::default(), dicts, identity, Arc::new(|_| ())) {
        Ok(vm) => scripts.into_iter().filter_map(|script| mistake(&vm, script)).collect(),
        Err(error) => vec![diagnostic("lua", 1, error.to_string())],
    }
}

fn mistake(vm: &Vm, script: &Script) -> Option<Diagnostic> {
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
