//! `ngx.req`: reading, replacing and making the body of a request.

use tidegate_lua::{Op, Phase, Reply, Step};

use crate::support::{Host, Request};

fn with_body(body: &str) -> Request {
    Request { body: Some(body.into()), ..Request::get("/") }
}

fn failure(request: &mut Request, source: &str) -> String {
    Host::new().run(Phase::Content, source, request).unwrap_err().message().to_owned()
}

#[test]
fn a_body_is_read_once() {
    let host = Host::new();
    let handler = host.load("ngx.req.read_body() ngx.req.read_body() ngx.say(ngx.req.get_body_data())");
    let mut request = Request::get("/");
    let Step::Wait(mut task) = host.vm.start(&handler, Phase::Content, &mut request) else {
        panic!("does not read")
    };
    assert!(matches!(task.sole_op(), Some(Op::ReadBody)));
    request.body = Some(b"hello".to_vec());
    let step = host.vm.resume(task, tidegate_lua::Ticket::ENTRY, &Reply::Done, &mut request);
    assert!(matches!(step, Step::Done(_)), "{step:?}");
    assert_eq!(request.output(), "hello\n");
}

#[test]
fn what_was_not_read_cannot_be_replaced() {
    let not_read = "test.lua:1: request body not read yet";
    for call in ["set_body_data('a')", "set_body_file('/a')", "init_body()"] {
        let source = format!("ngx.req.{call}");
        assert_eq!(failure(&mut Request::get("/"), &source), not_read);
        let mut discarded = Request { discarded: true, ..Request::get("/") };
        assert_eq!(
            failure(&mut discarded, &source),
            "test.lua:1: request body already discarded asynchronously"
        );
    }
    assert_eq!(
        failure(&mut Request::get("/"), "ngx.req.get_post_args()"),
        "test.lua:1: no request body found; maybe you should turn on lua_need_request_body?"
    );
}

#[test]
fn a_body_that_was_discarded_is_none() {
    let mut request = Request::get("/");
    let source = "ngx.req.discard_body() ngx.req.read_body()
        ngx.say(ngx.req.get_body_data(), ngx.req.get_body_file(), next(ngx.req.get_post_args()))";
    Host::new().answer(source, &mut request);
    assert_eq!(request.output(), "nilnilnil\n");
}

#[test]
fn a_body_can_be_cut_replaced_and_moved_to_a_file() {
    let mut request = with_body("hello");
    let source =
        "ngx.say(ngx.req.get_body_data(2)) ngx.req.set_body_data('other') ngx.say(ngx.req.get_body_data())
        ngx.req.set_body_file('/file', true) ngx.say(ngx.req.get_body_data(), ' ', ngx.req.get_body_file())
        ngx.say(ngx.req.get_post_args())";
    Host::new().answer(source, &mut request);
    assert_eq!(request.output(), "he\nother\nnil /file\nnilrequest body in temp file not supported\n");
    assert_eq!(
        failure(&mut with_body("a"), "ngx.req.set_body_file('/none')"),
        "test.lua:1: open() \"/none\" failed"
    );
    assert_eq!(
        failure(&mut with_body("a"), "ngx.req.set_body_data()"),
        "test.lua:1: expecting 1 arguments but seen 0"
    );
}

#[test]
fn a_body_is_put_together_from_pieces() {
    let mut request = with_body("old");
    let source = "ngx.req.init_body() ngx.req.append_body('a') ngx.req.append_body(1) ngx.req.finish_body()
        ngx.say(ngx.req.get_body_data())
        ngx.req.init_body(3) ngx.req.append_body('four') ngx.req.finish_body() ngx.say(ngx.req.get_body_file())";
    Host::new().answer(source, &mut request);
    assert_eq!(request.output(), "a1\n/spilled\n");
    for call in ["append_body('a')", "finish_body()"] {
        let source = format!("ngx.req.{call}");
        assert_eq!(failure(&mut with_body("a"), &source), "test.lua:1: request_body not initialized");
    }
    assert_eq!(failure(&mut with_body("a"), "ngx.req.init_body(-1)"), "test.lua:1: bad size argument: -1");
}

#[test]
fn arguments_of_a_form_are_decoded_up_to_a_limit() {
    let mut request = with_body("a=1%20&b&a=2&c=");
    let source = "local a, err = ngx.req.get_post_args()
        ngx.say(a.a[1], a.a[2], a.b, a.c, err)
        local a, err = ngx.req.get_post_args(1) ngx.say(a.a, a.b, err)";
    Host::new().answer(source, &mut request);
    assert_eq!(request.output(), "1 2truenil\n1 niltruncated\n");
    let mut empty = with_body("");
    Host::new().answer("ngx.say(next(ngx.req.get_post_args()))", &mut empty);
    assert_eq!(empty.output(), "nil\n");
}

#[test]
fn a_body_can_be_changed_where_there_is_one_to_come() {
    let error = Host::new().run(Phase::Log, "ngx.req.set_body_data('a')", &mut with_body("b")).unwrap_err();
    assert_eq!(error.message(), "test.lua:1: API disabled in the context of log_by_lua*");
    let error = Host::new().run(Phase::HeaderFilter, "ngx.req.read_body()", &mut with_body("b")).unwrap_err();
    assert_eq!(error.message(), "test.lua:1: API disabled in the context of header_filter_by_lua*");
}
