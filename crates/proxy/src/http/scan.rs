//! The head of a request as nearly all clients write it, read in one pass.
//!
//! Whatever is out of the ordinary is left to the parser behind [`request`](super::request), which can tell what is wrong
//! with it, if anything is. So nothing is taken here that is not taken there, and with the same parts: a test holds
//! one against the other.

use tidegate_lua::is_token_byte;

use crate::http::fields::Fields;

/// The first line of a request, in parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RequestLine<'a> {
    pub(crate) method: &'a [u8],
    pub(crate) target: &'a [u8],
    /// HTTP/1.1 rather than 1.0.
    pub(crate) is_11: bool,
}

/// Reads the head at the front of `input` into `fields`: how long it is, and its first line. `None` is no verdict; what
/// `fields` has is of no use then.
pub(crate) fn head<'a>(input: &'a [u8], fields: &mut Fields) -> Option<(usize, RequestLine<'a>)> {
    const VERSION: &[u8; 11] = b" HTTP/1.1\r\n";
    let method = 0..end_of(input, 0, u8::is_ascii_uppercase)?;
    if method.is_empty() || input[method.end] != b' ' {
        return None;
    }
    let target = method.end + 1..end_of(input, method.end + 1, u8::is_ascii_graphic)?;
    if target.is_empty() || input[target.end..].first_chunk() != Some(VERSION) {
        return None;
    }
    let size = headers(input, target.end + VERSION.len(), fields)?;
    fields.keep(&input[..size]);
    Some((size, RequestLine { method: &input[method], target: &input[target], is_11: true }))
}

/// Where the head ends whose headers begin at `at`.
fn headers(input: &[u8], mut at: usize, fields: &mut Fields) -> Option<usize> {
    fields.clear();
    loop {
        let name = at..end_of(input, at, |&byte| is_token_byte(byte))?;
        if name.is_empty() {
            return ends_line(input, at).then_some(at + 2);
        }
        if input[name.end] != b':' {
            return None;
        }
        let start = end_of(input, name.end + 1, |&byte| is_blank(byte))?;
        let end = end_of_value(input, start)?;
        if !ends_line(input, end) {
            return None;
        }
        let mut value = start..end;
        while !value.is_empty() && is_blank(input[value.end - 1]) {
            value.end -= 1;
        }
        fields.note(input, name, value);
        at = end + 2;
    }
}

fn ends_line(input: &[u8], at: usize) -> bool {
    input.get(at..).and_then(<[u8]>::first_chunk) == Some(b"\r\n")
}

fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

/// The first byte from `from` on that is not of the part; `None` if all are.
fn end_of(input: &[u8], from: usize, is_of_part: impl Fn(&u8) -> bool) -> Option<usize> {
    input.get(from..)?.iter().position(|byte| !is_of_part(byte)).map(|length| from + length)
}

/// The first control character from `from` on, other than a tab. Eight bytes are looked at together.
fn end_of_value(input: &[u8], from: usize) -> Option<usize> {
    const ONES: u64 = u64::MAX / 255;
    const HIGH: u64 = ONES << 7;
    let mut at = from;
    while let Some(bytes) = input.get(at..)?.first_chunk() {
        let word = u64::from_le_bytes(*bytes);
        let delete = word ^ (ONES * 0x7f);
        // A byte after one that is found may be found wrongly, by what is carried over; the first never is.
        let below_blank = word.wrapping_sub(ONES * 0x20) & !word;
        let found = (below_blank | (delete.wrapping_sub(ONES) & !delete)) & HIGH;
        if found == 0 {
            at += 8;
            continue;
        }
        at += found.trailing_zeros() as usize / 8;
        if input[at] != b'\t' {
            return Some(at);
        }
        at += 1;
    }
    end_of(input, at, |&byte| byte == b'\t' || !byte.is_ascii_control())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_value_ends_where_its_naive_twin_says(
            value in prop::collection::vec(prop_oneof![8 => any::<u8>(), 1 => Just(b'\t'), 8 => b' '..=b'z'], 0..40),
            from in 0_usize..12,
        ) {
            let naive = (from..value.len()).find(|&at| value[at] != b'\t' && (value[at] < b' ' || value[at] == 0x7f));
            prop_assert_eq!(end_of_value(&value, from), naive);
        }
    }

    #[test]
    fn the_usual_head_is_read() {
        let text =
            b"GET /a?b HTTP/1.1\r\nHost: a\r\nX-Long:\t a value\twith parts  \r\nX-Empty: \r\n\r\nrest";
        let mut fields = Fields::default();
        let (size, line) = head(text, &mut fields).unwrap();
        assert_eq!(&text[size..], b"rest");
        assert_eq!(line, RequestLine { method: b"GET", target: b"/a?b", is_11: true });
        let found: Vec<_> = fields.iter().map(|(_, name, value)| (name, value)).collect();
        let expected: [(&[u8], &[u8]); 3] =
            [(b"Host", b"a"), (b"X-Long", b"a value\twith parts"), (b"X-Empty", b"")];
        assert_eq!(found, expected);
    }

    #[test]
    fn the_unusual_is_left_to_others() {
        for text in [
            "GET / HTTP/1.0\r\n\r\n",
            "get / HTTP/1.1\r\n\r\n",
            "GET  / HTTP/1.1\r\n\r\n",
            "GET /\u{e4} HTTP/1.1\r\n\r\n",
            "GET / HTTP/1.1\n\n",
            "GET / HTTP/1.1\r\na : b\r\n\r\n",
            "GET / HTTP/1.1\r\na: b\r\n c\r\n\r\n",
            "GET / HTTP/1.1\r\na: b\0\r\n\r\n",
            "GET / HTTP/1.1\r\na: b\n\r\n",
            "GET / HTTP/1.1\r\na: b\r\n\r",
            "GET / HTTP/1.1\r\n",
            "GET",
            "",
        ] {
            assert_eq!(head(text.as_bytes(), &mut Fields::default()), None, "{text:?}");
        }
    }
}
