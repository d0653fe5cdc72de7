use std::num::NonZeroU32;

use tidegate_core::policy::{Amount, Metric, Signal};

use super::*;
use crate::observed::Metrics;

fn one() -> Amount {
    Amount::Instances(NonZeroU32::MIN)
}

fn on(metric: Metric, above: f64, below: Option<f64>) -> Condition {
    Condition { signal: Signal::Fleet(metric), above, below }
}

fn slow_above_200ms(below: Option<f64>) -> Threshold {
    let hold = Duration::from_secs(10);
    let conditions = vec![on(Metric::LatencyP99, 0.2, below)];
    Threshold { conditions, join: Join::Any, hold, step_out: one(), step_in: one() }
}

/// A fleet whose count follows one threshold at once, stepped every second.
struct Fleet {
    threshold: Threshold,
    beyond: Beyond,
    second: u64,
    desired: u32,
    changed: Duration,
    /// Instances become ready this many seconds after they were ordered.
    start_up: u64,
    because: String,
}

impl Fleet {
    fn new(threshold: Threshold, start_up: u64) -> Self {
        let changed = Duration::ZERO;
        Self {
            threshold,
            beyond: Beyond::default(),
            second: 0,
            desired: 4,
            changed,
            start_up,
            because: String::new(),
        }
    }

    /// Steps through `seconds` with the same metrics and returns the count at their end.
    fn run(&mut self, seconds: u64, metrics: &Metrics) -> u32 {
        for _ in 0..seconds {
            self.second += 1;
            let now = Duration::from_secs(self.second);
            let start_up = Duration::from_secs(self.start_up);
            let behind = self.changed > Duration::ZERO && now.saturating_sub(self.changed) < start_up;
            let ready = self.desired - u32::from(behind);
            let sight = Sight {
                desired: self.desired,
                changed: self.changed,
                start_up: Some(start_up),
                now,
                ..Sight::of(metrics, ready)
            };
            let opinion = self.beyond.opinion(&self.threshold, &sight, Words::Spoken);
            self.because = opinion.because;
            if let Wanted::Count(count) = opinion.wanted
                && count != self.desired
            {
                (self.desired, self.changed) = (count, now);
            }
        }
        self.desired
    }
}

fn latency(seconds: f64) -> Metrics {
    Metrics { latency_p99: Some(seconds), ..Metrics::default() }
}

#[test]
fn a_step_takes_the_whole_hold_without_a_break() {
    let mut fleet = Fleet::new(slow_above_200ms(None), 0);
    assert_eq!(fleet.run(10, &latency(0.3)), 4);
    assert_eq!(fleet.because, "latency p99 is 300ms, above 200ms for 9s of 10s");
    assert_eq!(fleet.run(1, &latency(0.1)), 4, "the break");
    assert_eq!(fleet.run(10, &latency(0.3)), 4);
    assert_eq!(fleet.run(1, &latency(0.3)), 5);
    assert_eq!(fleet.because, "latency p99 is 300ms, above 200ms for 10s: 1 instance more");
}

#[test]
fn a_step_is_judged_by_its_effect_before_the_next() {
    let mut fleet = Fleet::new(slow_above_200ms(None), 0);
    assert_eq!(fleet.run(11, &latency(0.3)), 5);
    assert_eq!(fleet.run(9, &latency(0.3)), 5);
    assert_eq!(fleet.run(1, &latency(0.3)), 6);
}

#[test]
fn the_hold_covers_the_start_of_what_was_ordered() {
    let mut fleet = Fleet::new(slow_above_200ms(None), 60);
    assert_eq!(fleet.run(11, &latency(0.3)), 5);
    assert_eq!(fleet.run(59, &latency(0.3)), 5);
    assert_eq!(fleet.because, "latency p99 is 300ms, above 200ms for 59s of 1m while instances start");
    assert_eq!(fleet.run(1, &latency(0.3)), 6);
}

#[test]
fn between_the_values_the_count_stays() {
    let mut fleet = Fleet::new(slow_above_200ms(Some(0.1)), 0);
    assert_eq!(fleet.run(100, &latency(0.15)), 4);
    assert_eq!(fleet.because, "latency p99 is 150ms, between 100ms and 200ms");
    assert_eq!(fleet.run(10, &latency(0.05)), 4);
    assert_eq!(fleet.run(1, &latency(0.05)), 3);
    assert_eq!(fleet.because, "latency p99 is 50ms, below 100ms for 10s: 1 instance fewer");
}

#[test]
fn without_a_lower_value_there_is_nothing_to_ask_for() {
    let mut beyond = Beyond::default();
    let metrics = latency(0.1);
    let opinion = beyond.opinion(&slow_above_200ms(None), &Sight::of(&metrics, 4), Words::Spoken);
    assert_eq!(
        (opinion.wanted, opinion.because.as_str()),
        (Wanted::Nothing, "latency p99 is 100ms, not above 200ms")
    );
}

#[test]
fn an_unseen_moment_does_not_end_a_breach_but_does_end_a_calm() {
    let mut fleet = Fleet::new(slow_above_200ms(Some(0.1)), 0);
    fleet.run(9, &latency(0.3));
    fleet.run(1, &Metrics::default());
    assert_eq!(fleet.because, "latency p99 is not known");
    assert_eq!(fleet.run(1, &latency(0.3)), 5);
    fleet.run(9, &latency(0.05));
    fleet.run(1, &Metrics::default());
    assert_eq!(fleet.run(10, &latency(0.05)), 5);
    assert_eq!(fleet.run(1, &latency(0.05)), 4);
}

#[test]
fn an_idle_fleet_is_not_slow() {
    let idle = Metrics { arrival_rate: Some(0.0), concurrency: Some(0.0), ..Metrics::default() };
    let mut fleet = Fleet::new(slow_above_200ms(Some(0.1)), 0);
    assert_eq!(fleet.run(11, &idle), 3);
    let hanging = Metrics { concurrency: Some(2.0), ..idle.clone() };
    fleet.run(1, &hanging);
    assert_eq!(fleet.because, "latency p99 is not known");
}

#[test]
fn names_carry_the_unit() {
    let name = |metric, above, below| {
        name(&Threshold { conditions: vec![on(metric, above, below)], ..slow_above_200ms(None) })
    };
    assert_eq!(name(Metric::LatencyP99, 0.25, None), "threshold latency p99 250ms");
    assert_eq!(name(Metric::Utilization, 0.9, Some(0.5)), "threshold utilization 50% to 90%");
    assert_eq!(name(Metric::Memory, 512.0 * 1024.0 * 1024.0, None), "threshold memory 512MiB");
    assert_eq!(name(Metric::Queued, 20.0, Some(0.0)), "threshold queue 0 to 20");
}

/// Latency above 200 ms (low below 50) joined with a queue above 10 (low at 10 or less).
fn joined(join: Join) -> Fleet {
    let conditions = vec![on(Metric::LatencyP99, 0.2, Some(0.05)), on(Metric::Queued, 10.0, None)];
    Fleet::new(Threshold { conditions, join, ..slow_above_200ms(None) }, 0)
}

fn slow_and_queued(latency: f64, queued: f64) -> Metrics {
    Metrics { latency_p99: Some(latency), queued: Some(queued), ..Metrics::default() }
}

#[test]
fn any_of_several_is_enough_to_step_out() {
    let mut fleet = joined(Join::Any);
    assert_eq!(fleet.run(11, &slow_and_queued(0.1, 20.0)), 5);
    assert_eq!(fleet.because, "queue is 20, above 10 for 10s: 1 instance more");
    assert_eq!(fleet.run(11, &slow_and_queued(0.3, 0.0)), 6);
    assert_eq!(fleet.run(5, &slow_and_queued(0.3, 20.0)), 6);
    assert_eq!(fleet.run(6, &slow_and_queued(0.1, 20.0)), 7, "the one held on where the other went");
}

#[test]
fn all_of_several_must_be_above_together() {
    let mut fleet = joined(Join::All);
    assert_eq!(fleet.run(30, &slow_and_queued(0.3, 0.0)), 4);
    assert_eq!(fleet.because, "latency p99 is 300ms, above 200ms and queue is 0, not above 10");
    assert_eq!(fleet.run(11, &slow_and_queued(0.3, 20.0)), 5);
    assert_eq!(
        fleet.because,
        "latency p99 is 300ms, above 200ms and queue is 20, above 10 for 10s: 1 instance more"
    );
}

#[test]
fn a_step_in_needs_all_of_them() {
    for join in [Join::Any, Join::All] {
        let mut fleet = joined(join);
        assert_eq!(fleet.run(30, &slow_and_queued(0.1, 0.0)), 4);
        assert_eq!(fleet.run(11, &slow_and_queued(0.01, 5.0)), 3, "a queue of five is allowed");
    }
    assert_eq!(joined(Join::All).run(30, &slow_and_queued(0.01, 20.0)), 4);
}

#[test]
fn what_is_seen_may_step_out_where_another_is_missing() {
    let queued = Metrics { queued: Some(20.0), ..Metrics::default() };
    assert_eq!(joined(Join::Any).run(11, &queued), 5);
    let mut fleet = joined(Join::All);
    assert_eq!(fleet.run(11, &queued), 4);
    assert_eq!(fleet.because, "latency p99 is not known");
}

#[test]
fn a_route_and_a_source_are_signals_too() {
    let route = tidegate_core::RouteId::new("checkout").unwrap();
    let source = tidegate_core::SourceId::new("orders").unwrap();
    let conditions = vec![
        Condition { signal: Signal::Route(route.clone(), Metric::LatencyP99), above: 0.2, below: None },
        Condition { signal: Signal::Source(source.clone()), above: 100.0, below: None },
    ];
    let mut fleet = Fleet::new(Threshold { conditions, join: Join::All, ..slow_above_200ms(None) }, 0);
    let slow = crate::observed::RouteMetrics { latency_p99: Some(0.3), ..Default::default() };
    let metrics =
        Metrics { routes: [(route, slow)].into(), sources: [(source, 500.0)].into(), ..Metrics::default() };
    assert_eq!(fleet.run(11, &metrics), 5);
    assert_eq!(
        fleet.because,
        "latency p99 of route checkout is 300ms, above 200ms and source orders is 500, above 100 for 10s: 1 instance \
         more"
    );
}
