use std::num::NonZeroU32;

use proptest::prelude::*;
use tidegate_core::policy::{
    Amount, Backlog, Condition, DEFAULT_IDLE, Forecast, Formula, Headroom, Join, Metric, Pace, PaceLimit,
    Pressure, Schedule, Signal, Slo, Supply, Target, TargetMetric, Threshold, Variable,
};

use super::*;
use crate::observed::{Instances, Worked};

fn free() -> Pace {
    Pace { stabilization: Duration::ZERO, limits: Vec::new() }
}

fn keeping() -> Trigger {
    Trigger::Headroom(Headroom { overload: 0.001, wait: Duration::ZERO })
}

fn utilization(value: f64) -> Trigger {
    Trigger::Target(Target { metric: TargetMetric::Utilization, route: None, value, tolerance: 0.1 })
}

pub(crate) fn arrivals(value: f64) -> Trigger {
    Trigger::Target(Target { metric: TargetMetric::ArrivalRate, route: None, value, tolerance: 0.0 })
}

fn queue_above(above: f64) -> Trigger {
    let one = Amount::Instances(NonZeroU32::MIN);
    let hold = Duration::ZERO;
    let conditions = vec![Condition { signal: Signal::Fleet(Metric::Queued), above, below: None }];
    Trigger::Threshold(Threshold { conditions, join: Join::Any, hold, step_out: one, step_in: one })
}

pub(crate) fn policy(triggers: Vec<Trigger>) -> Policy {
    Policy {
        min: 1,
        max: 100,
        idle: DEFAULT_IDLE,
        slo: Slo::default(),
        triggers,
        scale_out: free(),
        scale_in: free(),
        supply: Supply::default(),
    }
}

pub(crate) fn arriving(rate: f64) -> Observed {
    Observed { metrics: Metrics { arrival_rate: Some(rate), ..Metrics::default() }, ..Observed::default() }
}

pub(crate) fn at(second: u64) -> Timestamp {
    Timestamp::from_secs(1_000_000 + second)
}

/// A fleet whose instances serve 100 requests/s each and take `start_up` seconds to start.
struct Fleet {
    scaler: Scaler,
    start_up: u64,
    second: u64,
    /// When each instance is ready; the oldest first.
    ready_at: Vec<u64>,
    sees_arrivals: bool,
}

impl Fleet {
    fn new(policy: Policy, ready: u32, start_up: u64) -> Self {
        let scaler = Scaler::starting_at(policy, ready);
        Self { scaler, start_up, second: 0, ready_at: vec![0; ready as usize], sees_arrivals: true }
    }

    /// One second with `rate` requests, then a step. Returns the decision.
    fn step(&mut self, rate: f64) -> Decision {
        let ready = self.ready_at.iter().filter(|&&at| at <= self.second).count();
        let requests = rate.min(100.0 * ready as f64);
        let metrics = Metrics {
            worked: Some(Worked { busy_seconds: requests / 100.0, requests }),
            arrival_rate: self.sees_arrivals.then_some(rate),
            utilization: (ready > 0).then(|| (rate / 100.0 / ready as f64).min(1.0)),
            ..Metrics::default()
        };
        let starting = (self.ready_at.len() - ready) as u32;
        let instances = Instances { ready: ready as u32, starting, ..Instances::default() };
        self.second += 1;
        let decision =
            self.scaler.step(at(self.second), &Observed { metrics, instances, ..Observed::default() });
        self.ready_at.resize(decision.desired as usize, self.second + self.start_up);
        decision
    }

    /// The `(second, count)` of every change within `seconds` of a constant rate.
    fn changes(&mut self, seconds: u64, rate: f64) -> Vec<(u64, u32)> {
        let mut changes = Vec::new();
        for _ in 0..seconds {
            let decision = self.step(rate);
            if decision.changes() {
                changes.push((self.second, decision.desired));
            }
        }
        changes
    }
}

#[test]
fn a_step_in_demand_is_met_as_worked_out_by_hand() {
    let limits = [Amount::Share(1.0), Amount::Instances(NonZeroU32::new(4).unwrap())];
    let limits = limits.map(|amount| PaceLimit { amount, period: Duration::from_secs(15) }).to_vec();
    let policy = Policy {
        scale_out: Pace { stabilization: Duration::ZERO, limits },
        scale_in: Pace { stabilization: Duration::from_mins(1), limits: Vec::new() },
        ..policy(vec![utilization(0.8)])
    };
    let mut fleet = Fleet::new(policy, 3, 30);
    // 200/s are 2 busy, 2.5 at 80%: three instances. 2000/s are 20 busy and 25 instances, but from 3
    // the most is 4 more, then twice 7, and only then are 25 within reach.
    assert_eq!(fleet.changes(60, 200.0), []);
    assert_eq!(fleet.changes(100, 2_000.0), [(61, 7), (76, 14), (91, 25)]);
    // The last recommendation of 25 was at second 160 and holds for a minute.
    assert_eq!(fleet.changes(100, 200.0), [(221, 3)]);
}

#[test]
fn saturation_without_arrivals_doubles_with_each_generation() {
    let mut fleet = Fleet::new(policy(vec![utilization(0.8)]), 3, 30);
    fleet.sees_arrivals = false;
    // 3, 6 and 12 saturate, each from the second after it became ready; 24 are 83% busy, which is
    // within the tolerance of 80%.
    assert_eq!(fleet.changes(200, 2_000.0), [(1, 6), (33, 12), (65, 24)]);
}

#[test]
fn the_largest_recommendation_wins_and_says_why() {
    let mut scaler = Scaler::new(policy(vec![arrivals(100.0), arrivals(50.0), queue_above(5.0)]));
    let mut observed = arriving(400.0);
    observed.metrics.queued = Some(0.0);
    let decision = scaler.step(at(0), &observed);
    assert_eq!((decision.desired, decision.winner), (8, Some(1)));
    let wanted: Vec<_> = decision.recommendations.iter().map(|one| one.wanted).collect();
    assert_eq!(wanted, [Some(4), Some(8), None]);
    assert_eq!(
        decision.reasons(),
        [
            "target arrival rate 50/s per instance: 400 requests/s are 8 instances at 50 each",
            "threshold queue 5: queue is 0, not above 5",
        ]
    );
}

#[test]
fn a_blind_trigger_keeps_the_others_from_shrinking_but_not_from_growing() {
    let mut scaler = Scaler::starting_at(policy(vec![arrivals(100.0), queue_above(5.0)]), 10);
    let decision = scaler.step(at(0), &arriving(300.0));
    assert_eq!(decision.desired, 10);
    assert_eq!(
        decision.reasons()[1],
        "missing metric: 10 instead of 3, a metric is missing and what cannot be seen never shrinks a fleet"
    );
    assert_eq!(scaler.step(at(1), &arriving(1_200.0)).desired, 12);
}

#[test]
fn every_metric_lost_for_ten_minutes_changes_nothing() {
    let mut scaler = Scaler::new(policy(vec![utilization(0.8), arrivals(100.0), queue_above(5.0)]));
    let peak = scaler.step(at(0), &arriving(4_000.0)).desired;
    let instances = Instances { ready: peak, ..Instances::default() };
    for second in 1..600 {
        let decision = scaler.step(at(second), &Observed { instances, ..Observed::default() });
        assert_eq!((decision.desired, decision.winner), (peak, None));
    }
}

#[test]
fn the_bounds_have_the_last_word() {
    let mut scaler = Scaler::starting_at(policy(vec![arrivals(100.0)]), 4);
    let decision = scaler.step(at(0), &arriving(1e9));
    assert_eq!(decision.desired, 100);
    assert_eq!(
        decision.reasons()[1],
        "bounds: 100 instead of 10000000, the policy allows 1 to 100 instances"
    );
    let slow = Pace { stabilization: Duration::from_hours(1), limits: Vec::new() };
    scaler.set_policy(Policy { max: 8, scale_in: slow, ..policy(vec![arrivals(100.0)]) });
    assert_eq!(scaler.step(at(1), &arriving(1e9)).desired, 8, "a narrowed policy acts at once");
}

#[test]
fn without_triggers_the_count_is_what_the_bounds_say() {
    let mut scaler = Scaler::new(policy(Vec::new()));
    for (min, max, desired) in [(1, 100, 1), (8, 8, 8), (1, 100, 8), (1, 1, 1), (0, 0, 0)] {
        scaler.set_policy(Policy { min, max, ..policy(Vec::new()) });
        assert_eq!(scaler.step(at(0), &Observed::default()).desired, desired);
    }
}

#[test]
fn a_restart_shrinks_no_sooner_than_the_window_allows() {
    let calm = Pace { stabilization: Duration::from_mins(1), limits: Vec::new() };
    let mut scaler = Scaler::starting_at(Policy { scale_in: calm, ..policy(vec![arrivals(100.0)]) }, 10);
    let shrank = (0..100).find(|&second| scaler.step(at(second), &arriving(100.0)).changes());
    assert_eq!(shrank, Some(61));
}

#[test]
fn a_clock_that_jumps_an_hour_changes_no_count_by_itself() {
    let calm = Pace { stabilization: Duration::from_mins(5), limits: Vec::new() };
    let limit = PaceLimit { amount: Amount::Instances(NonZeroU32::MIN), period: Duration::from_mins(1) };
    let paced = Pace { stabilization: Duration::ZERO, limits: vec![limit] };
    let policy = Policy { scale_out: paced, scale_in: calm, ..policy(vec![arrivals(100.0)]) };
    // Half of the time something waits to shrink, half of the time to grow.
    let rate = |second: u64| if second % 800 < 400 { 1_000.0 } else { 100.0 };
    let counts = |jump: fn(u64) -> u64| -> Vec<u32> {
        let mut scaler = Scaler::starting_at(policy.clone(), 5);
        (0..1_600)
            .map(|second| scaler.step(at(10_000 + jump(second)), &arriving(rate(second))).desired)
            .collect()
    };
    let steady = counts(|second| second);
    assert_eq!(counts(|second| if second < 700 { second } else { second + 3_600 }), steady);
    assert_eq!(counts(|second| if second < 230 { second } else { second + 3_600 }), steady);
    assert_eq!(counts(|second| if second < 700 { second } else { second - 600 }), steady);
}

#[test]
fn a_reload_keeps_holds_and_what_was_learned() {
    let mut scaler = Scaler::new(policy(vec![queue_above(5.0)]));
    let started = vec![Duration::from_secs(7)];
    scaler.step(at(0), &Observed { started, ..arriving(10.0) });
    let before = scaler.state();
    scaler.set_policy(policy(vec![arrivals(10.0), queue_above(5.0)]));
    assert_eq!(scaler.start_up(), Some(Duration::from_secs(7)));
    assert_eq!(scaler.state().memories, [Memory::Nothing, before.memories[0].clone()]);
}

/// A fleet of one that is ready, and nobody asks.
fn quiet() -> Observed {
    let mut quiet = arriving(0.0);
    quiet.instances.ready = 1;
    quiet.metrics.utilization = Some(0.0);
    quiet
}

/// What a request that waits shows of a fleet without instances, before a second is over.
fn waiting() -> Observed {
    Observed { metrics: Metrics { queued: Some(1.0), ..Metrics::default() }, ..Observed::default() }
}

#[test]
fn a_fleet_may_be_empty_until_somebody_asks_and_again_when_nobody_has_for_a_while() {
    let ten = Duration::from_secs(10);
    for triggers in [vec![utilization(0.8)], vec![keeping()], Vec::new()] {
        let mut scaler = Scaler::new(Policy { min: 0, idle: ten, ..policy(triggers) });
        let mut step = |second, observed: &Observed| scaler.step(at(second), observed).desired;
        assert_eq!([step(0, &arriving(0.0)), step(1, &arriving(0.0))], [0, 0]);
        assert_eq!(step(2, &waiting()), 1);
        assert_eq!(
            step(3, &Observed { instances: Instances::default(), ..quiet() }),
            1,
            "it has yet to start"
        );
        assert!((4..12).all(|second| step(second, &quiet()) == 1));
        assert_eq!(step(12, &quiet()), 0);
        assert_eq!(step(13, &arriving(0.0)), 0);
    }
}

#[test]
fn an_empty_fleet_does_not_wait_to_grow() {
    let slow = Pace {
        stabilization: Duration::from_mins(1),
        limits: vec![PaceLimit { amount: Amount::Share(0.1), period: Duration::from_mins(1) }],
    };
    let mut scaler = Scaler::new(Policy { min: 0, scale_out: slow, ..policy(vec![utilization(0.8)]) });
    scaler.step(at(0), &arriving(0.0));
    let decision = scaler.step(at(1), &waiting());
    assert_eq!((decision.desired, &*decision.adjustments.last().unwrap().rule), (1, "activity"));
}

#[test]
fn metrics_that_are_missing_keep_the_last_instance() {
    let idle = Duration::from_secs(10);
    let mut scaler = Scaler::new(Policy { min: 0, idle, ..policy(vec![keeping()]) });
    scaler.step(at(0), &waiting());
    let blind = Observed { metrics: Metrics::default(), ..quiet() };
    assert!((1..30).all(|second| scaler.step(at(second), &blind).desired == 1));
}

fn any_reading() -> impl Strategy<Value = Option<f64>> {
    let odd =
        prop::sample::select(vec![f64::NAN, f64::INFINITY, f64::NEG_INFINITY, f64::MAX, -1.0, 0.0, 1e-300]);
    prop_oneof![1 => Just(None), 1 => odd.prop_map(Some), 4 => (0.0..3_000.0).prop_map(Some), 2 => (0.0..1.2).prop_map(Some)]
}

fn any_count() -> impl Strategy<Value = u32> {
    prop_oneof![4 => 0..50_u32, 1 => any::<u32>(), 1 => Just(u32::MAX)]
}

pub(crate) fn any_observed() -> impl Strategy<Value = Observed> {
    let metrics = prop::array::uniform9(any_reading()).prop_map(|readings| {
        let [
            arrival_rate,
            concurrency,
            queued,
            utilization,
            latency_p50,
            latency_p99,
            error_rate,
            cpu,
            memory,
        ] = readings;
        Metrics {
            arrival_rate,
            concurrency,
            queued,
            utilization,
            latency_p50,
            latency_p99,
            error_rate,
            cpu,
            memory,
            ..Metrics::default()
        }
    });
    let instances = (any_count(), any_count(), any_count(), any_count())
        .prop_map(|(starting, ready, draining, failed)| Instances { starting, ready, draining, failed });
    let started = prop::collection::vec((0..100_000_u64).prop_map(Duration::from_millis), 0..3);
    (metrics, instances, started).prop_map(|(metrics, instances, started)| Observed {
        metrics,
        instances,
        started,
        ..Observed::default()
    })
}

fn any_amount() -> impl Strategy<Value = Amount> {
    let some = (1..9_u32).prop_map(|count| Amount::Instances(NonZeroU32::new(count).unwrap()));
    prop_oneof![some, (0.01..2.0).prop_map(Amount::Share)]
}

fn any_pace() -> impl Strategy<Value = Pace> {
    let limit = (any_amount(), 1..100_u64)
        .prop_map(|(amount, seconds)| PaceLimit { amount, period: Duration::from_secs(seconds) });
    let stabilization = (0..100_u64).prop_map(Duration::from_secs);
    (stabilization, prop::collection::vec(limit, 0..3))
        .prop_map(|(stabilization, limits)| Pace { stabilization, limits })
}

/// One whose window is always open, or one whose window was never open in 1970.
pub(crate) fn schedule(always: bool, floor: Option<u32>, ceiling: Option<u32>) -> Schedule {
    Schedule {
        cron: if always { "* * * * *" } else { "0 8 1 12 *" }.parse().unwrap(),
        zone: "UTC".parse().unwrap(),
        lasts: Duration::from_hours(1),
        floor,
        ceiling,
        except: Vec::new(),
    }
}

pub(crate) fn formula(expression: &str, default: bool) -> Formula {
    let rate = Variable::Signal(Signal::Fleet(Metric::ArrivalRate));
    let variables = [
        ("arrivals".to_owned(), rate),
        ("ready".to_owned(), Variable::Ready),
        ("draining".to_owned(), Variable::Draining),
        ("failed".to_owned(), Variable::Failed),
        ("target".to_owned(), Variable::Recommended("target".to_owned())),
    ];
    Formula {
        expression: expression.parse().unwrap(),
        variables: variables.into_iter().filter(|(name, _)| expression.contains(name.as_str())).collect(),
        default: if default { [("arrivals".to_owned(), 1e4)].into() } else { [].into() },
    }
}

fn any_trigger() -> impl Strategy<Value = Trigger> {
    use {Metric as M, TargetMetric as T};
    let target =
        prop::sample::select(vec![(T::Utilization, 0.8), (T::Concurrency, 20.0), (T::ArrivalRate, 100.0)]);
    let target = (target, 0.0..0.3).prop_map(|((metric, value), tolerance)| {
        Trigger::Target(Target { metric, route: None, value, tolerance })
    });
    let metrics =
        vec![M::Utilization, M::Concurrency, M::Queued, M::LatencyP50, M::LatencyP99, M::ErrorRate, M::Cpu];
    let threshold =
        (prop::sample::select(metrics), 0.1..30.0, prop::option::of(0.0..0.1), 0..20_u64, any_amount());
    let threshold = threshold.prop_map(|(metric, above, below, hold, amount)| {
        let hold = Duration::from_secs(hold);
        let conditions = vec![Condition { signal: Signal::Fleet(metric), above, below }];
        Trigger::Threshold(Threshold { conditions, join: Join::Any, hold, step_out: amount, step_in: amount })
    });
    let headroom = (0.0001..0.1, 0..3_u64).prop_map(|(overload, seconds)| {
        Trigger::Headroom(Headroom { overload, wait: Duration::from_secs(seconds) })
    });
    let forecast = (0.5..0.999).prop_map(|quantile| {
        Trigger::Forecast(Forecast { horizon: Some(Duration::from_secs(30)), period: None, quantile })
    });
    let pressure = prop_oneof![
        (1.0..50.0).prop_map(Pressure::PerInstance),
        (1..60_u64, prop::option::of(1.0..50.0))
            .prop_map(|(seconds, rate)| Pressure::Drain { within: Duration::from_secs(seconds), rate }),
    ];
    let backlog = (pressure, 0.0..20.0).prop_map(|(pressure, activation)| {
        Trigger::Backlog(Backlog {
            signal: Signal::Fleet(Metric::Queued),
            pressure,
            activation,
            fallback: tidegate_core::policy::Fallback::default(),
        })
    });
    let always = any::<bool>().prop_map(|always| Trigger::Schedule(schedule(always, Some(7), None)));
    let formula =
        any::<bool>().prop_map(|default| Trigger::Formula(formula("arrivals / 50 + ready", default)));
    prop_oneof![
        3 => target, 3 => threshold, 1 => headroom, 1 => forecast, 1 => backlog, 1 => always, 1 => formula
    ]
}

pub(crate) fn any_policy() -> impl Strategy<Value = Policy> {
    (0..10_u32, 0..40_u32, prop::collection::vec(any_trigger(), 0..4), any_pace(), any_pace()).prop_map(
        |(min, more, triggers, scale_out, scale_in)| Policy {
            min,
            max: min + more,
            idle: Duration::from_secs(u64::from(more)),
            slo: Slo::default(),
            triggers,
            scale_out,
            scale_in,
            supply: Supply::default(),
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_observation_leaves_the_count_within_bounds(
        policy in any_policy(),
        start in any_count(),
        steps in prop::collection::vec((any::<u64>(), any_observed()), 1..40),
    ) {
        let mut scaler = Scaler::starting_at(policy.clone(), start);
        for (micros, observed) in steps {
            let decision = scaler.step(Timestamp::from_micros(micros), &observed);
            prop_assert!((policy.min..=policy.max).contains(&decision.desired));
            prop_assert!(!decision.reasons().iter().any(String::is_empty));
        }
    }

    #[test]
    fn what_cannot_be_seen_never_shrinks_a_fleet(
        policy in any_policy(),
        steps in prop::collection::vec((1..3_000_u64, any_observed(), any::<bool>()), 1..60),
    ) {
        let mut scaler = Scaler::new(policy.clone());
        let mut now = at(0);
        for (millis, mut observed, blind) in steps {
            now = now + Duration::from_millis(millis);
            if blind {
                observed.metrics = Metrics::default();
            }
            let decision = scaler.step(now, &observed);
            // Schedules see without metrics, and a formula with defaults sees what they say.
            let sees = |trigger: &Trigger| match trigger {
                Trigger::Schedule(_) => true,
                Trigger::Formula(formula) => !formula.default.is_empty(),
                _ => false,
            };
            let never_blind = policy.triggers.iter().all(sees);
            prop_assert!(!blind || never_blind || decision.desired >= decision.previous);
        }
    }

    #[test]
    fn what_is_among_the_triggers_is_known_after_a_reload(policies in prop::array::uniform2(any_policy())) {
        let [before, after] = policies;
        let mut scaler = Scaler::new(before);
        scaler.set_policy(after.clone());
        prop_assert_eq!(scaler.among, Scaler::new(after).among);
    }

    #[test]
    fn silence_changes_no_count(
        policy in any_policy(),
        steps in prop::collection::vec(any_observed(), 1..60),
    ) {
        let (mut spoken, mut unspoken) = (Scaler::new(policy.clone()), Scaler::new(policy));
        for (second, observed) in (0..).zip(steps) {
            let (one, other) = (spoken.step(at(second), &observed), unspoken.step_unspoken(at(second), &observed));
            let shares = |mix: Option<Mix>| mix.map(|mix| mix.shares);
            prop_assert_eq!(one.desired, other.desired);
            prop_assert_eq!(shares(one.mix), shares(other.mix));
            prop_assert_eq!(spoken.state(), unspoken.state());
        }
    }
}

/// A fleet whose instances serve all that they have at once, each request for `service` seconds, with 60 requests/s for a minute, then
/// none for one, and so on. Starts take five seconds. The most instances of each busy minute, and what was held at most.
fn bursts(service: f64, minutes: usize) -> Vec<(u32, f64)> {
    let target = Target { metric: TargetMetric::Concurrency, route: None, value: 5.0, tolerance: 0.1 };
    let idle = Duration::from_secs(20);
    let policy = Policy { min: 0, max: 100, idle, ..policy(vec![Trigger::Target(target)]) };
    let mut scaler = Scaler::new(policy);
    let (mut asked, mut held, mut serving) = (vec![0_u32; 5], 0.0_f64, 0.0_f64);
    let mut busiest = Vec::new();
    for minute in 0..minutes {
        let rate: f64 = if minute % 2 == 0 { 60.0 } else { 0.0 };
        let (mut most, mut waited) = (0, 0.0_f64);
        for second in 0..60 {
            // Whoever was asked for five seconds ago and is wanted still.
            let ready = asked[asked.len() - 5..].iter().copied().min().unwrap();
            held += rate;
            if ready > 0 {
                serving += std::mem::take(&mut held);
            }
            let served = (serving / service).min(serving);
            let metrics = Metrics {
                arrival_rate: Some(rate),
                served_rate: Some(served),
                concurrency: Some(if service < 1.0 && ready > 0 {
                    serving * service
                } else {
                    serving + held
                }),
                queued: Some(held),
                ..Metrics::default()
            };
            serving -= served;
            let desired = *asked.last().unwrap();
            let instances =
                Instances { ready, starting: desired.saturating_sub(ready), ..Instances::default() };
            let now = at((minute * 60 + second) as u64);
            asked.push(scaler.step(now, &Observed { metrics, instances, ..Observed::default() }).desired);
            most = most.max(asked[asked.len() - 1]);
            waited = waited.max(held);
        }
        if rate > 0.0 {
            busiest.push((most, waited));
        }
    }
    busiest
}

#[test]
fn what_waited_for_the_first_instance_orders_no_more_than_it_needs() {
    let quick = bursts(0.05, 5);
    assert!(quick[0].0 > 30, "of the first nobody knows how long it takes: {quick:?}");
    assert!(quick[1..].iter().all(|&(most, _)| (1..=2).contains(&most)), "{quick:?}");
    assert!(quick.iter().all(|&(_, held)| held <= 360.0), "and nobody waits longer: {quick:?}");
    // What takes long is worked on at once.
    let slow = bursts(10.0, 5);
    assert!(slow[1..].iter().all(|&(most, _)| most > 30), "{slow:?}");
}
