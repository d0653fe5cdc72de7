//! `ngx.semaphore`: waiting, posting, timeouts; between threads and between requests.

use tidegate_lua::{Op, Order, Phase, Step};

use crate::support::{Host, Request};

#[test]
fn what_is_there_is_taken_at_once() {
    let source = "local s = require('ngx.semaphore').new(2)
        ngx.say(s:wait(0), s:wait(1), s:count()) ngx.say(s:wait(0))
        ngx.say(s:post(3), s:count())";
    assert_eq!(Host::new().say(source), "truetrue0\nniltimeout\ntrue3\n");
}

#[test]
fn who_waits_goes_on_when_somebody_posts() {
    let source = "local s = require('ngx.semaphore').new()
        local t = ngx.thread.spawn(function() ngx.say(s:count()) ngx.say(s:wait(10)) return s:count() end)
        ngx.say(s:count()) s:post() ngx.say('posted') ngx.say(ngx.thread.wait(t))";
    assert_eq!(Host::new().say(source), "0\n-1\nposted\ntrue\ntrue0\n");
}

#[test]
fn a_wait_has_an_end() {
    let source = "local s = require('ngx.semaphore').new() ngx.say(s:wait(0.001)) ngx.say(s:count())";
    assert_eq!(Host::new().say(source), "niltimeout\n0\n");
}

#[test]
fn one_request_may_wake_another() {
    let host = Host::new();
    let (mut first, mut second) = (Request::get("/"), Request::get("/"));
    let waits = host.load(
        "package.loaded.s = require('ngx.semaphore').new() local ok = package.loaded.s:wait(60) ngx.say(ok)",
    );
    let Step::Wait(task) = host.vm.start(&waits, Phase::Content, &mut first) else { panic!() };
    host.answer("package.loaded.s:post(1) ngx.say(package.loaded.s:count())", &mut second);
    assert_eq!(second.output(), "0\n");
    assert!(matches!(host.drive(Step::Wait(task), &mut first).0, Step::Done(_)));
    assert_eq!(first.output(), "true\n");
}

#[test]
fn a_killed_thread_takes_nothing() {
    let source = "local s = require('ngx.semaphore').new()
        local t = ngx.thread.spawn(function() s:wait(10) ngx.say('never') end)
        ngx.thread.kill(t) ngx.say(s:count()) s:post() ngx.say(s:count())";
    assert_eq!(Host::new().say(source), "0\n1\n");
}

#[test]
fn a_semaphore_that_nobody_has_may_still_be_waited_for() {
    let host = Host::new();
    let mut request = Request::get("/");
    let handler = host.load(
        "local sem = require 'ngx.semaphore' local ok, why = sem.new():wait(0.001) collectgarbage()
        ngx.say(ok, why) for i = 1, 1000 do sem.new(i) end collectgarbage() ngx.say(sem.new(3):count())",
    );
    let Step::Wait(mut task) = host.vm.start(&handler, Phase::Content, &mut request) else { panic!() };
    host.say("collectgarbage() collectgarbage()");
    let Some(Order::Begin(ticket, Op::Detached(work))) = task.order() else { panic!() };
    let reply = host.block_on(work);
    assert!(matches!(host.vm.resume(task, ticket, &reply, &mut request), Step::Done(_)));
    assert_eq!(request.output(), "niltimeout\n3\n");
}

#[test]
fn misuse_is_an_error() {
    let host = Host::new();
    for (call, error) in [
        ("s.new(-1)", "no negative number"),
        ("s.new():wait(-1)", "no negative number"),
        ("s.new():wait()", "bad argument #2 to 'wait' (number expected, got nil)"),
        ("s.new():post(0)", "positive number required"),
        ("s.wait({}, 1)", "not a semaphore instance"),
        ("s.count(7)", "not a semaphore instance"),
    ] {
        assert_eq!(
            host.failure(&format!("local s = require 'ngx.semaphore' {call}")),
            format!("test.lua:1: {error}")
        );
    }
}
