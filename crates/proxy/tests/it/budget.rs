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
