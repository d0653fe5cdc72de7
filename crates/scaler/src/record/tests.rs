use std::time::Duration;

use proptest::{
    prelude::*,
    strategy::ValueTree,
    test_runner::{Config, RngAlgorithm, TestRng, TestRunner},
};

use tidegate_core::policy::{Pace, Policy};

use super::{rehearsal::Rehearsal, *};
use crate::observed::{Instances, Metrics, Worked};
use crate::panel::Panel;
use crate::scaler::tests::{any_observed, any_policy};

/// A journal of `steps` steps through calms and bursts, odd readings, clock jumps and reloads, as JSON lines.
fn journal(steps: u64) -> Vec<String> {
    let mut runner =
        TestRunner::new_with_rng(Config::default(), TestRng::from_seed(RngAlgorithm::ChaCha, &[7; 32]));
    let draw_policy = |runner: &mut TestRunner| brisk(draw(runner, &any_policy()));
    let mut panel = Panel::new(draw_policy(&mut runner), None, 1);
    let (mut at, mut demand) = (Timestamp::from_secs(1_800_000_000), 0.0);
    let mut lines = Vec::new();
    for step in 0..steps {
        if step % 100 == 99 {
            let candidate = (step % 200 == 99).then(|| draw_policy(&mut runner));
            panel.set_policies(draw_policy(&mut runner), candidate);
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
        let observed = if step % 100 < 10 { odd } else { plausible(demand, panel.acting().desired()) };
        let checkpoint = (step % 100 == 99 || step % 70 == 0).then(|| Box::new(panel.checkpoint()));
        let verdict = panel.step(at, &observed);
        let record = Record {
            number: step + 1,
            at,
            checkpoint,
            mode: Mode::Act,
            observed,
            outcome: Outcome::of(&verdict.acting),
            candidate: verdict.candidate.as_ref().map(Outcome::of),
            account: None,
        };
        lines.push(serde_json::to_string(&record).unwrap());
    }
    lines
}

fn read(lines: &[String]) -> Vec<Record> {
    lines.iter().map(|line| serde_json::from_str(line).unwrap()).collect()
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
        worked: Some(Worked {
            busy_seconds: load.min(1.0) * f64::from(ready),
            requests: demand * (1.0 / load).min(1.0),
        }),
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
        ..Observed::default()
    }
}

#[test]
fn a_long_journal_replays_bit_for_bit() {
    let lines = journal(3_000);
    let (mut chain, mut changes, mut candidates) = (Chain::default(), 0, 0);
    for record in read(&lines) {
        let Replayed::Same(verdict) = chain.follow(&record) else { panic!("{}", record.number) };
        assert_eq!(Outcome::of(&verdict.acting), record.outcome);
        changes += usize::from(verdict.acting.changes());
        candidates += usize::from(verdict.candidate.is_some_and(|decision| decision.changes()));
    }
    assert!(changes > 50, "a journal in which nothing happens proves nothing: {changes} changes");
    assert!(candidates > 20, "{candidates} changes of candidates");
    let mut plain: Vec<usize> = read(&lines)
        .iter()
        .zip(&lines)
        .filter(|(one, _)| one.checkpoint.is_none())
        .map(|(_, line)| line.len())
        .collect();
    plain.sort_unstable();
    assert!(plain[plain.len() / 2] < 1 << 10, "a usual record is small: {} bytes", plain[plain.len() / 2]);
    let longest = lines.iter().map(String::len).max();
    assert!(longest < Some(64 << 10), "a record stays small: {longest:?} bytes");
}

#[test]
fn a_chain_begins_at_a_checkpoint_and_ends_at_a_gap() {
    let records = read(&journal(200));
    let mut chain = Chain::default();
    for record in &records[5..70] {
        assert_eq!(chain.follow(record), Replayed::Unknown, "nothing is known of what went before");
    }
    assert!(matches!(chain.follow(&records[70]), Replayed::Same(_)));
    assert!(matches!(chain.follow(&records[71]), Replayed::Same(_)));
    assert_eq!(chain.follow(&records[73]), Replayed::Unknown, "one is missing");
    assert_eq!(chain.follow(&records[74]), Replayed::Unknown);
    assert!(matches!(chain.follow(&records[99]), Replayed::Same(_)));
}

#[test]
fn whatever_is_forged_is_seen() {
    let records = read(&journal(141));
    let replay = |records: &[Record]| {
        let mut chain = Chain::default();
        records.iter().position(|record| !matches!(chain.follow(record), Replayed::Same(_)))
    };
    assert_eq!(replay(&records), None);
    let mut forged = records.clone();
    forged[40].outcome.desired += 1;
    assert_eq!(replay(&forged), Some(40));
    let mut forged = records.clone();
    forged[40].observed.started = vec![Duration::from_secs(77); 40];
    assert!(
        replay(&forged).is_some_and(|at| (40..=70).contains(&at)),
        "by its outcome or the next checkpoint"
    );
    let mut forged = records;
    let first = forged[0].checkpoint.clone().unwrap().hpa;
    forged[140].checkpoint.as_mut().unwrap().hpa = first;
    assert_eq!(replay(&forged), Some(140), "a memory that nothing leads to");
}

#[test]
fn a_restored_panel_goes_on_as_if_nothing_had_happened() {
    let records = read(&journal(90));
    let mut panel = Panel::restore(*records[0].checkpoint.clone().unwrap());
    for record in &records {
        let verdict = panel.step(record.at, &record.observed);
        assert!(record.outcome.is_of(&verdict.acting), "{}", record.number);
        let json = serde_json::to_string(&panel.checkpoint()).unwrap();
        panel = Panel::restore(serde_json::from_str(&json).unwrap());
    }
}

#[test]
fn a_rehearsal_with_the_policy_in_force_decides_as_it_did() {
    let records = read(&journal(99));
    let checkpoint = *records[0].checkpoint.clone().unwrap();
    let mut same = Rehearsal::new(checkpoint.acting.policy.clone(), checkpoint.acting.state.clone());
    let narrow = Policy { min: 1, max: 1, ..checkpoint.acting.policy };
    let mut fewer = Rehearsal::new(narrow, checkpoint.acting.state);
    for record in &records {
        assert_eq!(same.step(record.at, &record.observed).desired, record.outcome.desired);
        assert_eq!(fewer.step(record.at, &record.observed).desired, 1);
    }
    let (same, fewer) = (same.figures(), fewer.figures());
    assert_eq!((same.steps, fewer.steps, fewer.peak), (99, 99, 1));
    assert!(same.peak > 1 && same.instance_hours > fewer.instance_hours, "{same:?} {fewer:?}");
    assert!(fewer.overload > same.overload, "{same:?} {fewer:?}");
}

#[test]
fn what_was_not_decided_is_told() {
    let records = read(&journal(3_000));
    let decisions: Vec<&Decision> =
        records.iter().filter_map(|record| record.outcome.decision.as_deref()).collect();
    let of = |case: &str| {
        let cases =
            decisions.iter().flat_map(|decision| decision.otherwise.iter().map(move |one| (decision, one)));
        cases
            .filter(|(_, one)| one.case.starts_with(case))
            .map(|(d, one)| (d.desired, one.desired))
            .collect::<Vec<_>>()
    };
    assert_eq!(of("HPA at 70%").len(), decisions.len());
    for case in ["without target", "without stabilization", "without pace"] {
        let counts = of(case);
        assert!(counts.iter().any(|(decided, other)| decided != other), "{case}: {counts:?}");
    }
}
