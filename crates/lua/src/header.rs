//! Header names and values on their way out of Lua.
//!
//! As OpenResty does, bytes that must not stand in a header are percent-encoded rather than refused, so
//! a value that a client made cannot split a message.

/// Calls `f` with `name`, each byte that is not of a token encoded.
pub(crate) fn with_escaped_name<R>(name: &[u8], f: impl FnOnce(&[u8]) -> R) -> R {
    with_escaped(name, |byte| !is_token_byte(byte), f)
}

/// Calls `f` with `value`, each control character but the tab encoded.
pub(crate) fn with_escaped_value<R>(value: &[u8], f: impl FnOnce(&[u8]) -> R) -> R {
    with_escaped(value, |byte| (byte < b' ' && byte != b'\t') || byte == 0x7f, f)
}

/// Whether a response has this header at most once, whatever a script sets it to.
pub(crate) fn single(name: &[u8]) -> bool {
    const SINGLE: [&str; 8] = [
        "age",
        "content-encoding",
        "content-length",
        "content-type",
        "date",
        "etag",
        "last-modified",
        "location",
    ];
    SINGLE.iter().any(|single| name.eq_ignore_ascii_case(single.as_bytes()))
}

/// Whether it may be the name of a header, or a method: a token of RFC 9110 section 5.6.2.
#[inline]
pub fn is_token(name: &[u8]) -> bool {
    !name.is_empty() && name.iter().all(|&byte| is_token_byte(byte))
}

/// Whether a token may have this byte.
#[inline]
pub fn is_token_byte(byte: u8) -> bool {
    TOKEN[usize::from(byte)]
}

/// The bytes that a token may have.
static TOKEN: [bool; 256] = {
    let mut token = [false; 256];
    let mut byte = 0u8;
    while byte < 128 {
        token[byte as usize] = byte.is_ascii_alphanumeric();
        byte += 1;
    }
    let mut marks: &[u8] = b"!#$%&'*+-.^_`|~";
    while let [mark, rest @ ..] = marks {
        token[*mark as usize] = true;
        marks = rest;
    }
    token
};

fn with_escaped<R>(text: &[u8], unsafe_byte: impl Fn(u8) -> bool, f: impl FnOnce(&[u8]) -> R) -> R {
    // Without an early end, so that the compiler looks at many bytes at once.
    if !text.iter().fold(false, |found, &byte| found | unsafe_byte(byte)) {
        return f(text);
    }
    let mut escaped = Vec::with_capacity(text.len() + 8);
    for &byte in text {
        if unsafe_byte(byte) {
            crate::uri::push_escaped(&mut escaped, byte);
        } else {
            escaped.push(byte);
        }
    }
    f(&escaped)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_cannot_end_its_header() {
        with_escaped_value(b"a\tb\r\nSet-Cookie: x\0", |value| {
            assert_eq!(value, b"a\tb%0D%0ASet-Cookie: x%00");
        });
        with_escaped_value("größe".as_bytes(), |value| assert_eq!(value, "größe".as_bytes()));
    }

    #[test]
    fn a_name_stays_a_token() {
        with_escaped_name(b"X-Foo: bar\n", |name| assert_eq!(name, b"X-Foo%3A%20bar%0A"));
        with_escaped_name(b"x-foo_1", |name| assert_eq!(name, b"x-foo_1"));
    }
}
