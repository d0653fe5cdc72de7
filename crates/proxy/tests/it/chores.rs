//! What a worker runs for no request: timers, `init`, `initWorker`, `exitWorker`.

use std::{fs, io::Write as _, net::TcpListener, sync::atomic::Ordering::Relaxed, time::Duration};

use tidegate_testkit::{eventually, http};

use crate::node::Running;

/// A route whose handler is `content`, below `lua`, which is as deep as it is given.
fn start(lua: &str, content: &str) -> Running {
    let indent = |code: &str, by: &str| code.replace('\n', &format!("\n{by}"));
    Running::start(&format!(
        "lua:\n  sharedDicts: {{ seen: 64KiB }}\n  {}\nroutes:\n  - name: lua\n    match: {{ path: /* }}\n    \
         lua:\n      content: |\n        {}",
        indent(lua, "  "),
        indent(content, "        ")
    ))
}

/// One worker, whose only route's handler is `content`, with a dictionary as `d`.
fn start_alone(content: &str) -> Running {
    let content = content.replace('\n', "\n        ");
    Running::with_workers(
        1,
        &format!(
            "lua: {{ sharedDicts: {{ d: 64KiB }} }}
routes:
  - name: storm
    match: {{ path: /* }}
    lua:
      content: |
        local d = ngx.shared.d
        {content}"
        ),
    )
}

/// Asks until the answer is what is expected.
fn becomes(running: &Running, expected: &str) {
    let mut last = String::new();
    let deadline = Duration::from_secs(10);
    eventually(deadline, expected, || {
        http::get(running.addr(), "/").text().clone_into(&mut last);
        last == expected
    });
}

#[test]
fn timers_run_after_their_request_and_without_one() {
    let running = start(
        "maxPendingTimers: 5",
        "local seen = ngx.shared.seen
if not seen:get('armed') then
  seen:set('armed', true)
  ngx.timer.at(0.001, function(premature, x) ngx.sleep(0.001) seen:incr('at', x, 0) end, 3)
  ngx.timer.every(0.001, function() seen:incr('every', 1, 0) end)
end
ngx.print(seen:get('at'), (seen:get('every') or 0) >= 3)",
    );
    becomes(&running, "3true");
}

#[test]
fn init_prepares_what_handlers_find() {
    let running = start(
        "init: |
  answer = 41
  package.loaded.counter = { n = 0 }
initWorker: |
  answer = answer + 1
  ngx.shared.seen:incr('workers', 1, 0)
  assert(ngx.timer.at(0, function() ngx.shared.seen:set('timer', ngx.get_phase()) end))",
        "ngx.print(answer, ngx.shared.seen:get('timer'))",
    );
    becomes(&running, "42timer");
}

#[test]
fn init_worker_waits_before_the_first_request_is_served() {
    let peer = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = peer.local_addr().unwrap().port();
    let greeter = std::thread::spawn(move || {
        for _worker in 0..2 {
            peer.accept().unwrap().0.write_all(b"configured\n").unwrap();
        }
    });
    let running = start(
        &format!(
            "initWorker: |
  local s = ngx.socket.tcp()
  assert(s:connect('127.0.0.1', {port}))
  ngx.sleep(0.001)
  setting = assert(s:receive())"
        ),
        "ngx.print(setting)",
    );
    assert_eq!(http::get(running.addr(), "/").text(), "configured");
    greeter.join().unwrap();
}

#[test]
fn a_worker_that_leaves_runs_its_timers_and_exit_worker() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("left");
    let running = start(
        &format!(
            "initWorker: |
  ngx.timer.at(3600, function(premature) last = premature and 'premature' or 'in time' end)
exitWorker: |
  ngx.sleep(0.001)
  local file = assert(io.open('{}', 'w'))
  file:write(tostring(last), ' ', ngx.get_phase(), ' ', tostring(ngx.worker.exiting()))
  file:close()",
            path.display()
        ),
        "ngx.print('ok')",
    );
    assert_eq!(http::get(running.addr(), "/").text(), "ok");
    drop(running);
    assert_eq!(fs::read_to_string(path).unwrap(), "premature exit_worker true");
}

#[test]
fn a_semaphore_joins_a_request_and_a_timer() {
    let running = start(
        "init: gate = require('ngx.semaphore').new()",
        "ngx.timer.at(0, function() ngx.sleep(0.001) gate:post() end)
ngx.print(gate:count(), gate:wait(10), gate:count())",
    );
    assert_eq!(http::get(running.addr(), "/").text(), "0true0");
}

#[test]
fn requests_go_on_between_timers() {
    let running = start_alone(
        "for i = 1, 10000 do ngx.timer.at(0, function() d:incr('ran', 1, 0) end) end
ngx.sleep(0) ngx.sleep(0)
local early = d:get('ran') or 0
while d:get('ran') ~= 10000 do ngx.sleep(0.01) end
ngx.say(early < 5000)",
    );
    assert_eq!(http::get(running.addr(), "/").text(), "true\n");
}

/// A function for timers that takes two milliseconds and counts that it has run.
const BUSY: &str = "local function busy()
  local began = ngx.now()
  repeat ngx.update_time() until ngx.now() - began >= 0.002
  d:incr('ran', 1, 0)
end
";

#[test]
fn the_longer_timers_take_the_fewer_run_between_requests() {
    let running = start_alone(&format!(
        "{BUSY}for i = 1, 100 do ngx.timer.at(0, busy) end
ngx.sleep(0) ngx.sleep(0)
local early = d:get('ran') or 0
while d:get('ran') ~= 100 do ngx.sleep(0.01) end
ngx.say(early < 10)"
    ));
    assert_eq!(http::get(running.addr(), "/").text(), "true\n");
}

#[test]
fn requests_go_on_between_timers_that_set_each_other() {
    let running = start_alone(&format!(
        "{BUSY}local function again()
  if (d:get('ran') or 0) < 100 then ngx.timer.at(0, again) end
  busy()
end
ngx.timer.at(0, again)
ngx.sleep(0.001)
ngx.say(d:get('ran') < 10)"
    ));
    assert_eq!(http::get(running.addr(), "/").text(), "true\n");
}

#[test]
fn late_timers_and_runs_that_wait_are_counted() {
    let running = Running::with_workers(
        1,
        "lua: { sharedDicts: { d: 64KiB } }
routes:
  - name: late
    match: { path: /late }
    lua:
      content: |
        ngx.timer.at(0.001, function() end)
        ngx.update_time()
        local from = ngx.now()
        repeat ngx.update_time() until ngx.now() - from > 0.05
  - name: waits
    match: { path: /waits }
    lua:
      content: |
        ngx.timer.at(0, function() repeat ngx.sleep(0.001) until ngx.shared.d:get('go') end)
  - { name: go, match: { path: /go }, lua: { content: \"ngx.shared.d:set('go', true)\" } }",
    );
    let worker = &running.telemetry.workers()[0];
    let within = Duration::from_secs(10);
    http::get(running.addr(), "/late");
    eventually(within, "the timer ran", || worker.lua_timers_late.counts().count() == 1);
    let late = worker.lua_timers_late.counts().sum();
    assert!(late > Duration::from_millis(40), "{late:?}");
    http::get(running.addr(), "/waits");
    eventually(within, "a run waits", || worker.lua_coroutines.load(Relaxed) == 1);
    http::get(running.addr(), "/go");
    eventually(within, "it has ended", || worker.lua_coroutines.load(Relaxed) == 0);
}

#[test]
fn timers_for_at_once_begin_before_the_first_request() {
    for _ in 0..5 {
        let running = Running::with_workers(
            1,
            "lua: { initWorker: 'n = 0 ngx.timer.at(0, function() n = n + 1 end)' }
routes: [{ lua: { content: 'ngx.print(n)' } }]",
        );
        assert_eq!(http::get(running.addr(), "/").text(), "1");
    }
}
