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
