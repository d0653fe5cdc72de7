use std::time::Duration;

use tidegate_core::policy::{DEFAULT_IDLE, Pace, Policy, Slo, Target, TargetMetric, Trigger};
use tidegate_scaler::{
    Observed, Scaler,
    observed::{Instances, Metrics},
};

use super::*;

fn fleet() -> FleetId {
    FleetId::new("orders").unwrap()
}

fn scaler() -> Scaler {
    let pace = Pace { stabilization: Duration::ZERO, limits: Vec::new() };
    let trigger = Trigger::Target(Target {
        metric: TargetMetric::Concurrency,
        route: None,
        value: 3.0,
        tolerance: 0.0,
    });
    Scaler::new(Policy {
        min: 1,
        max: 1_000_000,
        idle: DEFAULT_IDLE,
        slo: Slo::default(),
        triggers: vec![trigger],
        scale_out: pace.clone(),
        scale_in: pace,
    })
}

/// The record of one step at that second with that concurrency.
pub(super) fn step(scaler: &mut Scaler, second: u64, concurrency: f64) -> Record {
    let at = Timestamp::from_secs(second);
    let metrics = Metrics { concurrency: Some(concurrency), ..Metrics::default() };
    let instances = Instances { ready: scaler.desired(), ..Instances::default() };
    let observed = Observed { metrics, instances, started: vec![Duration::from_millis(3)], generation: 0 };
    let (policy, state_before) = (scaler.policy().clone(), scaler.state());
    let decision = scaler.step(at, &observed);
    Record { policy, state_before, at, observed, decision }
}

/// A record for each of these concurrencies, a second apart, and the journal that holds them.
fn journal(concurrencies: &[f64]) -> (Journal, Vec<Entry>) {
    let (mut scaler, mut journal) = (scaler(), Journal::default());
    let mut written = Vec::new();
    for (second, &concurrency) in (0..).zip(concurrencies) {
        written.extend(journal.append(&fleet(), step(&mut scaler, second, concurrency)));
    }
    (journal, written)
}

fn seconds(journal: &Journal, at: Option<u64>, limit: usize) -> Vec<u64> {
    let records = journal.until(&fleet(), at.map(Timestamp::from_secs), limit).unwrap();
    records.iter().map(|record| record.at.as_micros() / 1_000_000).collect()
}

#[test]
fn changes_are_kept_and_the_last_that_was_none() {
    let (journal, written) = journal(&[3.0, 3.0, 9.0, 9.0, 9.0, 3.0, 3.0]);
    assert_eq!(seconds(&journal, None, 10), [6, 5, 2]);
    assert_eq!(seconds(&journal, None, 2), [6, 5]);
    assert_eq!(seconds(&journal, Some(4), 10), [2]);
    let written: Vec<u64> = written.iter().map(|entry| entry.record.at.as_micros() / 1_000_000).collect();
    assert_eq!(written, [1, 2, 4, 5], "with the one before each change, on disk");
    assert!(journal.until(&FleetId::new("other").unwrap(), None, 1).is_none());
}

#[test]
fn memory_is_bounded() {
    let swings: Vec<f64> = (0..KEPT + 50).map(|step| if step % 2 == 0 { 3.0 } else { 9.0 }).collect();
    let (journal, _) = journal(&swings);
    assert_eq!(seconds(&journal, None, usize::MAX).len(), KEPT);
}
