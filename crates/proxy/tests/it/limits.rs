//! Every wait ends, every size has a bound.

use tidegate_testkit::{
    Answer, Upstream,
    http::{self, Client},
};

use crate::node::Running;

/// Only this one ends soon: on a machine that stops for a moment, another might come first.
fn short(timeout: &str) -> String {
    format!("timeouts: {{ {timeout}: 300ms }}")
}

#[test]
fn a_head_that_trickles_in_is_cut_off_though_bytes_keep_coming() {
    let upstream = Upstream::start(|_| Answer::ok(""));
    let running = Running::proxying_with(&[upstream.addr()], &short("header"));
    let mut client = Client::connect(running.addr()).unwrap();
    client.send(b"GET / HTTP/1.1\r\nHost: a\r\nX: ").unwrap();
    let mut dripping = client.stream().try_clone().unwrap();
    let drip = std::thread::spawn(move || {
        use std::io::Write;
        while dripping.write_all(b"y").is_ok() {
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
    });
    let answer = client.read().unwrap();
    assert_eq!((answer.status, answer.header("Connection")), (408, Some("close")));
    drop(client);
    drip.join().unwrap();
}

#[test]
fn an_unused_connection_is_closed_without_a_word() {
    let running = Running::proxying_with(&[tidegate_testkit::unused_address()], &short("keepAlive"));
    let mut client = Client::connect(running.addr()).unwrap();
    assert!(client.is_closed());
}

#[test]
fn a_body_that_stalls_gets_408() {
    let upstream = Upstream::start(|_| Answer::ok(""));
    let running = Running::proxying_with(&[upstream.addr()], &short("bodyIdle"));
    let answer =
        http::send_raw(running.addr(), b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc");
    assert_eq!(http::status_of(&answer), 408);
    assert!(
        String::from_utf8_lossy(&answer).contains("\r\nConnection: close\r\n"),
        "the rest of the body is no request"
    );
    assert_eq!(upstream.request_count(), 0);
}

#[test]
fn an_upstream_that_never_answers_gets_504() {
    let upstream = Upstream::start(|_| Answer::nothing().stall());
    let running = Running::proxying_with(&[upstream.addr()], &short("firstByte"));
    let answer = http::get(running.addr(), "/");
    assert_eq!(answer.status, 504);
    tidegate_testkit::eventually(crate::node::PATIENCE, "it was asked", || upstream.request_count() > 0);
    assert_eq!(upstream.request_count(), 1, "it is not asked twice");
}

#[test]
fn an_upstream_that_stops_in_the_middle_ends_the_connection() {
    let upstream = Upstream::start(|_| {
        Answer::nothing().write("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc").stall()
    });
    let running = Running::proxying_with(&[upstream.addr()], &short("upstreamIdle"));
    let answer = http::send_raw(running.addr(), b"GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert!(answer.ends_with(b"\r\n\r\nabc"), "what came is passed on, and nothing is made up");
}

#[test]
fn a_client_that_never_reads_is_dropped() {
    let upstream = Upstream::start(|_| Answer::ok(vec![0; 64 << 20]));
    let running = Running::proxying_with(&[upstream.addr()], &short("send"));
    let mut client = Client::connect(running.addr()).unwrap();
    client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    tidegate_testkit::eventually(crate::node::PATIENCE, "the exchange is given up", || {
        running.route("all").arrived == 1 && running.route("all").in_flight() == 0
    });
    assert!(client.read().is_err(), "the answer is incomplete");
}

#[test]
fn sizes_over_their_limit_have_their_own_answers() {
    let upstream = Upstream::start(|_| Answer::ok(""));
    let limits = "limits: { headerBytes: 2KiB, headerCount: 10, uriBytes: 256B, bodyBytes: 1KiB }";
    let running = Running::proxying_with(&[upstream.addr()], limits);
    let status = |request: String| http::status_of(&http::send_raw(running.addr(), request.as_bytes()));
    let long = "x".repeat(500);
    assert_eq!(status(format!("GET /{long} HTTP/1.1\r\nHost: a\r\n\r\n")), 414);
    assert_eq!(status(format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", long.repeat(5))), 431);
    assert_eq!(status(format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}", long.repeat(5))), 431);
    assert_eq!(status(format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "X: y\r\n".repeat(10))), 431);
    let post = "POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n";
    assert_eq!(status(format!("{post}Content-Length: 1025\r\n\r\n{}", "x".repeat(1_025))), 413);
    let chunk = format!("401\r\n{}\r\n0\r\n\r\n", "x".repeat(1_025));
    assert_eq!(status(format!("{post}Transfer-Encoding: chunked\r\n\r\n{chunk}")), 413);
    assert_eq!(status(format!("{post}Content-Length: 1024\r\n\r\n{}", "x".repeat(1_024))), 200);
}

#[test]
fn a_huge_answer_head_is_502() {
    let upstream = Upstream::start(|_| Answer::status(200, &[("X", &"y".repeat(100_000))], ""));
    let running = Running::proxying(&[upstream.addr()]);
    assert_eq!(http::get(running.addr(), "/").status, 502);
}

#[test]
fn a_refused_upload_does_not_cost_the_client_its_answer() {
    let upstream = Upstream::start(|_| Answer::ok(""));
    let running = Running::proxying_with(&[upstream.addr()], "limits: { bodyBytes: 1KiB }");
    for _ in 0..20 {
        let mut client = Client::connect(running.addr()).unwrap();
        client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n").unwrap();
        client.send(&vec![b'x'; 100_000]).unwrap();
        assert_eq!(client.read().unwrap().status, 413);
    }
}
