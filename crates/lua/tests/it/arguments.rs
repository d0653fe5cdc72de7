//! `ngx.arg`.

use tidegate_lua::{Phase, Purpose, Trust};

use crate::support::{Host, Request, script};

fn filter(source: &str, piece: &str, last: bool) -> (String, bool) {
    let mut request = Request::get("/");
    request.state.arguments.piece = piece.into();
    request.state.arguments.last = last;
    Host::new().run(Phase::BodyFilter, source, &mut request).unwrap();
    let arguments = &request.state.arguments;
    (String::from_utf8(arguments.piece.clone()).unwrap(), arguments.last)
}

#[test]
fn a_body_filter_reads_and_replaces_its_piece() {
    assert_eq!(
        filter("ngx.arg[1] = ngx.arg[1] .. tostring(ngx.arg[2])", "a", false),
        ("afalse".into(), false)
    );
    assert_eq!(filter("ngx.arg[1] = 3.5", "a", true), ("3.5".into(), true));
    assert_eq!(filter("ngx.arg[1] = { 'a', { 1, 'b' } }", "x", true), ("a1b".into(), true));
    assert_eq!(filter("ngx.arg[1] = nil ngx.arg[2] = true", "x", false), (String::new(), true));
    assert_eq!(filter("ngx.arg[2] = false", "x", true), ("x".into(), false));
}

#[test]
fn what_is_no_piece_is_refused() {
    let failure = |source: &str| {
        let mut request = Request::get("/");
        Host::new().run(Phase::BodyFilter, source, &mut request).unwrap_err().message().to_owned()
    };
    assert_eq!(failure("ngx.arg[1] = true"), "test.lua:1: bad chunk data type: boolean");
    assert!(failure("ngx.arg[1] = { nil, true }").ends_with("bad data type nil found)"));
    assert!(failure("ngx.arg[1] = { a = 1 }").ends_with("non-array table found)"));
    assert_eq!(failure("ngx.arg[3] = 1"), "test.lua:1: bad index: 3");
    assert_eq!(failure("return ngx.arg[3]"), "test.lua:1: bad index: 3");
}

#[test]
fn a_variable_is_given_its_arguments_and_what_it_returns_is_kept() {
    let host = Host::new();
    let result = |source: &str| {
        let mut request = Request::get("/");
        request.state.arguments.given = vec![b"a".to_vec(), Vec::new()];
        let handler = host.vm.compile(&script("test.lua", source), Purpose::Variable, Trust::Full).unwrap();
        let step = host.vm.start(&handler, Phase::Set, &mut request);
        assert!(matches!(step, tidegate_lua::Step::Done(_)), "{step:?}");
        String::from_utf8(request.state.arguments.result).unwrap()
    };
    assert_eq!(result("return ngx.arg[1] .. #ngx.arg[2] .. tostring(ngx.arg[3])"), "a0nil");
    assert_eq!(result("return 1.5, 2"), "1.5");
    assert_eq!(result("return true"), "");
    assert_eq!(result("return"), "");
}

#[test]
fn there_are_no_arguments_elsewhere() {
    let host = Host::new();
    assert_eq!(
        host.failure("return ngx.arg[1]"),
        "test.lua:1: API disabled in the context of content_by_lua*"
    );
    assert_eq!(host.failure("ngx.arg[1] = 2"), "test.lua:1: API disabled in the context of content_by_lua*");
}
