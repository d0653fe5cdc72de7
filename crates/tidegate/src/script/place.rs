//! Shows the line that a message of Lua names.

use std::fs;

use super::Source;

/// The message, and below it the line of the source that it names first, if there is one to be found.
pub(super) fn with_source(message: &str, source: &Source) -> String {
    with_line(message, |chunk| {
        let own = source.name.trim_start_matches(['@', '=']) == chunk;
        if own { Some(source.text.clone()) } else { fs::read(chunk).ok() }
    })
}

/// The same for what is in files.
pub(crate) fn with_file(message: &str) -> String {
    with_line(message, |chunk| fs::read(chunk).ok())
}

fn with_line(message: &str, text: impl Fn(&str) -> Option<Vec<u8>>) -> String {
    let shown = tidegate_lua::place(message).and_then(|(chunk, line)| {
        let text = text(chunk)?;
        Some((line, String::from_utf8_lossy(&text).lines().nth(line.checked_sub(1)?)?.to_owned()))
    });
    match shown {
        Some((line, text)) => {
            let number = line.to_string();
            let gutter = " ".repeat(number.len());
            format!("{message}\n {gutter} |\n {number} | {text}\n {gutter} |")
        }
        None => message.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_shows_the_line_that_it_names() {
        let source = Source {
            name: "@a.lua".into(),
            text: b"one\nlocal two = nil + 1".into(),
            arguments: Vec::new(),
            file: None,
        };
        let shown = with_source("a.lua:2: attempt to perform arithmetic on a nil value", &source);
        assert!(shown.ends_with("\n   |\n 2 | local two = nil + 1\n   |"), "{shown}");
        assert_eq!(with_source("just so: 7", &source), "just so: 7");
        assert_eq!(with_source("a.lua:9: beyond", &source), "a.lua:9: beyond");
    }
}
