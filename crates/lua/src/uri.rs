//! Percent-encoding and query strings, as nginx and OpenResty read them.

/// The path as it stands in a URI.
pub fn escaped_path(path: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(path.len());
    escape(path, Escape::Uri, &mut out);
    out
}

/// Appends `%XX`.
pub(crate) fn push_escaped(out: &mut Vec<u8>, byte: u8) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    out.extend([b'%', DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]);
}

/// What a text is escaped for; numbered as `ngx.escape_uri` does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Escape {
    /// 0: a whole URI.
    Uri,
    /// 1: a URI's arguments.
    Arguments,
    /// 2: one component: all but letters, digits and a few marks.
    Component,
    /// 3: a URI inside of HTML.
    Html,
    /// 4: a URI in a `Refresh` header.
    Refresh,
    /// 5 and 6: a key of memcached, or a line of the mail authentication protocol.
    Line,
}

impl Escape {
    pub(crate) const fn from_number(number: i32) -> Self {
        match number {
            0 => Self::Uri,
            1 => Self::Arguments,
            3 => Self::Html,
            4 => Self::Refresh,
            5 | 6 => Self::Line,
            _ => Self::Component,
        }
    }

    const fn keeps(self, byte: u8) -> bool {
        match self {
            Self::Uri => byte.is_ascii_graphic() && !matches!(byte, b'#' | b'%' | b'?'),
            Self::Arguments => byte.is_ascii_graphic() && !matches!(byte, b'#' | b'%' | b'+' | b'?'),
            Self::Component => {
                byte.is_ascii_alphanumeric()
                    || matches!(byte, b'-' | b'.' | b'_' | b'~' | b'!' | b'\'' | b'(' | b')' | b'*')
            }
            Self::Html => byte.is_ascii_graphic() && !matches!(byte, b'"' | b'#' | b'%' | b'\''),
            Self::Refresh => byte.is_ascii_graphic() && !matches!(byte, b'"' | b'%' | b'\''),
            Self::Line => byte > b' ' && byte != b'%',
        }
    }
}

/// Appends `text`, escaped; answers whether anything had to be.
pub(crate) fn escape(text: &[u8], kind: Escape, out: &mut Vec<u8>) -> bool {
    let start = out.len();
    for &byte in text {
        if kind.keeps(byte) {
            out.push(byte);
        } else {
            push_escaped(out, byte);
        }
    }
    out.len() - start != text.len()
}

/// Appends `text` with `%XX` decoded and `+` as a space. A `%` that starts no code stays.
pub(crate) fn unescape(text: &[u8], out: &mut Vec<u8>) {
    decode(text, b' ', out);
}

/// Appends a path with `%XX` decoded. A `%` that starts no code stays, and so does `+`.
pub(crate) fn decode_path(path: &[u8], out: &mut Vec<u8>) {
    decode(path, b'+', out);
}

/// `plus` is what a `+` stands for.
fn decode(text: &[u8], plus: u8, out: &mut Vec<u8>) {
    let mut rest = text;
    while let [byte, tail @ ..] = rest {
        rest = tail;
        match (byte, tail) {
            (b'%', [high, low, after @ ..]) if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                out.push(hex(*high) << 4 | hex(*low));
                rest = after;
            }
            (b'+', _) => out.push(plus),
            _ => out.push(*byte),
        }
    }
}

const fn hex(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        b'a'..=b'f' => digit - b'a' + 10,
        _ => digit - b'A' + 10,
    }
}

/// The arguments of a query string, still encoded: name, and value if there is a `=`. Arguments without a
/// name are left out.
pub(crate) fn arguments(query: &[u8]) -> impl Iterator<Item = (&[u8], Option<&[u8]>)> {
    all_arguments(query).filter(|(name, _)| !name.is_empty())
}

/// The same, with those that have a value and no name.
pub(crate) fn all_arguments(query: &[u8]) -> impl Iterator<Item = (&[u8], Option<&[u8]>)> {
    query.split(|&byte| byte == b'&').filter(|argument| !argument.is_empty()).map(|argument| {
        match argument.iter().position(|&byte| byte == b'=') {
            Some(at) => (&argument[..at], Some(&argument[at + 1..])),
            None => (argument, None),
        }
    })
}

/// The value of the first argument of that name that has one, as it stands; `name` in any case.
pub(crate) fn raw_argument<'a>(query: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    arguments(query).find_map(|(argument, value)| value.filter(|_| argument.eq_ignore_ascii_case(name)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn escaped(text: &str, kind: Escape) -> String {
        let mut out = Vec::new();
        escape(text.as_bytes(), kind, &mut out);
        String::from_utf8(out).unwrap()
    }

    fn unescaped(text: &str) -> String {
        let mut out = Vec::new();
        unescape(text.as_bytes(), &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn each_kind_keeps_its_own_characters() {
        assert_eq!(
            escaped("a-Z.0_~!'()* /?&=+%ä", Escape::Component),
            "a-Z.0_~!'()*%20%2F%3F%26%3D%2B%25%C3%A4"
        );
        assert_eq!(escaped("/a b?c&d+e:@\"", Escape::Uri), "/a%20b%3Fc&d+e:@\"");
        assert_eq!(escaped("/a b?c&d+e;", Escape::Arguments), "/a%20b%3Fc&d%2Be;");
        assert_eq!(escaped("a'#\x7f", Escape::Refresh), "a%27#%7F");
        assert_eq!(escaped("a b\r\nä?", Escape::Line), "a%20b%0D%0Aä?");
    }

    #[test]
    fn a_percent_sign_that_starts_no_code_stays() {
        assert_eq!(unescaped("100%+%4a%4A%4%zz%"), "100% JJ%4%zz%");
    }

    #[test]
    fn arguments_without_a_name_are_left_out() {
        let all: Vec<_> = arguments(b"a=1&b&=2&&c=&d==x").collect();
        let expected: [(&[u8], Option<&[u8]>); 4] =
            [(b"a", Some(b"1")), (b"b", None), (b"c", Some(b"")), (b"d", Some(b"=x"))];
        assert_eq!(all, expected);
    }

    #[test]
    fn a_raw_argument_is_the_first_with_a_value() {
        assert_eq!(raw_argument(b"foo&Foo=%20a&foo=b", b"foo"), Some(&b"%20a"[..]));
        assert_eq!(raw_argument(b"foo", b"foo"), None);
    }

    proptest! {
        #[test]
        fn what_was_escaped_reads_back(text in any::<Vec<u8>>()) {
            let (mut there, mut back) = (Vec::new(), Vec::new());
            escape(&text, Escape::Component, &mut there);
            unescape(&there, &mut back);
            prop_assert_eq!(back, text);
        }
    }
}
