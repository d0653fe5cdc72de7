//! Perl's regular expressions, over bytes.

use anyhow::{Context as _, Result};
use pcre2::bytes::{Regex, RegexBuilder};

/// Compiles `pattern` with Perl's flags; those that say nothing about matching are ignored.
pub(crate) fn compile(pattern: &[u8], flags: &str) -> Result<Regex> {
    // The library takes its patterns as UTF-8. Without its UTF mode it matches bytes, so a pattern of bytes
    // above 127 says them one by one.
    let pattern: String = match std::str::from_utf8(pattern) {
        Ok(text) => text.to_owned(),
        Err(_) => pattern.iter().map(|&byte| spelled(byte)).collect(),
    };
    let mut builder = RegexBuilder::new();
    for flag in flags.chars() {
        match flag {
            's' => builder.dotall(true),
            'm' => builder.multi_line(true),
            'i' => builder.caseless(true),
            'x' => builder.extended(true),
            _ => &mut builder,
        };
    }
    builder.build(&pattern).with_context(|| format!("cannot use the pattern {pattern:?}"))
}

fn spelled(byte: u8) -> String {
    if byte.is_ascii() { char::from(byte).to_string() } else { format!("\\x{byte:02x}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &[u8], flags: &str, text: &[u8]) -> bool {
        compile(pattern, flags).unwrap().is_match(text).unwrap()
    }

    #[test]
    fn the_end_is_also_before_the_last_newline() {
        assert!(matches(b"^a$", "", b"a\n"));
        assert!(!matches(b"^a\\z", "", b"a\n"));
    }

    #[test]
    fn flags_mean_what_they_mean_in_perl() {
        assert!(matches(b"a.b", "s", b"a\nb"));
        assert!(!matches(b"a.b", "", b"a\nb"));
        assert!(matches(b"^b", "m", b"a\nb"));
        assert!(matches(b"A (?=b)", "xi", b"ab"));
    }

    #[test]
    fn bytes_match_bytes() {
        assert!(matches(b"^\xff$", "", b"\xff"));
        assert!(matches("^ü$".as_bytes(), "", "ü".as_bytes()));
    }
}
