//! Scripts that are not trusted: what they can do, and what they try in vain.

use std::fs;

use tidegate_core::snapshot::{Budget, LuaSettings};
use tidegate_lua::{Handler, Level, Phase, Purpose, Step, Trust};

use crate::support::{Host, Request, dict_settings, script};

fn load(host: &Host, source: &str) -> Handler {
    host.vm.compile(&script("plugin.lua", source), Purpose::Phase, Trust::Sandbox).unwrap()
}

/// What a sandboxed script writes.
fn say(host: &Host, source: &str) -> String {
    let mut request = Request::get("/");
    let step = host.vm.start(&load(host, source), Phase::Content, &mut request);
    match host.drive(step, &mut request).0 {
        Step::Done(_) => request.output(),
        Step::Failed(error) => panic!("{error}\n{}", error.traceback()),
        Step::Wait(_) => unreachable!(),
    }
}

/// What a sandboxed script fails with.
fn failure(host: &Host, source: &str) -> String {
    match host.vm.start(&load(host, source), Phase::Content, &mut Request::get("/")) {
        Step::Failed(error) => error.message().to_owned(),
        other => panic!("it does not fail: {other:?}"),
    }
}

#[test]
fn ordinary_handlers_run() {
    let host = Host::new();
    for (source, expected) in [
        ("ngx.say(ngx.var.method, ngx.get_phase())", "GETcontent\n"),
        ("ngx.header.a = 1 ngx.status = 201 ngx.say(ngx.header.a, ngx.status)", "1201\n"),
        ("ngx.ctx.a = 1 ngx.say(ngx.ctx.a)", "1\n"),
        ("ngx.sleep(0) ngx.say(('x'):rep(3), string.format('%d', 4), math.floor(1.5))", "xxx41\n"),
        ("local c = require 'cjson' ngx.say(c.encode { 1, c.null })", "[1,null]\n"),
        ("local c = require 'cjson' ngx.say(c.encode(setmetatable({}, c.empty_array_mt)))", "[]\n"),
        ("local d = ngx.shared.dogs d:set('a', 1) ngx.say(d:incr('a', 1))", "2\n"),
        ("local l = require('resty.lrucache').new(2) l:set('a', 1) ngx.say((l:get('a')))", "1\n"),
        (
            "local t = ngx.thread.spawn(function() ngx.sleep(0) return 7 end) ngx.say(ngx.thread.wait(t))",
            "true7\n",
        ),
        ("ngx.say(ngx.re.match('abc', 'b', 'jo')[0])", "b\n"),
        ("ngx.say(coroutine.wrap(function() coroutine.yield(1) end)())", "1\n"),
        (
            "local o = setmetatable({}, { __index = { x = 1 } }) ngx.say(o.x, getmetatable(o).__index.x)",
            "11\n",
        ),
        ("local f = assert(loadstring('x = 1 return x')) ngx.say(f(), x)", "11\n"),
        (
            "local f = load(coroutine.wrap(function() coroutine.yield 'return' coroutine.yield ' 3' end)) ngx.say(f())",
            "3\n",
        ),
        ("local f = load('return y', '=n', 't', { y = 5 }) ngx.say(f())", "5\n"),
        ("return loadstring('ngx.say(2)')()", "2\n"),
        (
            "local function f() return z end setfenv(f, { z = 8 }) ngx.say(f(), getfenv(f).z, getfenv(1) == _G)",
            "88true\n",
        ),
        ("ngx.say(type(os.time()), os.date('!%Y', 0))", "number1970\n"),
        ("ngx.say(select(2, pcall(error, 'e')))", "e\n"),
    ] {
        assert_eq!(say(&host, source), expected, "{source}");
    }
}

#[test]
fn what_leads_out_is_not_there() {
    let host = Host::new();
    for gone in [
        "ffi",
        "debug",
        "io",
        "newproxy",
        "dofile",
        "loadfile",
        "module",
        "gcinfo",
        "os.execute",
        "os.exit",
        "os.remove",
        "os.rename",
        "os.tmpname",
        "os.getenv",
        "os.setlocale",
        "package.loadlib",
        "package.cpath",
        "package.loaders",
        "package.searchpath",
        "string.dump",
        "jit.opt",
        "jit.util",
        "ngx.run_worker_thread",
        "ngx.req.set_body_file",
        "package.loaded.io",
        "package.loaded.ffi",
        "package.loaded.debug",
        "package.loaded._G.io",
        "_G._G.io",
    ] {
        assert_eq!(say(&host, &format!("ngx.say({gone})")), "nil\n", "{gone}");
    }
    for module in [
        "ffi",
        "io",
        "os.path",
        "debug",
        "jit.util",
        "jit.opt",
        "string.buffer",
        "ngx.pipe",
        "ngx.process",
        "resty.openssl.pkey",
        "resty.sha256",
        "../../etc/passwd",
        "/etc/passwd",
        "tidegate.openssl",
        "resty.core.base",
    ] {
        let wrong = failure(&host, &format!("require '{module}'"));
        assert!(wrong.contains("not available in a sandbox: `sandbox: false`"), "{module}: {wrong}");
    }
}

/// What is said of an error beyond what LuaJIT says.
fn hint(host: &Host, source: &str) -> String {
    let message = failure(host, source);
    let (_, hint) = message.split_once("(a nil value)").unwrap_or_else(|| panic!("{source}: {message}"));
    hint.to_owned()
}

#[test]
fn who_misses_what_is_withheld_is_told_so_and_which_key_decides_on_it() {
    let host = Host::new();
    let key = ": `sandbox: false`, in `lua` or in the route's, is for scripts that may have all";
    for (source, missed) in [
        ("io.open('x')", "a sandbox has no io"),
        ("local io = io io.open('x')", "a sandbox has no io"),
        ("local io = io local function f() io.open('x') end f() f()", "a sandbox has no io"),
        ("x = 1 debug.traceback()", "a sandbox has no debug"),
        ("dofile('x')", "a sandbox has no dofile"),
        ("coroutine.wrap(function() io.open('x') end)()", "a sandbox has no io"),
        ("os.execute('x')", "if that is os.execute, a sandbox has none"),
        ("string.dump(print)", "if that is string.dump, a sandbox has none"),
        ("ngx.req.set_body_file('x')", "if that is ngx.req.set_body_file, a sandbox has none"),
    ] {
        assert_eq!(hint(&host, source), format!("; {missed}{key}"), "{source}");
    }
    let getenv = "; if that is os.getenv, a sandbox has none, unless `lua.env` says what it may see";
    assert_eq!(hint(&host, "os.getenv('x')"), getenv);
    for source in [
        "nothing.x = 1",
        "local module local y = module.x",
        "local t = {} local y = t.io.x",
        "local t = {} t.write()",
        "local t = {} t:remove()",
        "string.rep = nil string.rep('x', 2)",
    ] {
        assert_eq!(hint(&host, source), "", "{source}");
    }
    assert_eq!(say(&host, "if io then ngx.say('io') else ngx.say('none') end"), "none\n");
    let trusted = host.failure("no_such.x = 1");
    assert!(trusted.ends_with("(a nil value)"), "{trusted}");
}

#[test]
fn escapes_fail() {
    let host = Host::new();
    // Each answers what it got hold of; `nil` or `false` where that is nothing.
    for attempt in [
        "return getmetatable('')",
        "return getmetatable(ngx)",
        "return getmetatable(ngx.var)",
        "return getmetatable(_G)",
        "return getmetatable(ngx.shared.dogs)",
        "return getmetatable(ngx.socket.tcp())",
        "return getmetatable(require('resty.lrucache').new(1))",
        "return getfenv(ngx.say).io",
        "return getfenv(0).io",
        "return getfenv(print).io",
        "return getfenv(getfenv).io",
        "return pcall(setfenv, ngx.say, {})",
        "return pcall(setfenv, 0, {})",
        "return pcall(setfenv, 2, {})",
        "return pcall(setfenv, 3, {})",
        "return pcall(setfenv, coroutine.running(), {})",
        "return coroutine.wrap(function() return getfenv(0).io end)()",
        "return coroutine.wrap(getfenv)(0).io",
        "local _, e = coroutine.resume(coroutine.create(getfenv), 1) return type(e) == 'table' and e.io",
        "return pcall(getfenv, 1) and getfenv(1).io",
        "return pcall(getfenv, 2) and getfenv(2).io",
        "return pcall(getfenv, 3) and getfenv(3).io",
        "return loadstring(('').dump(function() end))",
        "return load(('').dump(function() end))",
        "return load(coroutine.wrap(function() coroutine.yield(('').dump(function() end)) end))",
        "return load('\\27LJ', 'n', 'b')",
        "return loadstring('return io')()",
        "return load('return io', 'n', 't')()",
        "return load('return io', 'n', 't', getfenv(0))()",
        "return xpcall(error, function() return getfenv(0).io end) and 1",
        "return getmetatable(1LL) ~= nil",
        "local s = ngx.socket.tcp() s[1] = { number = 0 } return (s:send('x'))",
        "return pcall(function() local s = require('ngx.semaphore').new() s.sem.number = 0 end)",
        "return pcall(function() local s = require('ngx.semaphore').new() s.sem = { number = 0 } s:post() end)",
        "return pcall(rawset, require('cjson').array_mt, '__index', 1)",
        "return pcall(setmetatable, require('cjson').array_mt, {})",
        "return pcall(setmetatable, ngx.var, {})",
        "return pcall(function() require('cjson').array_mt.__index = 1 end)",
        "return pcall(collectgarbage, 'stop') and collectgarbage('stop') ~= 0",
        "return pcall(string.rep, 'x', -1) and (string.rep('x', -1) ~= '')",
    ] {
        let body = format!("local got = (function() {attempt} end)() ngx.say(tostring(got))");
        let got = say(&host, &body);
        assert!(got == "nil\n" || got == "false\n", "{attempt}: {got}");
    }
}

#[test]
fn what_a_sandbox_changes_is_its_own() {
    let host = Host::new();
    let attack = "
        string.rep = 1 table.concat = nil math.floor = 1 ngx.say = 1 ngx.req.get_method = 1 ngx.shared.dogs.get = 1
        ngx.re.match = 1 ngx.null = 1 tostring = 1 coroutine.resume = 1 bit = nil secret = 1
        require('cjson').encode = 1 require('bit').band = 1 require('resty.lrucache').new = 1
        package.loaded.cjson = 1 package.loaded.ngx = 1 package.preload.x = 1 package.path = '' _G.print = nil
        for name in pairs(ngx) do ngx[name] = nil end
        rawset(_G, 'other', 1)";
    host.vm.start(&load(&host, attack), Phase::Access, &mut Request::get("/"));
    let probe = "
        ngx.say(string.rep('x', 2), table.concat { 1 }, math.floor(1), ngx.req.get_method(), secret, other,
            require('cjson').encode {}, require('bit').band(3, 1), package.loaded.ngx == ngx, package.preload.x,
            type(ngx.shared.dogs.get), type(ngx.re.match), type(print), type(require('resty.lrucache').new))";
    let expected = "xx11GETnilnil{}1truenilfunctionfunctionfunctionfunction\n";
    assert_eq!(say(&host, probe), expected);
    assert_eq!(host.say(probe), expected);
}

#[test]
fn modules_are_loaded_for_each_sandbox() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().display();
    fs::write(folder.path().join("m.lua"), "made = io return { count = 0, io = io, name = ... }").unwrap();
    fs::write(folder.path().join("b.lua"), "this is not Lua").unwrap();
    fs::write(folder.path().join("c.lua"), b"\x1bLJ").unwrap();
    let settings = LuaSettings { package_path: format!("{path}/?.lua"), ..LuaSettings::default() };
    let host = Host::with_settings(&settings);
    let count = "local m = require 'm' m.count = m.count + 1 ngx.say(m.count, m.io, m.name)";
    let (one, other) = (load(&host, count), load(&host, count));
    for (handler, expected) in [(&one, "1nilm\n"), (&one, "2nilm\n"), (&other, "1nilm\n")] {
        let mut request = Request::get("/");
        host.vm.start(handler, Phase::Content, &mut request);
        assert_eq!(request.output(), expected);
    }
    assert_eq!(host.say("ngx.say(package.loaded.m)"), "nil\n");
    assert!(failure(&host, "require 'b'").contains("b.lua:1:"));
    assert!(failure(&host, "require 'c'").contains("chunk with wrong mode"));
    assert!(failure(&host, "require 'none'").starts_with("plugin.lua:1: module 'none' not found"));
}

#[test]
fn what_is_loaded_in_a_sandbox_is_within_its_budget() {
    let budget = Budget { cpu: std::time::Duration::from_millis(20), memory_bytes: 64 << 20 };
    let settings =
        LuaSettings { budget, shared_dicts: dict_settings(&[("dogs", 4096)]), ..LuaSettings::default() };
    let host = Host::with_settings(&settings);
    for attack in [
        "loadstring('while true do end', '=ngx.base')()",
        "load('while true do end', '=[C]')()",
        "loadstring('while true do end', '=ngx.x')()",
        "error(setmetatable({}, { __tostring = function() while true do end end }))",
        "ngx.thread.spawn(function() error(setmetatable({}, { __tostring = function() while true do end end })) end)",
        "while true do xpcall(function() while true do end end, function() while true do end end) end",
        "local _ = ('x'):gsub('.', function() xpcall(function() while true do end end, function() while true do end end) end)",
        "xpcall(error, function() while true do end end) while true do end",
        "setmetatable(_G, { __index = function() while true do end end }) return x",
    ] {
        host.vm.start(&load(&host, attack), Phase::Content, &mut Request::get("/"));
        assert_eq!(host.say("ngx.say('on')"), "on\n", "{attack}");
    }
}

#[test]
fn globals_are_warned_of_and_last_for_a_run() {
    let host = Host::new();
    let count = load(&host, "n = (n or 0) + 1 ngx.say(n)");
    for warnings in [1, 0] {
        let mut request = Request::get("/");
        host.vm.start(&count, Phase::Content, &mut request);
        assert_eq!(request.output(), "1\n");
        let log = host.take_log();
        assert_eq!(log.len(), warnings, "{log:?}");
        assert!(
            log.iter()
                .all(|(level, text)| *level == Level::Warn && text.contains("global Lua variable ('n')"))
        );
    }
}

#[test]
fn a_run_has_globals_of_its_own() {
    let host = Host::new();
    for source in [
        "n = (n or 0) + 1 ngx.print(n)",
        "_G.n = (n or 0) + 1 ngx.print(n)",
        "local function f() n = (n or 0) + 1 end f() ngx.print(n)",
        "rawset(getfenv(), 'n', (n or 0) + 1) ngx.print(n)",
        "n = (n or 0) + 1 ngx.print(n, ...)",
        "n = (n or 0) + 1 ngx.sleep(0) ngx.print(n)",
    ] {
        let counter = load(&host, source);
        for _ in 0..3 {
            let mut request = Request::get("/");
            let step = host.vm.start(&counter, Phase::Content, &mut request);
            assert!(matches!(host.drive(step, &mut request).0, Step::Done(_)), "{source}");
            assert_eq!(request.output(), "1", "{source}");
        }
    }
}

#[test]
fn runs_that_wait_keep_their_own_globals() {
    let host = Host::new();
    let counter =
        load(&host, "n = (n or 0) + 1 local function show() ngx.print(n) end ngx.sleep(1) n = n + 1 show()");
    let (mut one, mut other) = (Request::get("/"), Request::get("/"));
    let first = host.vm.start(&counter, Phase::Content, &mut one);
    let second = host.vm.start(&counter, Phase::Content, &mut other);
    host.drive(first, &mut one);
    host.drive(second, &mut other);
    assert_eq!((one.output(), other.output()), ("2".into(), "2".into()));
}
