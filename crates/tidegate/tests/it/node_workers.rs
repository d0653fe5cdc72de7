//! The workers of a node as a fleet: they become more under load and fewer after it, and no request notices.

use serde_json::Value;
use tidegate_testkit::{Tidegate, eventually, http};

use crate::{PATIENCE, TIDEGATE, fleets, load::Load};

/// Each request keeps its worker from everything else for 5 ms, without using the processor: 70 % busy workers
/// answer 140 a second each.
const CONFIG: &str = "
listeners: [{ address: \"{listen}\" }]
admin: { address: \"{admin}\" }
workers:
  min: 1
  max: 4
  price: 0.05
  triggers: [{ target: { metric: utilization, value: 70% } }]
  behavior: { scaleIn: { stabilization: 2s } }
routes:
  - name: all
    match: { path: /* }
    lua:
      content: |
        local ffi = require 'ffi'
        if not DEFINED then
          DEFINED = true
          ffi.cdef 'int usleep(unsigned int);'
        end
        ffi.C.usleep(5000)
        ngx.say(ngx.worker.id())
";

fn workers(tidegate: &Tidegate) -> Value {
    fleets(tidegate)["items"][0].take()
}

/// How many there are in `state`.
fn count(tidegate: &Tidegate, state: &str) -> usize {
    let fleet = workers(tidegate);
    let instances = fleet["instances"].as_array().unwrap();
    instances.iter().filter(|one| one["state"] == state).count()
}

#[test]
fn workers_become_more_under_load_and_fewer_after_it_and_no_request_is_lost() {
    let tidegate = Tidegate::setup(TIDEGATE).start(CONFIG);
    eventually(PATIENCE, "one serves", || count(&tidegate, "ready") == 1);
    let url = format!("http://{}/", tidegate.addr());
    // Connections that stay through all of it.
    let steady = Load::without_end(&url, 20);
    let burst = Load::without_end(&url, 250);
    eventually(PATIENCE, "there are more", || count(&tidegate, "ready") >= 2);
    let most = workers(&tidegate)["lastDecision"]["reasons"][0].to_string();
    assert!(most.contains("utilization"), "{most}");
    burst.end();
    eventually(PATIENCE, "one is left", || {
        workers(&tidegate)["desired"] == 1
            && count(&tidegate, "ready") == 1
            && count(&tidegate, "draining") == 0
    });
    steady.end();
    let explained = std::process::Command::new(TIDEGATE)
        .args(["explain", "workers", "--admin", &tidegate.admin().to_string()])
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&explained.stdout).into_owned();
    assert!(told.contains("workers shrinks from") && told.contains("at 0.05 USD/h"), "{told}");
    let metrics = http::get(tidegate.admin(), "/metrics");
    let page = metrics.text();
    assert!(page.contains("tidegate_fleet_instances{fleet=\"workers\",state=\"ready\"} 1"), "{page}");
    // Those that are gone have worked.
    assert!(page.contains("tidegate_worker_connections_accepted_total{worker=\"1\"}"), "{page}");
}

#[test]
fn a_reload_that_changes_their_number_leaves_them_as_they_are() {
    let tidegate = Tidegate::setup(TIDEGATE).start(CONFIG);
    eventually(PATIENCE, "one serves", || count(&tidegate, "ready") == 1);
    tidegate.rewrite_config(&CONFIG.replace("max: 4", "max: 2").replace("min: 1", "min: 2"));
    eventually(PATIENCE, "it is said", || {
        let config = http::get(tidegate.admin(), "/api/v1/config");
        let config: Value = serde_json::from_slice(&config.body).unwrap();
        config["needsRestart"].as_array().is_some_and(|parts| parts.iter().any(|part| part == "workers"))
    });
    let fleet = workers(&tidegate);
    assert_eq!((&fleet["min"], &fleet["max"]), (&1.into(), &4.into()), "{fleet}");
    assert_eq!(http::get(tidegate.addr(), "/").text(), "0\n");
}
