//! Workers that come and go while clients ask: no connection is lost, and all have work.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    thread,
};

use tidegate_testkit::{eventually, http};

use crate::node::{PATIENCE, Running};

const CONFIG: &str = "routes:
  - name: all
    match: { path: /* }
    lua:
      content: |
        ngx.say(ngx.worker.id(), ' ', ngx.var.connection_requests)
";

/// Connections that one worker has.
fn connections(node: &Running, worker: usize) -> u64 {
    node.telemetry.workers()[worker].connections()
}

#[test]
fn no_connection_is_lost_while_workers_come_and_go() {
    let node = Running::with_room(1, 4, CONFIG);
    let (addr, over, asked) = (node.addr(), Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    // One client connects anew for each request, the other keeps its connection.
    let clients: Vec<_> = [true, true, false, false]
        .into_iter()
        .map(|anew| {
            let (over, asked) = (Arc::clone(&over), Arc::clone(&asked));
            thread::spawn(move || {
                let mut client = http::Client::connect(addr).unwrap();
                while !over.load(Relaxed) {
                    if anew {
                        client = http::Client::connect(addr).unwrap();
                    }
                    let answer = client.get("/").unwrap();
                    assert_eq!((answer.status, answer.header("connection")), (200, None));
                    asked.fetch_add(1, Relaxed);
                }
            })
        })
        .collect();
    let crew = node.crew();
    let first = crew.hire().unwrap();
    for round in 1..=8 {
        let hired = [crew.hire().unwrap(), crew.hire().unwrap(), crew.hire().unwrap()];
        let so_far = asked.load(Relaxed);
        eventually(PATIENCE, "requests go on", || asked.load(Relaxed) > so_far + 50);
        first.leave();
        let so_far = asked.load(Relaxed);
        eventually(PATIENCE, "requests go on without the first", || asked.load(Relaxed) > so_far + 50);
        first.stay();
        for worker in &hired {
            worker.leave();
        }
        if round % 2 == 0 {
            eventually(PATIENCE, "those who leave have passed on what they had", || {
                hired.iter().all(|worker| worker.series().connections() == 0)
            });
        }
        hired.into_iter().for_each(tidegate_proxy::Worker::end);
        assert_eq!(node.telemetry.working(), 1);
    }
    over.store(true, Relaxed);
    for client in clients {
        client.join().unwrap();
    }
}

#[test]
fn who_has_come_takes_over_connections_and_who_leaves_passes_them_on() {
    let node = Running::with_room(1, 2, CONFIG);
    let mut clients: Vec<_> = (0..12).map(|_| http::Client::connect(node.addr()).unwrap()).collect();
    let mut ask = || -> Vec<String> {
        clients.iter_mut().map(|client| client.get("/").unwrap().text().trim().to_owned()).collect()
    };
    assert!(ask().iter().all(|answer| answer == "0 1"));
    let crew = node.crew();
    let (first, second) = (crew.hire().unwrap(), crew.hire().unwrap());
    // Those that are too many go after their next request.
    let mut requests = 1;
    eventually(PATIENCE, "both have as many", || {
        requests += 1;
        let answers = ask();
        let number = requests.to_string();
        assert!(
            answers.iter().all(|answer| answer.ends_with(&number)),
            "they stay what they are: {answers:?}"
        );
        connections(&node, 0) == 6 && connections(&node, 1) == 6
    });
    first.leave();
    eventually(PATIENCE, "those that nobody uses go too", || connections(&node, 0) == 0);
    assert!(ask().iter().all(|answer| answer.starts_with("1 ")));
    first.stay();
    second.leave();
    eventually(PATIENCE, "and back", || connections(&node, 1) == 0);
    second.end();
    assert!(ask().iter().all(|answer| answer.starts_with("0 ")));
}

#[test]
fn a_seat_is_free_again_when_its_worker_has_ended() {
    let node = Running::with_room(1, 2, CONFIG);
    let crew = node.crew();
    let (first, second) = (crew.hire().unwrap(), crew.hire().unwrap());
    assert!(!first.has_ended() && !second.has_ended());
    // Nobody is at work for a moment; whoever connects then is served by the next.
    first.end();
    second.end();
    let addr = node.addr();
    let client = thread::spawn(move || http::get(addr, "/"));
    let next = crew.hire().unwrap();
    assert_eq!(client.join().unwrap().text(), "0 1\n");
    next.end();
}
