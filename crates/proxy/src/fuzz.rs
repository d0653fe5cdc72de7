//! What holds for any bytes that clients and upstreams send; `fuzz/` looks for some for which it does not.

use tidegate_core::snapshot::Limits;
use tidegate_lua::is_token;

use crate::http::{
    body::{self, Framing, Writer},
    chunked,
    fields::{Fields, is_value},
    request::{Refusal, Request},
    response::Response,
};

/// A request has one reading: however its bytes arrive, and however often it is forwarded.
pub fn request(input: &[u8]) {
    let limits = Limits::default();
    let (head, size) = match (read_request(input, 0), arriving(input, read_request)) {
        (Ok(Some(whole)), Ok(Some(pieces))) => {
            assert_eq!(whole.1, pieces.1, "its end depends on how it arrives");
            whole
        }
        (Ok(None), Ok(None)) | (Err(_), Err(_)) => return,
        (whole, pieces) => panic!("as a whole {whole:?}, in pieces {pieces:?}"),
    };
    assert!(size <= input.len() && size <= limits.header_bytes);
    assert!(head.fields.iter().count() <= limits.header_count + 1);
    sound(&head.fields);
    assert!(is_token(head.method()) && !head.path().contains(&0) && !head.target().contains(&b' '));
    assert!(matches!(head.framing, Framing::None | Framing::Length(_) | Framing::Chunked));
    assert_eq!(
        body::declared(&head.fields).ok(),
        Some(Some(head.framing).filter(|&framing| framing != Framing::None))
    );

    let again = forwarded(&head);
    let (other, size) = read_request(&again, 0)
        .ok()
        .flatten()
        .unwrap_or_else(|| panic!("is refused by the next one: {}", again.escape_ascii()));
    assert_eq!(size, again.len(), "the next one finds another end");
    assert_eq!((head.method(), head.path(), head.query()), (other.method(), other.path(), other.query()));
    assert_eq!((head.host(), head.framing), (other.host(), other.framing));
}

/// An answer has one reading, and one that is no error has a body whose end is known.
pub fn response(input: &[u8]) {
    for to_head in [false, true] {
        let read = |input: &[u8], seen: usize| {
            let mut head = Response::default();
            head.read(input, seen, to_head, &Limits::default()).map(|size| size.map(|size| (head, size)))
        };
        match (read(input, 0), arriving(input, read)) {
            (Ok(Some((head, size))), Ok(Some(pieces))) => {
                assert_eq!(size, pieces.1, "its end depends on how it arrives");
                sound(&head.fields);
                assert!(head.status >= 100 && (!to_head || head.framing == Framing::None));
                assert!(!head.keep_alive || head.framing != Framing::UntilClose);
            }
            (Ok(None), Ok(None)) | (Err(_), Err(_)) => {}
            (whole, pieces) => panic!("as a whole {whole:?}, in pieces {pieces:?}"),
        }
    }
}

/// A chunked body is the same however it is cut, and written anew it is the same again.
pub fn chunked(input: &[u8]) {
    let whole = decode(input, input.len().max(1));
    for size in [1, 7] {
        let pieces = decode(input, size);
        assert_eq!(whole.is_ok(), pieces.is_ok(), "in pieces of {size}: {pieces:?}, as a whole {whole:?}");
        if let (Ok(whole), Ok(pieces)) = (&whole, &pieces) {
            assert_eq!((&whole.data, whole.rest), (&pieces.data, pieces.rest), "in pieces of {size}");
        }
    }
    let Ok(Decoded { data, end: Some(end), .. }) = whole else { return };
    let mut anew = Vec::new();
    if !data.is_empty() {
        Writer::Chunked.write(&data, &mut anew);
    }
    anew.extend_from_slice(&end);
    let again = decode(&anew, 5).expect("what was written can be read");
    assert_eq!((again.data, again.end, again.rest), (data, Some(end), 0));
}

/// What gateways say when one hands its sockets over to the other.
pub fn handover(input: &[u8]) {
    crate::handover::message::fuzz(input);
}

fn read_request(input: &[u8], seen: usize) -> Result<Option<(Request, usize)>, Refusal> {
    let mut head = Request::default();
    head.read(input, seen, &Limits::default()).map(|size| size.map(|size| (head, size)))
}

/// Feeds `read` as a connection does, whose bytes arrive a few at a time.
fn arriving<T, E>(
    input: &[u8],
    read: impl Fn(&[u8], usize) -> Result<Option<(T, usize)>, E>,
) -> Result<Option<(T, usize)>, E> {
    let (mut seen, mut last) = (0, Ok(None));
    for step in (1..4).cycle() {
        let size = (seen + step).min(input.len());
        last = read(&input[..size], seen);
        if !matches!(last, Ok(None)) || size == input.len() {
            break;
        }
        seen = size;
    }
    last
}

/// Nothing in a field can end it, or its line.
fn sound(fields: &Fields) {
    for (_, name, value) in fields.iter() {
        assert!(is_token(name) && is_value(value), "{}: {}", name.escape_ascii(), value.escape_ascii());
    }
}

/// The head as it is written for whoever is next.
fn forwarded(head: &Request) -> Vec<u8> {
    let version: &[u8] = if head.is_11 { b" HTTP/1.1\r\n" } else { b" HTTP/1.0\r\n" };
    let mut written = [head.method(), b" "].concat();
    head.write_target(&mut written);
    written.extend_from_slice(version);
    for (_, name, value) in head.fields.iter() {
        written.extend_from_slice(&[name, b": ", value, b"\r\n"].concat());
    }
    written.extend_from_slice(b"\r\n");
    written
}

#[derive(Debug)]
struct Decoded {
    data: Vec<u8>,
    /// The last chunk and the trailers as they are written for whoever is next, if they have come.
    end: Option<Vec<u8>>,
    /// Bytes behind the end, or of what is incomplete.
    rest: usize,
}

fn decode(input: &[u8], size: usize) -> Result<Decoded, chunked::Error> {
    let (data, decoder, pending) = chunked::decode(input, size)?;
    let end = decoder.is_done().then(|| {
        sound(decoder.trailers());
        let mut end = Vec::new();
        chunked::end(Some(decoder.trailers()), &mut end);
        end
    });
    Ok(Decoded { data, end, rest: pending.len() })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tidegate_testkit::mutated;

    const REQUESTS: &[&[u8]] = &[
        b"GET /a%20b/../c?x=1&y HTTP/1.1\r\nHost: a.com:80\r\nX-A:  b \r\nConnection: close, te\r\n\r\nGET / HTTP/1.1\r\n",
        b"POST http://b.com/x HTTP/1.1\r\nHost: a\r\nContent-Length: 12\r\nExpect: 100-continue\r\n\r\nhello, world",
        b"PUT * HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
        b"OPTIONS * HTTP/1.1\r\nHost: [::1]:8000\r\nTransfer-Encoding: chunked\r\nUpgrade: websocket\r\n\r\n0\r\n\r\n",
    ];
    const RESPONSES: &[&[u8]] = &[
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nSet-Cookie: a=b; Path=/\r\n\r\nhello",
        b"HTTP/1.0 404 Not Found\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 \r\n\r\n",
    ];
    const BODIES: &[&[u8]] =
        &[b"5\r\nhello\r\n00a;name=\"v\"\r\n, world...\r\n0\r\nX-Sum: 1\r\n\r\nGET", b"1\r\na\r\n0\r\n\r\n"];

    const HANDOVERS: &[&[u8]] = &[
        br#"{"version":1,"pid":7,"network":4026531840,"sockets":[{"for":"listener","address":"[::]:80","count":4},{"for":"listener","address":"unix:/run/a.sock","count":1},{"for":"predecessor","count":2}]}"#,
        br#"{"version":1,"listens":["127.0.0.1:8080","unix:/run/a.sock"]}"#,
    ];

    proptest! {
        #[test]
        fn requests(input in mutated(REQUESTS)) {
            super::request(&input);
        }

        #[test]
        fn responses(input in mutated(RESPONSES)) {
            super::response(&input);
        }

        #[test]
        fn bodies(input in mutated(BODIES)) {
            super::chunked(&input);
        }

        #[test]
        fn handovers(input in mutated(HANDOVERS)) {
            super::handover(&input);
        }
    }
}
