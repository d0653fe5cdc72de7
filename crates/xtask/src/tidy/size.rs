//! Files and functions stay small enough to be read in one go.
//!
//! A ratchet: what is long already stands in [`LONG`] with its length, may not grow, and leaves the
//! table when it is shortened.

use super::{Finding, TextFile};
use crate::source::Source;

/// Lines of a file, its tests not counted.
const FILE: usize = 600;
/// Lines of a function, from its signature to its closing brace.
const FUNCTION: usize = 70;

/// Functions that may be longer: `(file, function, lines)`.
const LONG: [(&str, &str, usize); 0] = [];

pub(super) fn check(file: &TextFile, source: &Source) -> Vec<Finding> {
    check_against(&LONG, file, source)
}

/// Entries of [`LONG`] whose file is gone.
pub(super) fn stale(files: &[TextFile]) -> Vec<Finding> {
    let gone = LONG.iter().filter(|(path, ..)| !files.iter().any(|file| file.path == *path));
    gone.map(|(path, function, _)| Finding::new(path, None, format!("{function} is listed as long but gone")))
        .collect()
}

fn check_against(long: &[(&str, &str, usize)], file: &TextFile, source: &Source) -> Vec<Finding> {
    let mut findings = Vec::new();
    if source.lines >= FILE {
        let message = format!("{} lines without tests: split before {FILE}", source.lines);
        findings.push(Finding::new(&file.path, None, message));
    }
    for function in source.functions.iter().filter(|function| function.lines > FUNCTION) {
        let listed = long.iter().find(|(path, name, _)| *path == file.path && *name == function.name);
        let bound = listed.map_or(FUNCTION, |&(_, _, lines)| lines);
        if function.lines > bound {
            let message =
                format!("{} has {} lines, at most {bound} are allowed", function.name, function.lines);
            findings.push(Finding::new(&file.path, function.line, message));
        }
    }
    for (_, name, lines) in long.iter().filter(|(path, ..)| *path == file.path) {
        let longest = source.functions.iter().filter(|f| f.name == *name).map(|f| f.lines).max().unwrap_or(0);
        if longest < *lines {
            let message = format!("{name} is listed with {lines} lines but has {longest}: tighten the list");
            findings.push(Finding::new(&file.path, None, message));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn function(lines: usize) -> String {
        format!("fn f() {{{}}}\n", "\n".repeat(lines - 1))
    }

    fn findings(long: &[(&str, &str, usize)], text: &str) -> usize {
        let file = TextFile { path: "a.rs".into(), text: text.into() };
        check_against(long, &file, &Source::parse(text).unwrap()).len()
    }

    #[test]
    fn a_long_function_is_found() {
        assert_eq!(findings(&[], &function(70)), 0);
        assert_eq!(findings(&[], &function(71)), 1);
        assert_eq!(findings(&[], &format!("#[cfg(test)]\n{}", function(99))), 0);
    }

    #[test]
    fn the_ratchet_only_tightens() {
        assert_eq!(findings(&[("a.rs", "f", 80)], &function(80)), 0);
        assert_eq!(findings(&[("a.rs", "f", 80)], &function(81)), 1);
        assert_eq!(findings(&[("a.rs", "f", 80)], &function(79)), 1);
        assert_eq!(findings(&[("a.rs", "f", 80)], ""), 1);
        assert_eq!(findings(&[("b.rs", "f", 80)], &function(80)), 1);
    }

    #[test]
    fn a_long_file_is_found() {
        assert_eq!(findings(&[], &"\n".repeat(599)), 0);
        assert_eq!(findings(&[], &"\n".repeat(600)), 1);
    }
}
