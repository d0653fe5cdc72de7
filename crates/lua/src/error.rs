//! What can go wrong with a VM and with the scripts it runs.

use std::fmt;

/// Why a VM could not be made or a script not be loaded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// LuaJIT or the part of the API that is written in Lua did not start.
    #[error("the Lua VM did not start: {0}")]
    Start(String),
    /// The text does not compile. Names the chunk and the line.
    #[error("{0}")]
    Syntax(String),
    /// The file was not to be had.
    #[error("{0}")]
    Unreadable(String),
    /// What prepares the VM failed.
    #[error("init: {0}")]
    Init(ScriptError),
    /// The VM was used by code that it was running itself.
    #[error("the Lua VM is running")]
    Busy,
}

/// A handler that did not end well.
///
/// Displayed it is one line, control characters escaped, that names file and line wherever Lua does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScriptError {
    message: String,
    traceback: String,
    unloaded: Option<Unloaded>,
}

/// Why a script that was to run is not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unloaded {
    /// There is no such file.
    Missing,
    /// The file cannot be read.
    Unreadable,
    /// It does not compile.
    Invalid,
}

impl ScriptError {
    pub(crate) const fn new(message: String, traceback: String) -> Self {
        Self { message, traceback, unloaded: None }
    }

    pub(crate) const fn unloaded(message: String, why: Unloaded) -> Self {
        Self { message, traceback: String::new(), unloaded: Some(why) }
    }

    /// Set if it is not the script that failed, but loading it.
    pub const fn why_unloaded(&self) -> Option<Unloaded> {
        self.unloaded
    }

    /// Says `why` memory was refused where that is all that LuaJIT says, with the place that the traceback knows.
    pub(crate) fn explain_refusal(&mut self, why: impl FnOnce() -> String) {
        if self.message != "not enough memory" {
            return;
        }
        let places = self.traceback.lines().filter_map(|line| line.trim_start().split_once(": in "));
        let place =
            places.map(|(place, _)| place).find(|place| *place != "[C]" && !place.starts_with("ngx."));
        self.message = place.map_or_else(String::new, |place| format!("{place}: ")) + &why();
    }

    /// The chunk and the line that the message names first, `app.lua:12: …`, as LuaJIT names them: a long name is cut short, with
    /// `...` in front.
    pub fn place(&self) -> Option<(&str, usize)> {
        place(&self.message)
    }

    /// What was raised, as it was raised.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// Lua's traceback: `stack traceback:` and a line for each function, innermost first.
    pub fn traceback(&self) -> &str {
        &self.traceback
    }
}

/// The chunk and the line that a message of Lua names first.
pub fn place(message: &str) -> Option<(&str, usize)> {
    message.match_indices(':').find_map(|(at, _)| {
        let (number, _) = message[at + 1..].split_once(':')?;
        let line = number.parse().ok()?;
        let chunk = &message[..at];
        // Of a module that does not load it is in the second line.
        let chunk = chunk.rsplit_once("\n\t").map_or(chunk, |(_, chunk)| chunk);
        // Words before the place end with a colon.
        Some((chunk.rsplit_once(": ").map_or(chunk, |(_, chunk)| chunk), line))
    })
}

impl fmt::Display for ScriptError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = self.message.as_str();
        while let Some(at) = rest.find(char::is_control) {
            let (plain, from) = rest.split_at(at);
            let control = from.chars().next().unwrap_or_default();
            write!(f, "{plain}{}", control.escape_default())?;
            rest = &from[control.len_utf8()..];
        }
        f.write_str(rest)
    }
}

impl std::error::Error for ScriptError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_names_a_place() {
        for (message, expected) in [
            ("a/b.lua:12: no: 7: way", Some(("a/b.lua", 12))),
            ("failed to load inlined Lua code: c.yaml:3: '=' expected", Some(("c.yaml", 3))),
            ("content_by_lua(nginx.conf:26):2: x", Some(("content_by_lua(nginx.conf:26)", 2))),
            ("error loading module 'm' from file './m.lua':\n\t./m.lua:2: no", Some(("./m.lua", 2))),
            ("no place: here", None),
            ("", None),
        ] {
            assert_eq!(ScriptError::new(message.into(), String::new()).place(), expected, "{message}");
        }
    }

    #[test]
    fn a_script_error_is_one_line_whatever_was_raised() {
        let error = ScriptError::new("a.lua:1: first\nsecond\0 größe".into(), String::new());
        assert_eq!(error.to_string(), r"a.lua:1: first\nsecond\u{0} größe");
        assert_eq!(error.message(), "a.lua:1: first\nsecond\0 größe");
    }
}
