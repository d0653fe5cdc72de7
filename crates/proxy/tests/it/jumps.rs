//! Requests that Lua sends on to other routes, or changes on their way.

use tidegate_testkit::{
    Answer, Upstream,
    http::{self, Client},
};

use crate::node::Running;

#[test]
fn exec_goes_to_paths_and_to_names_with_a_context_of_its_own() {
    let running = Running::start(
        "routes:
  - match: { path: /a }
    vars: { kept: 'k' }
    lua: { access: \"ngx.ctx.a = 1 ngx.exec('/b?x=1', { y = 2 })\", content: never() }
  - match: { path: /b }
    internal: true
    lua: { content: \"ngx.say(ngx.var.uri, ' ', ngx.var.args, ' ', ngx.ctx.a, ' ', ngx.var.kept, ' ', ngx.req.is_internal(), ngx.var.request_uri)\" }
  - match: { path: /n }
    lua: { content: \"ngx.exec('@named', 'ignored')\" }
  - match: { name: '@named' }
    lua: { content: \"ngx.say(ngx.var.uri, ' ', ngx.var.route_name)\" }
  - match: { path: /none }
    lua: { content: \"ngx.exec('@none')\" }
  - match: { path: /cycle }
    lua: { rewrite: \"ngx.exec('/cycle')\", content: never() }",
    );
    assert_eq!(http::get(running.addr(), "/a").text(), "/b x=1&y=2 nil k true/a\n");
    assert_eq!(http::get(running.addr(), "/b").status, 404, "it is internal");
    assert_eq!(http::get(running.addr(), "/n?q=1").text(), "/n route-4\n");
    assert_eq!(http::get(running.addr(), "/none").status, 500);
    assert_eq!(http::get(running.addr(), "/cycle").status, 500);
}

#[test]
fn a_rewritten_path_finds_its_route_and_a_jump_forgets_the_context() {
    let running = Running::start(
        "lua: { serverRewrite: \"if ngx.var.uri == '/early' then ngx.ctx.a = 2 ngx.req.set_uri('/b') end\" }
routes:
  - match: { path: /a }
    lua: { rewrite: \"ngx.ctx.a = 1 ngx.req.set_uri('/b', true)\", content: never() }
  - match: { path: /early }
    return: { status: 404 }
  - match: { path: ~ ^/(?<first>.)$ }
    lua: { content: \"ngx.say(ngx.var.uri, ngx.ctx.a, ngx.var[1], ngx.var.first, ngx.var[2])\" }",
    );
    assert_eq!(http::get(running.addr(), "/a").text(), "/bnilbbnil\n");
    assert_eq!(http::get(running.addr(), "/early").text(), "/b2bbnil\n");
}

#[test]
fn what_goes_upstream_is_what_lua_made_of_it() {
    let upstream = Upstream::start(|request| {
        let length = request.header("Content-Length").unwrap_or("none");
        let body = String::from_utf8_lossy(&request.body).into_owned();
        Answer::ok(format!("{} {} {length} {body}", request.method, request.target))
    });
    let with = |access: &str| {
        Running::start(&format!(
            "limits: {{ clientBodyBuffer: 8B }}
upstreams: {{ up: {{ endpoints: [\"{}\"] }} }}
routes: [{{ match: {{ path: /* }}, upstream: up, lua: {{ access: \"{access}\" }} }}]",
            upstream.addr()
        ))
    };
    let rewritten = with(
        "ngx.req.set_uri('/x y?%') ngx.req.set_uri_args({ a = 'b c' }) ngx.req.set_method(ngx.HTTP_PUT)",
    );
    assert_eq!(http::get(rewritten.addr(), "/?q").text(), "PUT /x%20y%3F%25?a=b%20c none ");
    let replaced = with("ngx.req.read_body() ngx.req.set_body_data('four')");
    let post = |running: &Running, body: &str| {
        http::request(running.addr(), "POST", "/", &[], body.as_bytes()).text().to_owned()
    };
    assert_eq!(post(&replaced, "hello"), "POST / 4 four");
    let spilled = with("ngx.req.read_body() assert(not ngx.req.get_body_data() and ngx.req.get_body_file())");
    let long = "x".repeat(300_000);
    assert_eq!(post(&spilled, &long), format!("POST / 300000 {long}"));
    let made = with(
        "ngx.req.read_body() ngx.req.init_body() for i = 1, 9 do ngx.req.append_body(i) end ngx.req.finish_body()",
    );
    assert_eq!(post(&made, ""), "POST / 9 123456789");
}

#[test]
fn an_answer_that_lua_has_ended_is_complete_while_lua_goes_on() {
    let running = Running::start(
        "lua: { sharedDicts: { d: 1MiB } }
routes:
  - match: { path: /ended }
    lua: { content: \"ngx.print('a') ngx.eof() ngx.shared.d:set('after', tostring(select(2, ngx.print('b')))) ngx.sleep(0.01)\" }
  - match: { path: /after }
    lua: { content: \"ngx.print(ngx.shared.d:get('after'))\" }
  - match: { path: /head }
    lua: { content: \"ngx.send_headers() ngx.header.a = 'late' ngx.print('x')\" }",
    );
    let mut client = Client::connect(running.addr()).unwrap();
    assert_eq!(client.get("/ended").unwrap().text(), "a");
    assert_eq!(client.get("/after").unwrap().text(), "seen eof");
    let answer = client.get("/head").unwrap();
    assert_eq!((answer.text(), answer.header("a")), ("x", None));
}

#[test]
fn http_1_0_gets_an_answer_with_its_length() {
    let answer = |setting: &str| {
        let running = Running::start(&format!(
            "lua: {{ {setting} }}
routes: [{{ match: {{ path: /* }}, lua: {{ content: \"ngx.say('a') ngx.say(select(2, ngx.flush(true)))\" }} }}]"
        ));
        let bytes = http::send_raw(running.addr(), b"GET / HTTP/1.0\r\nHost: a\r\n\r\n");
        String::from_utf8(bytes).unwrap()
    };
    let held = answer("");
    assert!(
        held.contains("\r\nContent-Length: 12\r\n") && held.ends_with("\r\n\r\na\nbuffering\n"),
        "{held}"
    );
    let sent = answer("http10Buffering: false");
    assert!(!sent.contains("Content-Length") && sent.ends_with("\r\n\r\na\n\n"), "{sent}");
}

#[test]
fn a_status_has_the_phrase_that_lua_gives_it() {
    let running = Running::start(
        "routes: [{ match: { path: /* }, lua: { content: \"require('ngx.resp').set_status(299, 'Fine') ngx.say('a')\" } }]",
    );
    let bytes = http::send_raw(running.addr(), b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    assert!(bytes.starts_with(b"HTTP/1.1 299 Fine\r\n"));
}
