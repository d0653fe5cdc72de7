use proptest::prelude::*;

use super::*;

#[derive(Debug, PartialEq, Eq)]
enum End {
    /// Complete: status, keep-alive, bytes that belong to it.
    Done(u16, bool, usize),
    /// Complete only because the connection was closed.
    Closed(u16),
    Incomplete,
    Malformed,
}

/// Feeds `text` in pieces of `piece` bytes, as a connection does.
fn read_in(text: &[u8], piece: usize, to_head: bool) -> End {
    let mut response = Response::new(to_head);
    let (mut from, mut to) = (0, 0);
    while to < text.len() {
        to = (to + piece).min(text.len());
        match response.consume(&text[from..to]) {
            Ok(length) => from += length,
            Err(_) => return End::Malformed,
        }
        if let Some(head) = response.done() {
            return End::Done(head.status, head.keep_alive, from);
        }
    }
    response.close().map_or(End::Incomplete, |head| End::Closed(head.status))
}

fn read(text: &str) -> End {
    read_in(text.as_bytes(), usize::MAX / 2, false)
}

fn all_of(text: &str, status: u16, keep_alive: bool) {
    assert_eq!(read(text), End::Done(status, keep_alive, text.len()), "{text:?}");
}

#[test]
fn lengths_and_chunks_and_closes_end_a_body() {
    all_of("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc", 200, true);
    all_of("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 200, true);
    all_of("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", 200, true);
    assert_eq!(read("HTTP/1.1 200 OK\r\n\r\nabc"), End::Closed(200));
    assert_eq!(read("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nabc"), End::Incomplete);
    assert_eq!(
        read("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n"),
        End::Incomplete
    );
}

#[test]
fn some_answers_have_no_body_whatever_they_say() {
    all_of("HTTP/1.1 204 No Content\r\n\r\n", 204, true);
    all_of("HTTP/1.1 304 Not Modified\r\nContent-Length: 99\r\n\r\n", 304, true);
    let text = b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n";
    assert_eq!(read_in(text, 7, true), End::Done(200, true, text.len()));
    let text = b"HTTP/1.1 200 OK\r\n\r\n";
    assert_eq!(read_in(text, 7, true), End::Done(200, true, text.len()));
}

#[test]
fn interim_answers_are_passed_over() {
    let interim = "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n";
    let last = "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx";
    all_of(&format!("HTTP/1.1 100 Continue\r\n\r\n{interim}{last}"), 200, true);
    assert_eq!(read(&format!("{}{last}", interim.repeat(17))), End::Malformed);
    assert_eq!(read("HTTP/1.1 101 Switching Protocols\r\n\r\n"), End::Malformed);
}

#[test]
fn keep_alive_is_the_servers_choice() {
    all_of("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n", 200, false);
    all_of("HTTP/1.1 200 OK\r\nConnection: foo, Close\r\nContent-Length: 0\r\n\r\n", 200, false);
    all_of("HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n", 200, false);
    all_of("HTTP/1.0 200 OK\r\nConnection: Keep-Alive\r\nContent-Length: 0\r\n\r\n", 200, true);
}

#[test]
fn bytes_after_the_end_are_left_alone() {
    let text = "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx";
    assert_eq!(read(&format!("{text}HTTP/1.1")), End::Done(200, true, text.len()));
}

#[test]
fn extensions_and_trailers_are_skipped() {
    let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    all_of(&format!("{head}0000a;q=\"x y\"\r\n0123456789\r\n0;z\r\nDigest: abc\r\nX: \r\n\r\n"), 200, true);
}

#[test]
fn unclear_framing_is_an_error() {
    let heads = [
        "Content-Length: 1\r\nContent-Length: 1",
        "Content-Length: 1, 1",
        "Content-Length: +1",
        "Content-Length: ",
        "Content-Length: 99999999999999999999",
        "Content-Length: 1\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: gzip, chunked",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: identity",
        "X : 1",
        "X: 1\r\n folded",
        "X: \0",
    ];
    for head in heads {
        assert_eq!(read(&format!("HTTP/1.1 200 OK\r\n{head}\r\n\r\nx")), End::Malformed, "{head}");
    }
    assert_eq!(read("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"), End::Malformed);
    assert_eq!(read("SSH-2.0-OpenSSH\r\n"), End::Malformed);
    assert_eq!(read("HTTP/1.1 042 What\r\nContent-Length: 0\r\n\r\n"), End::Malformed);
    assert_eq!(read(&format!("HTTP/1.1 200 OK\r\n{}\r\n", "a: b\r\n".repeat(129))), End::Malformed);
}

#[test]
fn broken_chunks_are_an_error() {
    let bodies = [
        "\r\n",
        ";x\r\n",
        "3\nabc\r\n0\r\n\r\n",
        "3\r\nabcd\r\n",
        "3\r\nabc\n",
        "3 \r\nabc\r\n0\r\n\r\n",
        "-3\r\nabc",
        "0x3\r\nabc\r\n",
        "1000000000000000\r\n",
        "0\r\n\n",
        "0\r\nX: a\n\r\n",
        "0\r\n X: a\r\n\r\n",
    ];
    for body in bodies {
        let text = format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{body}");
        assert_eq!(read(&text), End::Malformed, "{body:?}");
    }
    let endless = "x".repeat(17_000);
    for body in [format!("3;{endless}"), format!("0\r\n{endless}")] {
        let text = format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{body}");
        assert_eq!(read(&text), End::Malformed);
    }
}

proptest! {
    #[test]
    fn how_the_bytes_are_cut_makes_no_difference(
        chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..40), 0..6),
        piece in 1..50_usize,
        to_head in any::<bool>(),
    ) {
        let mut text = b"HTTP/1.1 103 Hint\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
        let head = text.len();
        for chunk in &chunks {
            text.extend(format!("{:x}\r\n", chunk.len()).bytes().chain(chunk.iter().copied()).chain(*b"\r\n"));
        }
        text.extend(b"0\r\nT: x\r\n\r\n");
        let length = if to_head { head } else { text.len() };
        prop_assert_eq!(read_in(&text, piece, to_head), End::Done(200, true, length));
    }

    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), piece in 1..20_usize) {
        let mut text = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
        text.extend(&bytes);
        read_in(&text, piece, false);
        read_in(&bytes, piece, false);
    }
}
