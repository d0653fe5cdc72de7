//! `tidegate.yaml`: text → raw values → [`Snapshot`], with every mistake located.
//!
//! [`parse`] goes in three steps, none of which ends at the first mistake: [`yaml`] reads the text into a tree
//! with places, [`decode`] turns it into the types of [`raw`], [`resolve`] checks what only several values
//! together can get wrong. Each mistake becomes a [`Diagnostic`] with line, column and help.
//!
//! Invariant: there is a snapshot exactly when no diagnostic is an error, and whatever the text, time
//! and memory are bounded.
//!
//! Deliberately absent: files, clock and environment; the caller reads scripts, and looks for programs, through functions.
//! Whether Lua compiles is found out by who runs it.

mod decode;
mod diagnostic;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
mod leaf;
mod nearest;
mod nginx;
mod raw;
mod reference;
mod report;
mod resolve;
mod units;
mod yaml;

use std::{io, path::Path};

use schemars::generate::SchemaSettings;
use tidegate_core::{Scenario, Snapshot};

use crate::{decode::Decode, report::Report};
pub use crate::{
    diagnostic::{Diagnostic, Severity},
    reference::reference,
    resolve::bands::RunBands,
};

/// Parses one configuration.
///
/// `file` is its path as diagnostics show it; relative paths in it start from the folder of `file`. `read` is the only access to
/// files, and is called once for each script. The generation of the snapshot is 1.
pub fn parse(
    file: &str,
    text: &str,
    read: &dyn Fn(&Path) -> io::Result<String>,
) -> (Option<Snapshot>, Vec<Diagnostic>) {
    let (snapshot, report) = read_whole(file, text, read, &|_| None);
    (snapshot.filter(|_| !report.has_flaws()), report.finish())
}

/// The same, except that a script which is needed by some requests only and cannot be read does not cost the snapshot: it is an
/// error all the same, and the snapshot has a [`Script`](tidegate_core::snapshot::Script) that says so. `why_not` says why a
/// program that a fleet starts cannot be run, which is a warning.
pub fn parse_despite_scripts(
    file: &str,
    text: &str,
    read: &dyn Fn(&Path) -> io::Result<String>,
    why_not: &dyn Fn(&str) -> Option<String>,
) -> (Option<Snapshot>, Vec<Diagnostic>) {
    let (snapshot, report) = read_whole(file, text, read, why_not);
    (snapshot, report.finish())
}

fn read_whole<'a>(
    file: &'a str,
    text: &'a str,
    read: &dyn Fn(&Path) -> io::Result<String>,
    why_not: &dyn Fn(&str) -> Option<String>,
) -> (Option<Snapshot>, Report<'a>) {
    // A byte order mark has no column.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut report = Report::new(file, text);
    let raw = yaml::read(text, &mut report).and_then(|root| raw::File::decode(&root, &mut report));
    let snapshot = raw.and_then(|raw| resolve::snapshot(&raw, file, read, why_not, &mut report));
    (snapshot.filter(|_| !report.has_errors()), report)
}

/// Parses one scenario, as [`parse`] does a configuration.
pub fn parse_scenario(file: &str, text: &str) -> (Option<Scenario>, Vec<Diagnostic>) {
    parse_other(file, text, ("scenario", "about"), resolve::scenario::scenario)
}

/// Parses bands for simulated runs, as [`parse`] does a configuration.
pub fn parse_bands(file: &str, text: &str) -> (Option<Vec<RunBands>>, Vec<Diagnostic>) {
    parse_other(file, text, ("file of bands", "runs"), resolve::bands::bands)
}

fn parse_other<R: Decode, T>(
    file: &str,
    text: &str,
    document: (&str, &str),
    resolve: fn(&R, &mut Report<'_>) -> Option<T>,
) -> (Option<T>, Vec<Diagnostic>) {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut report = Report::new(file, text);
    let raw = yaml::read_other(text, document, &mut report).and_then(|root| R::decode(&root, &mut report));
    let value = raw.and_then(|raw| resolve(&raw, &mut report)).filter(|_| !report.has_errors());
    (value, report.finish())
}

/// The JSON Schema (draft 2020-12) of the file, for editors.
pub fn schema() -> serde_json::Value {
    let mut schema = SchemaSettings::draft2020_12().into_generator().into_root_schema_for::<raw::File>();
    schema.insert("title".into(), "tidegate.yaml".into());
    schema.to_value()
}
