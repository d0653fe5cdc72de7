//! Journals of which a number or a byte was altered: nobody panics, nobody goes on for ever.

use std::{collections::BTreeMap, num::NonZeroU32, time::Duration};

use proptest::prelude::*;
use tidegate_core::{
    PoolId,
    policy::{
        Amount, Backlog, Budget, Condition, Fallback, Forecast, Headroom, Join, Metric, Pace, PaceLimit,
        Policy, Pool, PoolKind, Pressure, Signal, Supply, Threshold, Trigger, WhenSpent,
    },
};

use super::*;
use crate::{
    observed::{Instances, Metrics, PoolSeen, Worked},
    panel::Panel,
};

/// Seconds between two steps of the journal.
const PACE: u64 = 15;

/// A policy whose memory has every part there is.
fn policy() -> Policy {
    let threshold = Threshold {
        conditions: vec![Condition {
            signal: Signal::Fleet(Metric::Utilization),
            above: 0.9,
            below: Some(0.2),
        }],
        join: Join::Any,
        hold: Duration::from_secs(40),
        step_out: Amount::Share(0.5),
        step_in: Amount::Share(0.1),
    };
    let backlog = Backlog {
        signal: Signal::Fleet(Metric::Queued),
        pressure: Pressure::Drain { within: Duration::from_mins(2), rate: None },
        activation: 2.0,
        fallback: Fallback::LastValue,
    };
    let pool = |name: &str, kind, price| Pool {
        name: PoolId::new(name).unwrap(),
        kind,
        price,
        capacity: 1.0,
        start_up: None,
        interruption: 0.1,
        max: 40,
    };
    let headroom = Headroom { overload: 0.001, wait: Duration::from_millis(500) };
    let triggers = vec![
        Trigger::Forecast(Forecast { horizon: None, period: None, quantile: 0.99 }),
        Trigger::Threshold(threshold),
        Trigger::Backlog(backlog),
    ];
    let slow = |limit| Pace {
        stabilization: Duration::from_mins(1),
        limits: vec![PaceLimit { amount: limit, period: Duration::from_mins(1) }],
    };
    let mut policy = Policy {
        scale_out: slow(Amount::Share(2.0)),
        scale_in: slow(Amount::Instances(NonZeroU32::MIN)),
        supply: Supply {
            pools: vec![pool("steady", PoolKind::OnDemand, 0.1), pool("spot", PoolKind::Spot, 0.03)],
            budget: Some(Budget { monthly: 100.0, alarm: 0.8, when_spent: WhenSpent::Hold }),
        },
        ..Policy::keeping(0, 60, headroom)
    };
    policy.slo.latency_p99 = Some(Duration::from_millis(200));
    policy.triggers.extend(triggers);
    policy
}

/// What is seen in step number `step` of a demand that waves, where so many are ready.
fn seen(step: u64, ready: u32) -> Observed {
    let rate = 900.0 + 800.0 * (step as f64 / 40.0).sin();
    let load = (rate / 100.0 / f64::from(ready.max(1))).min(1.0);
    let metrics = Metrics {
        arrival_rate: Some(rate),
        served_rate: Some(rate.min(100.0 * f64::from(ready))),
        concurrency: Some(rate * 0.02),
        queued: Some(if step % 20 < 4 { 30.0 } else { 0.0 }),
        utilization: Some(load),
        latency_p99: Some(0.05 + load * 0.2),
        worked: Some(Worked {
            busy_seconds: load * f64::from(ready),
            requests: 100.0 * load * f64::from(ready),
        }),
        ..Metrics::default()
    };
    let reclaimed = u32::from(step % 97 == 5);
    let spot = PoolSeen { starting: 0, ready: ready / 2, reclaimed };
    Observed {
        metrics,
        instances: Instances { ready, ..Instances::default() },
        started: vec![Duration::from_millis(700 + step % 9 * 100)],
        pools: BTreeMap::from([(PoolId::new("spot").unwrap(), spot)]),
        spent: Some(step as f64 / 100.0),
        ..Observed::default()
    }
}

fn at(step: u64) -> Timestamp {
    Timestamp::from_secs(1_800_000_000 + step * PACE)
}

/// The lines of a fleet that has been running for some hours, from a checkpoint on.
fn journal() -> Vec<String> {
    let mut panel = Panel::new(policy(), None, 1);
    let mut lines = Vec::new();
    for step in 0..400 {
        let observed = seen(step, panel.acting().desired());
        let checkpoint = (step >= 396 && step % 2 == 0).then(|| Box::new(panel.checkpoint()));
        let verdict = panel.step(at(step), &observed);
        if step >= 396 {
            let record = Record {
                number: step,
                at: at(step),
                checkpoint,
                mode: Mode::Act,
                observed,
                outcome: Outcome::of(&verdict.acting),
                candidate: verdict.candidate.as_ref().map(Outcome::of),
                account: Some(Account::default()),
            };
            lines.push(serde_json::to_string(&record).unwrap());
        }
    }
    lines
}

/// Goes on from what the lines say. Whether a checkpoint was taken.
fn go_on<'a>(lines: impl Iterator<Item = &'a str>) -> bool {
    let mut chain = Chain::default();
    for line in lines {
        if let Ok(record) = serde_json::from_str::<Record>(line) {
            chain.follow(&record);
        }
    }
    let Some(mut panel) = chain.panel() else { return false };
    for step in 400..402 {
        let ready = panel.acting().desired().min(100);
        let decision = panel.step(at(step), &seen(step, ready)).acting;
        let policy = panel.acting().policy();
        assert!((policy.min..=policy.max.max(policy.min)).contains(&decision.desired));
    }
    let mut panel = panel.resumed(Duration::from_hours(30), true);
    panel.set_policies(policy(), None);
    panel.step(at(30_000), &seen(2, 3));
    // What is written next can be read.
    let text = serde_json::to_string(&panel.checkpoint()).unwrap();
    let _ = serde_json::from_str::<Checkpoint>(&text);
    true
}

/// Where the numbers of a line are.
fn numbers(line: &str) -> Vec<std::ops::Range<usize>> {
    let (mut all, mut begin, mut quoted) = (Vec::new(), None, false);
    for (at, byte) in line.bytes().enumerate() {
        quoted ^= byte == b'"';
        let is_part =
            !quoted && (byte.is_ascii_digit() || begin.is_some() && b".eE+-".contains(&byte) || byte == b'-');
        match (is_part, begin) {
            (true, None) => begin = Some(at),
            (false, Some(from)) => {
                all.push(from..at);
                begin = None;
            }
            _ => {}
        }
    }
    all
}

#[test]
fn any_number_of_a_checkpoint_may_be_another() {
    let lines = journal();
    assert!(go_on(lines.iter().map(String::as_str)));
    let line = &lines[0];
    let places = numbers(line);
    assert!(places.len() > 300, "{} numbers are not all there is", places.len());
    let (mut taken, mut refused) = (0, 0);
    // Every other number, so that it does not take minutes.
    for (turn, place) in places.into_iter().enumerate().step_by(2) {
        let before = &line[place.clone()];
        let more = format!("{before}7");
        let others = [
            "0",
            "1",
            "-1",
            "4294967295",
            "18446744073709551615",
            "1e300",
            "-1e300",
            "9007199254740993",
            more.as_str(),
        ];
        let other = others[turn % others.len()];
        let altered = format!("{}{other}{}", &line[..place.start], &line[place.end..]);
        let went_on = go_on([altered.as_str(), lines[1].as_str()].into_iter());
        if went_on { taken += 1 } else { refused += 1 }
    }
    assert!(taken > 50 && refused > 50, "{taken} were taken, {refused} refused");
}

#[test]
fn what_makes_no_sense_is_named() {
    let lines = journal();
    let altered = |from: &str, to: &str| {
        assert!(lines[0].contains(from), "{from}");
        serde_json::from_str::<Record>(&lines[0].replacen(from, to, 1)).unwrap_err().to_string()
    };
    let why = altered("\"chosen\":", "\"chosen\":9");
    assert!(why.contains("acting.state.memories.forecast.forecaster.chosen: Some("), "{why}");
    let why = altered("\"due\":", "\"due\":99");
    assert!(why.contains("acting.state.memories.forecast.forecaster.candidates.pending.due: 99"), "{why}");
    let why = altered("\"usual\":{\"secs\":15", "\"usual\":{\"secs\":0");
    assert!(why.contains("acting.state.clock.usual: no time passes"), "{why}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_byte_may_be_another(at in any::<prop::sample::Index>(), byte in prop_oneof![Just(b'0'), Just(b'9'), Just(b'"'), any::<u8>()]) {
        thread_local! {
            static LINES: Vec<String> = journal();
        }
        LINES.with(|lines| {
            let mut bytes = lines[0].clone().into_bytes();
            let at = at.index(bytes.len());
            bytes[at] = byte;
            let altered = String::from_utf8_lossy(&bytes);
            go_on(std::iter::once(&*altered).chain(lines[1..2].iter().map(String::as_str)));
        });
    }
}
