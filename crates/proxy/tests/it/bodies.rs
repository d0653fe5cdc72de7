//! Bodies of every framing, both ways, never held whole.

use std::{
    io::Write,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    thread,
    time::Duration,
};

use tidegate_testkit::{
    Answer, Upstream, eventually,
    http::{self, Client},
};

use crate::node::{PATIENCE, Running};

/// Bytes that are not all the same, so that misplaced ones show.
fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|index| (index % 251) as u8).collect()
}

#[test]
fn uploads_of_any_size_arrive_whole() {
    let upstream = Upstream::start(|request| Answer::ok(request.body.len().to_string()));
    let running = Running::proxying(&[upstream.addr()]);
    let mut client = Client::connect(running.addr()).unwrap();
    for length in [0, 1, 1_000, 65_535, 65_536, 1_000_000] {
        let body = pattern(length);
        let answer = client.request("POST", "/", &[], &body).unwrap();
        assert_eq!(answer.text(), length.to_string());
        assert_eq!(upstream.requests().last().unwrap().body, body);
    }
}

#[test]
fn chunked_uploads_keep_their_framing_and_trailers() {
    let upstream = Upstream::start(|_| Answer::ok("served"));
    let running = Running::proxying(&[upstream.addr()]);
    let mut client = Client::connect(running.addr()).unwrap();
    client.send(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n").unwrap();
    eventually(PATIENCE, "the head has been passed on", || upstream.connection_count() == 1);
    client.send(b"2\r\nde\r\n0\r\nX-Sum: 5\r\n\r\n").unwrap();
    assert_eq!(client.read().unwrap().text(), "served");
    let request = upstream.requests().remove(0);
    assert_eq!(request.body, b"abcde");
    assert_eq!(request.trailers.one("X-Sum"), Some("5"));
    assert_eq!(request.header("Transfer-Encoding"), Some("chunked"));
}

#[test]
fn answers_of_every_framing_arrive_whole() {
    let body = pattern(300_000);
    let sent = body.clone();
    let upstream = Upstream::start(move |request| match request.target.as_str() {
        "/length" => Answer::ok(&sent),
        "/chunked" => Answer::chunked(&sent.chunks(7_000).collect::<Vec<_>>(), &[("X-Sum", "1")]),
        _ => Answer::nothing().write("HTTP/1.1 200 OK\r\n\r\n").write(&sent).close(),
    });
    let running = Running::proxying(&[upstream.addr()]);
    let mut client = Client::connect(running.addr()).unwrap();
    let length = client.get("/length").unwrap();
    assert_eq!((length.body == body, length.header("Content-Length")), (true, Some("300000")));
    let chunked = client.get("/chunked").unwrap();
    assert_eq!((chunked.body == body, chunked.trailers.one("X-Sum")), (true, Some("1")));
    let until_close = client.get("/close").unwrap();
    assert_eq!((until_close.body == body, until_close.header("Transfer-Encoding")), (true, Some("chunked")));
    assert_eq!(client.get("/length").unwrap().body.len(), 300_000, "the connection is still in step");
}

#[test]
fn an_answer_in_single_bytes_is_passed_on_as_it_comes() {
    let upstream =
        Upstream::start(|_| Answer::chunked(&[b"a", b"bc"], &[]).trickled(Duration::from_millis(1)));
    let running = Running::proxying(&[upstream.addr()]);
    assert_eq!(http::get(running.addr(), "/").text(), "abc");
}

#[test]
fn the_first_part_of_an_answer_does_not_wait_for_the_rest() {
    let upstream = Upstream::start(|_| {
        Answer::nothing().write("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nfirst").stall()
    });
    let running = Running::proxying(&[upstream.addr()]);
    let mut client = Client::connect(running.addr()).unwrap();
    client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    let mut seen = Vec::new();
    while !seen.ends_with(b"first") {
        let some = client.read_some().unwrap();
        assert!(!some.is_empty(), "closed early");
        seen.extend(some);
    }
}

#[test]
fn expect_continue_is_answered_before_the_body_is_sent() {
    let upstream = Upstream::start(|request| Answer::ok(&request.body));
    let running = Running::proxying(&[upstream.addr()]);
    let mut client = Client::connect(running.addr()).unwrap();
    client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n").unwrap();
    assert_eq!(client.read_without_body().unwrap().status, 100);
    client.send(b"body").unwrap();
    assert_eq!(client.read().unwrap().text(), "body");
    assert_eq!(upstream.requests()[0].header("Expect"), None);
}

#[test]
fn an_early_answer_reaches_a_client_that_is_still_sending() {
    let upstream = Upstream::start_early(|_| Answer::status(403, &[], "no"));
    let running = Running::proxying(&[upstream.addr()]);
    let client = Client::connect(running.addr()).unwrap();
    let mut uploading = client.stream().try_clone().unwrap();
    let mut client = client;
    client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 50000000\r\n\r\n").unwrap();
    let upload = thread::spawn(move || {
        // Ends with an error once the gateway has had enough.
        let block = vec![0; 100_000];
        (0..500).all(|_| uploading.write_all(&block).is_ok())
    });
    let answer = client.read().unwrap();
    assert_eq!((answer.status, answer.text()), (403, "no"));
    drop(client);
    upload.join().unwrap();
}

#[test]
fn a_client_that_reads_slowly_slows_the_upstream_and_fills_no_memory() {
    const LENGTH: usize = 200 << 20;
    const BLOCK: usize = 1 << 20;
    let written = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&written);
    let upstream = Upstream::start_raw(move |mut stream, _| {
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {LENGTH}\r\n\r\n");
        let _ = stream.write_all(head.as_bytes());
        let block = vec![7; BLOCK];
        for _ in 0..LENGTH / BLOCK {
            if stream.write_all(&block).is_err() {
                return;
            }
            counted.fetch_add(BLOCK, Relaxed);
        }
    });
    let running = Running::proxying(&[upstream.addr()]);
    let clients: Vec<_> = (0..8)
        .map(|_| {
            let mut client = Client::connect(running.addr()).unwrap();
            client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
            client
        })
        .collect();
    eventually(PATIENCE, "all answers are under way", || upstream.connection_count() == 8);
    // Nobody takes any more, the kernel and the gateway included.
    let (mut last, mut same) = (0, 0);
    eventually(PATIENCE, "the upstream is held up", || {
        let now = written.load(Relaxed);
        same = if now == last { same + 1 } else { 0 };
        last = now;
        same > 30
    });
    // What the kernel keeps for four sockets of each is some megabytes; all of it would be 1.6 GB.
    assert!(last < 400 << 20, "{last} bytes were taken for 8 clients that do not read");
    drop(clients);
}
