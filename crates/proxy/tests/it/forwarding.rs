//! What of a message is passed on, what is not, and what is added.

use std::sync::{Mutex, mpsc};

use tidegate_testkit::{
    Answer, Upstream, eventually,
    http::{self, Client},
    upstream::Request,
};

use crate::node::{PATIENCE, Running};

/// Sends one request through and returns it as the upstream saw it.
fn seen(config: &str, headers: &[(&str, &str)]) -> Request {
    let upstream = Upstream::start(|_| Answer::ok("served"));
    let running = Running::proxying_with(&[upstream.addr()], config);
    let answer = http::request(running.addr(), "GET", "/a%20b//c?x=1", headers, b"");
    assert_eq!((answer.status, answer.text()), (200, "served"));
    upstream.requests().remove(0)
}

#[test]
fn the_target_arrives_as_it_was_sent() {
    assert_eq!(seen("", &[]).target, "/a%20b//c?x=1");
}

#[test]
fn fields_for_one_connection_stay_on_it() {
    let request = seen(
        "",
        &[
            ("Connection", "close, X-Private"),
            ("X-Private", "1"),
            ("Keep-Alive", "5"),
            ("Proxy-Connection", "x"),
            ("TE", "trailers"),
            ("Upgrade", "h2c"),
            ("X-Public", "2"),
        ],
    );
    for name in ["Connection", "X-Private", "Keep-Alive", "Proxy-Connection", "TE", "Upgrade"] {
        assert_eq!(request.header(name), None, "{name}");
    }
    assert_eq!(request.header("X-Public"), Some("2"));
}

#[test]
fn a_stranger_cannot_say_who_it_is() {
    let claims = [("X-Forwarded-For", "1.2.3.4"), ("X-Forwarded-Proto", "https"), ("X-Request-Id", "mine")];
    let request = seen("", &claims);
    assert_eq!(request.header("X-Forwarded-For"), Some("127.0.0.1"));
    assert_eq!(request.header("X-Forwarded-Proto"), Some("http"));
    assert_eq!(request.header("X-Forwarded-Host"), request.header("Host"));
    assert_eq!(request.header("Via"), Some("1.1 tidegate"));
    let id = request.header("X-Request-Id").unwrap();
    assert!(id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit()), "{id}");
}

#[test]
fn a_trusted_proxy_is_believed_and_extended() {
    let claims = [
        ("X-Forwarded-For", "1.2.3.4"),
        ("X-Forwarded-Proto", "https"),
        ("X-Request-Id", "mine-1"),
        ("Via", "1.0 edge"),
    ];
    let request = seen("trustedProxies: [127.0.0.0/8]", &claims);
    assert_eq!(request.header("X-Forwarded-For"), Some("1.2.3.4, 127.0.0.1"));
    assert_eq!(request.header("X-Forwarded-Proto"), Some("https"));
    assert_eq!(request.header("X-Request-Id"), Some("mine-1"));
    assert_eq!(request.header("Via"), Some("1.0 edge, 1.1 tidegate"));
}

#[test]
fn answers_come_back_without_fields_of_the_other_connection() {
    let headers = [
        ("Connection", "X-Hop"),
        ("X-Hop", "1"),
        ("Keep-Alive", "timeout=5"),
        ("Server", "theirs"),
        ("X-End", "2"),
    ];
    let upstream = Upstream::start(move |_| Answer::status(201, &headers, "made"));
    let running = Running::proxying(&[upstream.addr()]);
    let answer = http::get(running.addr(), "/");
    assert_eq!((answer.status, answer.text()), (201, "made"));
    assert_eq!((answer.header("Server"), answer.header("X-End")), (Some("theirs"), Some("2")));
    assert!(answer.header("Date").is_some());
    for name in ["Connection", "X-Hop", "Keep-Alive"] {
        assert_eq!(answer.header(name), None, "{name}");
    }
}

#[test]
fn connections_are_kept_on_both_sides() {
    let upstream = Upstream::start(|request| Answer::ok(&request.target));
    let running = Running::proxying(&[upstream.addr()]);
    let mut client = Client::connect(running.addr()).unwrap();
    for number in 0..20 {
        let path = format!("/{number}");
        assert_eq!(client.get(&path).unwrap().text(), path);
    }
    assert_eq!(upstream.connection_count(), 1);
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let upstream = Upstream::start(|request| Answer::ok(&request.target));
    let running = Running::proxying(&[upstream.addr()]);
    let mut client = Client::connect(running.addr()).unwrap();
    let requests: String = (0..50)
        .map(|number| match number % 3 {
            0 => format!("GET /{number} HTTP/1.1\r\nHost: a\r\n\r\n"),
            1 => format!("POST /{number} HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc"),
            _ => format!(
                "POST /{number} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n"
            ),
        })
        .collect();
    client.send(requests.as_bytes()).unwrap();
    for number in 0..50 {
        assert_eq!(client.read().unwrap().text(), format!("/{number}"));
    }
}

#[test]
fn head_and_bodiless_statuses_have_no_body_and_keep_the_connection() {
    let upstream = Upstream::start(|request| match request.target.as_str() {
        "/204" => Answer::nothing().write("HTTP/1.1 204 No Content\r\nContent-Length: 9\r\n\r\n"),
        "/304" => {
            Answer::nothing().write("HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\nETag: x\r\n\r\n")
        }
        _ => Answer::nothing().write("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"),
    });
    let running = Running::proxying(&[upstream.addr()]);
    let mut client = Client::connect(running.addr()).unwrap();
    let head = client.request("HEAD", "/", &[], b"").unwrap();
    assert_eq!(head.header("Content-Length"), Some("1000"));
    let empty = client.get("/204").unwrap();
    assert_eq!((empty.status, empty.header("Content-Length")), (204, None));
    client.send(b"GET /304 HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    let unchanged = client.read_without_body().unwrap();
    assert_eq!((unchanged.status, unchanged.header("ETag")), (304, Some("x")));
    assert_eq!(client.get("/204").unwrap().status, 204);
    assert_eq!(upstream.connection_count(), 1);
}

#[test]
fn old_clients_get_answers_that_end_with_the_connection() {
    let upstream = Upstream::start(|_| Answer::chunked(&[b"ab", b"c"], &[]));
    let running = Running::proxying(&[upstream.addr()]);
    let answer = http::send_raw(running.addr(), b"GET / HTTP/1.0\r\n\r\n");
    let text = String::from_utf8(answer).unwrap();
    assert!(text.starts_with("HTTP/1.1 200 OK\r\n") && text.ends_with("\r\n\r\nabc"), "{text}");
    assert!(!text.contains("Transfer-Encoding") && text.contains("Connection: close"), "{text}");
}

#[test]
fn old_clients_may_keep_a_connection_if_they_ask() {
    let upstream = Upstream::start(|_| Answer::ok("abc"));
    let running = Running::proxying(&[upstream.addr()]);
    let mut client = Client::connect(running.addr()).unwrap();
    for _ in 0..2 {
        client.send(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n").unwrap();
        let answer = client.read().unwrap();
        assert_eq!((answer.text(), answer.header("Connection")), ("abc", Some("keep-alive")));
    }
}

#[test]
fn interim_answers_are_passed_on_but_continue_is_the_gateways_own() {
    let hints = [("Link", "</a.css>; rel=preload")];
    let upstream =
        Upstream::start(move |_| Answer::ok("final").after_interim(103, &hints).after_interim(100, &[]));
    let running = Running::proxying(&[upstream.addr()]);
    let mut client = Client::connect(running.addr()).unwrap();
    client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    let hint = client.read_without_body().unwrap();
    assert_eq!((hint.status, hint.header("Link")), (103, Some(hints[0].1)));
    assert_eq!(client.read().unwrap().text(), "final");
}

#[test]
fn requests_go_where_host_path_method_and_headers_say() {
    let upstream = |name: &'static str| Upstream::start(move |_| Answer::ok(name));
    let (one, two) = (upstream("one"), upstream("two"));
    let running = Running::start(&format!(
        "upstreams: {{ one: {{ endpoints: [\"{}\"] }}, two: {{ endpoints: [\"{}\"] }} }}
routes:
  - {{ name: a, match: {{ path: /x/*, methods: [POST] }}, upstream: two }}
  - {{ name: b, match: {{ path: /x/* }}, upstream: one }}
  - {{ name: c, match: {{ path: \"~ ^/n/[0-9]+$\", headers: {{ X-Version: \"2\" }} }}, upstream: two }}
",
        one.addr(),
        two.addr()
    ));
    let ask = |method, path, headers: &[(&str, &str)]| {
        let answer = http::request(running.addr(), method, path, headers, b"");
        (answer.status, if answer.status == 200 { answer.text().to_owned() } else { String::new() })
    };
    assert_eq!(ask("GET", "/x/y", &[]), (200, "one".into()));
    assert_eq!(ask("POST", "/x/y", &[]), (200, "two".into()));
    assert_eq!(ask("GET", "/n/7", &[("X-Version", "2")]), (200, "two".into()));
    assert_eq!(ask("GET", "/n/7", &[]).0, 404);
    // An exchange is counted when it is over, which may be after its answer has been read.
    eventually(PATIENCE, "each route has served one request", || {
        ["a", "b", "c"].iter().all(|name| running.route(name).ended == 1)
    });
}

#[test]
fn weights_divide_the_requests() {
    let (heavy, light) = (Upstream::start(|_| Answer::ok("")), Upstream::start(|_| Answer::ok("")));
    let running = Running::start(&format!(
        "upstreams: {{ up: {{ endpoints: [{{ address: \"{}\", weight: 3 }}, \"{}\"] }} }}
routes: [{{ name: all, match: {{ path: /* }}, upstream: up }}]",
        heavy.addr(),
        light.addr()
    ));
    let mut client = Client::connect(running.addr()).unwrap();
    for _ in 0..40 {
        client.get("/").unwrap();
    }
    assert_eq!((heavy.request_count(), light.request_count()), (30, 10));
}

#[test]
fn a_reload_changes_routes_under_a_kept_connection() {
    let (old, new) = (Upstream::start(|_| Answer::ok("old")), Upstream::start(|_| Answer::ok("new")));
    let mut running = Running::proxying(&[old.addr()]);
    let mut client = Client::connect(running.addr()).unwrap();
    assert_eq!(client.get("/").unwrap().text(), "old");
    running.reload(&format!(
        "upstreams: {{ up: {{ endpoints: [\"{}\"] }} }}
routes: [{{ name: all, match: {{ path: /* }}, upstream: up }}]",
        new.addr()
    ));
    assert_eq!(client.get("/").unwrap().text(), "new");
}

#[test]
fn draining_finishes_what_runs_and_says_goodbye() {
    let (go, told) = mpsc::sync_channel(1);
    let told = Mutex::new(told);
    let upstream = Upstream::start(move |request| match request.target.as_str() {
        "/slow" => {
            told.lock().unwrap().recv().unwrap();
            Answer::ok("done")
        }
        _ => Answer::ok("quick"),
    });
    let running = Running::proxying_with(&[upstream.addr()], "timeouts: { drain: 1m }");
    let mut busy = Client::connect(running.addr()).unwrap();
    let mut idle = Client::connect(running.addr()).unwrap();
    assert_eq!(idle.get("/").unwrap().text(), "quick");
    busy.send(b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    eventually(PATIENCE, "the slow request runs", || upstream.request_count() == 2);
    let addr = running.addr();
    running.begin_drain();
    eventually(PATIENCE, "no new connections", || Client::connect(addr).is_err());
    let last = idle.get("/").unwrap();
    assert_eq!((last.text(), last.header("Connection")), ("quick", Some("close")));
    go.send(()).unwrap();
    let slow = busy.read().unwrap();
    assert_eq!((slow.text(), slow.header("Connection")), ("done", Some("close")));
    running.join();
}
