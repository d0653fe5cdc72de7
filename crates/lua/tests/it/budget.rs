//! Runs that take too much, and those beside them.

use std::time::Duration;

use tidegate_core::snapshot::{Budget, LuaSettings};
use tidegate_lua::{Phase, Step};

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
    ] {
        let error = host.run(Phase::Access, source, &mut Request::get("/")).unwrap_err();
        assert!(error.message().ends_with("memory limit of 65536 KiB reached"), "{}", error.message());
        assert_eq!(host.say("collectgarbage() ngx.say('on')"), "on\n");
        assert!(host.vm.memory_bytes() < before + (8 << 20));
    }
}

#[test]
fn without_a_bound_nobody_watches() {
    let host = host(Duration::ZERO, 0);
    assert_eq!(host.say("local n = 0 for i = 1, 3e7 do n = n + i % 3 end ngx.say(n)"), "30000000\n");
}
