//! `ngx.exit`, `ngx.redirect`, `ngx.sleep`, `ngx.get_phase`, coroutines.

use std::time::Duration;

use tidegate_core::snapshot::LuaSettings;

use tidegate_lua::{Jump, Level, Op, Phase, Reply, Step, Ticket, Verdict};

use crate::support::{Host, Request, sole_op};

fn verdict(phase: Phase, source: &str) -> Verdict {
    Host::new().run(phase, source, &mut Request::get("/")).unwrap()
}

#[test]
fn exit_ends_the_handler_with_a_status() {
    assert_eq!(verdict(Phase::Access, "ngx.exit(403) error('goes on')"), Verdict::Exit(403));
    assert_eq!(verdict(Phase::Access, "ngx.exit(ngx.OK)"), Verdict::Exit(0));
    assert_eq!(verdict(Phase::Content, "return ngx.exit('204')"), Verdict::Exit(204));
    assert_eq!(verdict(Phase::Content, "ngx.exit(ngx.ERROR)"), Verdict::Exit(444));
    assert_eq!(verdict(Phase::Content, "ngx.exit(ngx.DECLINED)"), Verdict::Exit(444));
    assert_eq!(verdict(Phase::Access, "ngx.exit(ngx.DECLINED)"), Verdict::Exit(0));
    assert_eq!(verdict(Phase::Access, ""), Verdict::Continue);
}

#[test]
fn exit_cannot_be_caught() {
    assert_eq!(verdict(Phase::Access, "pcall(ngx.exit, 403) error('goes on')"), Verdict::Exit(403));
    let nested =
        "pcall(function() xpcall(function() coroutine.wrap(function() ngx.exit(401) end)() end, print) end)
        error('goes on')";
    assert_eq!(verdict(Phase::Access, nested), Verdict::Exit(401));
}

#[test]
fn exit_refuses_what_is_no_status() {
    let host = Host::new();
    assert_eq!(
        host.failure("ngx.exit()"),
        "test.lua:1: bad argument #1 to 'exit' (number expected, got nil)"
    );
    assert_eq!(
        host.failure("ngx.exit(ngx.AGAIN)"),
        "test.lua:1: bad argument to 'ngx.exit': does not accept NGX_AGAIN or NGX_DONE"
    );
    assert_eq!(
        host.failure("ngx.exit(70000)"),
        "test.lua:1: bad argument #1 to 'exit' (no such status: 70000)"
    );
}

#[test]
fn exit_in_the_header_filter_sets_the_verdict_and_goes_on() {
    let host = Host::new();
    let mut request = Request::get("/");
    let source = "ngx.exit(410) ngx.header.x = '1'";
    assert_eq!(host.run(Phase::HeaderFilter, source, &mut request), Ok(Verdict::Exit(410)));
    assert_eq!(request.response_values("x"), ["1"]);
    assert_eq!(host.run(Phase::HeaderFilter, "", &mut request), Ok(Verdict::Continue), "it is not kept");
}

#[test]
fn an_error_status_after_the_head_left_is_logged_and_ends_the_handler() {
    let host = Host::new();
    let mut request = Request { status: 200, sent: true, ..Request::get("/") };
    assert_eq!(host.run(Phase::Content, "ngx.exit(404)", &mut request), Ok(Verdict::Exit(200)));
    let line = "attempt to set status 404 via ngx.exit after sending out the response status 200";
    assert_eq!(host.take_log(), [(Level::Error, line.to_owned())]);
    assert_eq!(host.run(Phase::Content, "ngx.exit(444)", &mut request), Ok(Verdict::Exit(444)));
    assert_eq!(host.run(Phase::Content, "ngx.exit(200)", &mut request), Ok(Verdict::Exit(200)));
    assert!(host.take_log().is_empty());
}

#[test]
fn redirect_sets_the_location_and_ends_the_handler() {
    for (call, status) in [
        ("ngx.redirect('/a')", 302),
        ("ngx.redirect('/a', 301)", 301),
        ("ngx.redirect('/a', ngx.HTTP_SEE_OTHER)", 303),
        ("ngx.redirect('/a', 307)", 307),
        ("ngx.redirect('/a', '308')", 308),
    ] {
        let mut request = Request::get("/");
        let source = format!("{call} error('goes on')");
        assert_eq!(Host::new().run(Phase::Access, &source, &mut request), Ok(Verdict::Exit(status)));
        assert_eq!(request.response_values("location"), ["/a"]);
    }
}

#[test]
fn redirect_refuses_other_statuses_and_unsafe_places() {
    let host = Host::new();
    assert!(
        host.failure("ngx.redirect('/a', 200)").starts_with("test.lua:1: only ngx.HTTP_MOVED_TEMPORARILY, ")
    );
    assert_eq!(
        host.failure(r"ngx.redirect('/a\r\nb: c')"),
        r#"test.lua:1: unsafe byte "0x0d" in redirect uri "/a\x0D\x0Ab: c""#
    );
    assert_eq!(
        host.failure("ngx.say('x') ngx.redirect('/a')"),
        "test.lua:1: attempt to call ngx.redirect after sending out the headers"
    );
    assert!(host.failure("ngx.redirect()").contains("string expected, got nil"));
}

#[test]
fn sleep_waits_for_as_long_as_it_says() {
    let mut request = Request::get("/");
    let (_, ops) =
        Host::new().answer("ngx.sleep(0.25) ngx.sleep(0) ngx.sleep('2') ngx.say('done')", &mut request);
    assert_eq!(ops, ["Sleep(250ms)", "Sleep(0ns)", "Sleep(2s)"]);
    assert_eq!(request.output(), "done\n");
}

#[test]
fn sleep_refuses_what_is_no_duration() {
    let host = Host::new();
    assert_eq!(host.failure("ngx.sleep(-1)"), r#"test.lua:1: invalid sleep duration "-1""#);
    assert_eq!(host.failure("ngx.sleep(0/0)"), r#"test.lua:1: invalid sleep duration "nan""#);
    assert_eq!(
        host.failure("ngx.sleep({})"),
        "test.lua:1: bad argument #1 to 'sleep' (number expected, got table)"
    );
    let step = host.vm.start(&host.load("ngx.sleep(math.huge)"), Phase::Content, &mut Request::get("/"));
    assert!(matches!(sole_op(step), Op::Sleep(Duration::MAX)));
}

#[test]
fn functions_are_refused_in_phases_that_are_not_theirs() {
    let strict = Host::with_settings(&LuaSettings { strict_contexts: true, ..LuaSettings::default() });
    let host = Host::new();
    for (phase, name) in [(Phase::HeaderFilter, "header_filter_by_lua*"), (Phase::Log, "log_by_lua*")] {
        let error = strict.run(phase, "ngx.sleep(1)", &mut Request::get("/")).unwrap_err();
        assert_eq!(error.message(), format!("test.lua:1: API disabled in the context of {name}"));
        let step = host.vm.start(&host.load("ngx.sleep(1)"), phase, &mut Request::get("/"));
        assert!(matches!(sole_op(step), Op::Sleep(_)), "it waits wherever the data plane can");
        for call in ["ngx.req.read_body()", "ngx.redirect('/')"] {
            let error = host.run(phase, call, &mut Request::get("/")).unwrap_err();
            assert_eq!(error.message(), format!("test.lua:1: API disabled in the context of {name}"));
        }
    }
    let error = host.run(Phase::Log, "ngx.exit(200)", &mut Request::get("/")).unwrap_err();
    assert_eq!(error.message(), "test.lua:1: API disabled in the context of log_by_lua*");
}

#[test]
fn phases_have_openresty_s_names() {
    let host = Host::new();
    for phase in [Phase::Access, Phase::Content, Phase::HeaderFilter, Phase::Log] {
        let mut request = Request::get("/");
        host.run(phase, "ngx.ctx.phase = ngx.get_phase() ngx.log(ngx.INFO, ngx.ctx.phase)", &mut request)
            .unwrap();
        assert_eq!(host.take_log()[0].1, format!("[lua] test.lua:1: {}", phase.name()));
    }
}

#[test]
fn a_wait_inside_of_a_coroutine_inside_of_pcall_reaches_the_host() {
    let mut request = Request::get("/");
    let source = r#"
        local f = coroutine.wrap(function()
            local x = coroutine.yield(1)
            ngx.sleep(0.1)
            coroutine.yield(x)
            pcall(function() pcall(ngx.sleep, 0.2) end)
            error("no")
        end)
        ngx.say(f()) ngx.say(f(7)) ngx.say(pcall(f)) ngx.say(pcall(f))"#;
    let (_, ops) = Host::new().answer(source, &mut request);
    assert_eq!(request.output(), "1\n7\nfalsetest.lua:7: no\nfalsecannot resume dead coroutine\n");
    assert_eq!(ops, ["Sleep(100ms)", "Sleep(200ms)"]);
}

#[test]
fn waits_pass_through_metamethods_iterators_and_nested_coroutines() {
    let source = r"
        local t = setmetatable({}, { __index = function(_, k) ngx.sleep(1) return k end,
            __add = function() ngx.sleep(2) return 5 end })
        local function each() ngx.sleep(3) return nil end
        for _ in each do end
        local inner = coroutine.wrap(function(a)
            local wrapped = coroutine.wrap(function(b) ngx.sleep(4) coroutine.yield(b + 1) return b + 2 end)
            coroutine.yield(wrapped(a))
            coroutine.yield(wrapped())
        end)
        ngx.say(t.key, t + 1, inner(1), inner())";
    let mut request = Request::get("/");
    let (_, ops) = Host::new().answer(source, &mut request);
    assert_eq!(request.output(), "key523\n");
    assert_eq!(ops, ["Sleep(3s)", "Sleep(1s)", "Sleep(2s)", "Sleep(4s)"]);
}

#[test]
fn coroutines_work_as_in_lua() {
    let source = r"
        local co = coroutine.create(function(a, b)
            local c = coroutine.yield(a + b)
            local d, e = coroutine.yield(c * 2)
            return d + e, nil
        end)
        ngx.say(coroutine.status(co), coroutine.resume(co, 1, 2))
        ngx.say(coroutine.resume(co, 10))
        ngx.say(select('#', coroutine.resume(co, 3, 4)), coroutine.status(co))
        ngx.say(coroutine.resume(co))
        ngx.say(select('#', coroutine.resume(coroutine.create(function() end))))
        ngx.say(type(coroutine.running()), ' ', pcall(coroutine.resume, 1))";
    assert_eq!(
        Host::new().say(source),
        "suspendedtrue3\ntrue20\n3dead\nfalsecannot resume dead coroutine\n1\n\
         thread falsebad argument #1 to 'resume' (coroutine expected)\n"
    );
}

#[test]
fn a_coroutine_that_waits_for_the_host_cannot_be_resumed_by_another_request() {
    let host = Host::new();
    let (mut first, mut second) = (Request::get("/"), Request::get("/"));
    let waits = host.load(
        "package.loaded.co = coroutine.create(function() ngx.sleep(1) return 'mine' end)
        ngx.say(coroutine.resume(package.loaded.co))",
    );
    let Step::Wait(task) = host.vm.start(&waits, Phase::Content, &mut first) else { panic!("does not wait") };
    host.answer(
        "local co = package.loaded.co ngx.say(coroutine.status(co), coroutine.resume(co))",
        &mut second,
    );
    assert_eq!(second.output(), "runningfalsecannot resume running coroutine\n");
    assert!(matches!(host.vm.resume(task, Ticket::ENTRY, &Reply::Done, &mut first), Step::Done(_)));
    assert_eq!(first.output(), "truemine\n");
}

#[test]
fn a_yield_to_nobody_goes_on_with_nothing() {
    assert_eq!(Host::new().say("ngx.say(select('#', coroutine.yield(1, 2, 3)), coroutine.yield())"), "0\n");
}

#[test]
fn a_wait_across_a_c_function_is_an_error_that_does_no_harm() {
    let source = r"
        local ok, err = pcall(string.gsub, 'a', 'a', function() ngx.sleep(1) end)
        ngx.say(ok, err:match('attempt.*')) coroutine.yield() ngx.sleep(2) ngx.say('on')";
    let mut request = Request::get("/");
    let (_, ops) = Host::new().answer(source, &mut request);
    assert_eq!(request.output(), "falseattempt to yield across C-call boundary\non\n");
    assert_eq!(ops, ["Sleep(2s)"]);
}

fn jump_of(source: &str) -> Option<Jump> {
    let mut request = Request::get("/");
    let verdict = Host::new().run(Phase::Content, &format!("{source} error('not reached')"), &mut request);
    assert_eq!(verdict, Ok(Verdict::Exit(0)), "{source}");
    request.state.jump
}

#[test]
fn exec_says_where_the_request_goes() {
    let path = |path: &str, args: &str| Some(Jump::Path { path: path.into(), args: args.into() });
    assert_eq!(jump_of("ngx.exec('/a%20b')"), path("/a b", ""));
    assert_eq!(jump_of("ngx.exec('/a?x=1', 'y=2 3')"), path("/a", "x=1&y=2 3"));
    assert_eq!(jump_of("ngx.exec('/a', { b = 'c d' })"), path("/a", "b=c%20d"));
    assert_eq!(jump_of("ngx.exec('@a', 'b')"), Some(Jump::Name("@a".into())));
}

#[test]
fn exec_refuses_what_is_no_place() {
    let host = Host::new();
    assert_eq!(host.failure("ngx.exec('')"), "test.lua:1: The uri argument is empty");
    assert_eq!(host.failure("ngx.exec('/a/../b')"), "test.lua:1: unsafe uri");
    assert_eq!(host.failure("ngx.exec('/a/%2e./b')"), "test.lua:1: unsafe uri");
    assert_eq!(host.failure("ngx.exec()"), "test.lua:1: expecting one or two arguments, but got 0");
    assert_eq!(
        host.failure("ngx.exec('/a', true)"),
        "test.lua:1: bad argument #2 to 'exec' (string, number, or table expected, but got boolean)"
    );
    let mut sent = Request { sent: true, ..Request::get("/") };
    let error = host.run(Phase::Content, "ngx.exec('/a')", &mut sent).unwrap_err();
    assert_eq!(error.message(), "test.lua:1: attempt to call ngx.exec after sending out response headers");
}

#[test]
fn a_phase_has_a_name_and_a_number_as_openresty_has_them() {
    let host = Host::new();
    for (phase, told) in [
        (Phase::Set, "set 1"),
        (Phase::Rewrite, "rewrite 2"),
        (Phase::Access, "access 4"),
        (Phase::Content, "content 8"),
        (Phase::Log, "log 16"),
        (Phase::HeaderFilter, "header_filter 32"),
        (Phase::BodyFilter, "body_filter 64"),
        (Phase::Timer, "timer 128"),
        (Phase::InitWorker, "init_worker 256"),
        (Phase::Balancer, "balancer 512"),
        (Phase::SslCertificate, "ssl_cert 1024"),
        (Phase::ExitWorker, "exit_worker 8192"),
        (Phase::ServerRewrite, "server_rewrite 32768"),
    ] {
        let source = "error(ngx.get_phase() .. ' ' .. ngx.get_raw_phase(), 0)";
        let error = host.run(phase, source, &mut Request::get("/")).unwrap_err();
        assert_eq!(error.message(), told);
    }
}
