//! `ngx.header`, `ngx.resp`, `ngx.status`, `ngx.headers_sent`.

use tidegate_core::snapshot::LuaSettings;
use tidegate_lua::{Level, Phase, Verdict};

use crate::support::{Host, Request};

/// The response that `source` leaves in the header filter phase.
fn filter(source: &str) -> Request {
    let mut request = Request::get("/");
    request.response = vec![("Server".into(), "up".into()), ("Set-Cookie".into(), "a".into())];
    assert_eq!(Host::new().run(Phase::HeaderFilter, source, &mut request), Ok(Verdict::Continue));
    request
}

#[test]
fn a_response_header_is_set_to_anything_that_has_a_text() {
    let response = filter(
        r#"ngx.header["X-A"] = "a" ngx.header.x_b = 12 ngx.header.x_c = { "1", 2 } ngx.header.server = nil
        ngx.header["Set-Cookie"] = {} ngx.header.x_d = false"#,
    );
    assert_eq!(response.response_values("x-a"), ["a"]);
    assert_eq!(response.response_values("x-b"), ["12"]);
    assert_eq!(response.response_values("x-c"), ["1", "2"]);
    assert_eq!(response.response_values("x-d"), ["false"]);
    assert!(response.response_values("server").is_empty());
    assert!(response.response_values("set-cookie").is_empty());
}

#[test]
fn a_header_that_is_there_once_gets_the_last_of_several_values() {
    let response = filter(r#"ngx.header.content_type = { "a/b", "c/d" }"#);
    assert_eq!(response.response_values("content-type"), ["c/d"]);
}

#[test]
fn a_response_header_cannot_split_the_message() {
    let response = filter(r#"ngx.header.x = "1\r\nSet-Cookie: b""#);
    assert_eq!(response.response_values("x"), ["1%0D%0ASet-Cookie: b"]);
}

#[test]
fn response_headers_read_back() {
    let source = r#"
        ngx.header.a = { "1", "2" } ngx.header["X-B"] = "3"
        local a, b, c = ngx.header.A, ngx.header.x_b, ngx.header.c
        local all, err = ngx.resp.get_headers()
        local some, truncated = ngx.resp.get_headers(1, true)
        ngx.say(a[1], a[2], b, c, all["x-b"], all.X_B, all.a[2], err, some.a, truncated)"#;
    assert_eq!(Host::new().say(source), "123nil332nil1truncated\n");
}

#[test]
fn the_status_reads_and_writes_as_a_field() {
    let mut request = Request::get("/");
    Host::new()
        .answer("local before = ngx.status ngx.status = '404' ngx.say(before, ngx.status)", &mut request);
    assert_eq!((request.status, request.output().as_str()), (404, "0404\n"));
    let wrong = Host::new().failure("ngx.status = 'x'");
    assert_eq!(wrong, "test.lua:1: bad status: x");
}

#[test]
fn what_comes_after_the_head_left_is_logged_and_has_no_effect() {
    let host = Host::new();
    let mut request = Request::get("/");
    host.answer(
        "ngx.print(ngx.headers_sent) ngx.print(ngx.headers_sent) ngx.header.x = 1 ngx.header.y = nil ngx.status = 500",
        &mut request,
    );
    assert_eq!(request.output(), "falsetrue");
    assert_eq!((request.status, request.response.len()), (0, 0));
    let sent = "attempt to set ngx.header.HEADER after sending out response headers".to_owned();
    let status = "attempt to set ngx.status after sending out response headers".to_owned();
    assert_eq!(host.take_log(), [(Level::Error, sent.clone()), (Level::Error, sent), (Level::Error, status)]);
}

#[test]
fn values_are_added_to_a_response_header() {
    let mut request = Request::get("/");
    let source = "local resp = require 'ngx.resp' ngx.header.a = 1 resp.add_header('a', { 2, 3 })
        resp.add_header('content-type', 'x') resp.add_header('content-type', 'y') resp.set_status(201, 'Made')";
    let host = Host::new();
    host.answer(source, &mut request);
    assert_eq!(request.response_values("a"), ["1", "2", "3"]);
    assert_eq!((request.response_values("content-type"), request.status), (vec!["y".to_owned()], 201));
    assert_eq!(host.failure("require('ngx.resp').add_header('a', nil)"), "test.lua:1: invalid header value");
}

#[test]
fn underscores_stay_if_they_are_to() {
    let set = |settings: &LuaSettings| {
        let mut request = Request::get("/");
        Host::with_settings(settings).answer("ngx.header.a_b = 1 ngx.print(ngx.header.a_b)", &mut request);
        (request.output(), request.response.remove(0).0)
    };
    assert_eq!(set(&LuaSettings::default()), ("1".into(), b"a-b".to_vec()));
    let kept = LuaSettings { transform_underscores: false, ..LuaSettings::default() };
    assert_eq!(set(&kept), ("1".into(), b"a_b".to_vec()));
}

#[test]
fn conditions_of_the_request_can_be_passed_over() {
    let host = Host::new();
    let mut request = Request::get("/").with_header("Accept", "a").with_header("If-Unknown", "b");
    for name in ["If-Modified-Since", "if-none-match", "If-Match", "If-Unmodified-Since", "If-Range"] {
        request.headers.push((name.into(), "x".into()));
    }
    let bypass = "require('ngx.resp').bypass_if_checks()";
    assert_eq!(host.run(Phase::Rewrite, bypass, &mut request), Ok(Verdict::Continue));
    let left: Vec<_> = request.headers.iter().map(|(name, _)| String::from_utf8_lossy(name)).collect();
    assert_eq!(left, ["Accept", "If-Unknown"]);

    let error = host.run(Phase::Timer, bypass, &mut request).unwrap_err();
    assert!(error.message().contains("API disabled in the current context"), "{}", error.message());
}
