//! `ngx.thread`: light threads, and how they go with coroutines, errors and exits.

use tidegate_lua::{Level, Op, Order, Phase, Reply, Step, Ticket, Verdict};

use crate::support::{Host, Request};

fn failure_of(source: &str) -> String {
    let host = Host::new();
    let mut request = Request::get("/");
    let start = host.vm.start(&host.load(source), Phase::Content, &mut request);
    match host.drive(start, &mut request).0 {
        Step::Failed(error) => error.message().to_owned(),
        other => panic!("it does not fail: {other:?}"),
    }
}

#[test]
fn a_light_thread_runs_at_once_until_it_waits() {
    let source = r"
        local function f(a, b) ngx.say('f ', a, ' ', b) ngx.sleep(1) ngx.say('f ends') end
        ngx.say('before') local t = ngx.thread.spawn(f, 1, 'x') ngx.say('after ', type(t))";
    let mut request = Request::get("/");
    let (verdict, ops) = Host::new().answer(source, &mut request);
    assert_eq!(request.output(), "before\nf 1 x\nafter thread\nf ends\n");
    assert_eq!((verdict, ops), (Verdict::Continue, vec!["Sleep(1s)".to_owned()]));
}

#[test]
fn many_threads_wait_at_once_and_go_on_in_any_order() {
    let host = Host::new();
    let mut request = Request::get("/");
    let handler = host.load(
        "for i = 1, 3 do ngx.thread.spawn(function() ngx.sleep(i) ngx.say('t', i) end) end
        ngx.sleep(9) ngx.say('entry')",
    );
    let Step::Wait(mut task) = host.vm.start(&handler, Phase::Content, &mut request) else { panic!() };
    let mut begun: Vec<Ticket> = std::iter::from_fn(|| task.order())
        .map(|order| match order {
            Order::Begin(ticket, Op::Sleep(_)) => ticket,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(begun.len(), 4, "all of them wait");
    assert_eq!(begun[3], Ticket::ENTRY);
    begun.swap(0, 2);
    for (index, ticket) in begun.into_iter().enumerate() {
        match host.vm.resume(task, ticket, &Reply::Done, &mut request) {
            Step::Wait(next) => task = next,
            Step::Done(Verdict::Continue) => {
                assert_eq!(index, 3);
                break;
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(request.output(), "t3\nt2\nt1\nentry\n");
}

#[test]
fn a_plain_yield_lets_the_others_go_first() {
    let source = r"
        local yield = coroutine.yield
        local function f(name)
            return function() for i = 1, 3 do ngx.say(name, ' ', i) yield(7) end end
        end
        ngx.thread.spawn(f('f')) ngx.thread.spawn(f('g')) ngx.say('done')";
    assert_eq!(Host::new().say(source), "f 1\ng 1\nf 2\ndone\ng 2\nf 3\ng 3\n");
}

#[test]
fn wait_returns_what_the_thread_did() {
    let source = r"
        local function at_once(...) return ... end
        local function later(...) ngx.sleep(1) return ... end
        ngx.say(ngx.thread.wait(ngx.thread.spawn(at_once, 1, nil, 'x')))
        ngx.say(ngx.thread.wait(ngx.thread.spawn(later, 2, false)))
        ngx.say(select('#', ngx.thread.wait(ngx.thread.spawn(later))))";
    assert_eq!(Host::new().say(source), "true1nilx\ntrue2false\n1\n");
}

#[test]
fn wait_returns_the_first_of_several_to_end() {
    let source = r"
        local function f(times, name) for _ = 1, times do ngx.sleep(0) end return name end
        local slow, fast = ngx.thread.spawn(f, 5, 'slow'), ngx.thread.spawn(f, 1, 'fast')
        ngx.say(ngx.thread.wait(slow, fast))
        ngx.say(coroutine.status(slow), ' ', coroutine.status(fast))
        ngx.say(ngx.thread.wait(fast, slow))
        ngx.say(ngx.thread.wait(slow, fast))
        local zombie = ngx.thread.spawn(function() return 'zombie' end)
        ngx.say(coroutine.status(zombie)) ngx.say(ngx.thread.wait(zombie)) ngx.say(coroutine.status(zombie))";
    assert_eq!(
        Host::new().say(source),
        "truefast\nrunning dead\ntrueslow\nnilalready waited or killed\nzombie\ntruezombie\ndead\n"
    );
}

#[test]
fn an_error_in_a_light_thread_is_logged_and_told_to_who_waits() {
    let host = Host::new();
    let mut request = Request::get("/");
    let source = "local t = ngx.thread.spawn(function() ngx.sleep(1) error('oh') end)
        ngx.say(ngx.thread.wait(t))
        local u = ngx.thread.spawn(function() error({ code = 7 }) end)
        local ok, err = ngx.thread.wait(u) ngx.say(ok, ' ', err.code)
        ngx.say(ngx.thread.wait(ngx.thread.spawn(function() local x = nil return x.y end)))
        ngx.thread.spawn(function() error('nobody waits') end) ngx.say('on')";
    assert_eq!(host.answer(source, &mut request).0, Verdict::Continue);
    assert_eq!(
        request.output(),
        "falseoh\nfalse 7\nfalsetest.lua:5: attempt to index local 'x' (a nil value)\non\n"
    );
    let log = host.take_log();
    assert_eq!(log.len(), 4);
    assert_eq!(log[0].0, Level::Error);
    assert!(
        log[0].1.starts_with("lua user thread aborted: runtime error: test.lua:1: oh\nstack traceback:\n")
    );
    assert!(log[0].1.contains("in function 'error'"), "{}", log[0].1);
    assert!(log[1].1.contains("error object is a table value"), "{}", log[1].1);
}

#[test]
fn an_error_in_the_entry_thread_ends_all() {
    assert_eq!(
        failure_of("ngx.thread.spawn(function() ngx.sleep(1) ngx.say('never') end) ngx.sleep(0) error('no')"),
        "test.lua:1: no"
    );
}

#[test]
fn an_exit_in_any_thread_ends_the_run() {
    let host = Host::new();
    for source in [
        "ngx.thread.spawn(function() ngx.sleep(0) ngx.exit(403) end) ngx.sleep(1) ngx.sleep(1) ngx.say('never')",
        "ngx.thread.spawn(function() ngx.sleep(1) ngx.sleep(1) ngx.say('never') end) ngx.sleep(0) ngx.exit(403)",
        "ngx.thread.spawn(function() pcall(ngx.exit, 403) end) ngx.say('never')",
        "ngx.thread.spawn(function() coroutine.wrap(function() ngx.exit(403) end)() end) ngx.say('never')",
    ] {
        let mut request = Request::get("/");
        assert_eq!(host.answer(source, &mut request).0, Verdict::Exit(403), "{source}");
        assert_eq!(request.output(), "");
    }
    // What was left behind does no harm.
    for _ in 0..3 {
        assert_eq!(host.say("collectgarbage() ngx.say(ngx.thread.wait(ngx.thread.spawn(print)))"), "true\n");
    }
}

#[test]
fn the_entry_thread_may_end_first() {
    let source =
        "ngx.thread.spawn(function() ngx.sleep(1) ngx.sleep(1) ngx.say('last') end) ngx.say('first')";
    assert_eq!(Host::new().say(source), "first\nlast\n");
}

#[test]
fn kill_ends_a_thread_and_what_it_waits_for() {
    let host = Host::new();
    let mut request = Request::get("/");
    let source = r"
        local t = ngx.thread.spawn(function() ngx.sleep(100) ngx.say('never') end)
        ngx.say(ngx.thread.kill(t)) ngx.say(coroutine.status(t))
        ngx.say(ngx.thread.kill(t)) ngx.say(ngx.thread.wait(t))
        local z = ngx.thread.spawn(function() end)
        ngx.say(ngx.thread.kill(z))
        ngx.say(ngx.thread.kill(coroutine.create(print)))
        ngx.say(ngx.thread.kill(coroutine.running()))";
    let (_, ops) = host.answer(source, &mut request);
    assert_eq!(
        request.output(),
        "1\ndead\nnilalready waited or killed\nnilalready waited or killed\n\
         nilalready terminated\nnilnot user thread\nnilnot user thread\n"
    );
    assert!(ops.is_empty(), "what was killed before it was begun never is");
}

#[test]
fn what_was_begun_for_a_killed_thread_is_ended() {
    let host = Host::new();
    let mut request = Request::get("/");
    let handler = host.load(
        "local t = ngx.thread.spawn(function() ngx.sleep(100) end) ngx.sleep(0) ngx.thread.kill(t) ngx.sleep(1)
        ngx.say('end')",
    );
    let Step::Wait(mut task) = host.vm.start(&handler, Phase::Content, &mut request) else { panic!() };
    let Some(Order::Begin(killed, _)) = task.order() else { panic!() };
    let Some(Order::Begin(Ticket::ENTRY, _)) = task.order() else { panic!() };
    let Step::Wait(mut task) = host.vm.resume(task, Ticket::ENTRY, &Reply::Done, &mut request) else {
        panic!()
    };
    assert!(matches!(task.order(), Some(Order::End(ticket)) if ticket == killed));
    // It may have been done just then.
    let Step::Wait(task) = host.vm.resume(task, killed, &Reply::Done, &mut request) else { panic!() };
    let step = host.vm.resume(task, Ticket::ENTRY, &Reply::Done, &mut request);
    assert!(matches!(step, Step::Done(Verdict::Continue)));
    assert_eq!(request.output(), "end\n");
}

#[test]
fn only_a_parent_may_wait_and_kill() {
    let kin = "local t coroutine.wrap(function() t = ngx.thread.spawn(function() ngx.sleep(1) end) end)()";
    assert_eq!(
        failure_of(&format!("{kin} ngx.thread.wait(t)")),
        "test.lua:1: only the parent coroutine can wait on the thread"
    );
    assert_eq!(Host::new().say(&format!("{kin} ngx.say(ngx.thread.kill(t))")), "nilkiller not parent\n");
    let itself = "local t = ngx.thread.spawn(function() ngx.say(ngx.thread.kill(coroutine.running())) end)";
    assert_eq!(Host::new().say(itself), "nilkiller not parent\n");
}

#[test]
fn misuse_is_an_error() {
    for (source, error) in [
        ("ngx.thread.spawn()", "bad argument #1 to 'spawn' (Lua function expected)"),
        ("ngx.thread.wait()", "at least one coroutine should be specified"),
        ("ngx.thread.wait(1)", "bad argument #1 to 'wait' (lua thread expected)"),
        ("ngx.thread.kill('x')", "bad argument #1 to 'kill' (lua thread expected)"),
        (
            "ngx.thread.wait(coroutine.create(print))",
            "attempt to wait on a coroutine that is not a user thread",
        ),
    ] {
        assert_eq!(failure_of(source), format!("test.lua:1: {error}"));
    }
}

#[test]
fn a_thread_in_a_coroutine_belongs_to_it() {
    let source = r"
        local co = coroutine.wrap(function()
            ngx.say('a')
            local t = ngx.thread.spawn(function(x) ngx.say('b') ngx.sleep(1) return x end, 5)
            coroutine.yield('out')
            ngx.say(ngx.thread.wait(t))
            return 'end'
        end)
        ngx.say(co()) ngx.say(co())";
    assert_eq!(Host::new().say(source), "a\nb\nout\ntrue5\nend\n");
}

#[test]
fn threads_nest_deeper_than_the_c_stack() {
    let source = r"
        local function f(n)
            if n == 0 then ngx.sleep(1) return 0 end
            local ok, deep = ngx.thread.wait(ngx.thread.spawn(f, n - 1))
            return deep + 1
        end
        ngx.say(f(3000))";
    assert_eq!(Host::new().say(source), "3000\n");
}

#[test]
fn statuses_are_openresty_s() {
    let source = r"
        local waits = ngx.thread.spawn(function() ngx.sleep(1) end)
        local inner
        local resumes = ngx.thread.spawn(function()
            inner = coroutine.create(function() ngx.sleep(1) end) coroutine.resume(inner)
        end)
        ngx.say(coroutine.status(waits), ' ', coroutine.status(resumes), ' ', coroutine.status(inner))
        ngx.say(coroutine.resume(waits)) ngx.say(coroutine.resume(resumes)) ngx.say(coroutine.resume(inner))
        ngx.thread.wait(waits)
        ngx.say(coroutine.resume(waits))
        ngx.say(coroutine.resume(coroutine.running()))";
    assert_eq!(
        Host::new().say(source),
        "running normal running\nfalsecannot resume running coroutine\nfalsecannot resume normal coroutine\n\
         falsecannot resume running coroutine\nfalsecannot resume dead coroutine\n\
         falsecannot resume running coroutine\n"
    );
}

#[test]
fn another_request_cannot_touch_a_thread() {
    let host = Host::new();
    let (mut first, mut second) = (Request::get("/"), Request::get("/"));
    let handler = host.load(
        "package.loaded.t = ngx.thread.spawn(function() ngx.sleep(1) ngx.say('mine') end)
        package.loaded.entry = coroutine.running() ngx.sleep(1)",
    );
    let Step::Wait(task) = host.vm.start(&handler, Phase::Content, &mut first) else { panic!() };
    host.answer(
        "ngx.say(coroutine.resume(package.loaded.t)) ngx.say(ngx.thread.kill(package.loaded.t))
        ngx.say(coroutine.resume(package.loaded.entry))",
        &mut second,
    );
    assert_eq!(
        second.output(),
        "falsecannot resume dead coroutine\nnilkiller not parent\nfalsecannot resume running coroutine\n"
    );
    assert!(matches!(host.drive(Step::Wait(task), &mut first).0, Step::Done(_)));
    assert_eq!(first.output(), "mine\n");
}

#[test]
fn ended_threads_are_given_back() {
    let host = Host::new();
    let source = "for i = 1, 200 do
            local t = ngx.thread.spawn(function() if i % 2 == 0 then ngx.sleep(0) end return ('x'):rep(100) end)
            if i % 3 == 0 then ngx.thread.kill(t) elseif i % 3 == 1 then ngx.thread.wait(t) end
        end collectgarbage() collectgarbage()";
    let settled = |rounds| {
        for _ in 0..rounds {
            host.say(source);
        }
        host.vm.memory_bytes()
    };
    let before = settled(5);
    let after = settled(30);
    assert!(after < before + (64 << 10), "{before} bytes grew to {after}");
}

#[test]
fn nothing_cuts_off_a_subrequest() {
    let spawned = "local t = ngx.thread.spawn(function() ngx.say(ngx.location.capture('/a').status) end)";
    let said = |rest: &str| Host::new().say(&format!("{spawned} {rest}"));
    assert_eq!(
        said(
            "ngx.say(coroutine.status(t)) ngx.say(ngx.thread.kill(t)) ngx.thread.wait(t) ngx.say(ngx.thread.kill(t))"
        ),
        "running\nnilpending subrequests\n203\nnilalready waited or killed\n"
    );
    for call in ["ngx.exit, 403", "ngx.redirect, '/x'", "ngx.exec, '/x'"] {
        let error = said(&format!("local _, why = pcall({call}) ngx.thread.wait(t) ngx.say(why)"));
        assert_eq!(error, "203\nattempt to abort with pending subrequests\n", "{call}");
    }
    let mut request = Request::get("/");
    assert_eq!(Host::new().answer(&format!("{spawned} ngx.exit(444)"), &mut request).0, Verdict::Exit(444));
}

#[test]
fn a_sleep_that_nobody_will_be_woken_from_is_told() {
    let told = |source: &str| {
        let host = Host::new();
        host.answer(source, &mut Request::get("/"));
        let log = host.take_log();
        log.iter().filter(|(_, text)| text == "lua clean up the timer for pending ngx.sleep").count()
    };
    assert_eq!(told("ngx.thread.kill(ngx.thread.spawn(ngx.sleep, 1))"), 1);
    assert_eq!(told("ngx.thread.spawn(ngx.sleep, 9) ngx.thread.spawn(ngx.sleep, 9) ngx.exit(200)"), 2);
    assert_eq!(told("xpcall(error, function() ngx.sleep(1) end)"), 1);
    assert_eq!(told("ngx.thread.wait(ngx.thread.spawn(ngx.sleep, 1))"), 0);
}

#[test]
fn threads_are_in_flight_until_they_ended_and_were_waited_for() {
    let host = Host::new();
    host.say("ngx.say(ngx.thread.wait(ngx.thread.spawn(ngx.sleep, 1)))");
    assert_eq!(host.vm.coroutines_in_flight(), 0, "threads that idle are not in flight");
    let handler = host.load("for i = 1, 3 do ngx.thread.spawn(ngx.sleep, 1) end ngx.sleep(1)");
    let waiting = host.vm.start(&handler, Phase::Content, &mut Request::get("/"));
    assert_eq!(host.vm.coroutines_in_flight(), 4);
    drop(waiting);
    assert_eq!(host.vm.coroutines_in_flight(), 0);
    host.failure("error('oh')");
    assert_eq!(host.vm.coroutines_in_flight(), 0);
}
