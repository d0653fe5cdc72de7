//! Reads Lua.
//!
//! A [`Script`]'s name is what stands before the line number in Lua's messages. A file has its
//! path for a name. Inline code has the configuration's, and its source begins with as many empty lines
//! as stand above it in the configuration, so that `tidegate.yaml:14:` in a traceback is line 14 of that file. (In
//! a folded block, `>`, YAML joins lines, so only its first line is exact.)

use std::{
    collections::HashMap,
    io,
    path::{Path, PathBuf},
};

use tidegate_core::snapshot::{Script, Unreadable};

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
    /// By path.
    loaded: HashMap<PathBuf, Script>,
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

    /// What is in a file that is no script, as it is found by [`locate`](Self::locate).
    pub(crate) fn text(&self, path: &Path) -> io::Result<String> {
        (self.read)(path)
    }

    pub(crate) fn chunk(&mut self, chunk: &Chunk, place: Place, report: &mut Report<'_>) -> Option<Script> {
        match chunk {
            Chunk::Plain(Code::File(path)) => {
                let script = self.read(path);
                if let Some(Unreadable { why, .. }) = &script.unreadable {
                    let (message, help) = self.unread(path, why);
                    report.flaw(place, message, help);
                }
                Some(script)
            }
            Chunk::Plain(Code::Inline { source, line }) => self.inline(source, *line, place, report),
            Chunk::Named(named) => {
                let (name, source) = (named.name.value()?, named.source.value()?);
                Some(Script::new(&*name.0, &*source.0))
            }
        }
    }

    /// A file without which nothing can begin.
    pub(crate) fn file(&mut self, path: &Path, place: Place, report: &mut Report<'_>) -> Option<Script> {
        let script = self.read(path);
        if let Some(Unreadable { why, .. }) = &script.unreadable {
            let (message, help) = self.unread(path, why);
            report.error(place, message, help);
        }
        Some(script).filter(|script| script.unreadable.is_none())
    }

    fn read(&mut self, path: &Path) -> Script {
        let full = self.locate(path);
        let read = self.read;
        self.loaded.entry(full).or_insert_with_key(|full| load(full, read)).clone()
    }

    /// That a file cannot be read, and where it is not.
    fn unread(&self, path: &Path, why: &str) -> (String, String) {
        let looked = self.locate(path);
        (
            format!("cannot read {}: {why}", quote(&path.to_string_lossy())),
            format!("it was looked for at {}", quote(&looked.to_string_lossy())),
        )
    }

    fn inline(&mut self, source: &str, line: usize, place: Place, report: &mut Report<'_>) -> Option<Script> {
        let above = line.saturating_sub(1);
        self.inline_bytes += above + source.len();
        if self.inline_bytes > MAX_INLINE {
            report.error(place, "too much inline Lua", "move code to `.lua` files");
            return None;
        }
        Some(Script::new(self.file, "\n".repeat(above) + source))
    }
}

fn load(path: &Path, read: Read<'_>) -> Script {
    let (why, is_missing) = match read(path) {
        Ok(source) if source.len() <= MAX_SCRIPT => return Script::new(&*path.to_string_lossy(), source),
        Ok(source) => (format!("{} bytes are more than 4 MiB", source.len()), false),
        Err(error) => (error.to_string(), error.kind() == io::ErrorKind::NotFound),
    };
    let unreadable = Some(Unreadable { why: why.into(), is_missing });
    Script { unreadable, ..Script::new(&*path.to_string_lossy(), "") }
}
