//! The public interface, from text to snapshot and diagnostics.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod bounds;
mod files;
mod generated;
mod golden;
mod listeners;
mod lua;
mod mistakes;
mod snapshot;
mod sources;
mod validator;
mod warnings;

use std::{io, path::Path};

use tidegate_config::{Diagnostic, Severity};
use tidegate_core::Snapshot;

/// A file with something of everything.
const EXAMPLE: &str = include_str!("../../src/reference/example.yaml");

/// What most cases need and do not look at, in one line.
const LISTENERS: &str = "listeners: [{ address: 0.0.0.0:8000 }]\n";

/// Every script but `missing.lua` can be read.
fn read(path: &Path) -> io::Result<String> {
    if path.ends_with("missing.lua") {
        return Err(io::ErrorKind::NotFound.into());
    }
    Ok(format!("-- {}", path.display()))
}

fn parse(text: &str) -> (Option<Snapshot>, Vec<Diagnostic>) {
    tidegate_config::parse("conf/tidegate.yaml", text, &read)
}

/// The snapshot of a text in which nothing is wrong.
fn valid(text: &str) -> Snapshot {
    let (snapshot, diagnostics) = parse(text);
    let errors: Vec<_> = diagnostics.iter().filter(|d| d.severity == Severity::Error).collect();
    assert!(errors.is_empty(), "{text}\n{errors:#?}");
    snapshot.expect("no errors, so a snapshot")
}

/// The messages of a text, each with its place.
fn messages(text: &str) -> Vec<String> {
    parse(text).1.iter().map(|d| format!("{}:{} {}", d.line, d.column, d.message)).collect()
}
