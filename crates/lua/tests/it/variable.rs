//! `ngx.var`.

use crate::support::{Host, Request};

/// What `source` writes for a request with arguments and headers.
fn read(source: &str) -> String {
    let mut request = Request::get("/?foo=a%20b&Bar=1&foo=2&flag&empty=")
        .with_header("User-Agent", "test")
        .with_header("X-Long-Long-Long-Long-Long-Long-Long-Long-Long-Long-Long-Long-Long-Long-Name", "long");
    request.response = vec![("X-A".into(), "1".into()), ("B".into(), "2".into()), ("x-a".into(), "3".into())];
    Host::new().answer(source, &mut request);
    request.output()
}

#[test]
fn arguments_are_found_in_any_case_and_not_decoded() {
    assert_eq!(read("ngx.say(ngx.var.arg_foo, ngx.var.arg_bar, ngx.var.ARG_BAR)"), "a%20b11\n");
    assert_eq!(
        read("ngx.say(ngx.var.arg_flag, '<', ngx.var.arg_empty, '>', ngx.var.arg_none)"),
        "nil<>nil\n"
    );
}

#[test]
fn request_headers_are_found_by_underscores() {
    assert_eq!(
        read("ngx.say(ngx.var.http_user_agent, ngx.var.HTTP_User_Agent, ngx.var.http_none)"),
        "testtestnil\n"
    );
    let long = "http_x_long_long_long_long_long_long_long_long_long_long_long_long_long_long_name";
    assert_eq!(read(&format!("ngx.say(ngx.var.{long})")), "long\n");
}

#[test]
fn response_headers_are_joined() {
    assert_eq!(
        read("ngx.say(ngx.var.sent_http_x_a, ngx.var.sent_http_b, ngx.var.sent_http_c)"),
        "1, 32nil\n"
    );
}

#[test]
fn the_exchange_defines_the_rest() {
    assert_eq!(
        read("ngx.say(ngx.var.method, ngx.var.status, ngx.var.unheard_of, ngx.var[1])"),
        "GET0nilnil\n"
    );
}

#[test]
fn a_variable_of_the_request_cannot_be_written() {
    let host = Host::new();
    assert_eq!(host.failure("ngx.var.method = 'x'"), r#"test.lua:1: variable "method" not changeable"#);
    let unknown = host.failure("\nngx.var.foo = 'x'");
    assert!(unknown.starts_with(r#"test.lua:2: variable "foo" not found for writing"#), "{unknown}");
    assert_eq!(host.failure("local x = ngx.var[{}]"), "test.lua:1: bad variable name");
}

#[test]
fn a_variable_of_the_configuration_can_be_written() {
    let host = Host::new();
    let mut request = Request::get("/");
    let code = "ngx.var.Settable = 'a'; local first = ngx.var.settable; ngx.var.settable = 7
        local second = ngx.var.settable; ngx.var.settable = nil
        ngx.say(first, second, '[', ngx.var.settable, ']')";
    host.answer(code, &mut request);
    assert_eq!(request.output(), "a7[]\n");
    assert_eq!(
        host.failure("ngx.var.settable = {}"),
        "test.lua:1: bad value type: string, number, or nil expected"
    );
}

#[test]
fn repeated_headers_are_joined_and_cookies_are_found() {
    let mut request = Request::get("/").with_header("X-A", "1").with_header("x-a", "2");
    request = request.with_header("Cookie", "a=1; b=2").with_header("cookie", "C=3; ab=4");
    let source =
        "ngx.say(ngx.var.http_x_a, ' ', ngx.var.http_cookie, ' ', ngx.var.cookie_b, ngx.var.cookie_c,
        ngx.var.cookie_ab, ngx.var.cookie_none)";
    Host::new().answer(source, &mut request);
    assert_eq!(request.output(), "1, 2 a=1; b=2; C=3; ab=4 234nil\n");
}
