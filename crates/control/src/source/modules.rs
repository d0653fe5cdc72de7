//! Whether the modules that scripts require are there, and compile.
//!
//! Nothing is run to find that out, so what is looked at is what must happen as soon as a script is: lines that begin with
//! `require "name"`, with `local name = require "name"` or the like. What stands further in may never be reached, or be
//! caught. Modules that are found in files are looked at likewise. All of it is a warning: a request, or `init`,
//! fails if it is true.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    fs,
    path::{Path, PathBuf},
};

use tidegate_config::{Diagnostic, Severity};
use tidegate_core::snapshot::Script;
use tidegate_lua::{Module, Vm};

use super::scripts::mistake;

/// Files of modules that are read; more are not looked at.
const FILES: usize = 500;

/// Largest file of a module that is looked at, in bytes.
const FILE_BYTES: u64 = 4 << 20;

/// Scripts that set these look for modules in a way of their own.
const OWN_WAYS: [&str; 4] = ["package.path", "package.cpath", "package.preload", "package.loaders"];

/// A warning for each module that is missing or does not compile.
pub(super) fn check<'a>(vm: &Vm, scripts: impl Iterator<Item = &'a Script>) -> Vec<Diagnostic> {
    let mut waiting: VecDeque<Script> = scripts.cloned().collect();
    let mut known: BTreeMap<String, bool> = BTreeMap::new();
    let mut looked_at = BTreeSet::new();
    let (mut missing, mut broken, mut files) = (Vec::new(), Vec::new(), 0);
    let mut has_own_ways = false;
    while let Some(script) = waiting.pop_front() {
        if !looked_at.insert((script.name.clone(), script.source.clone())) {
            continue;
        }
        has_own_ways |= OWN_WAYS.iter().any(|way| script.source.contains(way));
        for (line, name) in required(&script.source) {
            let is_there = known.get(name).copied().unwrap_or_else(|| {
                let found = vm.locate(name);
                let is_there = found.is_some();
                if let Some(Module::Lua(path)) = found
                    && files < FILES
                {
                    files += 1;
                    if let Some(module) = read(&path) {
                        broken.extend(mistake(vm, &module).map(|mistake| warning(mistake, name)));
                        waiting.push_back(module);
                    }
                }
                known.insert(name.to_owned(), is_there);
                is_there
            });
            if !is_there {
                missing.push(missed(&script, line, name));
            }
        }
    }
    if has_own_ways {
        missing.clear();
    }
    missing.extend(broken);
    missing
}

fn read(path: &Path) -> Option<Script> {
    let length = fs::metadata(path).ok()?.len();
    // One that is no text is none that could be shown.
    let text = (length <= FILE_BYTES).then(|| fs::read_to_string(path).ok())??;
    // Without what a pattern with "//" leaves.
    let path: PathBuf = path.components().collect();
    Some(Script::new(path.display().to_string(), text))
}

fn missed(script: &Script, line: usize, name: &str) -> Diagnostic {
    let text = script.source.lines().nth(line - 1).unwrap_or_default();
    Diagnostic {
        file: script.name.to_string(),
        line,
        column: 1,
        severity: Severity::Warning,
        message: format!("there is no module {name:?}"),
        help: Some(
            "`lua.packagePath` says where modules are looked for, `lua.packageCpath` where those of C"
                .to_owned(),
        ),
        excerpt: Some(text.trim_end().to_owned()),
        source_line: Some(text.to_owned()),
    }
}

fn warning(mistake: Diagnostic, name: &str) -> Diagnostic {
    let help = format!("the module {name:?} is required; it fails where it is");
    Diagnostic { severity: Severity::Warning, help: Some(help), ..mistake }
}

/// The modules that lines of a source require at once, with the lines' numbers.
fn required(source: &str) -> impl Iterator<Item = (usize, &str)> {
    (1..).zip(source.lines()).filter_map(|(number, line)| Some((number, required_by(line)?)))
}

fn required_by(line: &str) -> Option<&str> {
    let (before, after) = line.split_once("require")?;
    let is_assigned = before.trim_end().strip_suffix('=').is_some_and(are_names);
    if line.starts_with([' ', '\t']) || !(before.is_empty() || before == "return " || is_assigned) {
        return None;
    }
    let after = after.trim_start();
    let after = after.strip_prefix('(').unwrap_or(after).trim_start();
    let quote = after.chars().next().filter(|c| matches!(c, '"' | '\''))?;
    let (name, rest) = after[1..].split_once(quote)?;
    let is_name = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || "_.-/".contains(c));
    (is_name && !rest.trim_start().starts_with("..")).then_some(name)
}

/// What a line of an assignment begins with.
fn are_names(text: &str) -> bool {
    let names = text.strip_prefix("local ").unwrap_or(text).split(',').map(str::trim);
    let mut all = names.map(|name| name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.')));
    all.all(|is_name| is_name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_line_requires_at_once_is_seen() {
        for (line, name) in [
            ("require \"a.b\"", Some("a.b")),
            ("local dogs = require('my-dogs')", Some("my-dogs")),
            ("a.x, b = require 'm', 2", Some("m")),
            ("return require(\"m\")(...)", Some("m")),
            ("local new = require(\"m\").new", Some("m")),
            ("  local late = require 'm'", None),
            ("-- require 'm'", None),
            ("local ok, m = pcall(require, 'm')", None),
            ("if x then m = require 'm' end", None),
            ("local m = x and require 'm'", None),
            ("local m = require(name)", None),
            ("local m = require('a' .. b)", None),
            ("required = 'm'", None),
            ("local require = require", None),
        ] {
            assert_eq!(required_by(line), name, "{line}");
        }
    }
}
