//! What the client accepts, and what it refuses.

use std::io::ErrorKind;

use tidegate_testkit::{
    Answer, Upstream,
    http::{Client, get, request, send_raw, status_of},
};

/// An upstream that answers everything with exactly `bytes`.
fn sending(bytes: &'static str) -> Upstream {
    Upstream::start(move |_| Answer::nothing().write(bytes).close())
}

#[test]
fn a_length_a_coding_and_a_close_all_end_a_body() {
    let length = sending("HTTP/1.1 200 OK\r\nA: 1\r\na: 2\r\nContent-Length: 3\r\n\r\nabcXXX");
    let response = get(length.addr(), "/");
    assert_eq!((response.status, response.text()), (200, "abc"));
    assert_eq!(response.headers.all("A").collect::<Vec<_>>(), ["1", "2"]);

    let chunked = Upstream::start(|_| Answer::chunked(&[b"ab", b"c"], &[("Sum", "9")]));
    let response = get(chunked.addr(), "/");
    assert_eq!((response.text(), response.trailers.one("sum")), ("abc", Some("9")));

    let closing = sending("HTTP/1.0 200 OK\r\n\r\nabc");
    assert_eq!(get(closing.addr(), "/").text(), "abc");
}

#[test]
fn malformed_answers_are_errors() {
    for bytes in [
        "HTTP/1.1 20 OK\r\n\r\n",
        "HTTP/1.1 200\r\n\r\n",
        "HTTP/2 200 OK\r\n\r\n",
        "HTTP/1.1 200 OK\nA: 1\r\n\r\n",
        "HTTP/1.1 200 OK\r\nA 1\r\n\r\n",
        "HTTP/1.1 200 OK\r\n folded: 1\r\n\r\n",
        "HTTP/1.1 200 OK\r\nA : 1\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\nx",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: +1\r\n\r\nx",
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nx",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n+1\r\nx\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nxy\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n",
    ] {
        let upstream = sending(bytes);
        let error = Client::connect(upstream.addr()).unwrap().get("/").expect_err(bytes);
        assert!(
            matches!(error.kind(), ErrorKind::InvalidData | ErrorKind::UnexpectedEof),
            "{bytes:?}: {error}"
        );
    }
}

#[test]
fn interim_answers_come_before_the_final_one() {
    let upstream = Upstream::start(|_| Answer::ok("done").after_interim(103, &[("Link", "</a>")]));
    let mut client = Client::connect(upstream.addr()).unwrap();
    client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    assert_eq!(client.read().unwrap().status, 103);
    assert_eq!(client.read().unwrap().text(), "done");
    assert_eq!(client.get("/").unwrap().status, 200);
}

#[test]
fn answers_without_a_body_leave_the_connection_in_step() {
    let upstream = Upstream::start(|request| match request.target.as_str() {
        "/304" => Answer::status(304, &[], ""),
        "/204" => Answer::status(204, &[], ""),
        _ if request.method == "HEAD" => {
            Answer::nothing().write("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n")
        }
        _ => Answer::ok("body"),
    });
    let mut client = Client::connect(upstream.addr()).unwrap();
    for (method, path, status) in [("GET", "/304", 304), ("HEAD", "/", 200), ("GET", "/204", 204)] {
        assert_eq!(client.request(method, path, &[], b"").unwrap().status, status);
        assert_eq!(client.get("/").unwrap().text(), "body");
    }
    assert_eq!(upstream.connection_count(), 1);
}

#[test]
fn raw_bytes_go_out_as_they_are() {
    let upstream = Upstream::start(|request| Answer::status(418, &[], &request.raw).close());
    let bytes = b"GET /x HTTP/1.1\r\nHOST:y\r\nContent-Length: 2\r\n\r\nhi";
    let answer = send_raw(upstream.addr(), bytes);
    assert_eq!(status_of(&answer), 418);
    assert!(answer.ends_with(bytes));
}

#[test]
fn a_body_goes_out_with_its_length() {
    let upstream = Upstream::start(|request| Answer::ok(&request.body));
    let response = request(upstream.addr(), "POST", "/p", &[("Host", "h"), ("A", "b")], b"hello");
    assert_eq!(response.text(), "hello");
    assert_eq!(
        upstream.requests()[0].raw,
        b"POST /p HTTP/1.1\r\nHost: h\r\nA: b\r\nContent-Length: 5\r\n\r\nhello"
    );
}
