use std::time::Duration;

use proptest::{
    prelude::*,
    strategy::ValueTree,
    test_runner::{Config, RngAlgorithm, TestRng, TestRunner},
};

use tidegate_core::policy::Pace;

use super::*;
use crate::observed::{Instances, Metrics};
use crate::scaler::tests::{any_observed, any_policy};

/// A journal of `steps` steps through calms and bursts, odd readings, clock jumps and reloads, as JSON lines.
fn journal(steps: u64) -> Vec<String> {
    let mut runner =
        TestRunner::new_with_rng(Config::default(), TestRng::from_seed(RngAlgorithm::ChaCha, &[7; 32]));
    let mut scaler = Scaler::new(brisk(draw(&mut runner, &any_policy())));
    let (mut at, mut demand) = (Timestamp::from_secs(1_800_000_000), 0.0);
    let mut lines = Vec::new();
    for step in 0..steps {
        if step % 100 == 99 {
            scaler.set_policy(brisk(draw(&mut runner, &any_policy())));
        }
        if step % 30 == 0 {
            demand = draw(&mut runner, &(0.0..3_000.0));
        }
        at = at
            + Duration::from_millis(draw(
                &mut runner,
                &prop_oneof![50 => 900..1_100_u64, 1 => 0..5_000_000_u64],
            ));
        let odd = draw(&mut runner, &any_observed());
        let observed = if step % 100 < 10 { odd } else { plausible(demand, scaler.desired()) };
        let (policy, state_before) = (scaler.policy().clone(), scaler.state());
        let decision = scaler.step(at, &observed);
        let record = Record { policy, state_before, at, observed, decision };
        assert_eq!(record.replay(), record.decision, "step {step}");
        lines.push(serde_json::to_string(&record).unwrap());
    }
    lines
}

fn draw<S: Strategy>(runner: &mut TestRunner, strategy: &S) -> S::Value {
    strategy.new_tree(runner).unwrap().current()
}

/// The same policy with windows short enough for a lot to happen.
fn brisk(policy: Policy) -> Policy {
    let quick = |pace: Pace| Pace { stabilization: pace.stabilization / 10, ..pace };
    Policy {
        max: policy.max + 50,
        scale_out: quick(policy.scale_out),
        scale_in: quick(policy.scale_in),
        ..policy
    }
}

/// What `ready` instances of 100 requests/s show of a demand.
fn plausible(demand: f64, ready: u32) -> Observed {
    let load = demand / 100.0 / f64::from(ready.max(1));
    let metrics = Metrics {
        arrival_rate: Some(demand),
        concurrency: Some(demand * 0.01),
        queued: Some((load - 1.0).max(0.0) * 10.0),
        utilization: Some(load.min(1.0)),
        latency_p50: Some(0.01 * load),
        latency_p99: Some(load),
        error_rate: Some(0.0),
        cpu: Some(load.min(1.0) * f64::from(ready)),
        memory: Some(1e9),
        ..Metrics::default()
    };
    Observed {
        metrics,
        instances: Instances { ready, ..Instances::default() },
        started: vec![Duration::from_millis(700)],
        generation: 0,
    }
}

#[test]
fn a_long_journal_replays_bit_for_bit() {
    let lines = journal(3_000);
    let mut changes = 0;
    for line in &lines {
        let record: Record = serde_json::from_str(line).unwrap();
        let again = record.replay();
        assert_eq!(again, record.decision);
        assert_eq!(serde_json::to_string(&again).unwrap(), serde_json::to_string(&record.decision).unwrap());
        changes += usize::from(again.changes());
    }
    assert!(changes > 50, "a journal in which nothing happens proves nothing: {changes} changes");
    let longest = lines.iter().map(String::len).max();
    assert!(longest < Some(32 << 10), "a record stays small: {longest:?} bytes");
}

#[test]
fn a_restored_scaler_goes_on_as_if_nothing_had_happened() {
    let records: Vec<Record> = journal(90).iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    let mut scaler = Scaler::restore(records[0].policy.clone(), records[0].state_before.clone());
    for record in &records {
        assert_eq!(scaler.state(), record.state_before);
        assert_eq!(scaler.step(record.at, &record.observed), record.decision);
        let json = serde_json::to_string(&scaler.state()).unwrap();
        scaler = Scaler::restore(scaler.policy().clone(), serde_json::from_str(&json).unwrap());
    }
}
