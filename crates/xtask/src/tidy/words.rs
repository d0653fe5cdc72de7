//! Words that no file may hold: markers of unfinished work, and paths of one person's machine.

use std::path::Path;

use super::{Finding, TextFile};

/// Built from halves, so that this file does not hold them itself.
const MARKERS: [&str; 3] = [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X")];
const HOMES: [&str; 3] = [concat!("/ro", "ot/"), concat!("/ho", "me/"), concat!("/Us", "ers/")];

/// Files that hold what others wrote.
const FOREIGN: [&str; 2] = ["Cargo.lock", "LICENSE"];

pub(super) fn check(root: &Path, files: &[TextFile]) -> Vec<Finding> {
    let here = format!("{}/", root.display());
    let own = files.iter().filter(|file| !FOREIGN.contains(&file.path.as_str()));
    own.flat_map(|file| check_file(&here, file)).collect()
}

fn check_file(here: &str, file: &TextFile) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (number, line) in (1..).zip(file.text.lines()) {
        for word in MARKERS.iter().filter(|word| holds_word(line, word)) {
            findings.push(Finding::new(
                &file.path,
                number,
                format!("{word}: do it, or say what holds instead"),
            ));
        }
        for place in HOMES.iter().copied().chain([here]).filter(|place| line.contains(place)) {
            findings.push(Finding::new(&file.path, number, format!("{place} is a path of one machine")));
        }
    }
    findings
}

fn holds_word(line: &str, word: &str) -> bool {
    let is_part = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
    line.match_indices(word).any(|(at, _)| {
        !is_part(line[..at].chars().next_back()) && !is_part(line[at + word.len()..].chars().next())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings(text: &str) -> usize {
        check_file("/place/of/clone/", &TextFile { path: "a.md".into(), text: text.into() }).len()
    }

    #[test]
    fn markers_are_found_as_words() {
        for marker in MARKERS {
            assert_eq!(findings(&format!("// {marker}: later")), 1);
            assert_eq!(findings(&format!("a{marker} {marker}_B {}", marker.to_lowercase())), 0);
        }
    }

    #[test]
    fn paths_of_a_machine_are_found() {
        for home in HOMES {
            assert_eq!(findings(&format!("see {home}me/file")), 1);
        }
        assert_eq!(findings("cd /place/of/clone/crates"), 1);
        assert_eq!(findings("/etc/tidegate /homes /var/lib"), 0);
    }
}
