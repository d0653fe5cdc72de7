//! Text with `$variables` in it.
//!
//! `$name` and `${name}` are variables, a name being letters, digits and `_`; any other `$` is itself.

/// A text that is completed for each request.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Template {
    pub pieces: Vec<Piece>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    Text(String),
    /// In lower case; digits alone are a capture of the route's regular expression.
    Variable(String),
}

impl Template {
    pub fn parse(text: &str) -> Self {
        let (mut pieces, mut plain, mut rest) = (Vec::new(), String::new(), text);
        while let Some(at) = rest.find('$') {
            let (before, from) = rest.split_at(at);
            plain.push_str(before);
            if let Some((name, after)) = variable(&from[1..]) {
                if !plain.is_empty() {
                    pieces.push(Piece::Text(std::mem::take(&mut plain)));
                }
                pieces.push(Piece::Variable(name.to_ascii_lowercase()));
                rest = after;
            } else {
                plain.push('$');
                rest = &from[1..];
            }
        }
        plain.push_str(rest);
        if !plain.is_empty() {
            pieces.push(Piece::Text(plain));
        }
        Self { pieces }
    }

    /// The text, when there is no variable in it.
    pub fn plain(&self) -> Option<&str> {
        match &*self.pieces {
            [] => Some(""),
            [Piece::Text(text)] => Some(text),
            _ => None,
        }
    }
}

/// The name at the front of what follows a `$`, and what follows the name.
fn variable(text: &str) -> Option<(&str, &str)> {
    let word = |text: &str| {
        text.bytes().position(|byte| !byte.is_ascii_alphanumeric() && byte != b'_').unwrap_or(text.len())
    };
    if let Some(inner) = text.strip_prefix('{') {
        let (name, after) = inner.split_at(word(inner));
        return after.strip_prefix('}').filter(|_| !name.is_empty()).map(|after| (name, after));
    }
    let digits = text.bytes().position(|byte| !byte.is_ascii_digit()).unwrap_or(text.len());
    // `$1st` is the first capture, then `st`.
    let length = if digits > 0 { 1 } else { word(text) };
    (length > 0).then(|| text.split_at(length))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn show(text: &str) -> String {
        let show = |piece: &Piece| match piece {
            Piece::Text(text) => format!("'{text}'"),
            Piece::Variable(name) => format!("<{name}>"),
        };
        Template::parse(text).pieces.iter().map(show).collect()
    }

    #[test]
    fn variables_are_found_where_they_are_and_nowhere_else() {
        assert_eq!(show("a $Host/b"), "'a '<host>'/b'");
        assert_eq!(show("${foo}bar$a_1"), "<foo>'bar'<a_1>");
        assert_eq!(show("$1st$2"), "<1>'st'<2>");
        assert_eq!(show("5$ ${ $} ${a b}"), "'5$ ${ $} ${a b}'");
        assert_eq!(show("größe $"), "'größe $'");
        assert_eq!(show(""), "");
    }

    #[test]
    fn a_text_without_variables_is_plain() {
        assert_eq!(Template::parse("a $ b").plain(), Some("a $ b"));
        assert_eq!(Template::parse("").plain(), Some(""));
        assert_eq!(Template::parse("$a").plain(), None);
    }
}
