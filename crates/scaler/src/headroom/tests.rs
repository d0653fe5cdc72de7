use super::*;
use crate::observed::Metrics;

const OBJECTIVE: Headroom = Headroom { overload: 0.001, wait: Duration::from_secs(1) };
/// Every request is 10 ms of work: 100 requests/s keep an instance busy.
const WORK: Option<f64> = Some(0.01);

/// Steps through `rates`, one a second, and returns the counts and the last sentence.
fn run(objective: &Headroom, rates: impl IntoIterator<Item = f64>, start_up: u64) -> (Vec<u32>, String) {
    let (mut rivalry, mut counts, mut because) = (Rivalry::default(), Vec::new(), String::new());
    for (second, rate) in (0..).zip(rates) {
        let metrics = Metrics { arrival_rate: Some(rate), ..Metrics::default() };
        let since = counts.len().saturating_sub(start_up as usize + 1);
        let settled = counts[since..].iter().copied().min().unwrap_or(4);
        let sight = target::Sight { settled, ..sight(&metrics, WORK) };
        let times = (Duration::from_secs(second), Some(Duration::from_secs(start_up)));
        let opinion = rivalry.opinion(objective, &sight, times, Words::Spoken);
        let Wanted::Count(count) = opinion.wanted else { panic!("no count at {second}") };
        counts.push(count);
        because = opinion.because;
    }
    (counts, because)
}

fn sight(metrics: &Metrics, work: Option<f64>) -> target::Sight<'_> {
    target::Sight { work, ..target::Sight::of(metrics, 4) }
}

#[test]
fn a_steady_demand_needs_no_headroom_once_that_is_known() {
    let (counts, because) = run(&OBJECTIVE, [1_000.0; 1_800], 5);
    assert_eq!((counts[0], counts[110]), (13, 13), "cautious at first");
    assert_eq!(counts[300], 10, "but not for long where demand is calm");
    assert_eq!(counts[1_799], 10);
    assert_eq!(
        because,
        "1000 requests/s of 10ms work keep 10 busy, at most 10 of late; kept are 0.94 times as many: on paper that \
         left 0% of the demand without capacity"
    );
}

/// The share of demand in the last of three hours that found no capacity at once, and the mean count.
fn hour(rate: impl Fn(u32) -> f64, start_up: usize) -> (f64, f64) {
    let objective = Headroom { wait: Duration::ZERO, ..OBJECTIVE };
    let (counts, _) = run(&objective, (0..10_800).map(&rate), start_up as u64);
    let (mut short, mut all, mut paid) = (0.0, 0.0, 0.0);
    for second in 7_200..10_800 {
        // What is decided at the end of a second counts from the next.
        let ready = counts[second - 1 - start_up..second].iter().min().unwrap();
        let demand = rate(second as u32) / 100.0;
        short += (demand - f64::from(*ready)).max(0.0);
        all += demand;
        paid += f64::from(counts[second - 1]);
    }
    (short / all, paid / 3_600.0)
}

#[test]
fn bursts_that_hurt_are_held_against_lean_loops() {
    // Every two minutes demand doubles at once for twenty seconds, and instances take thirty to start:
    // only a loop that still holds the last burst has capacity for the next.
    let (short, paid) = hour(|second| if second % 120 < 20 { 2_000.0 } else { 1_000.0 }, 30);
    assert!(short < 0.001, "{short}");
    assert!(paid < 21.5, "{paid}");
}

#[test]
fn a_ramp_is_met_before_it_arrives() {
    // Up and down, ten instances in a minute each way, then ten minutes of quiet: a loop that follows
    // the level is five behind, and holding the peak through the quiet costs twenty instances.
    let ramp = |second: u32| {
        let phase = f64::from(second % 720) / 60.0;
        1_000.0 + 1_000.0 * phase.min(2.0 - phase).max(0.0)
    };
    let (short, paid) = hour(ramp, 30);
    assert!(short < 0.002, "{short}");
    assert!(paid < 17.6, "{paid}");
}

#[test]
fn demand_that_jumps_or_instances_that_nobody_saw_start_are_met_with_caution_for_longer() {
    let count = |rates: &dyn Fn(u64) -> f64, start_up: Option<u64>| {
        let mut rivalry = Rivalry::default();
        let mut count = 0;
        for second in 0..500 {
            let metrics = Metrics { arrival_rate: Some(rates(second)), ..Metrics::default() };
            let times = (Duration::from_secs(second), start_up.map(Duration::from_secs));
            rivalry.opinion(&OBJECTIVE, &sight(&metrics, WORK), times, Words::Unspoken);
            count = rivalry.followed;
        }
        count
    };
    assert_ne!(count(&|_| 1_000.0, Some(5)), book::CAUTIOUS);
    assert_eq!(count(&|_| 1_000.0, None), book::CAUTIOUS);
    assert_eq!(count(&|second| if second < 20 { 2_000.0 } else { 1_000.0 }, Some(5)), book::CAUTIOUS);
}

/// Bursts of two seconds out of silence, each minute of the ten in which caution is the rule.
fn bursts(second: u32) -> f64 {
    if second % 60 < 2 { 2_000.0 } else { 0.0 }
}

#[test]
fn who_may_wait_longer_than_a_start_takes_needs_no_caution() {
    let counts = |wait| {
        let objective = Headroom { wait: Duration::from_secs(wait), ..OBJECTIVE };
        run(&objective, (0..590).map(bursts), 5).0
    };
    let mean = |counts: &[u32]| counts.iter().sum::<u32>() / 590;
    let (cautious, late) = (counts(7), counts(10));
    assert!(mean(&late) * 2 < mean(&cautious), "{} and {}", mean(&late), mean(&cautious));
    // Everybody is served in time nevertheless: what is decided after a second is ready five seconds later.
    let mut waiting = 0.0;
    for second in 6..590 {
        let ready = late[second - 6..second].iter().min().unwrap();
        let now = second as u32;
        let patient = (now.saturating_sub(9)..=now).map(|came| bursts(came) / 100.0).sum();
        let late = budget::serve(&mut waiting, bursts(now) / 100.0, f64::from(*ready), patient);
        assert!(late <= 0.0, "{late} at {second}");
    }
}

#[test]
fn what_left_no_time_after_a_start_is_not_met_late() {
    let met =
        |wait: f64, start_up: Option<f64>| met_late(wait, start_up).map(|index| book::recipe(index).margin);
    let loops = [0.0, 5.0, 7.0, 8.0, 30.0].map(|start_up| met(10.0, Some(start_up)));
    assert_eq!(loops, [Some(1.0), Some(1.3), Some(2.6), None, None]);
    assert_eq!((met(10.0, None), met(0.0, Some(0.0)), met(1.0, Some(0.0))), (None, None, None));
}

#[test]
fn what_a_journal_knows_of_other_loops_is_forgotten() {
    let of_others = Rivalry { followed: book::LOOPS + 7, judged: 1e6, ..Rivalry::default() };
    let mut rivalry = of_others.of_these_loops();
    let metrics = Metrics { arrival_rate: Some(1_000.0), ..Metrics::default() };
    for second in 0..100 {
        let times = (Duration::from_secs(second), Some(Duration::from_secs(5)));
        let opinion = rivalry.opinion(&OBJECTIVE, &sight(&metrics, WORK), times, Words::Spoken);
        assert_eq!(opinion.wanted, Wanted::Count(13), "{}", opinion.because);
    }
}

#[test]
fn unknown_work_is_met_by_the_usual_target() {
    let metrics = Metrics { arrival_rate: Some(300.0), utilization: Some(0.92), ..Metrics::default() };
    let opinion =
        Rivalry::default().opinion(&OBJECTIVE, &sight(&metrics, None), (Duration::ZERO, None), Words::Spoken);
    assert_eq!(opinion.wanted, Wanted::Count(5));
    assert_eq!(
        opinion.because,
        "the work per request is not known yet; 4 instances at 92% busy are 4.6 at 80%"
    );
}

#[test]
fn what_is_busy_part_of_the_time_only_is_told_so() {
    let metrics = Metrics { arrival_rate: Some(850.0), ..Metrics::default() };
    let sight = target::Sight { safe: 0.85, ..sight(&metrics, WORK) };
    let opinion = Rivalry::default().opinion(&OBJECTIVE, &sight, (Duration::ZERO, None), Words::Spoken);
    let begin = "850 requests/s of 10ms work keep 10 busy 85% of the time, on the way to 10";
    assert!(opinion.because.starts_with(begin), "{}", opinion.because);
}

#[test]
fn unknown_or_absurd_arrivals_are_no_demand() {
    for arrival_rate in [None, Some(1e300)] {
        let metrics = Metrics { arrival_rate, ..Metrics::default() };
        let opinion = Rivalry::default().opinion(
            &OBJECTIVE,
            &sight(&metrics, WORK),
            (Duration::ZERO, None),
            Words::Spoken,
        );
        assert_eq!(opinion.wanted, Wanted::Unknown);
    }
}

#[test]
fn the_name_says_the_objective() {
    assert_eq!(name(&OBJECTIVE), "headroom for 0.1% overload after 1s");
}

#[test]
fn a_burst_that_comes_every_hour_is_met_by_what_stands_by_for_it() {
    // Instances take two minutes and the burst lasts one, so who only reacts is late for all of it.
    let rate = |second: u64| if second % 3_600 / 60 == 30 { 3_000.0 } else { 1_000.0 };
    let objective = Headroom { wait: Duration::ZERO, ..OBJECTIVE };
    let (counts, because) = run(&objective, (0..6 * 3_600 + 1_790).map(rate), 120);
    let of = |second: usize| counts[5 * 3_600 + second];
    assert!((1_680..1_860).all(|second| of(second) >= 30), "{:?}", &counts[5 * 3_600 + 1_600..][..300]);
    let paid = counts[5 * 3_600..][..3_600].iter().sum::<u32>();
    assert!(paid < 14 * 3_600, "{}", f64::from(paid) / 3_600.0);
    assert!(because.ends_with("; 30 for the burst that comes at this minute of the hour"), "{because}");
}

#[test]
fn who_has_seen_little_does_not_believe_that_demand_stays_low() {
    let dip = |second: u64| if (1_200..1_500).contains(&second) { 1_000.0 } else { 2_000.0 };
    let (counts, _) = run(&OBJECTIVE, (0..1_500).map(dip), 120);
    assert!(counts[1_499] >= 20, "{}", counts[1_499]);
    let (counts, _) = run(&OBJECTIVE, (0..1_500).map(dip), 1);
    assert!(counts[1_499] <= 11, "instances that start at once need not be kept: {}", counts[1_499]);
}

#[test]
fn where_demand_jumps_about_the_fleet_shrinks_later_and_says_so() {
    let mixed =
        |number: u32| number.wrapping_mul(2_654_435_761).rotate_left(13).wrapping_mul(2_246_822_519) >> 16;
    let part = |number: u32| f64::from(mixed(number)) / 65_536.0;
    // Every quarter of an hour another level, every minute a little more or less, and noise.
    let at = |minute: u32| 300.0 * 5.0_f64.powf(part(minute / 15)) * (0.95 + 0.1 * part(minute));
    let rate = |second: u32| {
        let gone = f64::from(second % 60) / 60.0;
        let mean = at(second / 60) * (1.0 - gone) + at(second / 60 + 1) * gone;
        mean + mean.sqrt() * 3.4 * (part(second) - 0.5)
    };
    let (mut rivalry, mut counts, mut later) = (Rivalry::default(), Vec::<u32>::new(), 0);
    for second in 0..6 * 3_600 {
        let metrics = Metrics { arrival_rate: Some(rate(second)), ..Metrics::default() };
        let settled = counts.iter().rev().take(6).copied().min().unwrap_or(4);
        let sight = target::Sight { settled, ..sight(&metrics, WORK) };
        let times = (Duration::from_secs(second.into()), Some(Duration::from_secs(5)));
        let opinion = rivalry.opinion(&OBJECTIVE, &sight, times, Words::Spoken);
        let Wanted::Count(count) = opinion.wanted else { panic!("no count at {second}") };
        let says = opinion
            .because
            .ends_with(&format!("; {count} until keeping them has cost as much as changes do"));
        assert!(!says || count > rivalry.counts(rivalry.awaited).0 as u32, "{}", opinion.because);
        counts.push(count);
        later += u32::from(says);
    }
    assert!(later > 30, "{later}");
}
