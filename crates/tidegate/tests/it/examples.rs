//! The examples are right, and do what they say.

use std::{
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use tidegate_testkit::{Tidegate, eventually};

use crate::{PATIENCE, TIDEGATE, fleets, instances, pids};

pub(crate) fn examples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples")
}

#[test]
fn every_example_is_valid_and_without_warnings() {
    let files = std::fs::read_dir(examples()).unwrap().map(|entry| entry.unwrap().path());
    let files: Vec<_> = files.filter(|path| path.extension().is_some_and(|end| end == "yaml")).collect();
    assert!(!files.is_empty());
    let python = tidegate_testkit::component("python3").is_some();
    // Programs that are not there are warned of.
    let can_run = |file: &PathBuf| python || !std::fs::read_to_string(file).unwrap().contains("python3");
    for file in files.into_iter().filter(can_run) {
        let output = Command::new(TIDEGATE).arg("check").arg(&file).output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{}: {said}", file.display());
        assert!(said.contains("0 errors, 0 warnings"), "{}: {said}", file.display());
    }
}

/// Where recorded demand is kept: `TIDEGATE_TRACES`, or beside the project.
pub(crate) fn trace(name: &str) -> Option<PathBuf> {
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/traces");
    let path = std::env::var_os("TIDEGATE_TRACES").map_or_else(beside, PathBuf::from).join(name);
    if !path.exists() {
        eprintln!("SKIPPED: there is no {}; TIDEGATE_TRACES says where traces are", path.display());
        return None;
    }
    Some(path)
}

#[test]
fn the_match_day_is_followed_by_the_fleet_without_a_failure() {
    let Some(trace) = trace("worldcup98_14d_60s.csv") else { return };
    let read = |name: &str| std::fs::read_to_string(examples().join(name)).unwrap();
    let config =
        read("worldcup.yaml").replace("127.0.0.1:8000", "{listen}").replace("127.0.0.1:9000", "{admin}");
    // The day goes by six times as fast as the example says, and so does its patience.
    let config = config.replace("stabilization: 4s", "stabilization: 1s").replace("accessLog", "# accessLog");
    let tidegate =
        Tidegate::setup(TIDEGATE).file("worldcup/odds.lua", &read("worldcup/odds.lua")).start(&config);
    let load = Command::new(TIDEGATE)
        .args(["load", &format!("http://{}/odds", tidegate.addr()), "--format", "json", "--quiet"])
        .args(["--trace", trace.to_str().unwrap(), "--start", "6d", "--length", "1d"])
        .args(["--speed", "3600x", "--peak", "300"])
        .stdout(std::process::Stdio::piped())
        .spawn();
    let began = Instant::now();
    let mut load = load.unwrap();
    let mut counts = Vec::new();
    while load.try_wait().unwrap().is_none() {
        counts.push(pids(&tidegate, "ready").len());
        std::thread::sleep(Duration::from_millis(250));
    }
    let output = load.wait_with_output().unwrap();
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(report["requests"].as_u64().unwrap() > 1_000, "{report}");
    assert_eq!(report["failed"], 0, "{report:#}");
    counts.dedup();
    let falls = counts.windows(2).filter(|pair| pair[1] < pair[0]).count();
    let peak = *counts.iter().max().unwrap();
    assert!(peak >= 3 && falls >= 1, "instances rise and fall with the day: {counts:?}");
    eventually(PATIENCE, "one is left for the night", || pids(&tidegate, "ready").len() == 1);
    let used = fleets(&tidegate)["items"][0]["instanceSeconds"].as_f64().unwrap();
    let fixed = peak as f64 * began.elapsed().as_secs_f64();
    assert!(used <= 0.6 * fixed, "{used} instance-seconds of {fixed} that a fixed fleet would have used");
}

#[test]
fn shell_scripts_drive_a_fleet_that_outlives_the_gateway() {
    if tidegate_testkit::component("python3").is_none() {
        return;
    }
    let state = tempfile::tempdir().unwrap();
    let config = std::fs::read_to_string(examples().join("exec.yaml")).unwrap();
    let config = config
        .replace("127.0.0.1:8000", "{listen}")
        .replace("127.0.0.1:9000", "{admin}")
        .replace("examples/exec", "{scripts}");
    let start = || {
        Tidegate::setup(TIDEGATE)
            .set("scripts", &examples().canonicalize().unwrap().join("exec").display())
            .env("TIDEGATE_EXAMPLE_STATE", state.path().to_str().unwrap())
    };
    // Another folder is another owner, unless it is said who that is.
    let config = config.replace("        interval: 2s", "        owner: example\n        interval: 300ms");
    let names = |tidegate: &Tidegate| -> std::collections::BTreeSet<String> {
        instances(tidegate, "ready").iter().map(|one| one["id"].to_string()).collect()
    };
    let mut first = start().start(&config);
    eventually(PATIENCE, "two are ready", || names(&first).len() == 2);
    let known = names(&first);
    let answer = tidegate_testkit::http::get(first.addr(), "/");
    assert!(answer.text().starts_with("process "), "{answer:?}");
    first.signal(tidegate_testkit::process::Signal::TERM);
    assert_eq!(first.wait_exit(PATIENCE).code(), Some(0));
    let second = start().start(&config);
    eventually(PATIENCE, "they are found again", || names(&second) == known);
    let empty = "listeners: [{ address: \"{listen}\" }]\nadmin: { address: \"{admin}\" }\n";
    second.rewrite_config(empty);
    second.signal(tidegate_testkit::process::Signal::HUP);
    let left = || std::fs::read_dir(state.path()).unwrap().count();
    eventually(PATIENCE, "nothing is left", || left() == 0);
}
