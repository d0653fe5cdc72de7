use std::time::Duration;

use tidegate_core::policy::{DEFAULT_IDLE, Pace, Policy, Slo, Supply, Target, TargetMetric, Trigger};
use tidegate_scaler::{
    Panel,
    observed::{Instances, Metrics},
};

use super::*;

pub(super) fn fleet() -> FleetId {
    FleetId::new("orders").unwrap()
}

pub(super) fn policy() -> Policy {
    let pace = Pace { stabilization: Duration::ZERO, limits: Vec::new() };
    let trigger = Trigger::Target(Target {
        metric: TargetMetric::Concurrency,
        route: None,
        value: 3.0,
        tolerance: 0.0,
    });
    Policy {
        min: 1,
        max: 1_000_000,
        idle: DEFAULT_IDLE,
        slo: Slo::default(),
        triggers: vec![trigger],
        scale_out: pace.clone(),
        scale_in: pace,
        supply: Supply::default(),
    }
}

/// A step at that second with that concurrency, with a checkpoint if it is asked for.
pub(super) fn step(panel: &mut Panel, second: u64, concurrency: f64, checkpoint: bool) -> (Record, Page) {
    let at = Timestamp::from_micros(second * 1_000_001);
    let metrics = Metrics { concurrency: Some(concurrency), arrival_rate: Some(0.1), ..Metrics::default() };
    let instances = Instances { ready: panel.acting().desired(), ..Instances::default() };
    let started = vec![Duration::from_millis(3)];
    let observed = Observed { metrics, instances, started, ..Observed::default() };
    let checkpoint = checkpoint.then(|| Box::new(panel.checkpoint()));
    let decision = panel.step(at, &observed).acting;
    let account =
        Account { since: Timestamp::from_secs(1), instance_seconds: second as f64, ..Account::default() };
    let record = Record {
        number: second + 1,
        at,
        account: (checkpoint.is_some() || decision.changes()).then_some(account),
        checkpoint,
        mode: Mode::Act,
        observed: observed.clone(),
        outcome: Outcome::of(&decision),
        candidate: None,
    };
    (record, Page { at, mode: Mode::Act, decision: Arc::new(decision), candidate: None, observed, account })
}

/// A journal of a step for each of these concurrencies, a second apart.
fn journal(concurrencies: &[f64]) -> Journal {
    let (mut panel, mut journal) = (Panel::new(policy(), None, 1), Journal::default());
    for (second, &concurrency) in (0..).zip(concurrencies) {
        journal.append(&fleet(), step(&mut panel, second, concurrency, false).1);
    }
    journal
}

fn seconds(journal: &Journal, at: Option<u64>, limit: usize) -> Vec<u64> {
    let at = at.map(|second| Timestamp::from_micros(second * 1_000_001));
    let pages = journal.until(&fleet(), at, limit).unwrap();
    pages.iter().map(|page| page.at.as_micros() / 1_000_000).collect()
}

#[test]
fn changes_are_kept_and_the_last_that_was_none() {
    let journal = journal(&[3.0, 3.0, 9.0, 9.0, 9.0, 3.0, 3.0]);
    assert_eq!(seconds(&journal, None, 10), [6, 5, 2]);
    assert_eq!(seconds(&journal, None, 2), [6, 5]);
    assert_eq!(seconds(&journal, Some(4), 10), [2]);
    assert!(journal.until(&FleetId::new("other").unwrap(), None, 1).is_none());
    let (first, last) = journal.range(&fleet()).unwrap();
    assert_eq!((first.as_micros(), last.as_micros()), (2 * 1_000_001, 6 * 1_000_001));
}

#[test]
fn memory_is_bounded() {
    let swings: Vec<f64> = (0..KEPT + 50).map(|step| if step % 2 == 0 { 3.0 } else { 9.0 }).collect();
    assert_eq!(seconds(&journal(&swings), None, usize::MAX).len(), KEPT);
}
