//! `ngx.req` and `ngx.var`.

use tidegate_lua::{Op, Phase, Verdict};

use crate::support::{Host, Request};

#[test]
fn headers_are_in_lower_case_and_repeated_ones_are_tables() {
    let mut request =
        Request::get("/").with_header("X-Foo", "a").with_header("Host", "b").with_header("x-foo", "c");
    let host = Host::new();
    host.answer(
        r#"local h = ngx.req.get_headers()
        ngx.say(h.host, " ", h["X-FOO"][2], " ", h.x_foo[1], " ", rawget(h, "x-foo") ~= nil, " ", h.none)"#,
        &mut request,
    );
    assert_eq!(request.output(), "b c a true nil\n");
}

#[test]
fn a_request_header_is_set_to_anything_that_has_a_text() {
    let mut request = Request::get("/").with_header("A", "1").with_header("a", "2").with_header("b", "3");
    let host = Host::new();
    let source = r#"
        ngx.req.set_header("a", "x"); ngx.req.set_header("n", 12); ngx.req.set_header("t", { "p", 2 })
        ngx.req.set_header("b", nil); ngx.req.set_header("c", true)"#;
    assert_eq!(host.run(Phase::Access, source, &mut request), Ok(Verdict::Continue));
    assert_eq!(request.header_values("a"), ["x"]);
    assert_eq!(request.header_values("n"), ["12"]);
    assert_eq!(request.header_values("t"), ["p", "2"]);
    assert_eq!(request.header_values("c"), ["true"]);
    assert!(request.header_values("b").is_empty());
}

#[test]
fn the_body_is_there_once_it_was_read() {
    let mut request = Request::get("/");
    request.body = None;
    let host = Host::new();
    let handler =
        host.load("ngx.say(ngx.req.get_body_data()); ngx.req.read_body(); ngx.say(ngx.req.get_body_data())");
    let tidegate_lua::Step::Wait(task, Op::ReadBody) = host.vm.start(&handler, Phase::Content, &mut request)
    else {
        panic!("the body is not asked for")
    };
    request.body = Some(b"hello".to_vec());
    assert!(matches!(
        host.vm.resume(task, tidegate_lua::Reply::Done, &mut request),
        tidegate_lua::Step::Done(Verdict::Continue)
    ));
    assert_eq!(request.output(), "nil\nhello\n");
}
