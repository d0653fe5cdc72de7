//! What holds for any answer that a server gives, and any URL; `fuzz/` looks for some for which it does not.

use crate::{response::Response, url::Url};

/// However an answer arrives, it ends at the same byte or is malformed.
pub fn response(input: &[u8]) {
    for to_head in [false, true] {
        let whole = read(input, input.len().max(1), to_head);
        assert_eq!(read(input, 1, to_head), whole, "byte by byte");
    }
}

/// A URL that is taken is written as one that means the same.
pub fn url(input: &[u8]) {
    let Ok(text) = str::from_utf8(input) else { return };
    if let Ok(url) = text.parse::<Url>() {
        assert_eq!(url.to_string().parse(), Ok(url));
    }
}

/// The status and how many bytes the answer has, none while it is not complete; nothing for what is malformed.
fn read(input: &[u8], size: usize, to_head: bool) -> Result<Option<(u16, usize)>, ()> {
    let mut response = Response::new(to_head);
    let (mut pending, mut consumed) = (Vec::new(), 0);
    for piece in input.chunks(size) {
        pending.extend_from_slice(piece);
        let count = response.consume(&pending).map_err(|_| ())?;
        pending.drain(..count);
        consumed += count;
        if let Some(head) = response.done() {
            return Ok(Some((head.status, consumed)));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tidegate_testkit::mutated;

    const ANSWERS: &[&[u8]] = &[
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;a=b\r\nabc\r\n0\r\nX: y\r\n\r\nHTTP",
        b"HTTP/1.0 200 OK\r\nConnection: close\r\n\r\nuntil the end",
    ];
    const URLS: &[&[u8]] = &[b"http://a.com:8080/x/y?z=1#f", b"http://[::1]", b"http://a.com?x"];

    proptest! {
        #[test]
        fn responses(input in mutated(ANSWERS)) {
            super::response(&input);
        }

        #[test]
        fn urls(input in mutated(URLS)) {
            super::url(&input);
        }
    }
}
