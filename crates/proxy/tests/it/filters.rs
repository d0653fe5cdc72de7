//! Body filters and variables that Lua computes, as a client sees them.

use tidegate_testkit::{
    Answer, Upstream,
    http::{self, Client},
};

use crate::node::Running;

const SHOUT: &str =
    "ngx.arg[1] = (#ngx.arg[1] > 0 and '<' .. ngx.arg[1]:upper() .. '>' or '') .. (ngx.arg[2] and '.' or '')";

fn filtered(answer: &str, filter: &str) -> Running {
    Running::start(&format!(
        "routes:\n  - match: {{ path: /* }}\n    {answer}\n    lua:\n      bodyFilter: |\n        {filter}\n"
    ))
}

fn filtered_lua(content: &str, filter: &str) -> Running {
    Running::start(&format!(
        "routes:\n  - match: {{ path: /* }}\n    lua:\n      content: |\n        {content}\n      bodyFilter: |\n        {filter}\n"
    ))
}

#[test]
fn each_call_that_writes_makes_a_piece_and_the_end_is_one() {
    let running = filtered_lua("ngx.say('a') ngx.print('b', 'c') ngx.flush() ngx.print('d')", SHOUT);
    assert_eq!(http::get(running.addr(), "/").text(), "<A\n><BC><D>.");
    let whole = filtered_lua("ngx.print('a') ngx.print('b')", SHOUT);
    let answer = http::get(whole.addr(), "/");
    assert_eq!((answer.text(), answer.header("Content-Length")), ("<A><B>.", Some("7")));
}

#[test]
fn answers_are_framed_as_nginx_does_if_asked() {
    let running = Running::start(
        "answers: { framing: nginx }
routes:
  - match: { path: /long }
    lua: { content: ngx.header.content_length = 3 ngx.print('abc') }
  - match: { path: /pieces }
    lua: { content: ngx.print('') ngx.print('ab') ngx.print('') ngx.print('c') }
  - match: { path: /* }
    lua: { content: ngx.print('abc') }
",
    );
    let mut client = Client::connect(running.addr()).unwrap();
    let answer = client.get("/").unwrap();
    assert_eq!((answer.text(), answer.header("Transfer-Encoding")), ("abc", Some("chunked")));
    assert_eq!((answer.header("Content-Length"), answer.header("Connection")), (None, Some("keep-alive")));
    let answer = client.get("/long").unwrap();
    assert_eq!((answer.header("Content-Length"), answer.header("Transfer-Encoding")), (Some("3"), None));
    let raw = http::send_raw(running.addr(), b"GET /pieces HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    assert!(raw.ends_with(b"\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\n"), "{}", raw.escape_ascii());
    client.send(b"GET / HTTP/1.0\r\n\r\n").unwrap();
    let answer = client.read().unwrap();
    assert_eq!((answer.text(), answer.header("Content-Length")), ("abc", Some("3")));
}

#[test]
fn what_the_gateway_answers_by_itself_is_one_piece() {
    let running = filtered("return: { body: hello }", SHOUT);
    let answer = http::get(running.addr(), "/");
    assert_eq!((answer.text(), answer.header("Content-Length")), ("<HELLO>.", Some("8")));
    let mut client = Client::connect(running.addr()).unwrap();
    client.send(b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    assert_eq!(client.read_without_body().unwrap().status, 200);
    assert_eq!(client.get("/").unwrap().text(), "<HELLO>.", "nothing was sent behind the head");
}

#[test]
fn a_forwarded_body_is_filtered_as_it_comes() {
    let upstream = Upstream::start(|_| Answer::ok("x".repeat(300_000)));
    let running = Running::start(&format!(
        "upstreams: {{ up: {{ endpoints: [\"{}\"] }} }}
routes:
  - match: {{ path: /* }}
    upstream: up
    lua:
      headerFilter: ngx.ctx.pieces = 0
      bodyFilter: |
        ngx.ctx.pieces = ngx.ctx.pieces + 1
        if ngx.arg[2] then ngx.arg[1] = ngx.arg[1] .. (ngx.ctx.pieces > 1 and '!' or '?') end",
        upstream.addr()
    ));
    let mut client = Client::connect(running.addr()).unwrap();
    for _ in 0..2 {
        let body = client.get("/").unwrap().body;
        assert_eq!((body.len(), body.last()), (300_001, Some(&b'!')));
    }
    assert_eq!(upstream.connection_count(), 1, "the upstream connection is kept");
}

#[test]
fn a_filter_may_end_the_body_early() {
    let end = "if ngx.arg[1]:find('b') then ngx.arg[1] = 'B' ngx.arg[2] = true end";
    let running = filtered_lua("ngx.print('a') ngx.print('b') ngx.print('c')", end);
    assert_eq!(http::get(running.addr(), "/").text(), "aB");
    let upstream = Upstream::start(|_| Answer::ok("b".repeat(200_000)));
    let running = Running::start(&format!(
        "upstreams: {{ up: {{ endpoints: [\"{}\"] }} }}
routes: [{{ match: {{ path: /* }}, upstream: up, lua: {{ bodyFilter: \"{end}\" }} }}]",
        upstream.addr()
    ));
    let mut client = Client::connect(running.addr()).unwrap();
    assert_eq!(client.get("/").unwrap().text(), "B");
    assert_eq!(client.get("/").unwrap().text(), "B");
}

#[test]
fn a_piece_can_be_dropped_or_put_together_from_parts() {
    let running = filtered("return: { body: x }", "ngx.arg[1] = { 'a', 1, { 'b', {} } }");
    assert_eq!(http::get(running.addr(), "/").text(), "a1b");
    let running = filtered("return: { body: x }", "ngx.arg[1] = nil");
    assert_eq!(http::get(running.addr(), "/").text(), "");
}

#[test]
fn a_filter_that_fails_never_lets_an_answer_look_complete() {
    let running = filtered_lua("ngx.print('a') ngx.flush() ngx.print('b')", "error('broken')");
    let mut client = Client::connect(running.addr()).unwrap();
    assert!(client.get("/").is_err());
}

#[test]
fn a_filter_may_wait() {
    let running = filtered("return: { body: x }", "ngx.sleep(0) ngx.arg[1] = ngx.arg[1] .. 'y'");
    assert_eq!(http::get(running.addr(), "/").text(), "xy");
}

#[test]
fn variables_are_what_lua_returns() {
    let running = Running::start(
        "vars: { whole: { lua: \"return 'v' .. ngx.arg[1]\", args: ['$arg_a'] } }
routes:
  - match: { path: /* }
    vars:
      sum: { lua: 'return ngx.arg[1] + (ngx.arg[2] or 1)', args: ['$arg_a', 2] }
      none: { lua: 'return nil' }
      next: '[$sum]'
      odd: { lua: 'return {}' }
    return: { body: '$whole $sum $next ($none) ($odd)' }",
    );
    assert_eq!(http::get(running.addr(), "/?a=40").text(), "v40 42 [42] () ()");
    let bad = http::get(running.addr(), "/");
    assert_eq!(bad.status, 500, "an error in it is an error of the request");
}

#[test]
fn a_length_that_a_filter_removes_is_not_told() {
    let running = Running::start(
        "routes:
  - match: { path: /* }
    lua:
      content: ngx.print('abc')
      headerFilter: |
        local known = ngx.resp.get_headers()
        ngx.header['X-Known'] = tostring(known['Content-Length']) .. known['Content-Type'] .. known.Connection
        if ngx.var.args then ngx.header.content_length = nil end",
    );
    let told = http::get(running.addr(), "/");
    assert_eq!((told.text(), told.header("Content-Length")), ("abc", Some("3")));
    assert_eq!(told.header("X-Known"), Some("3text/plainkeep-alive"));
    let hidden = http::get(running.addr(), "/?x");
    assert_eq!((hidden.text(), hidden.header("Content-Length")), ("abc", None));
    assert_eq!(hidden.header("Transfer-Encoding"), Some("chunked"));
}

#[test]
fn the_type_of_an_answer_is_known_once_it_has_begun_and_can_be_none() {
    let running = Running::start(
        "routes:
  - match: { path: /a }
    lua: { content: \"ngx.print('x') ngx.print(ngx.header.content_type)\" }
  - match: { path: /b }
    lua: { content: \"ngx.header.content_type = nil ngx.print('x')\" }",
    );
    assert_eq!(http::get(running.addr(), "/a").text(), "xtext/plain");
    assert_eq!(http::get(running.addr(), "/b").header("Content-Type"), None);
}

#[test]
fn a_filter_sees_pages_of_errors_and_is_not_asked_again_when_it_fails() {
    let page = filtered_lua("ngx.exit(502)", "ngx.arg[1] = #ngx.arg[1] > 0 and 'a page' or nil");
    let answer = http::get(page.addr(), "/");
    assert_eq!((answer.status, answer.text(), answer.header("Content-Length")), (502, "a page", Some("6")));
    let broken = filtered_lua("error('no')", "error('neither')");
    let answer = http::get(broken.addr(), "/");
    assert_eq!(answer.status, 500);
    assert!(answer.text().contains("\"status\":500"), "{}", answer.text());
}
