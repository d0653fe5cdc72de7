//! What runs and what is simulated agree: the same policy and the same demand cost the same.

use std::{
    path::{Path, PathBuf},
    process::Command,
    time::SystemTime,
};

use tidegate_control::{ConfigSource, journal::history::History};
use tidegate_core::{
    FleetId, Timestamp,
    policy::{Policy, TargetMetric, Trigger},
};
use tidegate_sim::{Conditions, Demand, live::Live, world::run_watched};
use tidegate_testkit::{Tidegate, eventually, process::Signal};

use crate::{PATIENCE, TIDEGATE, examples::trace, fleets};

const CONFIG: &str = "
listeners: [{ address: \"{listen}\" }]
admin: { address: \"{admin}\" }
fleets:
  odds:
    run: { lua: odds.lua }
    driver: thread
    scale: { min: 1, max: 80, triggers: [{ target: { metric: arrivalRate, value: 8/1s } }], behavior: { scaleIn: { stabilization: 4s } } }
upstreams: { odds: { fleet: odds } }
routes: [{ name: odds, match: { path: /* }, upstream: odds }]
";

/// The default policy, and instances that serve one request at a time.
const USUAL: &str = "
listeners: [{ address: \"{listen}\" }]
admin: { address: \"{admin}\" }
fleets: { odds: { run: { lua: odds.lua }, driver: thread, concurrency: 1, scale: { max: 80 } } }
upstreams: { odds: { fleet: odds } }
routes: [{ name: odds, match: { path: /* }, upstream: odds }]
";

/// Requests per second at the peak of what is replayed.
const PEAK: f64 = 400.0;
/// A simulated instance serves 100 requests/s and one of these 10: what is simulated is ten times as much, with
/// a target ten times as high.
const SCALE: f64 = 10.0;
/// The seconds after which a simulation has left the count that it begins with.
const SETTLING: usize = 6;

/// Milliseconds that a request of 50 takes in a calm machine, at an instance and for half of the clients.
const CALM: (f64, f64) = (54.0, 55.0);

/// Minutes of the match, which go by in as many seconds: all of its hour with `TIDEGATE_LONG`.
fn minutes() -> u64 {
    if std::env::var_os("TIDEGATE_LONG").is_some() { 60 } else { 25 }
}

/// Through the peak of the sixth day's match, at sixty times the speed: in the words of `load`, which `simulate` knows too.
fn part(trace: &Path) -> Vec<String> {
    let (start, length) = (9_655 - minutes() / 2, minutes());
    let part = format!("--speed 60x --peak {PEAK} --start {start}m --length {length}m");
    let part = part.split(' ').map(str::to_owned);
    ["--trace".to_owned(), trace.display().to_string()].into_iter().chain(part).collect()
}

/// Has the match played to its end. Milliseconds in which half of the answers came.
fn play(tidegate: &Tidegate, trace: &Path, connections: u32) -> f64 {
    let load = Command::new(TIDEGATE)
        .args(["load", &format!("http://{}/odds", tidegate.addr()), "--quiet", "--format", "json"])
        .args(["--connections", &connections.to_string()])
        .args(part(trace))
        .output()
        .unwrap();
    assert!(load.status.success(), "{load:?}");
    let told: serde_json::Value = serde_json::from_slice(&load.stdout).unwrap();
    told["latency"]["p50Ms"].as_f64().unwrap()
}

/// What the fleet was paid for so far, in instance-seconds.
fn cost(tidegate: &Tidegate) -> f64 {
    fleets(tidegate)["items"][0]["cost"]["instanceHours"].as_f64().unwrap_or_default() * 3_600.0
}

/// The policy as it is in the file, for instances that serve ten times as much.
fn policy(file: PathBuf) -> Policy {
    let (snapshot, diagnostics) = ConfigSource::File(file).load();
    let mut snapshot = snapshot.unwrap_or_else(|| panic!("{diagnostics:?}"));
    let mut policy = snapshot.fleets.remove(&FleetId::new("odds").unwrap()).unwrap().policy;
    for trigger in &mut policy.triggers {
        if let Trigger::Target(target) = trigger {
            assert_eq!(target.metric, TargetMetric::ArrivalRate);
            target.value *= SCALE;
        }
    }
    policy
}

/// Instance-seconds of a simulation of these requests per second, but for the seconds in which it finds its first count.
fn simulated(policy: Policy, rates: &[f64]) -> f64 {
    let arrivals = rates.iter().map(|rate| (rate * SCALE).round() as u32).collect();
    let (mut sum, conditions) = (0_u64, Conditions { start_up: 0, buffer: 0 });
    run_watched(&Demand::new(arrivals), conditions, &mut Live::new(policy), |second, moment| {
        if second >= SETTLING {
            sum += u64::from(moment.launched);
        }
    });
    sum as f64
}

/// What is simulated is the demand that the gateway recorded: on a machine that does much else, a load comes late.
#[test]
fn a_match_hour_costs_the_same_in_a_gateway_and_in_a_simulation() {
    let Some(path) = trace("worldcup98_14d_60s.csv") else { return };
    let mut tidegate = Tidegate::setup(TIDEGATE).file("odds.lua", "ngx.say('7:2')").start(CONFIG);
    eventually(PATIENCE, "an instance has waited for some seconds", || cost(&tidegate) > SETTLING as f64);
    play(&tidegate, &path, 64);
    let desired = || fleets(&tidegate)["items"][0]["desired"].as_u64();
    eventually(PATIENCE, "the fleet has shrunk again", || desired() == Some(1));
    let cost = cost(&tidegate);
    let policy = policy(tidegate.config_path());
    // What was recorded is on disk then.
    tidegate.signal(Signal::TERM);
    assert!(tidegate.wait_exit(PATIENCE).success());
    let state = History::new(&tidegate.dir().join(".tidegate/tidegate"));
    let now = Timestamp::default() + SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    let recorded = state.read(&FleetId::new("odds").unwrap(), now, 600).unwrap().unwrap();
    assert_eq!(recorded.step_seconds, 1);
    let rates: Vec<_> = recorded.rates.iter().map(|rate| rate.map_or(0.0, f64::from)).collect();
    let peak = rates.iter().copied().fold(0.0, f64::max);
    assert!(peak > PEAK / 2.0, "{rates:?}");
    // One instance for the seconds that are left out.
    let (live, expected) = (cost - SETTLING as f64, simulated(policy, &rates));
    let factor = live / expected;
    eprintln!("instance-seconds: {live:.0} in a gateway, {expected:.0} in a simulation, {factor:.3} times");
    assert!((factor - 1.0).abs() <= 0.1, "{live} in a gateway, {expected} in a simulation of {rates:?}");
}

/// What a user is told of the trace before anything runs is what it costs then, within what a minute of it varies by. That can
/// be seen where an instance serves what it is said to: where a wait of 50 ms takes longer beside much else, the fleet is right
/// to be larger.
#[test]
fn a_match_hour_costs_what_its_trace_does_in_a_simulation_of_the_default_policy() {
    let Some(path) = trace("worldcup98_14d_60s.csv") else { return };
    let app = "ngx.sleep(0.05) ngx.say('7:2')";
    for connections in [64, 1_000] {
        let tidegate = Tidegate::setup(TIDEGATE).file("odds.lua", app).start(USUAL);
        eventually(PATIENCE, "an instance is there", || cost(&tidegate) > 1.0);
        let before = cost(&tidegate);
        let half = play(&tidegate, &path, connections);
        let live = cost(&tidegate) - before;
        let work = fleets(&tidegate)["items"][0]["learned"]["work"].as_f64().unwrap();
        let fleet = format!("{}#odds", tidegate.config_path().display());
        let output = Command::new(TIDEGATE)
            .args("simulate --format json --start-up 0s --capacity 20 --policy".split(' '))
            .arg(fleet)
            .args(part(&path))
            .output()
            .unwrap();
        let told: serde_json::Value =
            serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{output:?}"));
        let simulated = told["runs"][0]["instanceHours"].as_f64().unwrap() * 3_600.0;
        let (factor, millis) = (live / simulated, work * 1e3);
        eprintln!(
            "instance-seconds: {live:.0} in a gateway, {simulated:.0} in a simulation, {factor:.3} times; {millis:.1} ms a request, \
             half of the answers in {half}"
        );
        if millis > CALM.0 || half > CALM.1 {
            eprintln!("SKIPPED: this machine is too busy to tell what an instance serves");
            continue;
        }
        assert!((factor - 1.0).abs() <= 0.25, "{live} in a gateway, {simulated} in a simulation");
    }
}

#[test]
fn recorded_demand_is_simulated_with_instances_as_they_were() {
    let mut tidegate = Tidegate::setup(TIDEGATE).file("odds.lua", "ngx.say('7:2')").start(CONFIG);
    let load = crate::load::Load::start(&format!("http://{}/", tidegate.addr()), 80, 5);
    load.assert_nothing_failed();
    tidegate.signal(Signal::TERM);
    assert!(tidegate.wait_exit(PATIENCE).success());
    let state = tidegate.dir().join(".tidegate/tidegate").display().to_string();
    let policy = format!("{}#odds", tidegate.config_path().display());
    let simulate = |arguments: &[&str]| {
        Command::new(TIDEGATE)
            .args(["simulate", "--format", "json", "--from-history", "1h"])
            .args(arguments)
            .output()
            .unwrap()
    };
    let output = simulate(&["--policy", &policy, "--state", &state, "--capacity", "10", "--vs", "hpa"]);
    let told: serde_json::Value =
        serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{output:?}"));
    let runs = told["runs"].as_array().unwrap();
    assert_eq!((runs.len(), &runs[0]["policy"]), (8, &"odds".into()), "{told}");
    // As measured: milliseconds are a second, and on a machine that does much else it takes more.
    let start_up = runs[0]["startUpSeconds"].as_u64().unwrap();
    assert!((1..30).contains(&start_up), "as started, and not what is taken where nothing is known: {told}");
    // Ten instances for most of five seconds are about a hundredth of an hour.
    let hours = runs[0]["instanceHours"].as_f64().unwrap();
    assert!((0.004..0.03).contains(&hours), "{told}");
    // Bands and a plot are for these runs as for those of a trace.
    let (bands, plot) = (tidegate.dir().join("bands.yaml"), tidegate.dir().join("past.svg"));
    std::fs::write(&bands, "runs:\n  - { policy: odds, costOverFloor: { atMost: 0.01 } }\n").unwrap();
    let (bands, drawn) = (bands.display().to_string(), plot.display().to_string());
    let told =
        ["--policy", &policy, "--state", &state, "--capacity", "10", "--check", &bands, "--plot", &drawn];
    let output = simulate(&told);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let svg = std::fs::read_to_string(&plot).unwrap();
    assert!(svg.contains("<title>odds on odds, the last "), "{}", &svg[..400]);
    assert!(svg.contains("Instances paid for"), "{}", &svg[..400]);
    let output = simulate(&["--fleet", "evens", "--state", &state]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(1) && said.contains("no demand of evens"), "{said}");
    let output = simulate(&["--state", &state]);
    assert!(String::from_utf8_lossy(&output.stderr).contains("whose history?"), "{output:?}");
}
