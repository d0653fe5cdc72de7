use std::{cmp::Reverse, collections::BinaryHeap};

use proptest::prelude::*;

use super::*;

const SECOND: Duration = Duration::from_secs(1);

/// What is known after so many instances were busy and finished so many requests, second by second.
fn learned(readings: impl IntoIterator<Item = (f64, f64)>) -> Option<f64> {
    let mut work = Work::default();
    for (busy_seconds, requests) in readings {
        work.learn(SECOND, None, Worked { busy_seconds, requests });
    }
    work.per_request()
}

#[test]
fn work_is_busy_time_over_requests() {
    let work = learned([(1.0, 100.0), (2.0, 200.0)]).unwrap();
    assert!((work - 0.01).abs() < 1e-12, "{work}");
}

#[test]
fn a_handful_of_requests_teaches_nothing() {
    assert_eq!(learned([(0.1, 4.0)]), None);
    assert_eq!(learned([(5.0, 0.0); 10]), None, "nothing was finished");
    assert_eq!(learned([(0.0, 100.0); 10]), None, "and that nothing takes no time");
}

#[test]
fn a_heavier_application_is_learned_within_two_minutes() {
    let readings = [(1.6, 160.0)].repeat(600).into_iter().chain([(2.4, 160.0)].repeat(120));
    let work = learned(readings).unwrap();
    assert!((0.0142..=0.015).contains(&work), "{work}");
}

#[test]
fn saturated_instances_teach_sooner() {
    let mut work = Work::default();
    let mut learn = |times, utilization, busy_seconds, requests| {
        for _ in 0..times {
            work.learn(SECOND, Some(utilization), Worked { busy_seconds, requests });
        }
        work.per_request().unwrap()
    };
    learn(300, 0.5, 2.0, 200.0);
    // They can do 280/s, and more arrive.
    let known = learn(30, 1.0, 4.0, 280.0);
    assert!((0.0135..0.0143).contains(&known), "{known}");
    // Where there is time, not so soon.
    let known = learn(30, 0.5, 2.0, 200.0);
    assert!((0.0110..0.0125).contains(&known), "{known}");
}

#[test]
fn a_new_app_is_learned_within_seconds() {
    let mut work = Work::default();
    for _ in 0..600 {
        work.learn(SECOND, None, Worked { busy_seconds: 2.0, requests: 200.0 });
    }
    work.doubt();
    assert!(work.per_request().is_some_and(|work| (0.0099..0.0101).contains(&work)), "a hint at first");
    for _ in 0..5 {
        work.learn(SECOND, None, Worked { busy_seconds: 1.0, requests: 200.0 });
    }
    assert!(work.per_request().is_some_and(|work| (0.005..0.0052).contains(&work)), "{work:?}");
}

#[test]
fn an_absurd_reading_is_survived() {
    let work = learned([(0.5, 100.0), (0.5, f64::MAX), (0.5, f64::MAX), (0.5, 100.0)]);
    assert!(work.is_some());
}

/// Requests one after another in each of some instances, those that find none free in one queue before them.
struct Fleet {
    /// When each instance has nothing to do any more.
    free: BinaryHeap<Reverse<(u64, usize)>>,
    /// When requests began and ended, in microseconds.
    served: Vec<(u64, u64)>,
    /// The longest of them.
    longest: u64,
    instances: usize,
}

impl Fleet {
    fn new() -> Self {
        Self { free: BinaryHeap::new(), served: Vec::new(), longest: 0, instances: 0 }
    }

    fn grow(&mut self, now: u64, to: usize) {
        for index in self.instances..to {
            self.free.push(Reverse((now, index)));
        }
        self.instances = self.instances.max(to);
    }

    fn serve(&mut self, arrived: u64, takes: u64) {
        let Reverse((free, index)) = self.free.pop().unwrap();
        let (begun, ended) = (free.max(arrived), free.max(arrived) + takes);
        self.served.push((begun, ended));
        self.longest = self.longest.max(takes);
        self.free.push(Reverse((ended, index)));
    }

    /// What they did between two moments. Requests are in the order of their end.
    fn worked(&self, since: u64, until: u64) -> Worked {
        let before = |end: u64| self.served.partition_point(|&(_, ended)| ended < end);
        let served = &self.served[before(since)..before(until + self.longest)];
        let overlap = |&(begun, ended): &(u64, u64)| ended.min(until).saturating_sub(begun.max(since));
        let busy: u64 = served.iter().map(overlap).sum();
        let ended = before(until) - before(since);
        Worked { busy_seconds: busy as f64 / 1e6, requests: ended as f64 }
    }
}

/// `SplitMix64`, as a number from 0 to 1.
fn draw(state: &mut u64) -> f64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    ((z ^ (z >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
}

/// A load that rises to `most` times what `instances` can do within ten seconds, and what is then known of requests of
/// `takes` microseconds, give or take `spread` of that, in each second. With how many were finished.
fn ramp(takes: f64, spread: f64, instances: usize, most: f64, seed: u64) -> Vec<(Option<f64>, f64)> {
    let (mut fleet, mut random, mut now) = (Fleet::new(), seed, 0.0_f64);
    fleet.grow(0, instances.div_ceil(4));
    let capacity = instances as f64 / takes;
    while now < 20e6 {
        let rate = capacity * most * (now / 10e6).clamp(0.02, 1.0);
        now += -draw(&mut random).max(1e-12).ln() / rate;
        // The fleet follows.
        fleet.grow(now as u64, (instances as f64 * now / 10e6) as usize);
        let took = takes * (1.0 + spread * (2.0 * draw(&mut random) - 1.0));
        fleet.serve(now as u64, took as u64);
    }
    fleet.served.sort_unstable_by_key(|&(_, ended)| ended);
    let (mut work, mut finished, mut last) = (Work::default(), 0.0, 0);
    let second = |second: u64| {
        // Reports are up to half a second old.
        let until = second * 1_000_000 - (draw(&mut random) * 5e5) as u64;
        let worked = fleet.worked(std::mem::replace(&mut last, until), until);
        let utilization = (worked.busy_seconds / instances as f64).min(1.0);
        work.learn(SECOND, Some(utilization), worked);
        finished += worked.requests;
        (work.per_request(), finished)
    };
    (1..20).map(second).collect()
}

#[test]
fn a_rising_load_does_not_hide_what_a_request_takes() {
    for takes in [1e3, 5e3, 20e3, 50e3, 200e3, 500e3] {
        for instances in [1, 4, 16] {
            for (most, seed) in [(0.5, 1), (0.9, 2), (3.0, 3)] {
                let known = ramp(takes, 0.5, instances, most, seed);
                let case =
                    format!("{takes} us, {instances} instances, {most} times what they can: {known:?}");
                for (second, (work, finished)) in known.into_iter().enumerate() {
                    if let Some(work) = work.filter(|_| finished >= 10.0) {
                        let factor = work * 1e6 / takes;
                        assert!((0.7..1.4).contains(&factor), "second {second}: {factor}; {case}");
                        // Each instance has half a request in hand.
                        let late = second >= 5 && finished >= (4 * instances).max(30) as f64;
                        assert!(!late || (0.85..1.15).contains(&factor), "second {second}: {factor}; {case}");
                    }
                    assert!(work.is_some() || finished <= FEWEST_REQUESTS + second as f64, "{case}");
                }
            }
        }
    }
}

proptest! {
    #[test]
    fn what_is_known_is_the_mean_of_all_readings_weighted_by_their_age(
        readings in prop::collection::vec((0.01..5.0_f64, 0.0..1.0_f64, 0.001..20.0_f64, 1.0..500.0_f64), 1..60),
    ) {
        let mut work = Work::default();
        for &(passed, utilization, busy_seconds, requests) in &readings {
            let worked = Worked { busy_seconds, requests };
            work.learn(Duration::from_secs_f64(passed), Some(utilization), worked);
        }
        let (mut weight, mut busy, mut count) = (1.0, 0.0, 0.0);
        for &(passed, utilization, busy_seconds, requests) in readings.iter().rev() {
            (busy, count) = (busy + weight * busy_seconds, count + weight * requests);
            weight *= (-passed / if utilization >= 0.9 { 10.0 } else { 60.0_f64 }).exp();
        }
        let expected = (count >= 5.0).then(|| busy / count);
        match (work.per_request(), expected) {
            (Some(known), Some(expected)) => prop_assert!((known / expected - 1.0).abs() < 1e-9),
            (known, expected) => prop_assert_eq!(known, expected),
        }
    }
}
