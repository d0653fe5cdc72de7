//! Routes whose Lua holds up others are served beside them.

use std::{
    sync::atomic::Ordering::Relaxed,
    time::{Duration, SystemTime},
};

use tidegate_core::{RouteId, Timestamp};
use tidegate_testkit::{eventually, http::Client};

use crate::node::Running;

/// One worker, number 0; its lane is number 1.
const CONFIG: &str = "
lua: { budget: { cpu: 20ms } }
routes:
  - name: slow
    match: { path: /slow }
    lua:
      content: |
        if ngx.var.arg_hog then while true do end end
        ngx.req.read_body()
        ngx.sleep(tonumber(ngx.var.arg_sleep) or 0)
        ngx.print(ngx.worker.id(), ' ', ngx.var.connection_requests, ' ', ngx.req.get_body_data())
  - { name: fine, match: { path: /* }, lua: { content: ngx.print(ngx.worker.id()) } }";

/// A node with a lane, and a client whose connection has been in it.
fn with_lane() -> (Running, Client) {
    let running = Running::with_workers(1, CONFIG);
    let mut client = Client::connect(running.addr()).unwrap();
    assert_eq!(client.get("/slow?hog=1").unwrap().status, 500);
    stay_slow(&running);
    assert_eq!(client.get("/slow").unwrap().text(), "1 2 nil");
    (running, client)
}

/// So that the route is slow however long a test takes: as one that has been so again and again.
fn stay_slow(running: &Running) {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    let route = running.telemetry.route(&RouteId::new("slow").unwrap());
    for ago in (0..8).rev() {
        route.slowness.tell(Timestamp::default() + now.saturating_sub(Duration::from_secs(2 * ago)));
    }
}

#[test]
fn a_slow_route_is_served_beside_the_others_and_its_connection_comes_back() {
    let (running, mut client) = with_lane();
    assert_eq!(client.get("/").unwrap().text(), "0");
    let mut other = Client::connect(running.addr()).unwrap();
    for (count, body) in [(1, "x".repeat(7)), (3, "y".repeat(200_000))] {
        let answer = other.request("POST", "/slow", &[], body.as_bytes()).unwrap();
        assert_eq!(answer.text(), format!("1 {count} {body}"));
        assert_eq!(other.get("/").unwrap().text(), "0");
    }
}

#[test]
fn a_slow_route_stays_so_until_its_scripts_change() {
    let (mut running, mut client) = with_lane();
    running.reload(&CONFIG.replace("name: fine", "name: good"));
    assert!(client.get("/slow").unwrap().text().starts_with("1 "));
    running.reload(&CONFIG.replace("or 0)", "or 0.001)"));
    assert!(client.get("/slow").unwrap().text().starts_with("0 "));
}

#[test]
fn requests_in_a_row_are_answered_in_order_on_whatever_thread() {
    let (running, _) = with_lane();
    let mut client = Client::connect(running.addr()).unwrap();
    let ask = |path: &str| format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n");
    let paths = ["/slow?sleep=0.02", "/", "/slow", "/slow", "/", "/"];
    client.send(paths.map(ask).concat().as_bytes()).unwrap();
    let texts = paths.map(|_| client.read().unwrap().text().to_owned());
    assert_eq!(texts, ["1 1 nil", "0", "1 3 nil", "1 4 nil", "0", "0"]);
}

#[test]
fn a_node_that_stops_waits_for_its_lanes() {
    let (running, mut client) = with_lane();
    let arrived = running.route("slow").arrived;
    client.send(b"GET /slow?sleep=0.3 HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    let begun = || running.route("slow").arrived == arrived + 1;
    eventually(Duration::from_secs(10), "the request has begun", begun);
    running.begin_drain();
    assert!(client.read().unwrap().text().starts_with("1 "));
    assert!(client.is_closed());
    running.join();
}

#[test]
fn a_node_with_one_route_has_no_lane() {
    let running = Running::with_workers(
        1,
        "lua: { budget: { cpu: 10ms } }
routes: [{ name: all, match: { path: /* }, lua: { content: 'if ngx.var.arg_hog then while true do end end ngx.print(ngx.worker.id())' } }]",
    );
    let mut client = Client::connect(running.addr()).unwrap();
    for _ in 0..30 {
        assert_eq!(client.get("/?hog=1").unwrap().status, 500);
        assert_eq!(client.get("/").unwrap().text(), "0");
    }
    assert_eq!(running.telemetry.lanes()[0].generation.load(Relaxed), 0);
}

#[test]
fn a_lane_ends_when_nobody_asks_for_anything_and_starts_anew_when_somebody_does() {
    let (running, mut client) = with_lane();
    let lane = &running.telemetry.lanes()[0];
    eventually(Duration::from_mins(1), "the lane ends", || lane.generation.load(Relaxed) == 0);
    assert_eq!(lane.connections(), 0, "its connection has gone back");
    assert_eq!(client.get("/").unwrap().text(), "0");
    assert_eq!(client.get("/slow").unwrap().text(), "1 4 nil");
    assert_eq!(client.get("/").unwrap().text(), "0");
}

#[test]
fn where_no_lane_can_start_workers_serve_slow_routes() {
    let init = "lua: { init: 'if ngx.worker.id() >= ngx.worker.count() then error([[no lane]]) end', budget";
    let running = Running::with_workers(1, &CONFIG.replace("lua: { budget", init));
    let mut client = Client::connect(running.addr()).unwrap();
    let mut other = Client::connect(running.addr()).unwrap();
    assert_eq!(client.get("/slow?hog=1").unwrap().status, 500);
    stay_slow(&running);
    // Both wait for a lane, with what they have sent.
    client.send(b"POST /slow HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nhi").unwrap();
    other.send(b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    assert_eq!(client.read().unwrap().text(), "0 2 hi");
    assert_eq!([other.read().unwrap().text(), other.read().unwrap().text()], ["0 1 nil", "0"]);
}

#[test]
fn who_gets_to_a_slow_route_by_another_is_served_beside_the_others_too() {
    let running = Running::with_workers(
        1,
        "
lua: { budget: { cpu: 20ms } }
routes:
  - name: hog
    match: { path: /hog }
    internal: true
    lua: { content: 'if ngx.var.arg_hog then while true do end end ngx.print(ngx.worker.id())' }
  - name: goes
    match: { path: /goes }
    lua: { content: 'ngx.exec([[/hog]], ngx.var.args)' }
  - name: asks
    match: { path: /asks }
    lua: { content: 'ngx.print(ngx.location.capture([[/hog?]] .. (ngx.var.args or [[]])).body)' }
  - name: goes_and_asks
    match: { path: /both }
    lua: { content: 'ngx.exec([[/asks]], ngx.var.args)' }
  - { name: fine, match: { path: /* }, lua: { content: ngx.print(ngx.worker.id()) } }",
    );
    let mut client = Client::connect(running.addr()).unwrap();
    for path in ["/goes", "/asks", "/both"] {
        assert_eq!(client.get(path).unwrap().text(), "0");
        client.get(&format!("{path}?hog=1")).unwrap();
        eventually(Duration::from_secs(20), "it is served by the lane", || {
            client.get(&format!("{path}?hog=1")).unwrap();
            client.get(path).unwrap().text() == "1"
        });
        assert_eq!(client.get("/").unwrap().text(), "0");
    }
}

#[test]
fn a_route_is_slow_whose_timers_are() {
    let running = Running::with_workers(
        1,
        "
lua: { budget: { cpu: 20ms } }
routes:
  - name: sets
    match: { path: /sets }
    lua:
      content: |
        ngx.timer.at(0, function() ngx.timer.at(0, function() while true do end end) end)
        ngx.print(ngx.worker.id())
  - { name: fine, match: { path: /* }, lua: { content: ngx.print(ngx.worker.id()) } }",
    );
    let mut client = Client::connect(running.addr()).unwrap();
    assert_eq!(client.get("/sets").unwrap().text(), "0");
    eventually(Duration::from_secs(20), "it is served by the lane", || {
        client.get("/sets").unwrap().text() == "1"
    });
    // While timers that were set before hold up the worker, others are served elsewhere.
    eventually(Duration::from_secs(20), "the others are served by the worker", || {
        client.get("/").unwrap().text() == "0"
    });
}
