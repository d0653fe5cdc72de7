//! The line of source that an error of Lua is about, for the log and for whoever develops.

use std::{
    fs::{self, File},
    io::{BufRead as _, BufReader, Read as _},
};

use tidegate_core::snapshot::Script;
use tidegate_lua::ScriptError;

use crate::site::Site;

/// Bytes of a file that are looked through for a line.
const MOST_BYTES: u64 = 1 << 20;
/// Bytes of a line that are shown.
const MOST_SHOWN: usize = 200;

/// The line that an error names, if it is to be found.
#[derive(Debug, Default)]
pub(crate) struct Excerpt(Option<String>);

impl Excerpt {
    /// The first line that the error names: of a script of the site, as it was compiled, or of a file whose code was running.
    /// Words of an error may be a client's, so by themselves they have no file opened.
    pub(crate) fn of(error: &ScriptError, site: Option<&Site>) -> Self {
        Self(error.place().and_then(|(chunk, line)| {
            let is_code = || ran(error.traceback(), chunk) || did_not_load(error);
            let of_module = || is_code().then(|| of_file(chunk, line)).flatten();
            let text = site.and_then(|site| of_scripts(site, chunk, line)).or_else(of_module)?;
            Some(format!("{line} | {}", shown(&text)))
        }))
    }

    /// `12 | local a = b.c`.
    pub(crate) fn source(&self) -> Option<&str> {
        self.0.as_deref()
    }
}

/// Why Lua did not answer a request, for an answer that may say so.
#[derive(Debug)]
pub(crate) struct Mishap {
    pub(crate) message: String,
    pub(crate) source: Option<String>,
    pub(crate) traceback: String,
}

impl Mishap {
    pub(crate) fn new(error: &ScriptError, excerpt: Excerpt) -> Self {
        Self { message: error.to_string(), source: excerpt.0, traceback: error.traceback().to_owned() }
    }
}

/// Scripts that stand in one file have its name, and its numbers of lines: elsewhere they have nothing but empty lines. Where
/// several stand in one line, all of it has to be shown.
fn of_scripts(site: &Site, chunk: &str, line: usize) -> Option<String> {
    let same = site.scripts().filter(|script| is_named(script, chunk));
    let texts = same.filter_map(|script| script.source.lines().nth(line.checked_sub(1)?));
    let mut texts = texts.filter(|text| !text.trim().is_empty());
    let first = texts.next()?;
    texts.all(|text| text == first).then(|| first.to_owned())
}

/// LuaJIT shows a long name without its beginning, or without its end.
fn is_named(script: &Script, chunk: &str) -> bool {
    let name = script.name.trim_start_matches(['@', '=']);
    match chunk.strip_prefix("...") {
        Some(rest) => name.ends_with(rest),
        None => name == chunk || (chunk.len() > 50 && name.starts_with(chunk)),
    }
}

/// Whether a traceback, which is LuaJIT's word and no script's, has a function of the chunk.
fn ran(traceback: &str, chunk: &str) -> bool {
    let frames = traceback.lines().filter_map(|line| line.strip_prefix('\t'));
    frames.filter_map(|frame| frame.strip_prefix(chunk)).any(|rest| rest.starts_with(':'))
}

/// Whether it is `require` itself that raised it, of a file that does not compile.
fn did_not_load(error: &ScriptError) -> bool {
    let mut frames = error.traceback().lines().filter_map(|line| line.strip_prefix('\t'));
    error.message().starts_with("error loading module '")
        && frames.next() == Some("[C]: in function 'require'")
}

/// Of a module, as the file is now.
fn of_file(chunk: &str, line: usize) -> Option<String> {
    // Before it is opened: that may wait for ever where it is a pipe.
    fs::metadata(chunk).ok().filter(fs::Metadata::is_file)?;
    let mut lines = BufReader::new(File::open(chunk).ok()?.take(MOST_BYTES)).split(b'\n');
    let text = lines.nth(line.checked_sub(1)?)?.ok()?;
    Some(String::from_utf8_lossy(&text).into_owned())
}

/// The line without what does not belong into a log: control characters, and more than anybody reads.
fn shown(line: &str) -> String {
    let line = line.trim_end();
    let end = (0..=MOST_SHOWN.min(line.len())).rev().find(|&end| line.is_char_boundary(end)).unwrap_or(0);
    let text = line[..end].chars().map(|c| if c.is_control() { ' ' } else { c });
    text.chain(if end < line.len() { "…".chars() } else { "".chars() }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_shown_without_what_a_log_does_not_take() {
        assert_eq!(shown("\tlocal a = b.c  \r"), " local a = b.c");
        let long = shown(&"ü".repeat(300));
        assert_eq!((long.chars().count(), long.ends_with('…')), (101, true));
    }

    #[test]
    fn names_may_be_cut_short() {
        let script = Script::new("/a/very/long/path/that/luajit/does/not/show/at/its/full/length.lua", "");
        assert!(is_named(&script, &script.name) && is_named(&script, "...not/show/at/its/full/length.lua"));
        assert!(!is_named(&script, "/a/very") && !is_named(&script, "...other.lua"));
        assert!(is_named(&Script::new("=content_by_lua(x:1)", ""), "content_by_lua(x:1)"));
    }

    #[test]
    fn only_what_ran_is_in_a_traceback() {
        let traceback = "stack traceback:\n\tlib/a.lua:3: in function 'f'\n\tconfig.yaml:9: in main chunk";
        assert!(ran(traceback, "lib/a.lua") && ran(traceback, "config.yaml"));
        assert!(!ran(traceback, "a.lua") && !ran(traceback, "lib/a") && !ran(traceback, "/etc/passwd"));
        assert!(!ran("", "lib/a.lua") && !ran(traceback, ""));
    }

    #[test]
    fn a_line_of_a_file_is_found() {
        let here = concat!(env!("CARGO_MANIFEST_DIR"), "/src/excerpt.rs");
        assert_eq!(of_file(here, 1).unwrap(), include_str!("excerpt.rs").lines().next().unwrap());
        assert!(of_file(here, 0).is_none() && of_file(here, 1_000_000).is_none());
        assert!(of_file("/", 1).is_none() && of_file("no such file", 1).is_none());
    }
}
