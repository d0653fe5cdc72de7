//! Chaos beside steady load, in its bounded form: requests that may be repeated succeed, and nothing is left behind.

use std::{process::Command, thread, time::Duration};

use serde_json::Value;
use tidegate_testkit::{Tidegate, eventually, http, process};

use crate::{PATIENCE, TIDEGATE, fleets, load::Load, metric};

const CONFIG: &str = "
listeners: [{ address: \"{listen}\" }]
admin: { address: \"{admin}\" }
chaos: { enabled: true }
fleets:
  app: { run: { lua: app.lua }, grace: 5s, scale: { min: 3, max: 6 } }
  threads: { run: { lua: app.lua }, driver: thread, grace: 5s, scale: { min: 2, max: 4 } }
upstreams: { app: { fleet: app }, threads: { fleet: threads } }
routes:
  - { name: threads, match: { path: /threads }, upstream: threads }
  - { name: app, match: { path: /* }, upstream: app }
";

const APP: &str = "local x = 0 for i = 1, 2000 do x = x + i % 7 end ngx.say(x)";

fn chaos(tidegate: &Tidegate, words: &[&str]) -> std::process::Output {
    let admin = tidegate.admin().to_string();
    Command::new(TIDEGATE)
        .args(["chaos", "--admin", &admin, "--format", "json"])
        .args(words)
        .output()
        .unwrap()
}

fn descriptors(pid: u32) -> usize {
    std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count()
}

#[test]
fn requests_succeed_and_nothing_is_left_behind() {
    let tidegate = Tidegate::setup(TIDEGATE).file("app.lua", APP).start(CONFIG);
    let count = || {
        let shown = fleets(&tidegate);
        let items = shown["items"].as_array().unwrap().clone();
        items.iter().map(|fleet| fleet["instances"].as_array().unwrap().len()).sum::<usize>()
    };
    eventually(PATIENCE, "all are there", || count() == 5);
    let loads =
        ["", "threads"].map(|path| Load::without_end(&format!("http://{}/{path}", tidegate.addr()), 100));
    thread::sleep(Duration::from_secs(1)); // The load is under way before anything goes wrong.
    let (children, open) = (process::children(tidegate.pid()).len(), descriptors(tidegate.pid()));
    let output = chaos(&tidegate, &["--seed", "3", "--duration", "8s", "--every", "250ms", "--settle", "2m"]);
    let report: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| {
        panic!("{error}: {}", String::from_utf8_lossy(&output.stderr));
    });
    for load in loads {
        let sent = load.end();
        assert!(sent["requests"].as_u64().unwrap() > 100, "{sent}");
    }
    assert!(output.status.success() && report["settled"] == true, "{report:#}");
    let done: u64 =
        report["actions"].as_object().unwrap().values().filter_map(|one| one["done"].as_u64()).sum();
    assert!(done >= 5 && report["recoveries"]["count"].as_u64().unwrap() > 0, "{report:#}");
    eventually(PATIENCE, "no process is left over", || process::children(tidegate.pid()).len() <= children);
    // Connections of the load, and those that upstreams keep, are closed by and by; none may pile up.
    eventually(PATIENCE, "no file is left open", || descriptors(tidegate.pid()) <= open + 32);
    assert!(metric(&tidegate, "tidegate_fleet_restarts_total") > 0.0);
}

#[test]
fn a_pool_that_vanishes_at_once_costs_no_request() {
    let pools = "pools:
        steady: { kind: onDemand, price: 0.1 }
        a: { kind: spot, price: 0.03 }
        b: { kind: spot, price: 0.03 }";
    let config = CONFIG.replace(
        "  app: { run: { lua: app.lua }, grace: 5s, scale: { min: 3, max: 6 } }",
        &format!("  app:\n    run: {{ lua: app.lua }}\n    grace: 5s\n    scale:\n      min: 2\n      max: 6\n      {pools}"),
    );
    let tidegate = Tidegate::setup(TIDEGATE).file("app.lua", APP).start(&config);
    let of_pool = |pool: &str| {
        let fleets = fleets(&tidegate);
        let instances = fleets["items"][0]["instances"].as_array().unwrap();
        instances.iter().filter(|one| one["pool"] == pool && one["state"] == "ready").count()
    };
    eventually(PATIENCE, "there is spot enough for one pool to vanish", || {
        of_pool("a") == 2 && of_pool("b") == 2
    });
    let load = Load::without_end(&format!("http://{}/", tidegate.addr()), 100);
    let output = chaos(&tidegate, &["--only", "reclaim-pool", "--duration", "3s", "--settle", "2m"]);
    let report: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| {
        panic!("{error}: {}", String::from_utf8_lossy(&output.stderr));
    });
    assert!(report["actions"]["reclaimPool"]["done"].as_u64().unwrap() > 0, "{report:#}");
    assert_eq!(report["settled"], true, "{report:#}");
    load.end();
    let told = Command::new(TIDEGATE)
        .args(["explain", "app", "--admin", &tidegate.admin().to_string(), "--limit", "10"])
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&told.stdout).into_owned();
    assert!(told.contains("took instances back") && told.contains("USD/h"), "{told}");
}

#[test]
fn nothing_goes_wrong_where_that_is_not_allowed() {
    let config = CONFIG.replace("chaos: { enabled: true }\n", "");
    let tidegate = Tidegate::setup(TIDEGATE).file("app.lua", APP).start(&config);
    let output = chaos(&tidegate, &["--duration", "1s"]);
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("chaos: { enabled: true }"), "{said}");
    let answer = http::get(tidegate.admin(), "/api/v1/chaos");
    assert_eq!(answer.text(), r#"{"enabled":false}"#);
}
