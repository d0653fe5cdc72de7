use tidegate_core::Timestamp;

use super::*;
use crate::observed::Metrics;

const AUTO: Forecast = Forecast { horizon: None, period: None, quantile: 0.99 };

/// A trigger over demand, in steps of 15 s of lived time from some Monday on.
#[derive(Default)]
struct Watched {
    memory: Option<Box<Ahead>>,
    now: u64,
    /// Of the wall clock.
    astray: i64,
    start_up: Option<Duration>,
}

impl Watched {
    fn step(&mut self, rate: Option<f64>) -> Opinion {
        self.now += 15;
        let metrics = Metrics { arrival_rate: rate, ..Metrics::default() };
        let at = (1_000_000 + self.now).saturating_add_signed(self.astray);
        let sight = Sight {
            at: Timestamp::from_secs(at),
            now: Duration::from_secs(self.now),
            start_up: self.start_up,
            work: Some(0.01),
            ..Sight::of(&metrics, 1)
        };
        Ahead::opinion(&mut self.memory, &AUTO, &sight, Words::Spoken)
    }

    /// The last opinion after so many hours.
    fn hours(&mut self, hours: u64, rate: impl Fn(u64) -> Option<f64>) -> Opinion {
        let mut last = None;
        for _ in 0..hours * 240 {
            last = Some(self.step(rate(self.now)));
        }
        last.expect("some hours")
    }
}

/// A day between 100/s and 500/s, half of that on Saturday and Sunday.
#[expect(clippy::unnecessary_wraps, reason = "it stands in for a metric that may be missing")]
fn week(second: u64) -> Option<f64> {
    let day = 300.0 - 200.0 * (std::f64::consts::TAU * second as f64 / 86_400.0).cos();
    let noise = 1.0 + (second * 7_919 % 101) as f64 / 1_000.0;
    Some(if second / 86_400 % 7 < 5 { day * noise } else { day * noise * 0.5 })
}

#[test]
fn days_and_weeks_are_found_and_named() {
    let mut watched = Watched::default();
    let because = watched.hours(24 * 22, week).because;
    assert!(because.contains("(demand repeats itself after 24h and 7 days)"), "{because}");
    let ahead = watched.memory.unwrap();
    assert_eq!(ahead.forecaster.settings().seasons, [120, 2_880, 20_160]);
    let json = serde_json::to_string(&ahead).unwrap();
    assert!(json.len() < 20 * 1024, "{} bytes", json.len());
}

#[test]
fn a_new_fleet_says_how_little_it_knows() {
    let mut watched = Watched::default();
    let opinion = watched.step(Some(5.0));
    assert_eq!(opinion.wanted, Wanted::Nothing);
    let expected = "too little has been seen yet to know how wrong a forecast is: 0 of 63 were judged";
    assert_eq!(opinion.because, expected);
}

#[test]
fn gaps_freaks_and_clocks_that_were_set_are_named() {
    let mut watched = Watched::default();
    watched.hours(5, week);
    watched.hours(1, |_| None);
    watched.hours(1, week);
    watched.step(Some(1e9));
    watched.step(Some(1e9));
    watched.astray = 3_600;
    watched.hours(1, week);
    watched.astray = -60;
    let because = watched.hours(1, week).because;
    let notes = "(59.5m of 9h unseen in 1 gap, the longest 59.5m; 2 outliers; the clock was set 2 times)";
    assert!(because.ends_with(notes), "{because}");
}

#[test]
fn the_horizon_follows_the_start_up_time_and_demand_is_not_forgotten() {
    let mut watched = Watched::default();
    watched.hours(48, week);
    let seen = |watched: &Watched| {
        let ahead = watched.memory.as_ref().unwrap();
        (ahead.horizon.as_secs(), ahead.grain.as_secs(), ahead.forecaster.history().steps)
    };
    assert_eq!(seen(&watched), (30, 30, 5_759));
    for (start_up, horizon, grain) in
        [(31, 60, 30), (29, 60, 30), (130, 300, 60), (61, 300, 60), (60, 60, 30)]
    {
        watched.start_up = Some(Duration::from_secs(start_up));
        watched.step(week(watched.now));
        let (found, found_grain, steps) = seen(&watched);
        assert_eq!((found, found_grain), (horizon, grain), "{start_up}s");
        assert!(steps >= 5_759, "what was seen is kept");
    }
    // The nearer horizon has to earn trust first.
    let because = watched.step(week(watched.now)).because;
    assert!(because.starts_with("too little has been seen yet"), "{because}");
}

#[test]
fn an_absence_moves_the_seasons_on() {
    let mut watched = Watched::default();
    watched.hours(72, week);
    let before = watched.memory.as_ref().unwrap().forecaster.history();
    watched.memory.as_mut().unwrap().absent(Duration::from_hours(2));
    let after = watched.memory.as_ref().unwrap().forecaster.history();
    // Half of the first grain was seen.
    assert_eq!((after.steps - before.steps, after.missing, after.longest_gap), (240, 239, 239));
    // Lived time stands still while nobody lives it.
    watched.astray = 7_200;
    let because = watched.hours(3, week).because;
    assert!(because.contains("demand repeats itself after 24h;"), "{because}");
    assert!(!because.contains("clock"), "being away is no clock that was set: {because}");
}

#[test]
fn a_restart_goes_on_bit_for_bit() {
    let mut watched = Watched::default();
    watched.hours(30, week);
    let json = serde_json::to_string(&watched.memory).unwrap();
    let mut restarted =
        Watched { memory: serde_json::from_str(&json).unwrap(), now: watched.now, ..Watched::default() };
    for _ in 0..1_000 {
        let rate = week(watched.now);
        assert_eq!(watched.step(rate), restarted.step(rate));
    }
    assert_eq!(watched.memory, restarted.memory);
}
