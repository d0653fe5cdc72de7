use super::*;
use crate::observed::Metrics;

fn backlog(pressure: Pressure, activation: f64) -> Backlog {
    Backlog { signal: Signal::Fleet(Metric::Queued), pressure, activation }
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
/// works off `rate`. The counts at the end of each minute and what waits then.
fn run(said: f64, rate: f64, arrivals: f64, first: f64) -> Vec<(u32, u32)> {
    let drain = backlog(Pressure::Drain { within: Duration::from_secs(30), rate: Some(said) }, 0.0);
    let (mut growth, mut waits, mut count, mut minutes) = (Growth::default(), first, 1_u32, Vec::new());
    for second in 1..=600_u64 {
        waits = (waits + arrivals - f64::from(count) * rate).max(0.0);
        let metrics = waiting(waits);
        let sight = Sight { now: Duration::from_secs(second), ..Sight::of(&metrics, count) };
        match growth.opinion(&drain, &sight, Words::Unspoken).wanted {
            Wanted::Count(wanted) => count = wanted.clamp(1, 1_000),
            other => panic!("{other:?}"),
        }
        if second % 60 == 0 {
            minutes.push((count, waits as u32));
        }
    }
    minutes
}

#[test]
fn a_backlog_is_worked_off_in_about_the_time_that_was_given() {
    let minutes = run(10.0, 10.0, 0.0, 10_000.0);
    assert!(minutes[1].1 < 500, "{minutes:?}");
}

#[test]
fn a_wrong_rate_is_put_right_by_what_it_leads_to() {
    for said in [5.0, 10.0, 20.0] {
        let minutes = run(said, 10.0, 300.0, 5_000.0);
        assert!(minutes[3..].iter().all(|&(_, waits)| waits < 3_000), "{said}: {minutes:?}");
    }
}
