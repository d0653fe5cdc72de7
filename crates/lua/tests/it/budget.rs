//! Runs that take too much, and those beside them.

use std::time::Duration;

use tidegate_core::snapshot::{Budget, LuaSettings};
use tidegate_lua::{Long, Phase, Step};

use crate::support::{Host, Request};

fn host(cpu: Duration, memory_bytes: u64) -> Host {
    Host::with_settings(&LuaSettings { budget: Budget { cpu, memory_bytes }, ..LuaSettings::default() })
}

fn short() -> Host {
    host(Duration::from_millis(20), 0)
}

#[test]
fn a_run_that_takes_too_long_is_ended_with_its_place() {
    let host = short();
    for source in [
        "\nwhile true do end",
        "\nlocal n = 0 while true do n = n + 1 end",
        "\nwhile true do pcall(function() while true do end end) end",
        "\ncoroutine.wrap(function() while true do end end)()",
        "\nlocal function f() return f() end f()",
        "\nngx.thread.spawn(function() while true do end end) while true do end",
        "\nlocal t = {} for i = 1, 1e9 do t[i % 100] = tostring(i) end",
    ] {
        let error = host.run(Phase::Access, source, &mut Request::get("/")).unwrap_err();
        assert!(error.message().ends_with("CPU budget of 20ms used up"), "{}", error.message());
        assert!(error.message().starts_with("test.lua:2: "), "{}", error.message());
        assert!(error.traceback().contains("test.lua"), "{}", error.traceback());
        assert_eq!(host.say("ngx.say('the next one is fine')"), "the next one is fine\n");
    }
}

#[test]
fn who_has_less_because_it_ran_away_is_told_so() {
    let host = short();
    let mut request = Request::get("/");
    request.state.left_to_stretch = Some(Duration::from_millis(10));
    let error = host.run(Phase::Access, "while true do end", &mut request).unwrap_err();
    let told = "test.lua:1: CPU budget of 10ms used up, which is 20ms where Lua has not run away of late";
    assert_eq!(error.message(), told);
    assert_eq!(request.state.take_usage().long, Some(Long::CutOff));
}

#[test]
fn those_who_wait_do_not_notice() {
    let host = short();
    let mut waiting = Request::get("/");
    let handler = host.load("ngx.say('a') ngx.sleep(1) ngx.say('b')");
    let step = host.vm.start(&handler, Phase::Content, &mut waiting);
    host.run(Phase::Access, "while true do end", &mut Request::get("/")).unwrap_err();
    assert!(matches!(host.drive(step, &mut waiting).0, Step::Done(_)));
    assert_eq!(waiting.output(), "a\nb\n");
}

#[test]
fn time_is_counted_from_one_wait_to_the_next() {
    let host = host(Duration::from_secs(5), 0);
    // No single stretch is long, however many there are.
    let source =
        "for i = 1, 100 do local n = 0 for j = 1, 1e4 do n = n + j % 7 end ngx.sleep(0) end ngx.say('end')";
    assert_eq!(host.say(source), "end\n");
}

#[test]
fn a_run_that_fills_the_memory_is_ended_and_the_memory_comes_back() {
    let host = host(Duration::ZERO, 64 << 20);
    let before = host.vm.memory_bytes();
    for source in [
        "local t = {} for i = 1, 1e12 do t[i] = { i } end",
        "local t = {} while true do t[#t + 1] = ('x'):rep(100000) .. #t end",
        "local s = ('x'):rep(2e9)",
        "local s = 'x' while true do s = s .. s end",
        "while true do pcall(string.rep, 'x', 2e9) end",
        "local t = require('table.new')(1e8, 0)",
        "require('cjson').decode('[' .. ('1,'):rep(3e7) .. '1]')",
        "local t = {} for i = 1, 1e8 do t[i] = coroutine.create(function() end) end",
        "local t = {} for i = 1, 1e8 do t[i] = ngx.thread.spawn(function() local s = {} for i = 1, 99 do s[i] = i end return s end) end",
        "coroutine.wrap(function() local s = ('x'):rep(2e9) end)()",
    ] {
        let error = host.run(Phase::Access, source, &mut Request::get("/")).unwrap_err();
        assert!(error.message().ends_with("memory limit of 65536 KiB reached"), "{}", error.message());
        assert_eq!(host.say("collectgarbage() ngx.say('on')"), "on\n");
        assert!(host.vm.memory_bytes() < before + (8 << 20), "{source} {}", host.vm.memory_bytes());
    }
}

#[test]
fn what_was_put_together_for_a_huge_string_goes_with_the_run_that_wanted_it() {
    let host = host(Duration::ZERO, 512 << 20);
    host.say("collectgarbage() ngx.say('on')");
    let before = host.vm.memory_bytes();
    let source = "local s = 'x' while true do s = s:rep(2) end";
    host.run(Phase::Access, source, &mut Request::get("/")).unwrap_err();
    let after = host.vm.memory_bytes();
    assert!(after < before + (2 << 20), "{before} bytes grew to {after}");
}

/// Of one request, beside no bound for runs.
fn request(millis: u64, memory_bytes: u64) -> Request {
    let mut request = Request::get("/");
    request.state.budget = Budget { cpu: Duration::from_millis(millis), memory_bytes };
    request
}

#[test]
fn a_request_has_a_budget_of_its_own() {
    let host = host(Duration::ZERO, 0);
    let error = host.run(Phase::Access, "\nwhile true do end", &mut request(20, 0)).unwrap_err();
    assert_eq!(error.message(), "test.lua:2: CPU budget of 20ms used up");
    assert!(error.traceback().contains("test.lua"), "{}", error.traceback());
    let error = host.run(Phase::Access, "\nlocal s = ('x'):rep(1e9)", &mut request(0, 1 << 20)).unwrap_err();
    assert_eq!(error.message(), "test.lua:2: memory limit of 1024 KiB reached");
    assert_eq!(host.say("ngx.say(#('x'):rep(2e6))"), "2000000\n");
}

#[test]
fn the_budget_of_a_request_is_for_all_of_its_runs() {
    let host = host(Duration::ZERO, 0);
    let busy = host.load("local n = 0 for i = 1, 2e6 do n = n + i % 3 + #tostring(i % 7) end");
    let mut one = request(30, 0);
    let failed =
        (0..10_000).find(|_| matches!(host.vm.start(&busy, Phase::Access, &mut one), Step::Failed(_)));
    assert!(failed.is_some_and(|runs| runs < 1_000), "{failed:?}");
    assert!(matches!(host.vm.start(&busy, Phase::Access, &mut request(10_000, 0)), Step::Done(_)));

    // Stretches that are too short to be looked at.
    let short = host.load("while true do for i = 1, 1e4 do end ngx.sleep(0) end");
    let mut one = request(10, 0);
    let step = host.vm.start(&short, Phase::Access, &mut one);
    assert!(matches!(host.drive(step, &mut one).0, Step::Failed(_)));

    let leak = host.load("kept = ngx.ctx kept[#kept + 1] = ('x'):rep(200000 + #kept)");
    let mut one = request(0, 1 << 20);
    let failed = (0..100).find(|_| matches!(host.vm.start(&leak, Phase::Access, &mut one), Step::Failed(_)));
    assert!(failed.is_some_and(|runs| (2..6).contains(&runs)), "{failed:?}");
}

#[test]
fn what_a_request_takes_is_counted() {
    let host = host(Duration::ZERO, 0);
    let mut one = Request::get("/");
    let source = "local s = ('x'):rep(1e6) ngx.sleep(0) ngx.sleep(0) for i = 1, 1e6 do s = i % 3 end";
    host.answer(source, &mut one);
    let usage = one.state.take_usage();
    assert_eq!(usage.taken.yields, 2);
    assert!((1_000_000..4_000_000).contains(&usage.taken.allocated_bytes), "{usage:?}");
    assert!(usage.taken.cpu_ns > 0 && usage.taken.wait_ns > 0, "{usage:?}");
    assert_eq!(one.state.take_usage(), tidegate_lua::Usage::default());
}

#[test]
fn without_a_bound_nobody_watches() {
    let host = host(Duration::ZERO, 0);
    assert_eq!(host.say("local n = 0 for i = 1, 3e7 do n = n + i % 3 end ngx.say(n)"), "30000000\n");
}
