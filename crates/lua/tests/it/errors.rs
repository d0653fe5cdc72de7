//! What is raised, and what is told of it.

use std::thread;

use tidegate_lua::{Error, Phase, Verdict, Vm};

use crate::support::{Host, Request, script};

#[test]
fn an_error_names_file_and_line_in_message_and_traceback() {
    let host = Host::new();
    let source = "local function inner()\n  error('boom')\nend\nlocal function outer() inner() end\nouter()";
    let handler = host.vm.load(&script("hooks/auth.lua", source)).unwrap();
    let tidegate_lua::Step::Failed(error) = host.vm.start(&handler, Phase::Access, &mut Request::get("/"))
    else {
        panic!("does not fail")
    };
    assert_eq!(error.to_string(), "hooks/auth.lua:2: boom");
    let lines: Vec<_> = error.traceback().lines().map(str::trim).collect();
    assert_eq!(lines[0], "stack traceback:");
    assert_eq!(lines[1], "[C]: in function 'error'");
    assert!(lines[2].starts_with("hooks/auth.lua:2: in function"), "{lines:?}");
    assert!(lines[3].starts_with("hooks/auth.lua:4: in function"), "{lines:?}");
    assert_eq!(lines[4], "hooks/auth.lua:5: in main chunk");
}

#[test]
fn a_message_is_one_line_of_the_log() {
    let host = Host::new();
    let error = host.run(Phase::Log, r#"error("a\nb", 0)"#, &mut Request::get("/")).unwrap_err();
    assert_eq!((error.message(), error.to_string().as_str()), ("a\nb", r"a\nb"));
}

#[test]
fn anything_can_be_raised() {
    let host = Host::new();
    assert_eq!(host.failure("error()"), "unknown reason");
    assert_eq!(host.failure("error(nil)"), "unknown reason");
    assert_eq!(host.failure("error({ code = 1 })"), "(error object is a table value)");
    assert_eq!(host.failure("error(true)"), "(error object is a boolean value)");
    assert_eq!(host.failure("error(42, 0)"), "42");
    assert_eq!(
        host.failure("error(setmetatable({}, { __tostring = function() return 'my own' end }))"),
        "my own"
    );
    assert_eq!(
        host.failure("error(setmetatable({}, { __tostring = function() error('again') end }))"),
        "(error object is a table value)"
    );
    assert_eq!(host.failure(r#"error("\xff", 0)"#), "\u{fffd}");
}

#[test]
fn errors_without_a_message_have_a_traceback_that_names_the_line() {
    let error = Host::new().run(Phase::Access, "\n\nerror({})", &mut Request::get("/")).unwrap_err();
    assert!(error.traceback().contains("test.lua:3:"), "{}", error.traceback());
}

#[test]
fn running_out_of_stack_is_an_error_like_others() {
    let host = Host::new();
    let deep = host.run(Phase::Access, "local function f() return 1 + f() end f()", &mut Request::get("/"));
    let deep = deep.unwrap_err();
    assert!(deep.message().contains("stack overflow"), "{deep}");
    assert!(deep.traceback().contains("test.lua:1:"));
    let nested = host.failure("local function f() coroutine.wrap(f)() end f()");
    assert!(nested.contains("C stack overflow"), "{nested}");
    assert_eq!(host.say("ngx.print('well')"), "well");
}

#[test]
fn functions_of_c_recurse_within_the_stack_that_is_asked_for() {
    let recursion = || Host::new().failure("local function f(s) return (string.gsub(s, '.', f)) end f('a')");
    let thread = thread::Builder::new().stack_size(Vm::STACK_BYTES).spawn(recursion).unwrap();
    let message = thread.join().unwrap();
    assert!(message.contains("stack overflow"), "{message}");
}

#[test]
fn running_out_of_memory_is_an_error_like_others() {
    let host = Host::new();
    assert_eq!(host.failure("local s = string.rep('xx', 2^30)"), "not enough memory");
    assert_eq!(host.say("ngx.print('well')"), "well");
}

#[test]
fn an_error_in_one_request_leaves_the_others_as_they_are() {
    let host = Host::new();
    let (mut one, mut two) = (Request::get("/"), Request::get("/"));
    let handler = host.load("ngx.ctx.n = 1 ngx.sleep(1) ngx.say(ngx.ctx.n)");
    let tidegate_lua::Step::Wait(task) = host.vm.start(&handler, Phase::Content, &mut one) else {
        panic!("does not wait")
    };
    for _ in 0..100 {
        assert!(host.run(Phase::Access, "ngx.ctx.n = 2 local x = nil + 1", &mut two).is_err());
    }
    let step = host.vm.resume(task, tidegate_lua::Ticket::ENTRY, &tidegate_lua::Reply::Done, &mut one);
    assert!(matches!(step, tidegate_lua::Step::Done(Verdict::Continue)));
    assert_eq!(one.output(), "1\n");
}

#[test]
fn a_script_that_does_not_compile_is_refused_with_its_line() {
    let host = Host::new();
    let refused = |source| host.vm.load(&script("a.lua", source)).unwrap_err();
    assert_eq!(refused("x = \n= 1"), Error::Syntax("a.lua:2: unexpected symbol near '='".into()));
    assert_eq!(refused("do\nend end"), Error::Syntax("a.lua:2: '<eof>' expected near 'end'".into()));
    assert_eq!(
        refused("if x then\n"),
        Error::Syntax("a.lua:2: 'end' expected (to close 'if' at line 1) near '<eof>'".into())
    );
    assert_eq!(refused("\u{1b}LJ\u{2}"), Error::Syntax("a.lua: bytecode is not accepted".into()));
}

#[test]
fn chunk_names_may_be_given_in_lua_s_own_form() {
    let host = Host::new();
    for (name, shown) in [
        ("a/b.lua", "a/b.lua:1: x"),
        ("@a/b.lua", "a/b.lua:1: x"),
        ("=access_by_lua(tidegate.yaml:3)", "access_by_lua(tidegate.yaml:3):1: x"),
    ] {
        let handler = host.vm.load(&script(name, "error('x')")).unwrap();
        let tidegate_lua::Step::Failed(error) =
            host.vm.start(&handler, Phase::Access, &mut Request::get("/"))
        else {
            panic!("does not fail")
        };
        assert_eq!(error.message(), shown);
    }
}

#[test]
fn without_a_request_there_is_none_to_be_found() {
    let host = Host::new();
    // A finalizer runs when the VM likes, here: while it describes another error.
    let source = r"
        local names = {
            'ngx.say', 'ngx.exit', 'ngx.sleep', 'ngx.redirect', 'ngx.get_phase', 'ngx.req.get_headers', 'ngx.req.get_method',
            'ngx.req.get_uri_args', 'ngx.req.get_body_data', 'ngx.req.read_body', 'ngx.resp.get_headers',
        }
        error(setmetatable({}, { __tostring = function()
            local wrong = {}
            local function check(name, f, ...)
                local ok, err = pcall(f, ...)
                if ok or not string.find(err, 'no request found', 1, true) then
                    wrong[#wrong + 1] = name .. ': ' .. tostring(err)
                end
            end
            for _, name in ipairs(names) do
                check(name, loadstring('return ' .. name)(), 1)
            end
            check('ctx', function() return ngx.ctx end)
            check('set ctx', function() ngx.ctx = {} end)
            check('status', function() return ngx.status end)
            check('set status', function() ngx.status = 200 end)
            check('headers_sent', function() return ngx.headers_sent end)
            check('header', function() return ngx.header.x end)
            check('set header', function() ngx.header.x = 1 end)
            check('var', function() return ngx.var.x end)
            check('set_header', ngx.req.set_header, 'a', 'b')
            check('clear_header', ngx.req.clear_header, 'a')
            return table.concat(wrong, '; ') .. '.'
        end }))";
    assert_eq!(host.failure(source), ".");
}

#[test]
fn an_error_that_came_out_of_coroutines_has_the_traceback_of_each() {
    let failure = |source: &str| Host::new().run(Phase::Content, source, &mut Request::get("/")).unwrap_err();
    let inner = "local inner = coroutine.wrap(function()\n error('oh') end)";
    let error = failure(&format!("{inner} local outer = coroutine.wrap(function() inner() end) outer()"));
    assert_eq!(error.message(), "test.lua:2: oh");
    let lines: Vec<_> = error.traceback().lines().collect();
    assert_eq!(lines[..3], ["stack traceback:", "coroutine 0:", "\t[C]: in function 'error'"]);
    assert_eq!(lines.iter().filter(|line| line.starts_with("coroutine ")).count(), 3, "{lines:?}");
    // One that was caught is not the one that is told.
    let other = failure(&format!("{inner} pcall(inner) error('else')"));
    assert!(!other.traceback().contains("coroutine 1:"), "{}", other.traceback());
    let strange = failure("require('ngx.nothing')");
    assert!(!strange.traceback().contains("coroutine 1:"), "{}", strange.traceback());
}
