//! What is wrong with a configuration, where, and what to do about it.

use std::fmt;

use serde::Serialize;

/// Whether a configuration with this in it can be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Severity {
    Error,
    Warning,
}

/// One mistake, or one thing that is surely not meant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Diagnostic {
    /// Path of the configuration, as the caller named it.
    pub file: String,
    /// From 1.
    pub line: usize,
    /// From 1, in characters.
    pub column: usize,
    pub severity: Severity,
    pub message: String,
    pub help: Option<String>,
    /// The offending text: what starts at `column`, up to the end of the value or of the line.
    pub excerpt: Option<String>,
    /// The line it stands on, unless that is too long to show.
    pub source_line: Option<String>,
}

/// As compilers print it: place and message, the line with the text marked, the help.
impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, line, column, message, .. } = self;
        let severity = match self.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        write!(f, "{file}:{line}:{column}: {severity}: {message}")?;
        if let Some(excerpt) = &self.excerpt {
            let carets = "^".repeat(excerpt.chars().count().max(1));
            match &self.source_line {
                Some(source) => write!(f, "\n   | {source}\n   | {}{carets}", indent(source, column - 1))?,
                None => write!(f, "\n   | {excerpt}\n   | {carets}")?,
            }
        }
        match &self.help {
            Some(help) => write!(f, "\n   = help: {help}"),
            None => Ok(()),
        }
    }
}

/// As wide as the first `columns` characters of `line`: tabs stay tabs.
fn indent(line: &str, columns: usize) -> String {
    let shape = |c| if c == '\t' { '\t' } else { ' ' };
    line.chars().map(shape).chain(std::iter::repeat(' ')).take(columns).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn diagnostic() -> Diagnostic {
        Diagnostic {
            file: "tidegate.yaml".into(),
            line: 12,
            column: 4,
            severity: Severity::Error,
            message: "unknown key `upstram`".into(),
            help: Some("did you mean `upstream`?".into()),
            excerpt: Some("upstram".into()),
            source_line: Some("  \tupstram: orders".into()),
        }
    }

    #[test]
    fn text_marks_the_offence_below_its_line() {
        let text = "tidegate.yaml:12:4: error: unknown key `upstram`\n   |   \tupstram: orders\n   |   \t^^^^^^^\n   = help: did you mean `upstream`?";
        assert_eq!(diagnostic().to_string(), text);
    }

    #[test]
    fn a_line_too_long_to_show_leaves_the_offence() {
        let text = Diagnostic { source_line: None, help: None, ..diagnostic() }.to_string();
        assert!(text.ends_with("`upstram`\n   | upstram\n   | ^^^^^^^"), "{text}");
    }

    #[test]
    fn json_uses_the_words_of_the_public_contract() {
        let json = serde_json::to_value(diagnostic()).unwrap();
        assert_eq!(json["severity"], "error");
        assert_eq!((&json["line"], &json["column"]), (&12.into(), &4.into()));
        assert_eq!(json["sourceLine"], "  \tupstram: orders");
    }
}
