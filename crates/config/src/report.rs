//! Collects what is wrong with one text.
//!
//! A [`Place`] becomes line, column, excerpt and source line here, and nowhere else. Whatever of the
//! text is shown again is cut to a width and cleared of control characters, so a hostile file can
//! neither flood nor steer a terminal. Every error comes with help.
//!
//! Invariant: at most [`MAX_SHOWN`] diagnostics and one that counts the rest.

use std::fmt::Display;

use crate::{Diagnostic, Severity};

/// Most diagnostics of one file.
pub(crate) const MAX_SHOWN: usize = 100;

/// Widest excerpt and longest quotation, in characters.
const MAX_EXCERPT: usize = 60;

/// Widest source line that is shown, in characters.
const MAX_LINE: usize = 160;

/// A range of the text. Lines and columns count from 1, columns in characters; the end is exclusive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Place {
    pub(crate) line: usize,
    pub(crate) column: usize,
    pub(crate) end_line: usize,
    pub(crate) end_column: usize,
}

impl Place {
    pub(crate) const START: Self = Self { line: 1, column: 1, end_line: 1, end_column: 1 };
}

/// All diagnostics of one text so far.
#[derive(Debug)]
pub(crate) struct Report<'a> {
    file: &'a str,
    text: &'a str,
    shown: Vec<Diagnostic>,
    errors: usize,
    /// Errors that spoil a part and not the whole.
    flaws: usize,
    /// How many more there are, and where the first of them is.
    hidden: usize,
    first_hidden: Place,
}

impl<'a> Report<'a> {
    pub(crate) fn new(file: &'a str, text: &'a str) -> Self {
        Self { file, text, shown: Vec::new(), errors: 0, flaws: 0, hidden: 0, first_hidden: Place::START }
    }

    pub(crate) fn error(&mut self, place: Place, message: impl Display, help: impl Display) {
        self.error_with(place, || (message.to_string(), help.to_string()));
    }

    /// As [`Self::error`]; message and help are not made when they would not be shown.
    pub(crate) fn error_with(&mut self, place: Place, describe: impl FnOnce() -> (String, String)) {
        self.errors += 1;
        self.add(Severity::Error, place, describe);
    }

    /// An error that spoils what it is in, while the rest can be used.
    pub(crate) fn flaw(&mut self, place: Place, message: impl Display, help: impl Display) {
        self.flaws += 1;
        self.add(Severity::Error, place, || (message.to_string(), help.to_string()));
    }

    pub(crate) fn warning(&mut self, place: Place, message: impl Display, help: impl Display) {
        self.add(Severity::Warning, place, || (message.to_string(), help.to_string()));
    }

    pub(crate) const fn has_errors(&self) -> bool {
        self.errors > 0
    }

    pub(crate) const fn has_flaws(&self) -> bool {
        self.flaws > 0
    }

    /// In the order of the text. What an alias repeats is told once.
    pub(crate) fn finish(mut self) -> Vec<Diagnostic> {
        self.shown.sort_by(|a, b| (a.line, a.column, &a.message).cmp(&(b.line, b.column, &b.message)));
        self.shown.dedup();
        if self.hidden > 0 {
            let severity =
                if self.has_errors() || self.has_flaws() { Severity::Error } else { Severity::Warning };
            let message = format!("{} more are not shown", self.hidden);
            let rest = self.locate(severity, self.first_hidden, &message, "fix the others first");
            self.shown.push(rest);
        }
        self.shown
    }

    fn add(&mut self, severity: Severity, place: Place, describe: impl FnOnce() -> (String, String)) {
        if self.shown.len() >= MAX_SHOWN {
            if self.hidden == 0 {
                self.first_hidden = place;
            }
            self.hidden += 1;
            return;
        }
        let (message, help) = describe();
        self.shown.push(self.locate(severity, place, &message, &help));
    }

    fn locate(&self, severity: Severity, place: Place, message: &str, help: &str) -> Diagnostic {
        let place = self.within(place);
        let line = nth_line(self.text, place.line).unwrap_or_default();
        let excerpt = excerpt(line, place);
        Diagnostic {
            file: self.file.to_owned(),
            line: place.line,
            column: place.column,
            severity,
            message: printable(message),
            help: Some(printable(help)),
            source_line: (!excerpt.is_empty() && line.chars().nth(MAX_LINE).is_none())
                .then(|| printable(line)),
            excerpt: (!excerpt.is_empty()).then_some(excerpt),
        }
    }

    /// A parser that met the end of a text without a last line feed stands on a line that is not there.
    fn within(&self, place: Place) -> Place {
        if nth_line(self.text, place.line).is_some() {
            return place;
        }
        let (line, last) =
            (1..).map_while(|line| Some((line, nth_line(self.text, line)?))).last().unwrap_or((1, ""));
        let column = last.chars().count() + 1;
        Place { line, column, end_line: line, end_column: column }
    }
}

/// `text` in backquotes, cut to a width.
pub(crate) fn quote(text: &str) -> String {
    format!("`{}`", shorten(text))
}

/// The first line of `text`, cut to a width, with an ellipsis where something is missing.
pub(crate) fn shorten(text: &str) -> String {
    let line = text.lines().next().unwrap_or_default();
    let mut short: String = line.chars().take(MAX_EXCERPT).collect();
    if short.len() < text.trim_end().len() {
        short.push('…');
    }
    short
}

/// What stands at `place`; a place without an end reaches to the end of its line.
fn excerpt(line: &str, place: Place) -> String {
    let rest = line.chars().skip(place.column - 1);
    let width = if place.end_line == place.line && place.end_column > place.column {
        place.end_column - place.column
    } else {
        MAX_EXCERPT
    };
    let text: String = rest.take(width.min(MAX_EXCERPT)).collect();
    printable(text.trim_end())
}

/// Lines end as YAML has it: with a line feed, a carriage return or both.
fn nth_line(text: &str, number: usize) -> Option<&str> {
    let mut rest = text;
    for _ in 1..number {
        match rest.find(['\n', '\r']) {
            Some(end) if rest[end..].starts_with("\r\n") => rest = &rest[end + 2..],
            Some(end) => rest = &rest[end + 1..],
            None => return None,
        }
    }
    rest.split(['\n', '\r']).next()
}

fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() && c != '\t' { char::REPLACEMENT_CHARACTER } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(line: usize, column: usize, end_column: usize) -> Place {
        Place { line, column, end_line: line, end_column }
    }

    #[test]
    fn excerpts_are_found_after_any_line_break() {
        let mut report = Report::new("f", "a\r\nb\rc: größe\nd");
        report.error(place(3, 4, 9), "m", "h");
        let [found] = report.finish().try_into().unwrap();
        assert_eq!(found.excerpt.as_deref(), Some("größe"));
        assert_eq!(found.source_line.as_deref(), Some("c: größe"));
    }

    #[test]
    fn control_characters_do_not_reach_a_terminal() {
        let mut report = Report::new("f", "a: \u{1b}[2J");
        report.error(place(1, 4, 8), format!("bad {}", quote("\u{1b}[2J")), "h");
        let text = report.finish()[0].to_string();
        assert!(!text.contains('\u{1b}'), "{text:?}");
    }

    #[test]
    fn mistakes_beyond_the_limit_are_counted() {
        let mut report = Report::new("f", "a");
        for column in 1..=MAX_SHOWN + 7 {
            report.error(place(1, column, column), "m", "h");
        }
        let all = report.finish();
        assert_eq!(all.len(), MAX_SHOWN + 1);
        assert_eq!(all[MAX_SHOWN].message, "7 more are not shown");
        assert_eq!(all[MAX_SHOWN].column, MAX_SHOWN + 1);
    }

    #[test]
    fn a_long_quotation_is_cut() {
        assert_eq!(quote("a\nb"), "`a…`");
        assert_eq!(quote(&"x".repeat(99)), format!("`{}…`", "x".repeat(MAX_EXCERPT)));
        assert_eq!(quote("short\n"), "`short`");
    }
}
