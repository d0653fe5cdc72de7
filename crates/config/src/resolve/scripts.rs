//! Reads Lua.
//!
//! A [`Script`]'s name is what stands before the line number in Lua's messages. A file has its
//! path for a name. Inline code has the configuration's, and its source begins with as many empty lines
//! as stand above it in the configuration, so that `tidegate.yaml:14:` in a traceback is line 14 of that file. (In
//! a folded block, `>`, YAML joins lines, so only its first line is exact.)

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use tidegate_core::snapshot::Script;

use crate::{
    leaf::text::Code,
    raw::lua::Chunk,
    report::{Place, Report, quote},
    resolve::Read,
};

/// Largest script, in bytes.
const MAX_SCRIPT: usize = 4 << 20;

/// Most bytes of all inline scripts with the empty lines before them.
const MAX_INLINE: usize = 64 << 20;

/// Every script of one configuration. A file is read once, however many routes use it.
pub(crate) struct Scripts<'a> {
    /// Of the configuration, as diagnostics show it.
    file: &'a str,
    read: Read<'a>,
    /// By path; `Err` is why it could not be read.
    loaded: HashMap<PathBuf, Result<Script, String>>,
    inline_bytes: usize,
}

impl<'a> Scripts<'a> {
    pub(crate) fn new(file: &'a str, read: Read<'a>) -> Self {
        Self { file, read, loaded: HashMap::new(), inline_bytes: 0 }
    }

    /// A path of the configuration as the process can open it.
    pub(crate) fn locate(&self, path: &Path) -> PathBuf {
        Path::new(self.file).parent().unwrap_or(Path::new("")).join(path)
    }

    pub(crate) fn chunk(&mut self, chunk: &Chunk, place: Place, report: &mut Report<'_>) -> Option<Script> {
        match chunk {
            Chunk::Plain(Code::File(path)) => self.file(path, place, report),
            Chunk::Plain(Code::Inline { source, line }) => self.inline(source, *line, place, report),
            Chunk::Named(named) => {
                let (name, source) = (named.name.value()?, named.source.value()?);
                Some(Script { name: Arc::from(&*name.0), source: Arc::from(&*source.0) })
            }
        }
    }

    pub(crate) fn file(&mut self, path: &Path, place: Place, report: &mut Report<'_>) -> Option<Script> {
        let full = self.locate(path);
        let read = self.read;
        let script = self.loaded.entry(full).or_insert_with_key(|full| load(full, read));
        let problem = match script {
            Ok(script) => return Some(script.clone()),
            Err(problem) => &*problem,
        };
        let message = format!("cannot read {}: {problem}", quote(&path.to_string_lossy()));
        let looked = self.locate(path);
        report.error(place, message, format!("it was looked for at {}", quote(&looked.to_string_lossy())));
        None
    }

    fn inline(&mut self, source: &str, line: usize, place: Place, report: &mut Report<'_>) -> Option<Script> {
        let above = line.saturating_sub(1);
        self.inline_bytes += above + source.len();
        if self.inline_bytes > MAX_INLINE {
            report.error(place, "too much inline Lua", "move code to `.lua` files");
            return None;
        }
        Some(Script { name: self.file.into(), source: ("\n".repeat(above) + source).into() })
    }
}

fn load(path: &Path, read: Read<'_>) -> Result<Script, String> {
    let source = read(path).map_err(|error| error.to_string())?;
    if source.len() > MAX_SCRIPT {
        return Err(format!("{} bytes are more than 4 MiB", source.len()));
    }
    Ok(Script { name: Arc::from(path.to_string_lossy()), source: source.into() })
}
