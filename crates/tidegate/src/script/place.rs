//! Shows the line that a message of Lua names.

use std::fs;

use super::Source;

/// The message, and below it the line of the source that it names first, if there is one to be found.
pub(super) fn with_source(message: &str, source: &Source) -> String {
    let shown =
        tidegate_lua::place(message).and_then(|(chunk, line)| Some((line, text_of(chunk, line, source)?)));
    match shown {
        Some((line, text)) => {
            let number = line.to_string();
            let gutter = " ".repeat(number.len());
            format!("{message}\n {gutter} |\n {number} | {text}\n {gutter} |")
        }
        None => message.to_owned(),
    }
}

fn text_of(chunk: &str, line: usize, source: &Source) -> Option<String> {
    let own = source.name.trim_start_matches(['@', '=']) == chunk;
    let text = if own { source.text.clone() } else { fs::read(chunk).ok()? };
    String::from_utf8_lossy(&text).lines().nth(line.checked_sub(1)?).map(str::to_owned)
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
