//! A runaway script costs its own request and nothing else.

use std::{sync::atomic::Ordering::Relaxed, time::Duration};

use tidegate_core::{RouteId, telemetry::PluginId};
use tidegate_testkit::{
    eventually,
    http::{self, Client},
};

use crate::node::Running;

#[test]
fn a_runaway_request_fails_and_its_worker_goes_on() {
    let running = Running::start(
        "lua: { budget: { cpu: 20ms, memory: 64MiB } }
routes:
  - { name: loop, match: { path: /loop }, lua: { access: 'while true do end', content: ngx.say('never') } }
  - name: fill
    match: { path: /fill }
    lua: { content: 'local t = {} while true do t[#t + 1] = { #t } end' }
  - { name: timer, match: { path: /timer }, lua: { content: 'ngx.say(ngx.timer.at(0, function() while true do end end))' } }
  - { name: fine, match: { path: /* }, lua: { content: ngx.say('fine') } }",
    );
    let mut client = Client::connect(running.addr()).unwrap();
    for path in ["/loop", "/fill", "/timer"] {
        let status = client.get(path).unwrap().status;
        assert_eq!(status, if path == "/timer" { 200 } else { 500 }, "{path}");
        // The same connection, so the same worker.
        assert_eq!(client.get("/").unwrap().text(), "fine\n");
    }
    assert_eq!(http::get(running.addr(), "/").text(), "fine\n");
}

#[test]
fn a_budget_of_a_route_is_that_of_one_request() {
    let running = Running::start(
        "routes:
  - name: cpu
    match: { path: /cpu }
    lua: { budget: { cpu: 100ms }, content: 'for i = 1, 3e5 do local n = #tostring(i % 7) end ngx.say([[done]])' }
  - name: memory
    match: { path: /memory }
    lua: { budget: { memory: 4MiB }, content: 'ngx.ctx.kept = ([[x]]):rep(1e6) .. ngx.now() ngx.say([[done]])' }",
    );
    let mut client = Client::connect(running.addr()).unwrap();
    for path in ["/cpu", "/memory"] {
        for _ in 0..60 {
            assert_eq!(client.get(path).unwrap().text(), "done\n", "{path}");
        }
    }
}

#[test]
fn a_route_bounds_what_its_requests_take_and_reach() {
    let running = Running::start(
        "lua: { sandbox: true, sharedDicts: { d: 64KiB } }
routes:
  - name: loop
    match: { path: /loop }
    lua: { budget: { cpu: 10ms }, content: 'while true do end' }
  - name: slices
    match: { path: /slices }
    lua: { budget: { cpu: 30ms }, content: 'while true do for i = 1, 1e6 do local n = #tostring(i % 7) end ngx.sleep(0) end' }
  - name: fill
    match: { path: /fill }
    lua: { budget: { memory: 4MiB }, content: 'ngx.say(#string.rep([[x]], 1e9))' }
  - { name: reach, match: { path: /reach }, lua: { content: 'ngx.say(io, os.execute, ffi, debug, getmetatable([[]]))' } }
  - name: trusted
    match: { path: /trusted }
    lua: { sandbox: false, content: 'ngx.say(type(io), #string.rep([[x]], 1e7))' }",
    );
    let mut client = Client::connect(running.addr()).unwrap();
    for path in ["/loop", "/slices", "/fill"] {
        assert_eq!(client.get(path).unwrap().status, 500, "{path}");
        assert_eq!(client.get("/trusted").unwrap().text(), "table10000000\n");
    }
    assert_eq!(client.get("/reach").unwrap().text(), "nilnilnilnilnil\n");
}

#[test]
fn hogs_end_their_neighbours_are_answered_and_memory_returns() {
    let running = Running::start(
        "lua: { budget: { cpu: 50ms, memory: 64MiB } }
routes:
  - { name: loop, match: { path: /loop }, lua: { content: 'while true do end' } }
  - { name: rep, match: { path: /rep }, lua: { content: 'local s = [[x]] while true do s = s .. s:rep(2) end' } }
  - name: coroutines
    match: { path: /coroutines }
    lua:
      content: |
        local all = {}
        while true do
          all[#all + 1] = coroutine.wrap(function() coroutine.yield() end)
          all[#all]()
        end
  - name: timers
    match: { path: /timers }
    lua: { content: 'for i = 1, 10000 do ngx.timer.at(0.01, function() end) end ngx.say([[set]])' }
  - { name: fine, match: { path: /* }, lua: { content: ngx.say('fine') } }",
    );
    for (path, status) in [("/loop", 500), ("/rep", 500), ("/coroutines", 500), ("/timers", 200)].repeat(3) {
        assert_eq!(http::get(running.addr(), path).status, status, "{path}");
        for _ in 0..4 {
            assert_eq!(http::get(running.addr(), "/").text(), "fine\n");
        }
    }
    eventually(Duration::from_secs(20), "memory returns and timers end", || {
        running.telemetry.workers().iter().all(|worker| {
            let timers = worker.lua_timers_pending.load(Relaxed) + worker.lua_timers_running.load(Relaxed);
            timers == 0 && worker.lua_bytes.load(Relaxed) < 16 << 20
        })
    });
}

#[test]
fn what_lua_takes_is_counted_for_its_route() {
    let running = Running::start(
        "routes:
  - name: busy
    match: { path: /busy }
    lua: { content: 'ngx.sleep(0.005) ngx.sleep(0.005) ngx.say(#string.rep([[x]], 1e6))' }
  - { name: fine, match: { path: /* }, return: { body: fine } }",
    );
    for path in ["/busy", "/", "/busy"] {
        assert_eq!(http::get(running.addr(), path).status, 200);
    }
    let ended = || running.route("busy").ended == 2;
    eventually(Duration::from_secs(10), "the requests have been counted", ended);
    let busy = running.route("busy");
    assert_eq!(busy.lua.yields, 4);
    assert!(busy.lua.waited() >= Duration::from_millis(20), "{:?}", busy.lua.waited());
    assert!(busy.lua.allocated_bytes >= 2_000_000, "{}", busy.lua.allocated_bytes);
    assert!(busy.lua.cpu_ns > 0);
    assert_eq!((running.route("fine").lua.cpu_ns, running.route("fine").lua.yields), (0, 0));
}

#[test]
fn what_lua_takes_is_counted_for_each_plugin_as_it_goes_on() {
    let running = Running::start(
        "lua:
  sharedDicts: { d: 64KiB }
  access: ngx.sleep(0.001)
routes:
  - name: one
    match: { path: /one }
    lua:
      content: |
        ngx.timer.at(0, function() ngx.shared.d:set('timer', #string.rep('x', 1e6)) end)
        ngx.say(#string.rep('x', 1e6))
  - name: waits
    match: { path: /waits }
    lua: { content: \"repeat ngx.sleep(0.001) until ngx.shared.d:get('go')\" }
  - { name: go, match: { path: /go }, lua: { content: \"ngx.shared.d:set('go', true)\" } }",
    );
    let taken = |route: &str, phase: &str| {
        let of = |id: &PluginId| id.route.as_ref().map_or("", RouteId::as_str) == route && id.phase == phase;
        let found = running.telemetry.plugins().into_iter().find(|(id, _)| of(id));
        found.unwrap_or_else(|| panic!("no {phase} of {route:?}"))
    };
    assert_eq!(http::get(running.addr(), "/one").status, 200);
    let (access, content) = (taken("one", "access"), taken("one", "content"));
    assert_eq!((access.0.script.as_str(), access.1.yields), ("tidegate.yaml:5", 1));
    assert_eq!((content.0.script.as_str(), content.1.yields), ("tidegate.yaml:11", 0));
    assert!(
        access.1.waited() >= Duration::from_millis(1) && access.1.allocated_bytes < 1_000_000,
        "{access:?}"
    );
    assert!(content.1.cpu() > Duration::ZERO && content.1.allocated_bytes >= 1_000_000, "{content:?}");
    let within = Duration::from_secs(10);
    eventually(within, "timers are counted", || taken("", "timer").1.allocated_bytes >= 1_000_000);
    let addr = running.addr();
    let waits = std::thread::spawn(move || http::get(addr, "/waits").status);
    eventually(within, "it is counted before it ends", || taken("waits", "content").1.yields > 2);
    assert_eq!(running.route("waits").ended, 0);
    http::get(addr, "/go");
    assert_eq!(waits.join().unwrap(), 200);
}
