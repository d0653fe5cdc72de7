//! Requests that two readers could read differently.

use tidegate_testkit::{
    Answer, Upstream,
    http::{self, Client},
};

use crate::node::Running;

/// Sends `request`, which must be refused with `status`, the connection closed, the upstream spared.
fn refused(running: &Running, upstream: &Upstream, request: &str, status: u16) {
    let before = upstream.request_count();
    let answer = http::send_raw(running.addr(), request.as_bytes());
    assert_eq!(http::status_of(&answer), status, "{request:?}");
    let text = String::from_utf8_lossy(&answer);
    assert_eq!(text.matches("HTTP/1.1 ").count(), 1, "one answer to {request:?}: {text}");
    assert!(text.contains("Connection: close"), "{request:?}: {text}");
    assert_eq!(upstream.request_count(), before, "{request:?} reached the upstream");
}

#[test]
fn every_ambiguous_framing_gets_400_and_the_connection_closes() {
    let upstream = Upstream::start(|_| Answer::ok("served"));
    let running = Running::proxying(&[upstream.addr()]);
    // Behind each there is what a second reader would take for another request.
    let smuggled = "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n";
    for fields in [
        "Content-Length: 5\r\nContent-Length: 6",
        "Content-Length: 5\r\nContent-Length: 5",
        "Content-Length: 5, 5",
        "Content-Length: -5",
        "Content-Length: 5\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nContent-Length: 5",
        "Transfer-Encoding: chunked, identity",
        "Transfer-Encoding: xchunked",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        "X: folded\r\n line",
        "X: bare\nY: feed",
        "X: bare\rreturn",
        "X: n\0ul",
        "X\0: nul",
        "X : space",
        "X Y: space",
    ] {
        let request = format!("POST / HTTP/1.1\r\nHost: a\r\n{fields}\r\n\r\n{smuggled}");
        refused(&running, &upstream, &request, 400);
    }
    refused(&running, &upstream, "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400);
    refused(&running, &upstream, "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400);
    refused(&running, &upstream, "GET / HTTP/1.1\r\n\r\n", 400);
    refused(&running, &upstream, "GET / HTTP/1.1\nHost: a\n\n", 400);
    refused(&running, &upstream, "GET /a/../../b HTTP/1.1\r\nHost: a\r\n\r\n", 400);
    let bad = running.telemetry.workers().iter();
    let bad: u64 = bad.map(|worker| worker.bad_requests.load(std::sync::atomic::Ordering::Relaxed)).sum();
    assert_eq!(bad, 21, "each is counted");
}

#[test]
fn a_bad_chunk_ends_the_request_with_400_and_the_connection() {
    let upstream = Upstream::start(|_| Answer::ok("served"));
    let running = Running::proxying(&[upstream.addr()]);
    for body in [
        "zz\r\nabc",
        "0x3\r\nabc\r\n0\r\n\r\n",
        "3\r\nabcd\r\n0\r\n\r\n",
        "3\nabc\r\n0\r\n\r\n",
        "+3\r\nabc\r\n",
        "3 \r\nabc",
    ] {
        let head = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
        refused(&running, &upstream, &format!("{head}{body}"), 400);
    }
}

#[test]
fn a_bad_chunk_in_the_middle_of_an_upload_never_completes_the_request() {
    let upstream = Upstream::start(|_| Answer::ok("served"));
    let running = Running::proxying(&[upstream.addr()]);
    let mut client = Client::connect(running.addr()).unwrap();
    client.send(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n").unwrap();
    tidegate_testkit::eventually(crate::node::PATIENCE, "the upload has begun", || {
        upstream.connection_count() > 0
    });
    client.send(b"nonsense\r\n").unwrap();
    assert_eq!(client.read().unwrap().status, 400);
    assert!(client.is_closed());
    assert_eq!(upstream.request_count(), 0);
}

#[test]
fn what_an_upstream_says_ambiguously_is_502_and_its_connection_is_not_used_again() {
    for head in [
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nok",
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nX : y\r\nContent-Length: 2\r\n\r\nok",
        "HTTP/1.1 200 OK\nContent-Length: 2\n\nok",
        "nonsense\r\n\r\n",
        // With the body in the same segment, nothing has been passed on when it turns out to be none.
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nnonsense\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\nnonsense\r\n",
    ] {
        let upstream = Upstream::start(move |_| Answer::nothing().write(head).stall());
        let running = Running::proxying(&[upstream.addr()]);
        let answer = http::get(running.addr(), "/");
        assert_eq!(answer.status, 502, "{head:?}");
        tidegate_testkit::eventually(crate::node::PATIENCE, "the connection is closed", || {
            running.route("all").in_flight() == 0
        });
    }
}
