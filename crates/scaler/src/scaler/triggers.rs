//! The newer triggers through whole steps.

use super::{
    tests::{arrivals, arriving, at, formula, policy, schedule},
    *,
};

fn at_time(text: &str) -> Timestamp {
    serde_json::from_str(&format!("\"{text}\"")).unwrap()
}

#[test]
fn a_schedule_is_a_floor_within_its_window_and_nothing_outside() {
    let office = Trigger::Schedule(tidegate_core::policy::Schedule {
        cron: "0 8 * * MON-FRI".parse().unwrap(),
        zone: "Europe/Berlin".parse().unwrap(),
        lasts: Duration::from_hours(10),
        ..schedule(true, Some(6), None)
    });
    let mut scaler = Scaler::new(policy(vec![arrivals(100.0), office]));
    let mut count = |time: &str, rate: f64| scaler.step(at_time(time), &arriving(rate)).desired;
    assert_eq!(count("2026-05-04T05:59:58Z", 200.0), 2);
    assert_eq!(count("2026-05-04T06:00:00Z", 200.0), 6);
    assert_eq!(count("2026-05-04T12:00:00Z", 900.0), 9, "demand may ask for more");
    assert_eq!(count("2026-05-04T15:59:59Z", 200.0), 6);
    assert_eq!(count("2026-05-04T16:00:00Z", 200.0), 2);
    let decision = scaler.step(at_time("2026-05-05T06:00:00Z"), &arriving(200.0));
    assert_eq!(
        decision.reasons()[0],
        "schedule 0 8 * * MON-FRI Europe/Berlin for 10h: at least 6 instances until 2026-05-05 16:00Z"
    );
}

#[test]
fn what_a_window_needs_is_started_before_it_opens() {
    let daily = Trigger::Schedule(tidegate_core::policy::Schedule {
        cron: "0 8 * * *".parse().unwrap(),
        ..schedule(true, Some(6), None)
    });
    let mut scaler = Scaler::new(policy(vec![arrivals(100.0), daily]));
    let slow = Observed { started: vec![Duration::from_mins(2)], ..arriving(200.0) };
    assert_eq!(scaler.step(at_time("2026-05-04T07:57:59Z"), &slow).desired, 2);
    assert_eq!(scaler.step(at_time("2026-05-04T07:58:00Z"), &arriving(200.0)).desired, 6);
}

#[test]
fn a_ceiling_is_a_bound_for_as_long_as_its_window_lasts() {
    let night = Trigger::Schedule(tidegate_core::policy::Schedule {
        cron: "0 2 * * *".parse().unwrap(),
        ..schedule(true, None, Some(3))
    });
    let mut scaler = Scaler::new(policy(vec![arrivals(100.0), night]));
    assert_eq!(scaler.step(at_time("2026-05-04T01:59:59Z"), &arriving(900.0)).desired, 9);
    let decision = scaler.step(at_time("2026-05-04T02:00:00Z"), &arriving(900.0));
    assert_eq!(decision.desired, 3);
    assert_eq!(
        decision.reasons()[1],
        "schedule: 3 instead of 9, at most 3 instances until 2026-05-04 03:00Z"
    );
    assert_eq!(scaler.step(at_time("2026-05-04T03:00:00Z"), &arriving(900.0)).desired, 9);
}

#[test]
fn the_smallest_count_of_a_policy_is_above_a_ceiling() {
    let mut scaler =
        Scaler::new(Policy { min: 5, ..policy(vec![Trigger::Schedule(schedule(true, None, Some(2)))]) });
    assert_eq!(scaler.step(at(1), &arriving(0.0)).desired, 5);
}

#[test]
fn a_formula_sees_metrics_the_fleet_and_the_others() {
    let double = Trigger::Formula(formula("2 * target + (arrivals > 500)", false));
    let mut scaler = Scaler::new(policy(vec![double, arrivals(100.0)]));
    let decision = scaler.step(at(1), &arriving(300.0));
    assert_eq!((decision.desired, decision.winner), (6, Some(0)), "whatever the order");
    assert_eq!(
        decision.reasons()[0],
        "formula 2 * target + (arrivals > 500): 6 instances with arrivals 300, target 3"
    );
    assert_eq!(scaler.step(at(2), &arriving(600.0)).desired, 13);
}

#[test]
fn a_formula_sees_who_leaves_and_who_failed() {
    let mut scaler = Scaler::new(policy(vec![Trigger::Formula(formula("3 + failed - draining", false))]));
    let instances = crate::observed::Instances { ready: 3, draining: 1, failed: 2, ..Default::default() };
    let decision = scaler.step(at(1), &Observed { instances, ..arriving(1.0) });
    assert_eq!(decision.desired, 4);
    assert_eq!(decision.reasons()[0], "formula 3 + failed - draining: 4 instances with draining 1, failed 2");
}

#[test]
fn a_formula_that_cannot_see_never_shrinks_and_one_with_a_default_can_see() {
    for (default, after) in [(false, 10), (true, 100)] {
        let mut scaler = Scaler::new(policy(vec![Trigger::Formula(formula("arrivals / 100", default))]));
        assert_eq!(scaler.step(at(1), &arriving(1_000.0)).desired, 10);
        let decision = scaler.step(at(2), &Observed::default());
        assert_eq!(decision.desired, after);
    }
    let mut scaler = Scaler::new(policy(vec![Trigger::Formula(formula("arrivals / 100", false))]));
    let decision = scaler.step(at(2), &Observed::default());
    assert_eq!(decision.reasons(), ["formula arrivals / 100: arrivals is not known"]);
}

#[test]
fn an_endless_result_is_no_count() {
    let mut scaler = Scaler::new(policy(vec![Trigger::Formula(formula("arrivals / ready", false))]));
    let decision = scaler.step(at(1), &arriving(1_000.0));
    assert_eq!(decision.reasons(), ["formula arrivals / ready: the result is not a number"]);
}

/// Arrivals of a day that repeats itself: 200/s, and 1,200/s from 09:00 to 17:00.
fn office_day(second: u64) -> f64 {
    if (32_400..61_200).contains(&(second % 86_400)) { 1_200.0 } else { 200.0 }
}

#[test]
fn a_forecast_orders_before_the_demand_comes_once_it_has_seen_it() {
    let forecast = tidegate_core::policy::Forecast {
        horizon: Some(Duration::from_mins(5)),
        period: None,
        quantile: 0.9,
    };
    let mut scaler = Scaler::new(policy(vec![arrivals(100.0), Trigger::Forecast(forecast)]));
    let mut ready = 2;
    let mut early = Vec::new();
    for second in (0..4 * 86_400_u64).step_by(15) {
        let rate = office_day(second);
        let requests = 15.0 * rate.min(100.0 * f64::from(ready));
        let metrics = Metrics {
            worked: Some(crate::observed::Worked { busy_seconds: requests / 100.0, requests }),
            arrival_rate: Some(rate),
            utilization: Some((rate / 100.0 / f64::from(ready)).min(1.0)),
            ..Metrics::default()
        };
        let instances = crate::observed::Instances { ready, ..Default::default() };
        let decision =
            scaler.step_unspoken(at(second), &Observed { metrics, instances, ..Observed::default() });
        ready = decision.desired;
        // Two minutes before the working day begins.
        if second % 86_400 == 32_280 {
            early.push(decision.desired);
        }
    }
    assert_eq!(early[0], 2, "the first day nobody knew");
    assert!(early[3] >= 12, "{early:?}");
}

#[test]
fn a_forecast_without_a_history_says_so_and_holds_nobody_back() {
    let forecast = tidegate_core::policy::Forecast { horizon: None, period: None, quantile: 0.99 };
    let mut scaler = Scaler::starting_at(policy(vec![arrivals(100.0), Trigger::Forecast(forecast)]), 10);
    let decision = scaler.step(at(1), &arriving(200.0));
    assert_eq!(decision.desired, 2);
    assert_eq!(
        decision.reasons()[1],
        "forecast 99%: too little has been seen yet to know how wrong a forecast is: 0 of 63 were judged"
    );
}

#[test]
fn every_metric_lost_for_ten_minutes_shrinks_nothing() {
    let forecast = tidegate_core::policy::Forecast { horizon: None, period: None, quantile: 0.99 };
    let headroom = tidegate_core::policy::Headroom { overload: 0.001, wait: Duration::ZERO };
    let sets = [
        vec![arrivals(100.0)],
        vec![Trigger::Headroom(headroom)],
        vec![arrivals(100.0), Trigger::Forecast(forecast)],
        vec![Trigger::Formula(formula("arrivals / 100", false))],
    ];
    for triggers in sets {
        let mut scaler = Scaler::new(policy(triggers));
        let mut ready = 1;
        let mut step = |second: u64, rate: Option<f64>| {
            let utilization = rate.map(|rate| (rate / 100.0 / f64::from(ready)).min(1.0));
            let requests = rate.map(|rate| rate.min(100.0 * f64::from(ready)));
            let worked =
                requests.map(|requests| crate::observed::Worked { busy_seconds: requests / 100.0, requests });
            let metrics = Metrics { arrival_rate: rate, utilization, worked, ..Metrics::default() };
            let instances = crate::observed::Instances { ready, ..Default::default() };
            ready = scaler.step(at(second), &Observed { metrics, instances, ..Observed::default() }).desired;
            ready
        };
        let peak = (0..900).map(|second| step(second, Some(2_000.0))).last().unwrap();
        assert!(peak >= 20, "{peak}");
        for second in 900..1_500 {
            assert!(step(second, None) >= peak);
        }
    }
}

#[test]
fn a_clock_that_jumps_an_hour_changes_no_count() {
    let headroom = tidegate_core::policy::Headroom { overload: 0.001, wait: Duration::ZERO };
    let forecast = tidegate_core::policy::Forecast { horizon: None, period: None, quantile: 0.99 };
    let calm = tidegate_core::policy::Pace { stabilization: Duration::from_mins(10), limits: Vec::new() };
    let policy = Policy {
        scale_in: calm,
        ..policy(vec![arrivals(100.0), Trigger::Headroom(headroom), Trigger::Forecast(forecast)])
    };
    // Demand that waves, seen by three scalers of which two have their clock set.
    let run = |jump: i64| {
        let (mut scaler, mut ready, mut counts) = (Scaler::new(policy.clone()), 1, Vec::new());
        for second in 0..3_000_i64 {
            let rate = 800.0 + 600.0 * (second as f64 / 300.0).sin();
            let utilization = Some((rate / 100.0 / f64::from(ready)).min(1.0));
            let metrics = Metrics { arrival_rate: Some(rate), utilization, ..Metrics::default() };
            let instances = crate::observed::Instances { ready, ..Default::default() };
            let shown = second + if second >= 2_000 { jump } else { 0 };
            let observed = Observed { metrics, instances, ..Observed::default() };
            ready = scaler.step(at(10_000 + shown.unsigned_abs()), &observed).desired;
            counts.push(ready);
        }
        counts
    };
    let steady = run(0);
    for jump in [3_600, -1_900] {
        assert_eq!(run(jump), steady, "{jump}");
    }
}

/// A fleet that works on what waits in a source, and nobody sends it requests.
fn worker(fallback: tidegate_core::policy::Fallback) -> (Scaler, impl Fn(Option<f64>) -> Observed) {
    let source = tidegate_core::SourceId::new("orders").unwrap();
    let backlog = Trigger::Backlog(tidegate_core::policy::Backlog {
        signal: tidegate_core::policy::Signal::Source(source.clone()),
        pressure: tidegate_core::policy::Pressure::PerInstance(100.0),
        activation: 5.0,
        fallback,
    });
    let idle = Duration::from_secs(10);
    let scaler = Scaler::starting_at(Policy { min: 0, idle, ..policy(vec![backlog]) }, 0);
    let seen = move |waiting: Option<f64>| {
        let sources = waiting.map(|waiting| (source.clone(), waiting)).into_iter().collect();
        Observed { metrics: Metrics { sources, ..Metrics::default() }, ..Observed::default() }
    };
    (scaler, seen)
}

#[test]
fn a_backlog_wakes_a_fleet_of_workers_and_an_empty_one_sends_it_to_rest() {
    let (mut scaler, seen) = worker(tidegate_core::policy::Fallback::Hold);
    assert_eq!(scaler.step(at(1), &seen(Some(0.0))).desired, 0);
    assert_eq!(scaler.step(at(2), &seen(Some(5.0))).desired, 0, "not above the activation threshold");
    assert_eq!(scaler.step(at(3), &seen(Some(420.0))).desired, 5);
    let decision = scaler.step(at(4), &seen(Some(0.0)));
    assert_eq!(decision.desired, 1, "the last one stays for a while: {:?}", decision.reasons());
    for second in 5..13 {
        assert_eq!(scaler.step(at(second), &seen(Some(0.0))).desired, 1, "{second}");
    }
    assert_eq!(scaler.step(at(13), &seen(Some(0.0))).desired, 0);
}

#[test]
fn a_source_that_is_lost_never_shrinks_a_fleet() {
    use tidegate_core::policy::Fallback;
    for (fallback, meanwhile) in [(Fallback::Hold, 5), (Fallback::LastValue, 5), (Fallback::Instances(8), 8)]
    {
        let (mut scaler, seen) = worker(fallback);
        scaler.step(at(1), &seen(Some(420.0)));
        for second in 2..600 {
            assert_eq!(scaler.step(at(second), &seen(None)).desired, meanwhile, "{fallback:?} {second}");
        }
        assert_eq!(scaler.step(at(600), &seen(Some(120.0))).desired, 2, "it is seen again");
    }
    let (mut scaler, seen) = worker(Fallback::Hold);
    assert_eq!(scaler.step(at(1), &seen(None)).desired, 0, "what is not there stays away");
}
