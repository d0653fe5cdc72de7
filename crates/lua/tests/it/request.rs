//! `ngx.req`.

use tidegate_lua::{Jump, Op, Phase, Reply, Step, Ticket, Verdict};

use crate::support::{Host, Request};

#[test]
fn the_method_is_as_on_the_wire() {
    let mut request = Request::get("/");
    request.method = "BREW".into();
    Host::new().answer("ngx.say(ngx.req.get_method())", &mut request);
    assert_eq!(request.output(), "BREW\n");
}

#[test]
fn headers_are_in_lower_case_and_repeated_ones_are_tables() {
    let mut request =
        Request::get("/").with_header("X-Foo", "a").with_header("Host", "b").with_header("x-foo", "c");
    Host::new().answer(
        r#"local h = ngx.req.get_headers()
        ngx.say(h.host, " ", h["X-FOO"][2], " ", h.x_foo[1], " ", rawget(h, "x-foo") ~= nil, " ", h.none, h[1])"#,
        &mut request,
    );
    assert_eq!(request.output(), "b c a true nilnil\n");
}

#[test]
fn raw_headers_keep_their_names() {
    let mut request = Request::get("/").with_header("X-Foo", "a");
    Host::new().answer(
        "local h = ngx.req.get_headers(nil, true) ngx.say(h['X-Foo'], h['x-foo'], getmetatable(h))",
        &mut request,
    );
    assert_eq!(request.output(), "anilnil\n");
}

#[test]
fn too_many_headers_are_truncated_unless_all_are_asked_for() {
    let mut request = Request::get("/");
    for number in 0..101 {
        request = request.with_header(&format!("h{number}"), "v");
    }
    let source = r"
        local function count(max)
            local headers, err = ngx.req.get_headers(max)
            local n = 0
            for _ in pairs(headers) do n = n + 1 end
            return n, ' ', err, ' '
        end
        ngx.print(count()) ngx.print(count(2)) ngx.print(count(101)) ngx.print(count(0)) ngx.print(count(1e12))";
    Host::new().answer(source, &mut request);
    assert_eq!(request.output(), "100 truncated 2 truncated 101 nil 101 nil 101 nil ");
}

#[test]
fn a_request_header_is_set_to_anything_that_has_a_text() {
    let mut request = Request::get("/").with_header("A", "1").with_header("a", "2").with_header("b", "3");
    request = request.with_header("e", "4").with_header("f", "5");
    let source = r#"
        ngx.req.set_header("a", "x") ngx.req.set_header("n", 12) ngx.req.set_header("t", { "p", 2 })
        ngx.req.set_header("b", nil) ngx.req.set_header("c", true) ngx.req.set_header("e", {})
        ngx.req.clear_header("F")"#;
    assert_eq!(Host::new().run(Phase::Access, source, &mut request), Ok(Verdict::Continue));
    assert_eq!(request.header_values("a"), ["x"]);
    assert_eq!(request.header_values("n"), ["12"]);
    assert_eq!(request.header_values("t"), ["p", "2"]);
    assert_eq!(request.header_values("c"), ["true"]);
    for gone in ["b", "e", "f"] {
        assert!(request.header_values(gone).is_empty(), "{gone}");
    }
}

#[test]
fn a_request_header_cannot_split_the_message() {
    let mut request = Request::get("/");
    let source = r#"
        ngx.req.set_header("a", "x\r\nb: y") ngx.req.set_header("c d:", "z") ngx.req.set_header("e", { "1\n", "2" })"#;
    Host::new().answer(source, &mut request);
    assert_eq!(request.header_values("a"), ["x%0D%0Ab: y"]);
    assert_eq!(request.header_values("c%20d%3A"), ["z"]);
    assert_eq!(request.header_values("e"), ["1%0A", "2"]);
}

#[test]
fn a_header_needs_a_name() {
    let host = Host::new();
    assert_eq!(
        host.failure("ngx.req.set_header(nil, 'x')"),
        "test.lua:1: bad 'name' argument: string expected, got nil"
    );
    assert_eq!(
        host.failure("ngx.req.clear_header()"),
        "test.lua:1: bad 'name' argument: string expected, got nil"
    );
    let mut request = Request::get("/");
    assert_eq!(host.run(Phase::Access, "ngx.req.set_header('', 'x')", &mut request), Ok(Verdict::Continue));
    assert_eq!(request.headers, []);
}

#[test]
fn arguments_are_decoded() {
    let mut request = Request::get("/?a=1&b&c=%20+%2b&a=2&d=&=x&a&%61b=3");
    let source = r"
        local a = ngx.req.get_uri_args()
        ngx.say(table.concat({ a.a[1], a.a[2], tostring(a.a[3]), tostring(a.b), a.c, a.d, a.ab }, '|'))";
    Host::new().answer(source, &mut request);
    assert_eq!(request.output(), "1|2|true|true|  +||3\n");
}

#[test]
fn arguments_are_truncated_and_can_fill_a_given_table() {
    let mut request = Request::get("/?a=1&b=2&c=3");
    let source = r"
        local given = { old = 1 }
        local args, err = ngx.req.get_uri_args(2, given)
        ngx.say(args == given, given.old, given.a, given.b, given.c, err)
        ngx.say((select(2, ngx.req.get_uri_args(3))), (select(2, ngx.req.get_uri_args(0))))";
    Host::new().answer(source, &mut request);
    assert_eq!(request.output(), "truenil12niltruncated\nnilnil\n");
}

#[test]
fn without_a_query_there_are_no_arguments() {
    assert_eq!(Host::new().say("ngx.say(next(ngx.req.get_uri_args()))"), "nil\n");
}

#[test]
fn the_body_is_there_once_it_was_read() {
    let mut request = Request::get("/");
    let host = Host::new();
    let handler = host.load(
        "ngx.say(ngx.req.get_body_data()) ngx.req.read_body() ngx.say(ngx.req.get_body_data(), ngx.req.get_body_data(2))
        ngx.req.read_body()",
    );
    let Step::Wait(mut task) = host.vm.start(&handler, Phase::Content, &mut request) else {
        panic!("it does not wait")
    };
    assert!(matches!(task.sole_op(), Some(Op::ReadBody)));
    request.body = Some(b"he\0lo".to_vec());
    let step = host.vm.resume(task, Ticket::ENTRY, &Reply::Done, &mut request);
    assert!(matches!(step, Step::Done(Verdict::Continue)), "a body that is there is not read again");
    assert_eq!(request.output(), "nil\nhe\0lohe\n");
}

#[test]
fn an_empty_body_is_none() {
    let mut request = Request { body: Some(Vec::new()), ..Request::get("/") };
    let (_, ops) = Host::new().answer("ngx.req.read_body() ngx.say(ngx.req.get_body_data())", &mut request);
    assert_eq!((request.output().as_str(), ops), ("nil\n", vec![]));
}

#[test]
fn a_body_that_cannot_be_read_is_an_error_of_the_caller() {
    let mut request = Request::get("/");
    let host = Host::new();
    let handler = host.load("ngx.req.read_body()");
    let Step::Wait(mut task) = host.vm.start(&handler, Phase::Access, &mut request) else {
        panic!("it does not wait")
    };
    assert!(matches!(task.sole_op(), Some(Op::ReadBody)));
    let Step::Failed(error) =
        host.vm.resume(task, Ticket::ENTRY, &Reply::Failed("too large".into()), &mut request)
    else {
        panic!("goes on without a body")
    };
    assert_eq!(error.message(), "test.lua:1: too large");
}

#[test]
fn the_method_is_set_by_its_number() {
    let mut request = Request::get("/");
    let host = Host::new();
    host.answer("ngx.req.set_method(ngx.HTTP_PATCH) ngx.say(ngx.req.get_method())", &mut request);
    assert_eq!(request.output(), "PATCH\n");
    assert_eq!(host.failure("ngx.req.set_method('GET')"), "test.lua:1: bad method number");
    assert_eq!(host.failure("ngx.req.set_method(3)"), "test.lua:1: unsupported HTTP method: 3");
}

#[test]
fn path_and_arguments_are_set_apart() {
    let mut request = Request::get("/?a=b");
    let source = "ngx.req.set_uri('/x y') ngx.req.set_uri_args('a=1 2') ngx.say(ngx.req.get_uri_args().a)
        ngx.req.set_uri_args({ b = { 1, true } }) ngx.say(ngx.req.get_uri_args().b[1])
        ngx.req.set_uri_args(5) ngx.req.set_uri('/\\n', false, true)";
    let host = Host::new();
    host.answer(source, &mut request);
    assert_eq!((request.output().as_str(), &*request.path), ("1 2\n1\n", &b"/\n"[..]));
    assert_eq!(request.args.as_deref(), Some("5"));
    assert!(host.failure("ngx.req.set_uri('/\\n')").contains("unsafe byte \"0x0a\""));
    host.answer("ngx.req.set_uri('/a\\tb')", &mut Request::get("/"));
    assert_eq!(host.failure("ngx.req.set_uri('')"), "test.lua:1: attempt to use zero-length uri");
    assert_eq!(host.failure("ngx.req.set_uri()"), "test.lua:1: expecting 1, 2 or 3 arguments but seen 0");
    let unsafe_byte = host.failure("ngx.req.set_uri('/a\\nb')");
    assert!(unsafe_byte.starts_with("test.lua:1: unsafe byte \"0x0a\" in uri \"/a"), "{unsafe_byte}");
    assert_eq!(
        host.failure("ngx.req.set_uri('/a', true)"),
        "test.lua:1: API disabled in the context of content_by_lua*"
    );
    assert_eq!(
        host.failure("ngx.req.set_uri('/a', 1)"),
        "test.lua:1: bad argument #2 to 'set_uri' (boolean expected, got number)"
    );
    assert_eq!(
        host.failure("ngx.req.set_uri_args(true)"),
        "test.lua:1: bad argument #1 to 'set_uri_args' (string, number, or table expected, but got boolean)"
    );
    assert_eq!(
        host.failure("ngx.req.set_uri_args({ [1] = 2 })"),
        "test.lua:1: attempt to use a non-string key in the \"args\" option table"
    );
}

#[test]
fn a_jump_ends_the_run() {
    let mut request = Request::get("/");
    let source = "ngx.req.set_uri('/b', true) error('not reached')";
    let verdict = Host::new().run(Phase::Rewrite, source, &mut request);
    assert_eq!((verdict, request.state.jump), (Ok(Verdict::Exit(0)), Some(Jump::Rewrite)));
}

#[test]
fn headers_are_added_to_those_there_are() {
    let mut request = Request::get("/").with_header("a", "1");
    let source = "require('ngx.req').add_header('a', 2) ngx.req.add_header('a', { 'x', 'y' })";
    let host = Host::new();
    host.answer(source, &mut request);
    assert_eq!(request.header_values("a"), ["1", "2", "x", "y"]);
    assert_eq!(
        host.failure("ngx.req.add_header('a', nil)"),
        "test.lua:1: bad 'value' argument: string or table expected, got nil"
    );
    assert_eq!(
        host.failure("ngx.req.add_header('a', {})"),
        "test.lua:1: bad 'value' argument: non-empty table expected"
    );
}

#[test]
fn a_request_from_outside_is_neither_internal_nor_a_part() {
    let said = Host::new().say(
        "ngx.say(ngx.req.is_internal(), ngx.is_subrequest, ngx.req.raw_header(), ngx.req.http_version())",
    );
    assert_eq!(said, "falsefalsenilnil\n");
}

#[test]
fn the_clients_connection_is_had_where_there_is_an_answer_to_make() {
    let host = Host::new();
    assert_eq!(host.failure("ngx.req.socket(true, 1)"), "test.lua:1: expecting 0 or 1 argument, but got 2");
    for (phase, name) in [(Phase::Set, "set_by_lua*"), (Phase::Log, "log_by_lua*")] {
        let error = host.run(phase, "ngx.req.socket()", &mut Request::get("/")).unwrap_err();
        assert_eq!(error.message(), format!("test.lua:1: API disabled in the context of {name}"));
    }
    let mut request = Request::get("/");
    let handler = host.load("ngx.say(select(2, ngx.req.socket(true)))");
    let Step::Wait(mut task) = host.vm.start(&handler, Phase::Content, &mut request) else {
        panic!("does not ask")
    };
    assert!(matches!(task.sole_op(), Some(Op::Socket { raw: true })));
    let reply = Reply::Failed("no body".into());
    let step = host.vm.resume(task, Ticket::ENTRY, &reply, &mut request);
    assert!(matches!(step, Step::Done(_)), "{step:?}");
    assert_eq!(request.output(), "no body\n");
}
