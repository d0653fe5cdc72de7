//! Configurations that people copy out of the documentation are valid. The examples are run by the
//! tests of the binary.

use std::{io, path::Path};

use tidegate_config::parse;

use super::{Finding, TextFile};

pub(super) fn check(files: &[TextFile]) -> Vec<Finding> {
    files.iter().flat_map(check_file).collect()
}

fn check_file(file: &TextFile) -> Vec<Finding> {
    blocks(file).iter().flat_map(|(line, text)| check_text(&file.path, *line, text)).collect()
}

/// The whole configurations in a page, each with the line before it. A piece of one has no listeners.
fn blocks(file: &TextFile) -> Vec<(usize, String)> {
    if !file.has_extension("md") {
        return Vec::new();
    }
    let mut blocks: Vec<(usize, String)> = Vec::new();
    let mut inside = false;
    for (number, line) in (1..).zip(file.text.lines()) {
        if inside && line != "```" {
            let (_, block) = blocks.last_mut().expect("a block was begun");
            block.extend([line, "\n"]);
        } else if inside || line == "```yaml" {
            inside = !inside;
            blocks.extend(inside.then(|| (number, String::new())));
        }
    }
    blocks.retain(|(_, text)| text.lines().any(|line| line.starts_with("listeners:")));
    blocks
}

/// What stands for any file.
fn content(path: &Path) -> String {
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("pem") => include_str!("../../../tls/src/sample/ec.pem"),
        Some("key") => include_str!("../../../tls/src/sample/ec.key"),
        _ => "",
    }
    .to_owned()
}

fn check_text(path: &str, before: usize, text: &str) -> Vec<Finding> {
    // Whether a script is there is for whoever runs the example to see.
    let (_, diagnostics) = parse(path, text, &|file| Ok::<_, io::Error>(content(file)));
    let finding = |found: tidegate_config::Diagnostic| Finding::new(path, before + found.line, found.message);
    diagnostics.into_iter().map(finding).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "listeners: [{ address: 0.0.0.0:80 }]\nroutes: [{ lua: { content: return } }]\n";

    fn lines(path: &str, text: &str) -> Vec<Option<usize>> {
        let file = TextFile { path: path.into(), text: text.into() };
        check(&[file]).into_iter().map(|finding| finding.line).collect()
    }

    #[test]
    fn a_page_is_checked_where_it_shows_a_whole_file() {
        let page = |block: &str| format!("text\n\n```yaml\n{block}```\n\n```lua\nlisteners:\n```\n");
        assert_eq!(lines("docs/a.md", &page(GOOD)), []);
        assert_eq!(lines("docs/a.md", &page(&format!("{GOOD}worker: 1\n"))), [Some(6)]);
        assert_eq!(lines("docs/a.md", &page("worker: 1\n")), []);
    }
}
