//! Who waits for a thread that Lua holds up is served elsewhere.

use std::{
    net::SocketAddr,
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    thread,
};

use tidegate_core::telemetry::WorkerSeries;
use tidegate_testkit::{eventually, http::Client};

use crate::node::{PATIENCE, Running};

/// Routes one of which holds up its thread until the other is asked for, with a budget that no test waits for the end of; others may
/// follow.
pub(crate) const HOLDING: &str = "
lua: { budget: { cpu: 60s }, sharedDicts: { stop: 64KiB } }
routes:
  - name: hog
    match: { path: /hog }
    lua: { content: 'local d = ngx.shared.stop while not d:get([[now]]) do end ngx.print(ngx.worker.id())' }
  - name: stop
    match: { path: /stop }
    lua: { content: 'ngx.shared.stop:set([[now]], true) ngx.print(ngx.worker.id())' }
";

/// What others are asked for meanwhile.
const FINE: &str = "  - name: fine
    match: { path: /* }
    lua: { content: 'ngx.req.read_body() ngx.print(ngx.worker.id(), [[ ]], ngx.var.connection_requests, [[ ]], ngx.req.get_body_data())' }";

/// Asks for a hog and returns when its thread is held up.
fn hold(running: &Running, hog: &mut Client) {
    let held = || running.telemetry.workers().iter().filter(|worker| worker.is_held.load(Relaxed)).count();
    let before = held();
    hog.send(b"GET /hog HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    eventually(PATIENCE, "a worker is held up", || held() > before);
}

/// Clients that have asked once, as many as it takes until each of two workers has some.
fn clients(addr: SocketAddr) -> [Vec<Client>; 2] {
    let mut clients = [Vec::new(), Vec::new()];
    while clients.iter().any(|of_worker| of_worker.len() < 3) {
        let mut client = Client::connect(addr).unwrap();
        let worker = usize::from(client.get("/").unwrap().text().starts_with('1'));
        clients[worker].push(client);
    }
    clients
}

#[test]
fn clients_of_a_worker_that_is_held_up_are_served_by_another() {
    let running = Running::with_workers(2, &[HOLDING, FINE].concat());
    let [mut first, mut second] = clients(running.addr());
    let mut hog = first.pop().unwrap();
    hold(&running, &mut hog);
    for client in &mut first {
        // One request behind the other, and a body behind its head.
        let ask =
            "GET / HTTP/1.1\r\nHost: x\r\n\r\nPOST / HTTP/1.1\r\nHost: x\r\nContent-Length: 200000\r\n\r\n";
        client.send(ask.as_bytes()).unwrap();
        assert_eq!(client.read().unwrap().text(), "1 2 nil");
        let body = "b".repeat(200_000);
        client.send(body.as_bytes()).unwrap();
        assert_eq!(client.read().unwrap().text(), format!("1 3 {body}"));
        assert_eq!(client.get("/").unwrap().text(), "1 4 nil");
    }
    assert!(second.iter_mut().all(|client| client.get("/").unwrap().text() == "1 2 nil"));
    // Those that only come now, to whichever socket.
    let mut late: Vec<_> = (0..16).map(|_| Client::connect(running.addr()).unwrap()).collect();
    assert!(late.iter_mut().all(|client| client.get("/").unwrap().text() == "1 1 nil"));
    assert_eq!(running.route("hog").in_flight(), 1, "all that while the hog was at it");
    assert_eq!(late[0].get("/stop").unwrap().text(), "1");
    assert_eq!(hog.read().unwrap().text(), "0");
    assert!(hog.get("/").unwrap().text().ends_with(" 3 nil"));
}

#[test]
fn who_was_accepted_just_before_a_hog_began_does_not_wait_for_it() {
    let folder = tempfile::tempdir().unwrap();
    let flag = folder.path().join("go");
    let mut running = Running::with_workers(1, &[HOLDING, FINE].concat());
    // Nobody is accepted while this goes on, and it is not found to hold up anybody.
    let init = format!("  init: 'while not io.open([[{}]]) do end'\nroutes:", flag.display());
    running.begin_reload(&[HOLDING, FINE].concat().replacen("routes:", &init, 1).replacen(
        "lua: { budget: { cpu: 60s }, sharedDicts: { stop: 64KiB } }",
        "lua:\n  budget: { cpu: 60s }\n  sharedDicts: { stop: 64KiB }",
        1,
    ));
    let mut hog = Client::connect(running.addr()).unwrap();
    hog.send(b"GET /hog HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    let mut others: Vec<_> = (0..8).map(|_| Client::connect(running.addr()).unwrap()).collect();
    for other in &mut others {
        other.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    }
    std::fs::write(&flag, "").unwrap();
    for other in &mut others {
        assert_eq!(other.read().unwrap().text(), "1 1 nil", "the lane serves them");
    }
    assert_eq!(others[0].get("/stop").unwrap().text(), "1");
    assert_eq!(hog.read().unwrap().text(), "0");
}

#[test]
fn where_all_workers_are_held_up_a_lane_serves_their_clients() {
    let running = Running::with_workers(1, &[HOLDING, FINE].concat());
    let mut hog = Client::connect(running.addr()).unwrap();
    let mut early = Client::connect(running.addr()).unwrap();
    assert_eq!(early.get("/").unwrap().text(), "0 1 nil");
    hold(&running, &mut hog);
    assert_eq!(early.get("/").unwrap().text(), "1 2 nil");
    let mut late = Client::connect(running.addr()).unwrap();
    assert_eq!(late.get("/").unwrap().text(), "1 1 nil");
    // Another hog holds up the lane no sooner than there is somebody else again for the others.
    let mut another = Client::connect(running.addr()).unwrap();
    another.send(b"GET /hog HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    eventually(PATIENCE, "the other hog has come to the lane", || {
        running.telemetry.lanes()[0].connections() == 3
    });
    assert_eq!(early.get("/").unwrap().text(), "1 3 nil");
    assert_eq!(early.get("/stop").unwrap().text(), "1");
    assert_eq!([hog.read().unwrap().text(), another.read().unwrap().text()], ["0", "1"]);
    eventually(PATIENCE, "the worker has its clients again", || {
        early.get("/").unwrap().text().starts_with('0')
    });
}

/// Requests for as many routes that have not been slow yet.
const HOGS: usize = 24;

/// Asks for things until it is over, some of them in one go, and looks at each answer. How many they were, which is 300 at least.
fn converse(addr: SocketAddr, seed: u64, is_over: &AtomicBool) -> u64 {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut client = Client::connect(addr).unwrap();
    let mut asked = 0_u64;
    while asked < 300 || !is_over.load(Relaxed) {
        let (mut text, mut expected) = (String::new(), Vec::new());
        for _ in 0..random.usize(1..4) {
            asked += 1;
            let body = random.alphanumeric().to_string().repeat(random.usize(1..400));
            let head = format!("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n", body.len());
            text += &(head + &body);
            expected.push(format!(" {asked} {body}"));
        }
        // In two pieces, so that one may come while nobody reads.
        let (one, other) = text.as_bytes().split_at(random.usize(0..text.len()));
        client.send(one).unwrap();
        thread::yield_now();
        client.send(other).unwrap();
        for expected in expected {
            let answer = client.read().unwrap();
            assert!(answer.text().ends_with(&expected), "{seed}: {} for {expected}", answer.text());
        }
    }
    asked
}

#[test]
fn nothing_is_lost_or_done_twice_on_the_way() {
    let hogs = (0..HOGS).map(|number| {
        format!("  - {{ name: hog-{number}, match: {{ path: /hog/{number} }}, lua: {{ content: 'while true do end' }} }}\n")
    });
    let config = format!("lua: {{ budget: {{ cpu: 100ms }} }}\nroutes:\n{}{FINE}", hogs.collect::<String>());
    let running = Running::with_workers(2, &config);
    let addr = running.addr();
    let is_over = &AtomicBool::new(false);
    let asked: u64 = thread::scope(|scope| {
        let clients: Vec<_> =
            (0..12).map(|seed| scope.spawn(move || converse(addr, seed, is_over))).collect();
        for number in 0..HOGS {
            let mut hog = Client::connect(addr).unwrap();
            assert_eq!(hog.get(&format!("/hog/{number}")).unwrap().status, 500);
        }
        is_over.store(true, Relaxed);
        clients.into_iter().map(|client| client.join().unwrap()).sum()
    });
    assert_eq!(running.route("fine").arrived, asked);
    // Who is passed on is accepted once more.
    let accepted = |worker: &WorkerSeries| worker.connections_accepted.load(Relaxed);
    let all: u64 = running.telemetry.workers().iter().chain(running.telemetry.lanes()).map(accepted).sum();
    assert!(all > 12 + HOGS as u64, "nobody was passed on");
}
