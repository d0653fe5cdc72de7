//! Fleets: instances come and go while requests are served.

use std::{io::Write as _, sync::Arc, thread, time::Duration};

use tidegate_core::UpstreamId;
use tidegate_testkit::{
    Answer, Upstream, eventually,
    http::{self, Client},
};

use crate::node::{PATIENCE, Running};

const FLEET: &str = "
fleets: { app: { run: { command: [unused] } } }
upstreams: { up: { fleet: app } }
routes: [{ name: all, match: { path: /* }, upstream: up }]
";

#[test]
fn a_request_is_held_until_the_first_instance_is_ready() {
    let running = Arc::new(Running::start(FLEET));
    let upstream = Upstream::start(|_| Answer::ok("served"));
    let addr = running.addr();
    let asking = thread::spawn(move || http::get(addr, "/"));
    let waiting = || [running.upstream("up").waiting(), running.route("all").waiting()];
    eventually(PATIENCE, "the request is queued", || waiting() == [1, 1]);
    running.enlist("app", &[upstream.addr()]);
    assert_eq!(asking.join().unwrap().text(), "served");
    assert_eq!(waiting(), [0, 0]);
}

#[test]
fn a_request_is_not_held_for_ever_and_the_queue_has_an_end() {
    let running = Running::start(&format!("{FLEET}timeouts: {{ queue: 400ms }}\nlimits: {{ queue: 1 }}"));
    let addr = running.addr();
    // Two workers hold one request each, so of five at least three are refused at once.
    let asking: Vec<_> = (0..5).map(|_| thread::spawn(move || http::get(addr, "/"))).collect();
    for asked in asking {
        let answer = asked.join().unwrap();
        assert_eq!((answer.status, answer.header("Retry-After")), (503, Some("1")));
    }
    assert_eq!(running.upstream("up").shed, 5);
}

#[test]
fn who_is_refused_is_told_when_there_may_be_an_instance() {
    let running = Running::start(&format!("{FLEET}timeouts: {{ queue: 50ms }}"));
    let series = running.telemetry.upstream(&UpstreamId::new("up").unwrap());
    series.retry_after.expect(Duration::from_millis(7_200));
    let refused = http::get(running.addr(), "/");
    assert_eq!((refused.status, refused.header("Retry-After")), (503, Some("8")));
}

#[test]
fn the_least_important_make_room_for_others_and_never_for_their_like() {
    let routes = "
fleets: { app: { run: { command: [unused] } } }
upstreams: { up: { fleet: app } }
routes:
  - { name: low, match: { path: /low }, upstream: up, queue: { priority: 1 } }
  - { name: high, match: { path: /high }, upstream: up, queue: { priority: 9, timeout: 1h } }
  - { name: all, match: { path: /* }, upstream: up }
limits: { queue: 3, queueBytes: 4KiB }
timeouts: { queue: 1h }
";
    let running = Running::with_workers(1, routes);
    let upstream = Upstream::start(|_| Answer::ok("served"));
    let addr = running.addr();
    let ask = |path: &'static str, waiting: u64| {
        let asked = thread::spawn(move || http::get(addr, path));
        eventually(PATIENCE, "the request is queued", || running.upstream("up").waiting() == waiting);
        asked
    };
    let (early, late, usual) = (ask("/low", 1), ask("/low", 2), ask("/usual", 3));
    let important = thread::spawn(move || http::get(addr, "/high"));
    let refused = late.join().unwrap();
    assert_eq!((refused.status, refused.header("Retry-After")), (503, Some("1")));
    assert_eq!(http::get(addr, "/low").status, 503, "an equal makes no room");
    // What is too large for the queue finds no room either, however important it is.
    let large = format!("/high?{}", "x".repeat(5 << 10));
    assert_eq!(http::get(addr, &large).status, 503);
    eventually(PATIENCE, "three wait", || running.upstream("up").waiting() == 3);
    running.enlist("app", &[upstream.addr()]);
    for asked in [early, usual, important] {
        assert_eq!(asked.join().unwrap().text(), "served");
    }
    assert_eq!(
        (running.route("low").shed, running.route("high").shed, running.upstream("up").shed),
        (2, 1, 3)
    );
}

#[test]
fn a_client_that_leaves_frees_its_place_in_the_queue() {
    let running = Running::start(&format!("{FLEET}timeouts: {{ queue: 1h }}"));
    let mut client = std::net::TcpStream::connect(running.addr()).unwrap();
    client.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    eventually(PATIENCE, "the request is queued", || running.upstream("up").waiting() == 1);
    drop(client);
    eventually(PATIENCE, "its place is free", || running.upstream("up").waiting() == 0);
    eventually(PATIENCE, "the request is over", || running.upstream("up").in_flight() == 0);
    assert_eq!(running.upstream("up").shed, 0);
}

#[test]
fn an_instance_that_leaves_gets_no_new_request_and_loses_its_connections() {
    let (one, two) = (Upstream::start(|_| Answer::ok("one")), Upstream::start(|_| Answer::ok("two")));
    let running = Running::start(FLEET);
    running.enlist("app", &[one.addr()]);
    let mut client = Client::connect(running.addr()).unwrap();
    assert_eq!(client.get("/").unwrap().text(), "one");
    running.enlist("app", &[two.addr()]);
    eventually(PATIENCE, "idle connections to it are closed", || one.open_connections() == 0);
    let before = one.request_count();
    for _ in 0..10 {
        assert_eq!(client.get("/").unwrap().text(), "two");
    }
    assert_eq!(one.request_count(), before);
}

#[test]
fn requests_survive_the_death_of_the_only_instance() {
    let dying = Upstream::start(|_| Answer::nothing().reset());
    let running = Arc::new(Running::start(FLEET));
    running.enlist("app", &[dying.addr()]);
    let addr = running.addr();
    let asking = thread::spawn(move || http::get(addr, "/"));
    eventually(PATIENCE, "the instance was asked", || dying.request_count() > 0);
    let upstream = Upstream::start(|_| Answer::ok("served"));
    running.enlist("app", &[upstream.addr()]);
    assert_eq!(asking.join().unwrap().text(), "served");
}

#[test]
fn least_connections_avoids_the_busy_instance() {
    let stalled = Upstream::start(|_| Answer::nothing().stall());
    let quick = Upstream::start(|_| Answer::ok("quick"));
    let running = Running::start(FLEET);
    let loads = running.enlist("app", &[stalled.addr(), quick.addr()]);
    // On one connection, hence on one worker, idle instances take turns.
    let mut first = Client::connect(running.addr()).unwrap();
    while loads[0].in_flight() == 0 {
        let before = quick.request_count();
        first.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
        eventually(PATIENCE, "one of them is asked", || {
            loads[0].in_flight() > 0 || quick.request_count() > before
        });
        if quick.request_count() > before {
            assert_eq!(first.read().unwrap().text(), "quick");
        }
    }
    for _ in 0..10 {
        // A client can have its answer a moment before the instance is free again; then both are equally busy.
        eventually(PATIENCE, "the quick one is idle", || loads[1].in_flight() == 0);
        assert_eq!(http::get(running.addr(), "/").text(), "quick");
    }
}
