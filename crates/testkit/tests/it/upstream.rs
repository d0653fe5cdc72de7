//! Every behaviour of the scripted upstream, as a client sees it.

use std::{
    io::{ErrorKind, Read as _, Write as _},
    time::Duration,
};

use tidegate_testkit::{
    Answer, Upstream, eventually,
    http::{Client, get},
};

#[test]
fn requests_are_kept_with_the_connection_they_came_on() {
    let upstream = Upstream::start(|request| Answer::ok(request.target.as_bytes()));
    let mut client = Client::connect(upstream.addr()).unwrap();
    for path in ["/a", "/b"] {
        assert_eq!(client.get(path).unwrap().text(), path);
    }
    get(upstream.addr(), "/c");
    let seen: Vec<_> = upstream.requests().into_iter().map(|r| (r.target, r.connection)).collect();
    assert_eq!(seen, [("/a".into(), 0), ("/b".into(), 0), ("/c".into(), 1)]);
    assert_eq!((upstream.request_count(), upstream.connection_count()), (3, 2));
    drop(client);
    eventually(Duration::from_secs(5), "both connections are closed", || upstream.open_connections() == 0);
}

#[test]
fn a_chunked_request_is_read_with_its_trailers() {
    let upstream = Upstream::start(|request| Answer::ok(&request.body));
    let mut client = Client::connect(upstream.addr()).unwrap();
    client
        .send(
            b"PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1;x=y\r\nc\r\n0\r\nT: 1\r\n\r\n",
        )
        .unwrap();
    assert_eq!(client.read().unwrap().text(), "abc");
    assert_eq!(upstream.requests()[0].trailers.one("t"), Some("1"));
}

#[test]
fn an_expectation_is_met_before_the_body() {
    let upstream = Upstream::start(|request| Answer::ok(&request.body));
    let mut client = Client::connect(upstream.addr()).unwrap();
    client.send(b"PUT / HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n").unwrap();
    assert_eq!(client.read().unwrap().status, 100);
    client.send(b"ok").unwrap();
    assert_eq!(client.read().unwrap().text(), "ok");
}

#[test]
fn an_early_answer_does_not_wait_for_the_body() {
    let upstream = Upstream::start_early(|_| Answer::status(413, &[], "no"));
    let mut client = Client::connect(upstream.addr()).unwrap();
    client.send(b"PUT / HTTP/1.1\r\nContent-Length: 1000000\r\n\r\n").unwrap();
    assert_eq!(client.read().unwrap().status, 413);
    assert!(client.is_closed());
}

#[test]
fn closing_and_resetting_differ() {
    let upstream = Upstream::start(|request| match request.target.as_str() {
        "/close" => Answer::nothing().close(),
        "/reset" => Answer::nothing().reset(),
        _ => Answer::nothing().write("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf").reset(),
    });
    let error_of = |path| Client::connect(upstream.addr()).unwrap().get(path).unwrap_err().kind();
    assert_eq!(error_of("/close"), ErrorKind::UnexpectedEof);
    assert_eq!(error_of("/reset"), ErrorKind::ConnectionReset);
    assert_eq!(error_of("/half"), ErrorKind::ConnectionReset);
    // The others are not cut with it.
    let mut client = Client::connect(upstream.addr()).unwrap();
    assert_eq!(error_of("/reset"), ErrorKind::ConnectionReset);
    assert_eq!(client.get("/close").unwrap_err().kind(), ErrorKind::UnexpectedEof);
}

#[test]
fn a_stalled_connection_ends_with_the_upstream() {
    let upstream = Upstream::start(|_| Answer::nothing().write("HTTP/1.1 200 OK\r\n").stall());
    let mut client = Client::connect(upstream.addr()).unwrap();
    client.send(b"GET / HTTP/1.1\r\n\r\n").unwrap();
    assert_eq!(client.read_exactly(17).unwrap(), b"HTTP/1.1 200 OK\r\n");
    let addr = upstream.addr();
    drop(upstream);
    assert!(client.is_closed());
    assert!(Client::connect(addr).is_err());
    let again = Upstream::start_at(addr, |_| Answer::ok("back"));
    assert_eq!(get(again.addr(), "/").text(), "back");
}

#[test]
fn cutting_leaves_the_listener() {
    let upstream = Upstream::start(|_| Answer::ok(""));
    let mut client = Client::connect(upstream.addr()).unwrap();
    client.get("/").unwrap();
    upstream.cut();
    assert!(client.is_closed());
    assert_eq!(get(upstream.addr(), "/").status, 200);
}

#[test]
fn a_trickled_answer_is_the_same_answer() {
    let upstream =
        Upstream::start(|_| Answer::chunked(&[b"a", b"b"], &[]).trickled(Duration::from_micros(100)));
    assert_eq!(get(upstream.addr(), "/").text(), "ab");
}

#[test]
fn an_upgraded_connection_echoes() {
    let upstream = Upstream::start(|_| Answer::echo("toy"));
    let mut client = Client::connect(upstream.addr()).unwrap();
    let headers = [("Connection", "Upgrade"), ("Upgrade", "toy")];
    let response = client.request("GET", "/", &headers, b"").unwrap();
    assert_eq!((response.status, response.header("upgrade")), (101, Some("toy")));
    client.send(b"\0\r\n\xff").unwrap();
    assert_eq!(client.read_exactly(4).unwrap(), b"\0\r\n\xff");
    client.stream().shutdown(std::net::Shutdown::Write).unwrap();
    assert!(client.is_closed());
}

#[test]
fn a_raw_upstream_does_as_it_likes() {
    let upstream = Upstream::start_raw(|mut stream, connection| {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        stream.write_all(format!("{connection}{}", byte[0]).as_bytes()).unwrap();
    });
    let mut client = Client::connect(upstream.addr()).unwrap();
    client.send(&[7]).unwrap();
    assert_eq!(client.read_to_end().unwrap(), b"07");
}
