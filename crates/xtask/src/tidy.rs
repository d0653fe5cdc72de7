//! Checks of the whole repository.
//!
//! Each check is a function from what was read to findings; only this module reads. A finding names
//! its place, the rule and what to do instead.

mod configs;
mod floors;
mod lints;
mod purity;
mod size;
mod words;

use std::{
    fmt, fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, ensure};
use cargo_metadata::{Metadata, MetadataCommand};

use crate::source::Source;

/// A rule that does not hold somewhere.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Finding {
    path: String,
    /// `None`: the file as a whole.
    line: Option<usize>,
    message: String,
}

impl Finding {
    fn new(path: &str, line: impl Into<Option<usize>>, message: impl Into<String>) -> Self {
        Self { path: path.to_owned(), line: line.into(), message: message.into() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "{}:{line}: {}", self.path, self.message),
            None => write!(f, "{}: {}", self.path, self.message),
        }
    }
}

/// A text file that git knows or would add.
#[derive(Debug)]
struct TextFile {
    /// Relative to the repository, with `/`.
    path: String,
    text: String,
}

impl TextFile {
    /// The folder under `crates/` that the file lies in.
    fn krate(&self) -> Option<&str> {
        self.path.strip_prefix("crates/")?.split('/').next()
    }

    fn has_extension(&self, extension: &str) -> bool {
        Path::new(&self.path).extension().is_some_and(|own| own == extension)
    }

    fn is_rust(&self) -> bool {
        self.has_extension("rs")
    }

    /// Whether the file holds nothing but tests: `tests/…`, `…/tests.rs`, `benches/…`.
    fn is_test(&self) -> bool {
        self.path.split('/').any(|part| matches!(part, "tests" | "tests.rs" | "benches"))
    }
}

/// Runs every check on the repository at `root`.
pub(crate) fn check(root: &Path) -> Result<Vec<Finding>> {
    let files = read_files(root)?;
    let metadata = read_metadata(root)?;

    let mut findings = floors::check(&metadata);
    findings.extend(lints::check(&files));
    findings.extend(words::check(root, &files));
    findings.extend(configs::check(&files));
    for file in files.iter().filter(|file| file.is_rust() && !file.is_test()) {
        match Source::parse(&file.text) {
            Ok(source) => {
                findings.extend(purity::check(file, &source));
                findings.extend(size::check(file, &source));
            }
            Err(error) => {
                findings.push(Finding::new(&file.path, error.span().start().line, error.to_string()));
            }
        }
    }
    findings.extend(size::stale(&files));
    findings.sort();
    Ok(findings)
}

fn read_metadata(root: &Path) -> Result<Metadata> {
    let manifest = root.join("Cargo.toml");
    MetadataCommand::new().manifest_path(manifest).no_deps().exec().context("cargo metadata")
}

fn read_files(root: &Path) -> Result<Vec<TextFile>> {
    let output = Command::new("git")
        .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
        .current_dir(root)
        .output()
        .context("git, which lists the files to check, cannot be run")?;
    ensure!(output.status.success(), "git ls-files: {}", String::from_utf8_lossy(&output.stderr));
    let names = output.stdout.split(|&byte| byte == 0).filter(|name| !name.is_empty());
    names.filter_map(|name| read_file(root, &String::from_utf8_lossy(name)).transpose()).collect()
}

/// `None` for what is no text, and for a file that was removed but is still in the index.
fn read_file(root: &Path, path: &str) -> Result<Option<TextFile>> {
    let place: PathBuf = root.join(path);
    if !place.is_file() {
        return Ok(None);
    }
    let bytes = fs::read(&place).with_context(|| path.to_owned())?;
    Ok(String::from_utf8(bytes).ok().map(|text| TextFile { path: path.to_owned(), text }))
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_repository_is_tidy() {
        let findings = super::check(crate::repository().unwrap()).unwrap();
        let list: Vec<_> = findings.iter().map(ToString::to_string).collect();
        assert!(list.is_empty(), "\n{}\n", list.join("\n"));
    }
}
