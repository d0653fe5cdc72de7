//! A runaway script costs its own request and nothing else.

use tidegate_testkit::http::{self, Client};

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
