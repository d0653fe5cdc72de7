//! Clients that go away while Lua works for them.

use std::{io::Write as _, net::TcpStream, time::Duration};

use tidegate_testkit::{eventually, http};

use crate::node::Running;

const PATIENCE: Duration = Duration::from_secs(10);

/// Waits for `wait` in two phases, each of which says when it has got through.
fn start(checks: bool, wait: &str) -> Running {
    Running::start(&format!(
        "lua: {{ sharedDicts: {{ seen: 64KiB }}, checkClientAbort: {checks} }}
routes:
  - name: waits
    match: {{ path: /waits }}
    lua:
      access: |
        ngx.shared.seen:incr('begun', 1, 0)
        {wait}
        ngx.shared.seen:incr('ended', 1, 0)
      content: ngx.say('answer')
      log: ngx.shared.seen:set('status', ngx.var.status)
  - name: seen
    match: {{ path: /seen }}
    lua: {{ content: 'local s = ngx.shared.seen ngx.print(s:get(\"begun\"), s:get(\"ended\"), s:get(\"status\"))' }}"
    ))
}

fn leave(running: &Running) {
    let mut client = TcpStream::connect(running.addr()).unwrap();
    client.write_all(b"GET /waits HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    eventually(PATIENCE, "it waits", || http::get(running.addr(), "/seen").text().starts_with('1'));
}

fn becomes(running: &Running, seen: &str) {
    eventually(PATIENCE, "the request is over", || http::get(running.addr(), "/seen").text() == seen);
}

#[test]
fn a_client_that_leaves_ends_what_runs_for_it() {
    for wait in [
        "ngx.sleep(3600)",
        "ngx.thread.spawn(function() ngx.sleep(3600) end) ngx.sleep(3600)",
        "require('ngx.semaphore').new():wait(3600)",
    ] {
        let running = start(true, wait);
        leave(&running);
        becomes(&running, "1nil499");
    }
}

#[test]
fn one_that_stays_gets_its_answer() {
    let running = start(true, "ngx.sleep(0.001) ngx.thread.wait(ngx.thread.spawn(ngx.sleep, 0.001))");
    assert_eq!(http::get(running.addr(), "/waits").text(), "answer\n");
}

#[test]
fn by_default_nobody_looks() {
    let running = start(
        false,
        "local seen = ngx.shared.seen while not seen:get('go') do ngx.sleep(0.001) seen:incr('n', 1, 0) if seen:get('n') > 200 then seen:set('go', 1) end end",
    );
    leave(&running);
    becomes(&running, "11200");
}

#[test]
fn a_function_can_be_called_for_a_client_that_leaves() {
    let count = "ngx.on_abort(function() ngx.shared.seen:incr('ended', 10, 0)";
    for (wait, seen) in [
        // The request goes on…
        (format!("{count} go:post() end) assert(go:wait(3600))"), "1 11 200"),
        // … unless the function ends it.
        (format!("{count} ngx.exit(499) end) ngx.sleep(3600)"), "1 10 499"),
        // It is one of the light threads.
        (
            format!(
                "ngx.thread.spawn(ngx.sleep, 0) {count} ngx.sleep(0) go:post() end) assert(go:wait(3600))"
            ),
            "1 11 200",
        ),
    ] {
        let running = start(true, &format!("local go = require('ngx.semaphore').new() {wait}"));
        leave(&running);
        becomes(&running, &seen.replace(' ', ""));
    }
}

#[test]
fn nothing_is_called_for_a_client_that_stays() {
    let running = start(true, "assert(ngx.on_abort(function() ngx.exit(499) end)) ngx.sleep(0.001)");
    assert_eq!(http::get(running.addr(), "/waits").text(), "answer\n");
}

#[test]
fn who_cannot_be_called_is_told_why() {
    let say = |call: &str| format!("ngx.say(select(2, {call})) ngx.exit(200)");
    let running = start(false, &say("ngx.on_abort(print)"));
    assert_eq!(http::get(running.addr(), "/waits").text(), "lua_check_client_abort is off\n");
    let running = start(true, &format!("ngx.on_abort(print) {}", say("ngx.on_abort(print)")));
    assert_eq!(http::get(running.addr(), "/waits").text(), "duplicate call\n");
    let running = start(true, &say("pcall(ngx.on_abort, 3)"));
    assert!(http::get(running.addr(), "/waits").text().starts_with("bad argument #1 to 'on_abort'"));
}
