//! A gateway that is killed under load and started again: its instances are gone or found again, and never doubled.

use std::{
    collections::BTreeSet,
    fs, thread,
    time::{Duration, Instant},
};

use tidegate_testkit::{Tidegate, eventually, http, process};

use crate::{PATIENCE, TIDEGATE, examples::examples, fleets, load::Load};

const CONFIG: &str = "
listeners: [{ address: \"{listen}\" }]
admin: { address: \"{admin}\" }
fleets:
  app:
    run: { lua: app.lua }
    grace: 5s
    scale: { min: 2, max: 4 }
  threads:
    run: { lua: app.lua }
    driver: thread
    scale: { min: 2, max: 4 }
  parents:
    # What is asked is a child of the instance.
    run: { command: [sh, -c, \"python3 '{server}' {port} & wait\"] }
    ready: { path: /healthz }
    scale: { min: 2, max: 4 }
  lasting:
    run:
      exec:
        start: [sh, \"{scripts}/start.sh\"]
        stop: [sh, \"{scripts}/stop.sh\"]
        list: [sh, \"{scripts}/list.sh\"]
        interval: 500ms
    ready: { path: /healthz }
    scale: { min: 3, max: 6 }
upstreams: { app: { fleet: app }, threads: { fleet: threads }, parents: { fleet: parents }, lasting: { fleet: lasting } }
routes:
  - { name: app, match: { path: /app }, upstream: app }
  - { name: threads, match: { path: /threads }, upstream: threads }
  - { name: parents, match: { path: /parents }, upstream: parents }
  - { name: lasting, match: { path: /lasting }, upstream: lasting }
";

/// Ready instances of each fleet, by name: their ids and endpoints.
fn ready(tidegate: &Tidegate, fleet: &str) -> BTreeSet<(String, String)> {
    let shown = fleets(tidegate);
    let items = shown["items"].as_array().cloned().unwrap_or_default();
    let fleet = items.into_iter().find(|one| one["name"] == fleet).unwrap_or_default();
    let instances = fleet["instances"].as_array().cloned().unwrap_or_default();
    let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    let ready = instances.iter().filter(|one| one["state"] == "ready");
    ready.map(|one| (text(&one["id"]), text(&one["endpoint"]))).collect()
}

/// How many instances there are of each fleet, in whatever state.
fn counts(tidegate: &Tidegate) -> Vec<(String, usize, u64)> {
    let shown = fleets(tidegate);
    let items = shown["items"].as_array().cloned().unwrap_or_default();
    let count = |one: &serde_json::Value| {
        let name = one["name"].as_str().unwrap_or_default().to_owned();
        (name, one["instances"].as_array().map_or(0, Vec::len), one["desired"].as_u64().unwrap_or_default())
    };
    items.iter().map(count).collect()
}

fn all_there(tidegate: &Tidegate) -> bool {
    let ready = |fleet| ready(tidegate, fleet).len();
    ready("app") >= 2
        && ready("threads") >= 2
        && ready("parents") >= 2
        && ready("lasting") >= 3
        && counts(tidegate).iter().all(|(_, there, desired)| *there as u64 == *desired)
}

/// The processes that answer for a fleet, as its server says.
fn servers(tidegate: &Tidegate, fleet: &str) -> BTreeSet<u32> {
    let answers = ready(tidegate, fleet).into_iter().map(|(_, endpoint)| {
        let text = http::get(endpoint.parse().unwrap(), "/").text().to_owned();
        text.split(' ').nth(1).and_then(|pid| pid.parse().ok()).unwrap_or_else(|| panic!("{text}"))
    });
    answers.collect()
}

#[test]
fn instances_are_gone_or_found_again_and_counts_are_right_after_some_seconds() {
    if tidegate_testkit::component("python3").is_none() {
        return;
    }
    let state = tempfile::tempdir().unwrap();
    let examples = examples().canonicalize().unwrap();
    let mut tidegate = Tidegate::setup(TIDEGATE)
        .file("app.lua", "ngx.say('here')")
        .set("server", &examples.join("command/server.py").display())
        .set("scripts", &examples.join("exec").display())
        .env("TIDEGATE_EXAMPLE_STATE", state.path().to_str().unwrap())
        .start(CONFIG);
    eventually(PATIENCE, "all instances are ready", || all_there(&tidegate));
    let paths = ["app", "threads", "parents", "lasting"];
    let loads: Vec<_> = paths
        .iter()
        .map(|path| Load::without_end(&format!("http://{}/{path}", tidegate.addr()), 25))
        .collect();
    thread::sleep(Duration::from_secs(1)); // Under load is what it is about.
    let (lasting, servers_of_lasting) = (ready(&tidegate, "lasting"), servers(&tidegate, "lasting"));
    let mut owned: BTreeSet<u32> = servers(&tidegate, "parents");
    owned.extend(process::children(tidegate.pid()));

    tidegate.kill_and_restart();
    let since = Instant::now();
    eventually(Duration::from_secs(10), "counts are right", || all_there(&tidegate));
    let took = since.elapsed();
    eventually(PATIENCE, "no process is orphaned", || !owned.iter().any(|&pid| process::is_running(pid)));
    assert!(lasting.is_subset(&ready(&tidegate, "lasting")), "they are found again");
    assert!(servers_of_lasting.is_subset(&servers(&tidegate, "lasting")), "and are the same");
    let files = fs::read_dir(state.path()).unwrap().map(|file| file.unwrap().path());
    let tagged = files.filter(|path| path.extension().is_some_and(|end| end == "json")).count();
    assert_eq!(tagged, ready(&tidegate, "lasting").len(), "none is doubled");
    // Less than ten seconds, where nothing else takes the processors.
    eprintln!("counts were right after {took:?}");
    drop(loads);

    // Nothing is left of what outlives a gateway once it leaves the configuration.
    let running = servers(&tidegate, "lasting");
    tidegate.rewrite_config("listeners: [{ address: \"{listen}\" }]\nadmin: { address: \"{admin}\" }\n");
    tidegate.signal(process::Signal::HUP);
    eventually(PATIENCE, "the last are stopped", || !running.iter().any(|&pid| process::is_running(pid)));
}
