//! Lua that chooses where an attempt goes.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::Arc,
    thread,
};

use tidegate_testkit::{Answer, Upstream, http, unused_address};

use crate::node::Running;

/// Everything goes to `up`, whose only endpoint takes no connections, unless `code` knows better.
fn choosing(code: &str, upstreams: &[SocketAddr], rest: &str) -> Running {
    let mut code = format!("local balancer = require 'ngx.balancer'\n{code}");
    for (name, address) in ["FIRST", "SECOND"].into_iter().zip(upstreams) {
        code = code.replace(name, &format!("'127.0.0.1', {}", address.port()));
    }
    let code = code.replace('\n', "\n        ");
    Running::start(&format!(
        "upstreams: {{ up: {{ endpoints: [\"{}\"] }} }}
routes:
  - match: {{ path: /* }}
    upstream: up
    lua:
      balancer: |
        {code}
{rest}",
        unused_address()
    ))
}

fn named(name: &'static str) -> Upstream {
    Upstream::start(move |_| Answer::ok(name))
}

#[test]
fn a_script_chooses_the_peer() {
    let (first, second) = (named("first"), named("second"));
    let code = "if ngx.var.arg_to == '2' then balancer.set_current_peer(SECOND) else balancer.set_current_peer(FIRST) end
ngx.log(ngx.DEBUG, ngx.get_phase())";
    let running = choosing(code, &[first.addr(), second.addr()], "");
    assert_eq!(http::get(running.addr(), "/?to=2").text(), "second");
    assert_eq!(http::get(running.addr(), "/").text(), "first");
    assert_eq!((first.request_count(), second.request_count()), (1, 1));
}

#[test]
fn a_script_may_wait_before_it_chooses() {
    let first = named("first");
    let code = "ngx.sleep(0.001) assert(ngx.get_phase() == 'balancer') balancer.set_current_peer(FIRST)";
    let running = choosing(code, &[first.addr()], "");
    assert_eq!(http::get(running.addr(), "/").text(), "first");
}

#[test]
fn a_peer_that_fails_is_followed_by_as_many_as_the_script_wants() {
    let second = named("second");
    let code = "local state, status = balancer.get_last_failure()
ngx.ctx.seen = (ngx.ctx.seen or '') .. tostring(state) .. tostring(status) .. ' '
ngx.req.set_header('X-Seen', ngx.ctx.seen)
if not state then
    if ngx.var.arg_retry then assert(balancer.set_more_tries(1)) end
    assert(balancer.set_current_peer(FIRST))
else
    assert(balancer.recreate_request())
    assert(balancer.set_current_peer(SECOND))
end";
    let echo = Upstream::start(|request| Answer::ok(request.header("x-seen").unwrap_or_default().as_bytes()));
    let running = choosing(code, &[unused_address(), echo.addr()], "");
    assert_eq!(http::get(running.addr(), "/").status, 502, "none was granted");
    assert_eq!(echo.request_count(), 0);
    let answer = http::request(running.addr(), "POST", "/?retry=1", &[], b"kept");
    assert_eq!((answer.status, answer.text()), (200, "nilnil failed502"));
    drop(second);
}

#[test]
fn the_next_request_of_a_connection_begins_anew() {
    let code = "local state = balancer.get_last_failure()
ngx.ctx.seen = (ngx.ctx.seen or '') .. tostring(state) .. ' '
ngx.req.set_header('X-Seen', ngx.ctx.seen)
if not state then
    balancer.set_more_tries(1)
    balancer.set_current_peer(FIRST)
else
    balancer.recreate_request()
    balancer.set_current_peer(SECOND)
end";
    let echo = Upstream::start(|request| Answer::ok(request.header("x-seen").unwrap_or_default().as_bytes()));
    let running = choosing(code, &[unused_address(), echo.addr()], "");
    let mut client = http::Client::connect(running.addr()).unwrap();
    // More often than one request may try in all.
    for _ in 0..60 {
        assert_eq!(client.get("/").unwrap().text(), "nil failed");
    }
}

#[test]
fn a_request_is_sent_as_it_was_unless_it_is_recreated() {
    let echo = Upstream::start(|request| {
        let told = request.header("x-told").unwrap_or("nothing").to_owned();
        Answer::ok([told.as_bytes(), b" ", &request.body].concat())
    });
    let code = "ngx.req.set_header('X-Told', 'late')
if ngx.var.arg_anew then balancer.recreate_request() end
balancer.set_current_peer(FIRST)";
    let running = choosing(code, &[echo.addr()], "");
    assert_eq!(http::request(running.addr(), "POST", "/", &[], b"body").text(), "nothing body");
    assert_eq!(http::request(running.addr(), "POST", "/?anew=1", &[], b"body").text(), "late body");
}

#[test]
fn where_nothing_is_chosen_the_upstream_chooses() {
    let own = named("own");
    let running = Running::start(&format!(
        "upstreams: {{ up: {{ endpoints: [\"{}\"] }} }}
routes: [{{ match: {{ path: /* }}, upstream: up, lua: {{ balancer: \"local done = true\" }} }}]",
        own.addr()
    ));
    assert_eq!(http::get(running.addr(), "/").text(), "own");
}

#[test]
fn time_limits_are_those_of_the_script() {
    let silent = Upstream::start(|_| Answer::nothing().stall());
    let code = "assert(balancer.set_timeouts(1, nil, 0.05)) balancer.set_current_peer(FIRST)";
    let running = choosing(code, &[silent.addr()], "");
    assert_eq!(http::get(running.addr(), "/").status, 504);
    assert_eq!(silent.request_count(), 1);
}

#[test]
fn connections_are_kept_for_as_many_requests_as_the_script_wants() {
    let first = Arc::new(named("first"));
    let code = "balancer.set_current_peer(FIRST)
if ngx.var.arg_keep then assert(balancer.enable_keepalive(30, tonumber(ngx.var.arg_keep))) end";
    let running = choosing(code, &[first.addr()], "");
    let mut client = http::Client::connect(running.addr()).unwrap();
    let mut connections = |target: &str| {
        let before = first.connection_count();
        for _ in 0..6 {
            assert_eq!(client.request("GET", target, &[], b"").unwrap().text(), "first");
        }
        first.connection_count() - before
    };
    assert_eq!(connections("/?keep=1"), 6);
    assert_eq!(connections("/?keep=2"), 3);
    assert_eq!(connections("/?keep=0"), 1);
    assert_eq!(connections("/"), 0, "one is there");
}

#[test]
fn a_script_refuses_a_request_or_fails() {
    let running = choosing(
        "if ngx.var.arg_code then ngx.exit(tonumber(ngx.var.arg_code)) end error('no idea')",
        &[],
        "",
    );
    assert_eq!(http::get(running.addr(), "/?code=429").status, 429);
    assert_eq!(http::get(running.addr(), "/?code=-1").status, 500);
    assert_eq!(http::get(running.addr(), "/?code=200").status, 500, "nobody has made that answer");
    assert_eq!(http::get(running.addr(), "/").status, 500);
}

#[test]
fn a_script_says_where_connections_come_from() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    // Every connection is told where it comes from and how many requests it has carried.
    thread::spawn(move || {
        for stream in listener.incoming() {
            thread::spawn(move || tell_of(stream.unwrap()));
        }
    });
    let code = "balancer.set_current_peer(FIRST)
if ngx.var.arg_from then assert(balancer.bind_to_local_addr(ngx.var.arg_from)) end";
    let running = choosing(code, &[address], "");
    // One connection stays with one worker, and so with its connections to upstreams.
    let mut client = http::Client::connect(running.addr()).unwrap();
    let mut told = |from: &str| client.get(from).unwrap().text().to_owned();
    assert_eq!(told("/?from=127.0.0.2"), "127.0.0.2 1");
    assert_eq!(told("/?from=127.0.0.3"), "127.0.0.3 1");
    assert_eq!(told("/"), "127.0.0.1 1", "those are for whoever asks for them");
    assert_eq!(told("/?from=127.0.0.2"), "127.0.0.2 2");
    assert_eq!(told("/"), "127.0.0.1 2");
    // Nobody is there.
    assert_eq!(http::get(running.addr(), "/?from=192.0.2.1").status, 502);
}

/// Answers each request of a connection with where that comes from, and how many there have been.
fn tell_of(stream: TcpStream) {
    let from = stream.peer_addr().unwrap().ip();
    let (mut reader, mut stream) = (BufReader::new(stream.try_clone().unwrap()), stream);
    for count in 1.. {
        let mut line = String::new();
        while line != "\r\n" {
            line.clear();
            if reader.read_line(&mut line).unwrap_or(0) == 0 {
                return;
            }
        }
        let body = format!("{from} {count}");
        write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len()).unwrap();
    }
}

#[test]
fn mistakes_are_told() {
    let told = |code: &str| {
        let first = named("first");
        let code =
            format!("local told\n{code}\nngx.req.set_header('X-Told', told)\nbalancer.recreate_request()");
        let echo =
            Upstream::start(|request| Answer::ok(request.header("x-told").unwrap_or_default().as_bytes()));
        let code = format!("{code}\nbalancer.set_current_peer(SECOND)");
        let running = choosing(&code, &[first.addr(), echo.addr()], "");
        http::get(running.addr(), "/").text().to_owned()
    };
    let result =
        |call: &str| told(&format!("local ok, why = {call} told = tostring(ok) .. ' ' .. tostring(why)"));
    assert_eq!(result("balancer.set_current_peer('example.com', 80)"), "nil no host allowed");
    assert_eq!(result("balancer.set_current_peer('127.0.0.1', 70000)"), "nil invalid port");
    assert_eq!(result("balancer.enable_keepalive()"), "nil no current peer set");
    assert_eq!(result("balancer.set_more_tries(1000)"), "true reduced tries due to limit");
    assert_eq!(result("balancer.set_upstream_tls(true)"), "nil TLS is not configured for the upstream");
    assert_eq!(result("balancer.set_upstream_tls(false)"), "true nil");
    for address in ["localhost", "", "127.0.0.1:", "127.0.0.1:70000"] {
        let refused = format!("nil invalid addr {address}");
        assert_eq!(result(&format!("balancer.bind_to_local_addr('{address}')")), refused.trim_end());
    }
    let raised = |call: &str| {
        let text = told(&format!("local _, why = pcall(function() {call} end) told = why"));
        text.rsplit(": ").next().unwrap_or_default().to_owned()
    };
    assert_eq!(raised("balancer.set_timeouts(0)"), "bad connect timeout");
    assert_eq!(raised("balancer.set_timeouts(1, -1)"), "bad send timeout");
    assert_eq!(raised("balancer.set_timeouts(1, 1, 'x')"), "bad read timeout");
    assert!(raised("balancer.set_current_peer(1)").contains("#1"));
    assert!(raised("balancer.set_current_peer('::1', 80, 1)").contains("#3"));
    assert!(raised("balancer.enable_keepalive(-1)").contains("#1"));
    assert!(raised("balancer.enable_keepalive(1, 'x')").contains("#2"));
    assert!(raised("balancer.set_more_tries(-1)").contains("#1"));
}

#[test]
fn nothing_is_chosen_in_other_phases() {
    let own = named("own");
    let running = Running::start(&format!(
        "upstreams: {{ up: {{ endpoints: [\"{}\"] }} }}
routes:
  - match: {{ path: /* }}
    lua:
      content: |
        local balancer = require 'ngx.balancer'
        local ok, why = balancer.set_current_peer('127.0.0.1', 80)
        ngx.print(why, ' ', select(3, balancer.get_last_failure()))",
        own.addr()
    ));
    let disabled = "API disabled in the current context";
    let later = Running::start(&format!(
        "upstreams: {{ up: {{ endpoints: [\"{}\"] }} }}
routes:
  - match: {{ path: /* }}
    upstream: up
    lua:
      balancer: local done = true
      headerFilter: ngx.header.why = select(2, require('ngx.balancer').set_more_tries(1))",
        own.addr()
    ));
    assert_eq!(http::get(later.addr(), "/").header("why"), Some(disabled));
    assert_eq!(http::get(running.addr(), "/").text(), "no upstream found no upstream found");
}
