//! `ngx.location`.

use tidegate_lua::Phase;

use crate::support::{Host, Request};

#[test]
fn a_capture_says_what_it_asks_for_and_gives_what_comes() {
    let mut request = Request::get("/");
    let source = "local res = ngx.location.capture('/a%20b?x=1', { args = { y = 2 }, method = ngx.HTTP_PUT, body = 'hi',
            vars = { Dog = 1 }, headers = { H = 'v' }, share_all_vars = true })
        ngx.say(res.status, ' ', res.body, ' ', res.header.A[2], ' ', tostring(res.truncated), ' ', ngx.var.settable)";
    Host::new().answer(source, &mut request);
    assert_eq!(request.output(), "203 PUT /a b x=1&y=2 Own([104, 105]) dog=1 H=v All 2 true shared\n");
}

#[test]
fn several_answers_come_in_order() {
    let said = Host::new().say(
        "local a, b = ngx.location.capture_multi({ { '/a' }, { '/b', { copy_all_vars = true } } })
        ngx.print(a.body, '|', b.body)",
    );
    assert_eq!(said, "GET /a  None   Nothing|GET /b  None   Copy");
}

#[test]
fn what_cannot_be_asked_for_is_refused() {
    let host = Host::new();
    let refused = |arguments: &str| host.failure(&format!("ngx.location.capture({arguments})"));
    assert_eq!(refused(""), "test.lua:1: expecting one or two arguments");
    assert_eq!(refused("'/../a'"), "test.lua:1: unsafe uri in argument #1: /../a");
    assert_eq!(
        refused("'/', 1"),
        "test.lua:1: expecting table as the 2nd argument for subrequest 0, but got number"
    );
    for (option, message) in [
        ("method = 'GET'", "Bad http request method"),
        ("method = 3", "unsupported HTTP method: 3"),
        ("body = {}", "Bad http request body"),
        ("args = true", "Bad args option value"),
        ("args = { [1] = 2 }", "attempt to use a non-string key in the \"args\" option table"),
        ("vars = 1", "Bad vars option value"),
        ("vars = { a = {} }", "attempt to use bad variable value type table"),
        ("headers = 1", "Bad headers option value"),
        ("ctx = 1", "Bad ctx option value type number, expected a Lua table"),
        ("share_all_vars = 1", "Bad share_all_vars option value"),
        ("copy_all_vars = 1", "Bad copy_all_vars option value"),
    ] {
        assert_eq!(refused(&format!("'/', {{ {option} }}")), format!("test.lua:1: {message}"));
    }
    assert_eq!(refused("'/refused'"), "test.lua:1: failed to issue subrequest: -1");
}

#[test]
fn a_list_of_queries_has_queries_in_it() {
    let host = Host::new();
    let refused = |arguments: &str| host.failure(&format!("ngx.location.capture_multi({arguments})"));
    assert_eq!(refused(""), "test.lua:1: only one argument is expected, but got 0");
    assert_eq!(refused("{}"), "test.lua:1: at least one subrequest should be specified");
    assert_eq!(refused("{ 'a' }"), "test.lua:1: the query argument 0 is not a table, but a string");
    assert_eq!(refused("{ {} }"), "test.lua:1: query argument 0 expecting one or two arguments");
    assert_eq!(
        refused("{ { '/', 1 } }"),
        "test.lua:1: expecting table as the 2nd argument for subrequest 0, but got number"
    );
}

#[test]
fn there_is_nothing_to_capture_before_the_request_is_known() {
    let error = Host::new().run(Phase::Set, "ngx.location.capture('/')", &mut Request::get("/")).unwrap_err();
    assert_eq!(error.message(), "test.lua:1: API disabled in the context of set_by_lua*");
}
