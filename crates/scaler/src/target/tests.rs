use super::*;
use crate::observed::{Instances, Metrics};

fn target(metric: TargetMetric, value: f64) -> Target {
    Target { metric, route: None, value, tolerance: 0.1 }
}

fn instances_of(ready: u32, starting: u32) -> Instances {
    Instances { starting, ready, ..Instances::default() }
}

/// What a target asks for, and why, of a fleet where `desired` instances are ready or starting.
fn ask(target: &Target, metrics: &Metrics, ready: u32, desired: u32, work: Option<f64>) -> (Wanted, String) {
    let instances = instances_of(ready, desired.saturating_sub(ready));
    let sight = Sight { instances, desired, work, ..Sight::of(metrics, ready) };
    let opinion = opinion(target, &sight, Words::Spoken);
    (opinion.wanted, opinion.because)
}

fn busy(utilization: f64) -> Metrics {
    Metrics { utilization: Some(utilization), ..Metrics::default() }
}

#[test]
fn utilization_is_shared_out_over_instances() {
    let cases = [
        (0.92, 3, 3, 4, "3 instances at 92% busy are 3.45 at 80%"),
        (0.81, 3, 3, 3, "3 instances at 81% busy are 3.04 at 80%, within 10% of the present 3"),
        (0.2, 10, 10, 3, "10 instances at 20% busy are 2.5 at 80%"),
        (0.4, 10, 10, 5, "10 instances at 40% busy are 5 at 80%"),
        (0.0, 4, 4, 0, "4 instances at 0% busy are 0 at 80%"),
    ];
    for (utilization, ready, desired, wanted, because) in cases {
        let asked = ask(&target(TargetMetric::Utilization, 0.8), &busy(utilization), ready, desired, None);
        assert_eq!(asked, (Wanted::Count(wanted), because.to_owned()));
    }
}

#[test]
fn instances_that_start_will_take_their_share() {
    let (wanted, because) = ask(&target(TargetMetric::Utilization, 0.8), &busy(0.92), 3, 4, None);
    assert_eq!(wanted, Wanted::Count(4));
    assert_eq!(because, "3 instances at 92% busy are 3.45 at 80%");
    let (wanted, _) = ask(&target(TargetMetric::Utilization, 0.8), &busy(1.0), 3, 6, None);
    assert_eq!(wanted, Wanted::Count(6), "doubled once, not again while the doubled half starts");
}

#[test]
fn instances_that_are_new_count_on_the_side_of_shrinking_only() {
    let utilization = target(TargetMetric::Utilization, 0.8);
    let ask = |busy_share: f64| {
        let metrics = busy(busy_share);
        let sight = Sight { settled: 3, ..Sight::of(&metrics, 25) };
        let opinion = opinion(&utilization, &sight, Words::Spoken);
        (opinion.wanted, opinion.because)
    };
    assert_eq!(ask(1.0).0, Wanted::Count(25), "the three were saturated, nobody knows about the others");
    assert_eq!(ask(0.9).0, Wanted::Count(25));
    assert_eq!(ask(0.4).0, Wanted::Count(13), "even if all are that busy");
    assert_eq!(ask(0.4).1, "25 instances, 22 of them new, at 40% busy are 12.5 at 80%");
}

#[test]
fn saturation_grows_by_what_arrives_where_work_is_known() {
    let metrics = Metrics { arrival_rate: Some(2_000.0), queued: Some(500.0), ..busy(1.0) };
    let (wanted, because) = ask(&target(TargetMetric::Utilization, 0.8), &metrics, 3, 3, Some(0.01));
    assert_eq!(wanted, Wanted::Count(26));
    assert_eq!(
        because,
        "3 instances at 100% busy are saturated and demand is larger than they show: 2000 requests/s of \
         10ms work and 500 that wait keep 20.5 busy, 25.6 instances at 80%"
    );
}

#[test]
fn saturation_grows_by_the_queue_where_work_is_unknown() {
    let with_queue =
        |queued: f64| Metrics { concurrency: Some(12.0 + queued), queued: Some(queued), ..busy(1.0) };
    let ask = |metrics: &Metrics| ask(&target(TargetMetric::Utilization, 0.8), metrics, 4, 4, None).0;
    assert_eq!(ask(&with_queue(3.0)), Wanted::Count(8), "twice as many at least");
    assert_eq!(ask(&with_queue(24.0)), Wanted::Count(15), "three times the work at 80%");
    assert_eq!(ask(&with_queue(1e9)), Wanted::Count(20), "a queue is no rate: four times the work at most");
    assert_eq!(ask(&busy(0.97)), Wanted::Count(8));
}

#[test]
fn saturation_never_asks_for_less() {
    let metrics = Metrics { arrival_rate: Some(300.0), ..busy(1.0) };
    let (wanted, _) = ask(&target(TargetMetric::Utilization, 0.8), &metrics, 3, 9, Some(0.01));
    assert_eq!(wanted, Wanted::Count(9));
}

#[test]
fn totals_do_not_care_who_is_ready() {
    let metrics = Metrics { concurrency: Some(90.0), arrival_rate: Some(1_010.0), ..Metrics::default() };
    for ready in [0, 1, 5] {
        let (wanted, because) = ask(&target(TargetMetric::Concurrency, 40.0), &metrics, ready, 5, None);
        assert_eq!(wanted, Wanted::Count(3));
        assert_eq!(because, "90 requests in flight are 2.25 instances at 40 each");
        let (wanted, _) = ask(&target(TargetMetric::ArrivalRate, 100.0), &metrics, ready, 5, None);
        assert_eq!(wanted, Wanted::Count(11));
    }
}

#[test]
fn nobody_ready_is_not_nobody_needed() {
    let utilization = target(TargetMetric::Utilization, 0.8);
    let arriving = |rate: f64| Metrics { arrival_rate: Some(rate), ..Metrics::default() };
    assert_eq!(ask(&utilization, &arriving(0.0), 0, 0, None).0, Wanted::Count(0));
    assert_eq!(ask(&utilization, &arriving(3.0), 0, 0, None).0, Wanted::Count(1), "from zero");
    assert_eq!(ask(&utilization, &arriving(800.0), 0, 0, Some(0.01)).0, Wanted::Count(10));
    let (wanted, because) = ask(&utilization, &arriving(0.0), 0, 4, None);
    assert_eq!(wanted, Wanted::Count(4));
    assert_eq!(because, "4 instances are starting and none is ready to show how busy it is");
    assert_eq!(ask(&utilization, &Metrics::default(), 0, 4, None).0, Wanted::Unknown);
}

#[test]
fn a_missing_metric_is_not_zero() {
    for metric in [TargetMetric::Utilization, TargetMetric::Concurrency, TargetMetric::ArrivalRate] {
        assert_eq!(ask(&target(metric, 0.8), &Metrics::default(), 3, 3, None).0, Wanted::Unknown);
    }
}

#[test]
fn rounding_orders_no_instance() {
    let metrics = Metrics { arrival_rate: Some(0.1 + 0.2), ..Metrics::default() };
    let exact = Target { metric: TargetMetric::ArrivalRate, route: None, value: 0.1, tolerance: 0.0 };
    assert_eq!(ask(&exact, &metrics, 1, 1, None).0, Wanted::Count(3));
}

#[test]
fn what_waited_for_the_first_instance_is_a_backlog() {
    let concurrency = target(TargetMetric::Concurrency, 5.0);
    let ask = |in_flight: f64, service: Option<f64>| {
        let metrics =
            Metrics { concurrency: Some(in_flight), arrival_rate: Some(60.0), ..Metrics::default() };
        let sight = Sight { service, desired: 1, ..Sight::of(&metrics, 0) };
        let opinion = opinion(&concurrency, &sight, Words::Spoken);
        (opinion.wanted, opinion.because)
    };
    assert_eq!(ask(180.0, None).0, Wanted::Count(36), "who knows how long they will take");
    assert_eq!(
        ask(180.0, Some(0.05)),
        (
            Wanted::Count(1),
            "60 requests/s that take 50ms each are 3 in flight, and 177 waited for an instance: 0.78 instances at 5 each"
                .to_owned()
        )
    );
    assert_eq!(
        ask(180.0, Some(1.0)).0,
        Wanted::Count(15),
        "72 of them at a time are worked off in ten seconds"
    );
    assert_eq!(ask(180.0, Some(2.0)).0, Wanted::Count(27));
    assert_eq!(ask(900.0, Some(20.0)).0, Wanted::Count(180), "never more than are in flight");
    assert_eq!(ask(2.0, Some(0.05)).1, "2 requests in flight are 0.4 instances at 5 each");
}
