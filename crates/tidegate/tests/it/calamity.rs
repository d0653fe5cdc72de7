//! Bad days under load: not one request may fail.
//!
//! Every test here sends idempotent requests at about half of what the gateway can take, and checks
//! the report of the load generator.

use std::{thread, time::Duration};

use tidegate_testkit::{
    Tidegate, eventually,
    process::{self, Signal},
};

use crate::{PATIENCE, TIDEGATE, load::Load, metric, pids};

const CONFIG: &str = "
listeners: [{ address: \"{listen}\" }]
admin: { address: \"{admin}\" }
fleets:
  app:
    run: { lua: app.lua }
    grace: 5s
    scale: { min: 3, max: 8 }
upstreams: { app: { fleet: app } }
routes:
  - { name: app, match: { path: /* }, upstream: app }
";

const APP: &str = "local x = 0 for i = 1, 20000 do x = x + i % 7 end ngx.say(x)";

fn start() -> Tidegate {
    Tidegate::setup(TIDEGATE).file("app.lua", APP).start(CONFIG)
}

#[test]
fn reloads_in_quick_succession_lose_nothing() {
    let tidegate = start();
    let load = Load::without_end(&format!("http://{}/", tidegate.addr()), 300);
    let reloads = || metric(&tidegate, "tidegate_config_reloads_total");
    let mut rounds = 0;
    while reloads() < 20.0 {
        rounds += 1;
        let extra = format!("  - {{ name: extra, match: {{ path: /extra/{rounds} }}, upstream: app }}\n");
        tidegate.rewrite_config(&format!("{CONFIG}{extra}"));
        tidegate.signal(Signal::HUP);
        thread::sleep(Duration::from_millis(100));
    }
    load.end();
    let last = format!("/extra/{rounds}");
    eventually(PATIENCE, "the last configuration is served", || {
        tidegate_testkit::http::get(tidegate.addr(), &last).status == 200
    });
}

#[test]
fn killed_instances_lose_nothing() {
    let tidegate = start();
    eventually(PATIENCE, "all instances are ready", || pids(&tidegate, "ready").len() == 3);
    let load = Load::without_end(&format!("http://{}/", tidegate.addr()), 200);
    let mut killed = 0;
    while killed < 6 {
        thread::sleep(Duration::from_secs(1));
        let ready = pids(&tidegate, "ready");
        if let Some(&victim) = ready.get(killed % ready.len().max(1)) {
            process::signal(victim, Signal::KILL);
            killed += 1;
        }
    }
    thread::sleep(Duration::from_secs(1));
    load.end();
}

#[test]
fn the_only_instance_may_be_killed() {
    // Requests wait for as long as another one takes to start, on any machine.
    let config = CONFIG.replace("min: 3", "min: 1").replace("max: 8", "max: 1") + "timeouts: { queue: 5m }\n";
    let tidegate = Tidegate::setup(TIDEGATE).file("app.lua", APP).start(&config);
    let load = Load::without_end(&format!("http://{}/", tidegate.addr()), 50);
    eventually(PATIENCE, "the load has begun", || metric(&tidegate, "tidegate_requests_total") > 50.0);
    let [victim] = pids(&tidegate, "ready")[..] else { panic!("one instance") };
    process::signal(victim, Signal::KILL);
    eventually(PATIENCE, "another takes its place", || {
        pids(&tidegate, "ready").iter().any(|&pid| pid != victim)
    });
    thread::sleep(Duration::from_secs(1));
    load.end();
}

#[test]
fn scaling_by_configuration_loses_nothing() {
    let tidegate = start();
    let load = Load::without_end(&format!("http://{}/", tidegate.addr()), 200);
    for count in [1, 8, 1] {
        tidegate.rewrite_config(&CONFIG.replace("min: 3, max: 8", &format!("min: {count}, max: {count}")));
        tidegate.signal(Signal::HUP);
        eventually(PATIENCE, &format!("there are {count} instances"), || {
            pids(&tidegate, "ready").len() == count && pids(&tidegate, "draining").is_empty()
        });
    }
    load.end();
}

#[test]
fn a_gateway_hands_over_to_its_successor_without_losing_anything() {
    let mut old = start();
    let load = Load::without_end(&format!("http://{}/", old.addr()), 200);
    // The successor listens on the same address; only its Admin API has one of its own.
    let config = CONFIG.replace("{listen}", &old.addr().to_string());
    let state = old.dir().join(".tidegate/tidegate");
    let setup = Tidegate::setup(TIDEGATE).arg("--state-dir").arg(state.to_str().unwrap());
    let mut successor = setup.file("app.lua", APP).start(&config);
    thread::sleep(Duration::from_secs(1));
    old.signal(Signal::TERM);
    assert_eq!(old.wait_exit(PATIENCE).code(), Some(0));
    thread::sleep(Duration::from_secs(1));
    load.end();
    assert!(metric(&successor, "tidegate_requests_total") > 0.0);
    // Both have decided at the same time, and what each has written can be told from what the other has.
    let written = || std::fs::metadata(state.join("journal/decisions-00000001.jsonl")).unwrap().len();
    let before = written();
    eventually(PATIENCE, "the successor writes the journal", || written() > before + 1_000);
    successor.signal(Signal::TERM);
    assert_eq!(successor.wait_exit(PATIENCE).code(), Some(0));
    let replayed = std::process::Command::new(TIDEGATE).arg("replay").arg(&state).output().unwrap();
    assert!(replayed.status.success(), "{}", String::from_utf8_lossy(&replayed.stdout));
}

#[test]
fn a_stopping_gateway_finishes_its_requests_and_exits_0() {
    let slow = "ngx.sleep(4) ngx.say('done')";
    let patient = CONFIG.replace("grace: 5s", "grace: 1m");
    let mut tidegate = Tidegate::setup(TIDEGATE).file("app.lua", slow).start(&patient);
    let addr = tidegate.addr();
    let asking: Vec<_> =
        (0..10).map(|_| thread::spawn(move || tidegate_testkit::http::get(addr, "/"))).collect();
    eventually(PATIENCE, "all requests are under way", || {
        metric(&tidegate, "tidegate_requests_in_flight") >= 10.0
    });
    let instances = pids(&tidegate, "ready");
    tidegate.signal(Signal::TERM);
    for asked in asking {
        let answer = asked.join().unwrap();
        assert_eq!((answer.status, answer.text()), (200, "done\n"));
    }
    assert_eq!(tidegate.wait_exit(PATIENCE).code(), Some(0));
    assert!(!instances.iter().any(|&pid| process::is_running(pid)), "no instance is left behind");
}
