//! Where the configuration comes from, and whether it has changed.
//!
//! A file counts as changed when its path leads to something new (length, time, inode), for the
//! configuration itself and for every script that it names, and has stayed so for two looks in a row:
//! what an editor is still writing is left alone.

mod certificates;
mod modules;
mod programs;
mod scripts;

use std::{
    cell::RefCell,
    collections::BTreeMap,
    fs, io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use tidegate_config::{Diagnostic, Severity};
use tidegate_core::Snapshot;

pub(crate) use self::scripts::Broken;
use self::scripts::Verdict;
use crate::clock::Moment;

/// Where to read the configuration.
#[derive(Debug, Clone)]
pub enum ConfigSource {
    File(PathBuf),
    /// Built in: the name that diagnostics show, the text, and the scripts that it names.
    Text {
        name: String,
        text: String,
        scripts: BTreeMap<PathBuf, String>,
    },
}

impl ConfigSource {
    /// Reads and checks everything, Lua included. There is a snapshot exactly when nothing is wrong.
    pub fn load(self) -> (Option<Snapshot>, Vec<Diagnostic>) {
        let Loaded { snapshot, diagnostics, broken } = Source::new(self).load();
        (snapshot.filter(|_| broken.is_empty()), diagnostics)
    }
}

/// What came of reading everything.
#[derive(Debug)]
pub(crate) struct Loaded {
    /// There is one if nothing is wrong but scripts that only some requests need.
    pub(crate) snapshot: Option<Snapshot>,
    pub(crate) diagnostics: Vec<Diagnostic>,
    /// Those scripts.
    pub(crate) broken: Broken,
}

/// What tells one content of a file from another. `None`: there is no file.
type Mark = Option<(u64, i64, i64, u64)>;
type Marks = BTreeMap<PathBuf, Mark>;

#[derive(Debug)]
pub(crate) struct Source {
    origin: ConfigSource,
    /// Every file of the last load, as it was before it was read.
    loaded: Marks,
    /// The same files when looked at last.
    seen: Marks,
}

impl Source {
    pub(crate) const fn new(origin: ConfigSource) -> Self {
        Self { origin, loaded: Marks::new(), seen: Marks::new() }
    }

    /// Reads and checks everything.
    pub(crate) fn load(&mut self) -> Loaded {
        let (path, name) = match &self.origin {
            ConfigSource::Text { name, text, scripts } => {
                let read =
                    |path: &Path| scripts.get(path).cloned().ok_or_else(|| io::ErrorKind::NotFound.into());
                let loaded = parse(name, text, &read);
                // What is built in has no folder to keep anything in.
                let snapshot = loaded.snapshot.map(|snapshot| Snapshot { state: None, ..snapshot });
                return Loaded { snapshot, ..loaded };
            }
            ConfigSource::File(path) => (path, path.display().to_string()),
        };
        let marks = RefCell::new(Marks::from([(path.clone(), mark(path))]));
        let read = |script: &Path| {
            marks.borrow_mut().insert(script.to_owned(), mark(script));
            fs::read_to_string(script)
        };
        let result = match fs::read_to_string(path) {
            Ok(text) => parse(&name, &text, &read),
            Err(error) => {
                Loaded { snapshot: None, diagnostics: vec![unreadable(name, &error)], broken: Broken::new() }
            }
        };
        self.loaded = marks.into_inner();
        self.seen.clone_from(&self.loaded);
        result
    }

    /// Looks whether a file has changed since it was loaded.
    pub(crate) fn changed(&mut self) -> bool {
        let now: Marks = self.loaded.keys().map(|path| (path.clone(), mark(path))).collect();
        let settled = now == self.seen;
        self.seen = now;
        settled && self.seen != self.loaded
    }
}

fn parse(name: &str, text: &str, read: &dyn Fn(&Path) -> io::Result<String>) -> Loaded {
    let (snapshot, mut diagnostics) =
        tidegate_config::parse_despite_scripts(name, text, read, &programs::why_not);
    let Verdict { found, broken, is_fatal } = snapshot.as_ref().map(scripts::check).unwrap_or_default();
    diagnostics.extend(found);
    let now = Moment::now().time.as_micros() / 1_000_000;
    diagnostics
        .extend(snapshot.iter().flat_map(|snapshot| certificates::check(snapshot, now.cast_signed(), read)));
    Loaded { snapshot: snapshot.filter(|_| !is_fatal), diagnostics, broken }
}

fn mark(path: &Path) -> Mark {
    let found = fs::metadata(path).ok()?;
    Some((found.len(), found.mtime(), found.mtime_nsec(), found.ino()))
}

fn unreadable(file: String, error: &io::Error) -> Diagnostic {
    let help = match error.kind() {
        io::ErrorKind::NotFound => Some("name the file of the configuration, or go to its folder"),
        io::ErrorKind::IsADirectory => Some("name the file of the configuration in it"),
        io::ErrorKind::InvalidData => Some("save it in UTF-8"),
        _ => None,
    };
    Diagnostic {
        file,
        line: 1,
        column: 1,
        severity: Severity::Error,
        message: format!("cannot read the configuration: {error}"),
        help: help.map(str::to_owned),
        excerpt: None,
        source_line: None,
    }
}

#[cfg(test)]
mod tests;
