//! `ngx.timer`, run by a driver that has all the time in the world, and runs without a request in general.

use std::{cell::RefCell, rc::Rc, time::Duration};

use tidegate_core::snapshot::LuaSettings;
use tidegate_lua::{Level, Order, Phase, Reply, RequestState, Step, Timer, Verdict};

use crate::support::{Host, script};

/// A VM and the timers that its scripts have set.
struct Clock {
    host: Host,
    armed: Rc<RefCell<Vec<Timer>>>,
}

impl Clock {
    fn new(settings: &LuaSettings) -> Self {
        let host = Host::with_settings(settings);
        let armed: Rc<RefCell<Vec<Timer>>> = Rc::default();
        let sink = Rc::clone(&armed);
        host.vm.set_timer_sink(move |timer| sink.borrow_mut().push(timer));
        Self { host, armed }
    }

    fn fire(&self, timer: Timer, premature: bool, last: bool) -> Step {
        let running = self.host.vm.expire(timer.id, last).expect("too many run");
        let mut state = RequestState::default();
        let mut step = self.host.vm.start_timer(&running, premature, last, &mut state);
        while let Step::Wait(mut task) = step {
            let Some(Order::Begin(ticket, _)) = task.order() else { panic!("it waits for nothing") };
            step = self.host.vm.resume_alone(task, ticket, &Reply::Done, &mut state);
        }
        step
    }

    fn lines(&self) -> Vec<String> {
        let text = |(_, line): (Level, String)| line.rsplit_once(": ").unwrap().1.to_owned();
        self.host.take_log().into_iter().map(text).collect()
    }
}

#[test]
fn a_timer_calls_its_function_with_its_arguments() {
    let clock = Clock::new(&LuaSettings::default());
    let source = "ngx.say(ngx.timer.at(0.5, function(premature, a, b, c)
        ngx.sleep(1) print(ngx.get_phase(), tostring(premature), a, tostring(b), c) end, 1, nil, 'x'))";
    assert_eq!(clock.host.say(source), "1\n");
    let [timer] = clock.armed.take()[..] else { panic!() };
    assert_eq!((timer.delay, timer.repeats), (Duration::from_millis(500), false));
    assert_eq!(clock.host.vm.timer_counts(), (1, 0));
    assert!(matches!(clock.fire(timer, false, true), Step::Done(Verdict::Continue)));
    assert_eq!(clock.lines(), ["timerfalse1nilx"]);
    assert_eq!(clock.host.vm.timer_counts(), (0, 0));
}

#[test]
fn a_timer_that_repeats_is_called_until_the_last_time() {
    let clock = Clock::new(&LuaSettings::default());
    clock.host.say("ngx.timer.every(1, function(premature, x) print(x, tostring(premature)) end, 'x')");
    let [timer] = clock.armed.take()[..] else { panic!() };
    assert!(timer.repeats);
    clock.fire(timer, false, false);
    clock.fire(timer, false, false);
    assert_eq!(clock.host.vm.timer_counts(), (1, 0));
    clock.fire(timer, true, true);
    assert_eq!(clock.lines(), ["xfalse", "xfalse", "xtrue"]);
    assert_eq!(clock.host.vm.timer_counts(), (0, 0));
}

#[test]
fn each_run_has_a_context_of_its_own() {
    let clock = Clock::new(&LuaSettings::default());
    clock.host.say(
        "ngx.ctx.mine = 'request'
        for i = 1, 2 do ngx.timer.at(0, function() print(tostring(ngx.ctx.mine)) ngx.ctx.mine = i ngx.sleep(0)
            print(ngx.ctx.mine) end) end",
    );
    for timer in clock.armed.take() {
        clock.fire(timer, false, true);
    }
    assert_eq!(clock.lines(), ["nil", "1", "nil", "2"]);
}

#[test]
fn a_timer_may_set_timers_and_spawn_threads_but_has_no_request() {
    let clock = Clock::new(&LuaSettings::default());
    clock.host.say(
        "ngx.timer.at(0, function()
            ngx.timer.at(0, print)
            print(ngx.timer.running_count(), ngx.timer.pending_count())
            print(select(2, ngx.thread.wait(ngx.thread.spawn(function() ngx.sleep(1) return 'thread' end))))
            print(select(2, pcall(ngx.say, 'x')))
            ngx.exit(0) end)",
    );
    let timer = clock.armed.take()[0];
    assert!(matches!(clock.fire(timer, false, true), Step::Done(Verdict::Exit(0))));
    let lines = clock.lines();
    assert_eq!(lines[..2], ["11", "thread"]);
    assert!(
        lines[2..].iter().all(|line| line.ends_with("API disabled in the context of ngx.timer")),
        "{lines:?}"
    );
    assert_eq!(clock.armed.take().len(), 1);
}

#[test]
fn an_error_in_a_timer_is_told_to_the_driver() {
    let clock = Clock::new(&LuaSettings::default());
    clock.host.say("ngx.timer.at(0, function() error('oh') end)");
    let Step::Failed(error) = clock.fire(clock.armed.take()[0], false, true) else { panic!() };
    assert_eq!(error.message(), "test.lua:1: oh");
}

#[test]
fn timers_are_bounded() {
    let settings = LuaSettings { max_pending_timers: 2, max_running_timers: 1, ..LuaSettings::default() };
    let clock = Clock::new(&settings);
    let source = "for _ = 1, 3 do ngx.say(ngx.timer.at(0, function() end)) end";
    assert_eq!(clock.host.say(source), "1\n1\nniltoo many pending timers\n");
    let timers = clock.armed.take();
    let running = clock.host.vm.expire(timers[0].id, true).unwrap();
    assert!(clock.host.vm.expire(timers[1].id, true).is_none());
    assert_eq!(clock.host.take_log(), [(Level::Alert, "lua failed to run timer with function defined at @test.lua:1: 1 lua_max_running_timers are not enough"
            .to_owned())]);
    assert_eq!(clock.host.vm.timer_counts(), (0, 1));
    drop(running);
    assert_eq!(clock.host.vm.timer_counts(), (0, 0));
}

#[test]
fn a_worker_that_ends_takes_no_timers_but_those_for_now() {
    let clock = Clock::new(&LuaSettings::default());
    clock.host.vm.set_exiting(true);
    assert_eq!(
        clock.host.say("ngx.say(ngx.timer.at(1, print)) ngx.say(ngx.timer.at(0, print))"),
        "nilprocess exiting\n1\n"
    );
}

#[test]
fn arguments_are_checked() {
    let clock = Clock::new(&LuaSettings::default());
    for (call, error) in [
        ("ngx.timer.at()", "expecting at least 2 arguments but got 0"),
        ("ngx.timer.at(1)", "expecting at least 2 arguments but got 1"),
        ("ngx.timer.at('x', print)", "bad argument #1 to 'at' (number expected, got string)"),
        ("ngx.timer.at(-1, print)", "bad argument #1 to 'at' (delay must not be negative)"),
        ("ngx.timer.every(0, print)", "delay cannot be zero"),
        ("ngx.timer.every(1, 'print')", "bad argument #2 to 'every' (Lua function expected)"),
    ] {
        assert_eq!(clock.host.failure(call), format!("test.lua:1: {error}"));
    }
}

#[test]
fn a_script_that_prepares_the_vm_sets_globals_for_all() {
    let host = Host::new();
    let init = host.vm.load_shared(&script("init.lua", "answer = 42 print(ngx.get_phase())")).unwrap();
    let mut state = RequestState::default();
    assert!(matches!(host.vm.start_alone(&init, Phase::Init, &mut state), Step::Done(Verdict::Continue)));
    assert_eq!(host.take_log()[0].1, "[lua] init.lua:1: init");
    assert_eq!(host.say("ngx.say(answer)"), "42\n");
    let waits = host.vm.load_shared(&script("init.lua", "ngx.sleep(1)")).unwrap();
    let Step::Failed(error) = host.vm.start_alone(&waits, Phase::Init, &mut state) else { panic!() };
    assert_eq!(error.message(), "init.lua:1: no request found");
}

#[test]
fn the_start_of_a_worker_may_wait() {
    let host = Host::new();
    let mut state = RequestState::default();
    let script = host.vm.load_shared(&script("w.lua", "ngx.sleep(1) ready = ngx.get_phase()")).unwrap();
    let Step::Wait(mut task) = host.vm.start_alone(&script, Phase::InitWorker, &mut state) else { panic!() };
    let Some(Order::Begin(ticket, _)) = task.order() else { panic!() };
    // Requests are served meanwhile.
    assert_eq!(host.say("ngx.say(ready)"), "nil\n");
    assert!(matches!(host.vm.resume_alone(task, ticket, &Reply::Done, &mut state), Step::Done(_)));
    assert_eq!(host.say("ngx.say(ready)"), "init_worker\n");
}
