use super::*;
use crate::observed::Metrics;

fn backlog(pressure: Pressure, activation: f64) -> Backlog {
    Backlog { signal: Signal::Fleet(Metric::Queued), pressure, activation, fallback: Fallback::Hold }
}

fn waiting(count: f64) -> Metrics {
    Metrics { queued: Some(count), ..Metrics::default() }
}

fn ask(backlog: &Backlog, metrics: &Metrics, present: u32) -> (Wanted, String) {
    let opinion = Growth::default().opinion(backlog, &Sight::of(metrics, present), Words::Spoken);
    (opinion.wanted, opinion.because)
}

#[test]
fn so_many_wait_for_each_instance_as_hpa_has_it() {
    // 120 / 10 = 12; 41 / 10 = 4.1 is within 10 % of 4; 45 / 10 rounds up.
    let backlog = backlog(Pressure::PerInstance(10.0), 0.0);
    let cases = [(120.0, 4, 12), (41.0, 4, 4), (45.0, 4, 5), (3.0, 4, 1), (0.0, 4, 0)];
    for (count, present, wanted) in cases {
        assert_eq!(ask(&backlog, &waiting(count), present).0, Wanted::Count(wanted), "{count}");
    }
    let because = "120 wait, which are 12 instances at 10 each";
    assert_eq!(ask(&backlog, &waiting(120.0), 4).1, because);
}

#[test]
fn the_activation_threshold_is_apart_from_the_scaling_one() {
    let backlog = backlog(Pressure::PerInstance(1.0), 5.0);
    assert_eq!(ask(&backlog, &waiting(5.0), 2), (Wanted::Count(0), "5 wait, not above 5".to_owned()));
    assert_eq!(ask(&backlog, &waiting(6.0), 2).0, Wanted::Count(6), "once active, all of it counts");
}

#[test]
fn an_unknown_backlog_is_not_an_empty_one() {
    let backlog = backlog(Pressure::PerInstance(1.0), 5.0);
    assert_eq!(ask(&backlog, &Metrics::default(), 2), (Wanted::Unknown, "queue is not known".to_owned()));
}

#[test]
fn what_an_instance_works_off_is_learned_of_requests() {
    let drain = backlog(Pressure::Drain { within: Duration::from_secs(10), rate: None }, 0.0);
    assert_eq!(ask(&drain, &waiting(100.0), 2).0, Wanted::Unknown);
    let metrics = waiting(100.0);
    // 50 ms of work at 80 % are 16 a second each: two keep up with what arrives, 10 a second more wait.
    let sight = Sight { work: Some(0.05), safe: 0.8, ..Sight::of(&metrics, 2) };
    let opinion = Growth::default().opinion(&drain, &sight, Words::Spoken);
    assert_eq!(opinion.wanted, Wanted::Count(3));
    assert_eq!(
        opinion.because,
        "100 wait and about 32/s arrive; to work them off within 10s takes 2.62 instances at 16/s each, 2 instances can"
    );
}

/// A queue that gets `arrivals` a second, under a drain of 30 s with a rate of `said`, where an instance
/// works off `rate`. The count at the end of each second and what waits then.
fn seconds(said: f64, rate: f64, arrivals: f64, first: f64) -> Vec<(u32, f64)> {
    let drain = backlog(Pressure::Drain { within: Duration::from_secs(30), rate: Some(said) }, 0.0);
    let (mut growth, mut waits, mut count) = (Growth::default(), first, 1_u32);
    let step = |second: u64| {
        waits = (waits + arrivals - f64::from(count) * rate).max(0.0);
        let metrics = waiting(waits);
        let sight = Sight { now: Duration::from_secs(second), ..Sight::of(&metrics, count) };
        match growth.opinion(&drain, &sight, Words::Unspoken).wanted {
            Wanted::Count(wanted) => count = wanted.clamp(1, 1_000),
            other => panic!("{other:?}"),
        }
        (count, waits)
    };
    (1..=600).map(step).collect()
}

/// A backlog of 10,000 that is to be gone in 60 s, where an instance works off 10 a second and is there `start_up` after it was asked
/// for, `ready` of them from the beginning. Of each second: the count that is asked for, and what waits.
fn starting(start_up: usize, ready: u32, arrivals: f64) -> Vec<(u32, f64)> {
    let drain = backlog(Pressure::Drain { within: Duration::from_mins(1), rate: Some(10.0) }, 0.0);
    let (mut growth, mut waits) = (Growth::default(), 10_000.0);
    let mut asked = vec![ready];
    let mut changed = 0;
    let step = |second: usize| {
        // Whoever is not wanted any more goes at once.
        let present = asked[second.saturating_sub(start_up)].min(asked[second]);
        let present = if second < start_up { present.min(ready) } else { present };
        let served = (f64::from(present) * 10.0).min(waits);
        waits += arrivals - served;
        let metrics = Metrics { served_rate: Some(served), ..waiting(waits) };
        let sight = Sight {
            now: Duration::from_secs(second as u64),
            changed: Duration::from_secs(changed as u64),
            desired: asked[second],
            start_up: Some(Duration::from_secs(start_up as u64)),
            ..Sight::of(&metrics, present)
        };
        let Wanted::Count(wanted) = growth.opinion(&drain, &sight, Words::Unspoken).wanted else { panic!() };
        changed = if wanted == asked[second] { changed } else { second };
        asked.push(wanted);
        (wanted, waits)
    };
    (0..300).map(step).collect()
}

#[test]
fn what_still_has_to_start_has_less_time_and_is_more() {
    for (start_up, ready, least, most) in [(5, 0, 18, 20), (30, 0, 33, 36), (45, 0, 66, 72), (30, 10, 23, 26)]
    {
        let course = starting(start_up, ready, 0.0);
        // From one reading nobody can tell what arrives, and as much as instances do is taken for it.
        let asked = course[1..].iter().map(|(count, _)| *count).max().unwrap();
        assert!((least..=most).contains(&asked), "{start_up}: {asked} of {least} to {most}");
        assert!(course[62].1 < 300.0, "{start_up}: {} wait", course[62].1);
        let until = course.iter().position(|&(_, waits)| waits < 1_000.0).unwrap();
        let early = course[1..until].iter().map(|(count, _)| *count).min().unwrap();
        assert!(early >= least, "{start_up}: {early}, none goes before it is done");
    }
}

#[test]
fn where_starts_take_longer_than_a_backlog_may_there_is_an_end_to_their_number() {
    for start_up in [60, 90] {
        let most = starting(start_up, 0, 0.0).iter().map(|(count, _)| *count).max().unwrap();
        assert!((66..=140).contains(&most), "{start_up}: {most}");
    }
    let busy = starting(30, 0, 100.0);
    assert!(busy[75].1 < 6_000.0, "what came in the last minute may wait: {}", busy[75].1);
}

#[test]
fn whoever_reads_why_learns_of_the_start_up() {
    let drain = backlog(Pressure::Drain { within: Duration::from_mins(1), rate: Some(10.0) }, 0.0);
    let metrics = waiting(600.0);
    let sight = Sight { start_up: Some(Duration::from_secs(30)), ..Sight::of(&metrics, 0) };
    let opinion = Growth::default().opinion(&drain, &sight, Words::Spoken);
    assert_eq!(
        opinion.because,
        "600 wait and about 0/s arrive; to work them off within 1m takes 2 instances at 10/s each, 0 instances can, \
         where new ones start within 30s"
    );
}

/// The same at the end of each minute.
fn run(said: f64, rate: f64, arrivals: f64, first: f64) -> Vec<(u32, u32)> {
    let minutes = seconds(said, rate, arrivals, first);
    minutes.into_iter().skip(59).step_by(60).map(|(count, waits)| (count, waits as u32)).collect()
}

#[test]
fn a_backlog_is_worked_off_in_the_time_that_was_given() {
    for arrivals in [0.0, 50.0, 300.0] {
        let course = seconds(10.0, 10.0, arrivals, 10_000.0);
        // After a tenth more a hundredth is left of what waited at first; what came meanwhile has its own time.
        assert!(course[33].1 < 100.0 + arrivals * 30.0, "{arrivals}: {:?}", &course[..40]);
        let most = course.iter().map(|(count, _)| *count).max().unwrap();
        let needed = (10_000.0 / 30.0 + arrivals) / 10.0;
        assert!(f64::from(most) <= needed * 1.2 + 1.0, "{arrivals}: {most} instead of {needed}");
        let rest = &course[300..];
        let steady = arrivals / 10.0;
        assert!(
            rest.iter().all(|&(count, _)| f64::from(count) <= steady * 1.2 + 1.0),
            "{arrivals}: {rest:?}"
        );
    }
}

#[test]
fn as_many_are_kept_until_the_backlog_is_gone() {
    let course = seconds(10.0, 10.0, 0.0, 10_000.0);
    assert!(course[1..27].iter().all(|&(count, _)| (33..=34).contains(&count)), "{course:?}");
}

#[test]
fn a_wrong_rate_is_put_right_by_what_it_leads_to() {
    for said in [5.0, 10.0, 20.0] {
        let minutes = run(said, 10.0, 300.0, 5_000.0);
        assert!(minutes[3..].iter().all(|&(_, waits)| waits < 3_000), "{said}: {minutes:?}");
    }
}

/// A backlog in a source, and a reading of it.
fn of_source(
    pressure: Pressure,
    fallback: Fallback,
) -> (Backlog, impl Fn(Option<f64>, Option<f64>) -> Metrics) {
    let source = tidegate_core::SourceId::new("orders").unwrap();
    let signal = Signal::Source(source.clone());
    let metrics = move |waiting: Option<f64>, served_rate: Option<f64>| Metrics {
        sources: waiting.map(|waiting| (source.clone(), waiting)).into_iter().collect(),
        served_rate,
        ..Metrics::default()
    };
    (Backlog { signal, pressure, activation: 0.0, fallback }, metrics)
}

#[test]
fn a_source_that_fails_is_met_as_was_chosen() {
    let cases = [
        (Fallback::Hold, Wanted::Unknown, "source orders is not known"),
        (
            Fallback::LastValue,
            Wanted::Blind(5),
            "source orders is not known; of late, 50 wait, which are 5 instances at 10 each",
        ),
        (Fallback::Instances(3), Wanted::Blind(3), "source orders is not known; its fallback is 3 instances"),
    ];
    for (fallback, wanted, because) in cases {
        let (backlog, metrics) = of_source(Pressure::PerInstance(10.0), fallback);
        let mut growth = Growth::default();
        let mut ask = |waiting| {
            let metrics = metrics(waiting, None);
            growth.opinion(&backlog, &Sight::of(&metrics, 2), Words::Spoken)
        };
        assert_eq!(ask(Some(50.0)).wanted, Wanted::Count(5));
        assert_eq!(ask(None), Opinion { wanted, because: because.to_owned() });
    }
}

#[test]
fn before_any_reading_the_last_value_is_none() {
    let (backlog, metrics) = of_source(Pressure::PerInstance(10.0), Fallback::LastValue);
    assert_eq!(ask(&backlog, &metrics(None, None), 2).0, Wanted::Unknown);
}

#[test]
fn what_an_instance_works_off_of_a_source_is_learned_while_enough_waits() {
    let drain = Pressure::Drain { within: Duration::from_secs(10), rate: None };
    let (backlog, metrics) = of_source(drain, Fallback::Hold);
    let mut growth = Growth::default();
    let mut ask = |second: u64, waiting: f64, served: f64, ready: u32| {
        let metrics = metrics(Some(waiting), Some(served));
        let sight = Sight { now: Duration::from_secs(second), ..Sight::of(&metrics, ready) };
        growth.opinion(&backlog, &sight, Words::Spoken)
    };
    let first = ask(1, 1_000.0, 0.0, 0);
    assert_eq!(first.wanted, Wanted::Count(1), "one finds out");
    assert_eq!(first.because, "1000 wait, and what an instance works off is not known yet");
    // 20 a second each: 980 are to go within 10 s, at the rate that one instance has.
    assert_eq!(ask(2, 980.0, 20.0, 1).wanted, Wanted::Count(5));
    // Nearly nothing waits, so that little was finished says nothing.
    assert!(ask(40, 2.0, 1.0, 5).because.ends_with("at 20/s each, 5 instances can"));
    assert_eq!(ask(80, 0.0, 0.0, 5).wanted, Wanted::Count(0));
}
