//! How busy instances may be while answers stay quick, learned from load and latency.
//!
//! Readings are sorted by utilization into bands of 5 %, each with a fading mean of the latency that
//! was seen there. The safe share is the upper end of the highest band below which every band was
//! quick. Quick is what the objective says, or else not much slower than where there is little to do.
//!
//! Where latency is not measured at all, instances may be busy all the time, unless somebody says [otherwise](Capacity::assume).
//! While it is, and until it has been seen at a utilization, [`PRIOR`] is taken for safe. One band beyond what was seen to be quick
//! is allowed, so that a fleet finds out what it can do.
//!
//! An answer that took ten seconds was kept waiting by what instances did in those ten, and not by what they do when it is
//! complete: after a burst, slow answers still come while most instances have little to do. So a latency counts for the
//! highest utilization of the time that it took. Where requests wait for an instance, all are taken to be busy.
//!
//! Not here: how much work a request is (see [`crate::work`]); both together are the capacity of an instance.

use std::{collections::VecDeque, time::Duration};

use serde::{Deserialize, Serialize};
use tidegate_core::Flaw;

use crate::clock::SteadyClock;

/// Utilization is sorted into so many bands.
const BANDS: usize = 20;
/// Safe as long as nothing was seen.
pub const PRIOR: f64 = 0.85;
/// The answer is never below or above.
const LOWEST: f64 = 0.4;
const HIGHEST: f64 = 0.95;
/// Up to this utilization there is little to do: what latency is then is the measure.
const LITTLE: f64 = 0.5;
/// Without an objective, so many times slower is not quick any more, and so much more at least.
const SLOWER: f64 = 3.0;
const SLOWER_BY: f64 = 0.005;
/// Requests that must have been seen in a band before it counts.
const FEWEST_REQUESTS: f64 = 50.0;
/// After this long, a reading weighs 37 % of a new one of the same band.
const MEMORY: Duration = Duration::from_mins(10);
/// For so long it is known how busy instances were, and in so many readings. Slower answers count for all of it.
const LOOK_BACK: Duration = Duration::from_mins(1);
const READINGS: usize = 64;

/// Requests and the latencies they saw, both fading, by utilization.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Capacity {
    /// Requests, and their latencies summed up. Empty before the first latency.
    bands: Vec<(f64, f64)>,
    /// How busy instances were, and in lived time since when. Oldest first.
    #[serde(default)]
    recent: VecDeque<(Duration, f64)>,
    /// Safe where latency is not measured, as somebody says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    assumed: Option<f64>,
}

/// One reading of a fleet.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reading {
    /// In lived time.
    pub(crate) now: Duration,
    pub(crate) passed: Duration,
    pub(crate) rate: f64,
    /// Seconds, of the slow answers.
    pub(crate) latency: f64,
}

impl Capacity {
    pub(crate) fn check(&self, clock: &SteadyClock) -> Result<(), Flaw> {
        let bands = self.bands.len();
        Flaw::unless(bands == 0 || bands == BANDS, "bands", || format!("{bands}, not {BANDS}"))?;
        Flaw::unless(self.assumed.is_none_or(|share| share > 0.0), "assumed", || {
            "nothing is safe".to_owned()
        })?;
        let recent = self.recent.len();
        Flaw::unless(recent <= READINGS, "recent", || format!("{recent} are more than {READINGS}"))?;
        self.recent.iter().try_for_each(|&(since, _)| clock.check_past("recent", since))
    }

    /// Takes `share` for safe as long as no latency is measured.
    pub(crate) fn assume(&mut self, share: f64) {
        self.assumed = Some(share.clamp(LOWEST, 1.0));
    }

    /// So busy instances were in the time up to `now` that has `passed`.
    pub(crate) fn note(&mut self, now: Duration, passed: Duration, utilization: f64) {
        let since = now.saturating_sub(passed);
        let oldest = now.saturating_sub(LOOK_BACK);
        while self.recent.front().is_some_and(|&(at, _)| at < oldest || self.recent.len() >= READINGS) {
            self.recent.pop_front();
        }
        self.recent.push_back((since, utilization));
    }

    /// The highest utilization of the time that an answer took which came in the `passed` time up to `now`.
    fn busiest(&self, now: Duration, passed: Duration, latency: f64) -> Option<f64> {
        let took = Duration::try_from_secs_f64(latency).unwrap_or(Duration::MAX);
        let begun = now.saturating_sub(passed).saturating_sub(took);
        let mut readings = self.recent.iter().rev();
        let newest = readings.next()?;
        // A reading that begins before the answer did may end after that.
        let mut until = newest.0;
        let rest = readings.take_while(|&&(since, _)| std::mem::replace(&mut until, since) > begun);
        Some(rest.fold(newest.1, |most, &(_, utilization)| most.max(utilization)))
    }

    /// Takes what answers took. [`note`](Self::note) comes first.
    pub(crate) fn learn(&mut self, reading: Reading) {
        let Reading { now, passed, rate, latency } = reading;
        let requests = rate * passed.as_secs_f64();
        if requests <= 0.0 {
            return;
        }
        let Some(utilization) = self.busiest(now, passed, latency) else { return };
        self.bands.resize(BANDS, (0.0, 0.0));
        let band = &mut self.bands[band(utilization)];
        let kept = (-passed.as_secs_f64() / MEMORY.as_secs_f64()).exp();
        let next = (band.0 * kept + requests, band.1 * kept + requests * latency);
        // An absurd reading must not spoil the sums for good.
        if next.0.is_finite() && next.1.is_finite() {
            *band = next;
        }
    }

    /// The app was replaced: what is known counts for little.
    pub(crate) fn doubt(&mut self) {
        for (requests, latencies) in &mut self.bands {
            let kept = (FEWEST_REQUESTS / *requests).min(1.0);
            (*requests, *latencies) = (*requests * kept, *latencies * kept);
        }
    }

    /// The share of time that instances may be busy.
    pub(crate) fn safe(&self, objective: Option<Duration>) -> f64 {
        if self.bands.is_empty() {
            return self.assumed.unwrap_or(if objective.is_some() { PRIOR } else { 1.0 });
        }
        let Some(quick) = objective.map(|limit| limit.as_secs_f64()).or_else(|| self.usual()) else {
            return PRIOR;
        };
        let mut proven = 0.0_f64;
        for (index, seen) in self.bands.iter().enumerate() {
            let Some(latency) = mean(seen) else { continue };
            let (lower, upper) = (share(index), share(index + 1));
            if latency > quick {
                return lower.clamp(LOWEST, HIGHEST);
            }
            proven = upper;
        }
        (proven + share(1)).max(PRIOR).clamp(LOWEST, HIGHEST)
    }

    /// The latency up to which answers are quick, judged by those under little load.
    fn usual(&self) -> Option<f64> {
        let little = self.bands.iter().take(band(LITTLE)).filter_map(mean);
        let least = little.reduce(f64::min)?;
        Some((least * SLOWER).max(least + SLOWER_BY))
    }
}

fn band(utilization: f64) -> usize {
    ((utilization * BANDS as f64) as usize).min(BANDS - 1)
}

fn share(band: usize) -> f64 {
    band as f64 / BANDS as f64
}

fn mean(&(requests, latencies): &(f64, f64)) -> Option<f64> {
    (requests >= FEWEST_REQUESTS).then(|| latencies / requests)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A fleet that was seen for a minute at each of these utilizations, with the latency in ms.
    fn learned(readings: &[(f64, f64)]) -> Capacity {
        let (mut capacity, mut now) = (Capacity::default(), 0);
        for &(utilization, millis) in readings {
            for _ in 0..60 {
                now += 1;
                second(&mut capacity, now, utilization, millis);
            }
        }
        capacity
    }

    fn second(capacity: &mut Capacity, now: u64, utilization: f64, millis: f64) {
        let (now, passed) = (Duration::from_secs(now), Duration::from_secs(1));
        capacity.note(now, passed, utilization);
        capacity.learn(Reading { now, passed, rate: 100.0, latency: millis / 1e3 });
    }

    fn safe(readings: &[(f64, f64)], objective: Option<u64>) -> f64 {
        (learned(readings).safe(objective.map(Duration::from_millis)) * 1e3).round() / 1e3
    }

    #[test]
    fn where_latency_is_unknown_instances_may_be_busy_all_the_time() {
        assert!((safe(&[], None) - 1.0).abs() < 1e-9);
        assert!((safe(&[], Some(50)) - 0.85).abs() < 1e-9, "an objective asks for caution");
        let mut capacity = Capacity::default();
        capacity.assume(0.9);
        assert!((capacity.safe(None) - 0.9).abs() < 1e-9, "somebody says it");
        second(&mut capacity, 1, 0.3, 8.0);
        assert!((capacity.safe(None) - PRIOR).abs() < 1e-9, "what is measured counts");
    }

    #[test]
    fn the_objective_says_what_is_quick() {
        let curve = [(0.3, 8.0), (0.52, 12.0), (0.62, 30.0), (0.72, 70.0), (0.82, 200.0)];
        assert!((safe(&curve, Some(50)) - 0.7).abs() < 1e-9);
        assert!((safe(&curve, Some(100)) - 0.8).abs() < 1e-9);
        assert!((safe(&curve, Some(10)) - 0.5).abs() < 1e-9);
        assert!((safe(&curve, Some(1)) - 0.4).abs() < 1e-9, "never below");
    }

    #[test]
    fn without_an_objective_it_is_judged_by_little_load() {
        assert!((safe(&[(0.3, 20.0), (0.62, 30.0), (0.77, 100.0)], None) - 0.75).abs() < 1e-9);
        assert!((safe(&[(0.9, 100.0)], None) - 0.85).abs() < 1e-9, "never seen under little load");
    }

    #[test]
    fn what_was_quick_is_gone_beyond_a_little() {
        assert!((safe(&[(0.3, 8.0), (0.52, 9.0)], Some(50)) - 0.85).abs() < 1e-9);
        assert!((safe(&[(0.3, 8.0), (0.87, 9.0)], Some(50)) - 0.95).abs() < 1e-9);
    }

    #[test]
    fn what_a_burst_left_behind_is_not_held_against_calm_instances() {
        let mut capacity = Capacity::default();
        for now in 1..=10 {
            second(&mut capacity, now, 1.0, 1e3 * now as f64);
        }
        // Most instances have little to do, one still answers what came first.
        for now in 11..=15 {
            second(&mut capacity, now, 0.4, 10e3);
        }
        for now in 16..=30 {
            second(&mut capacity, now, 0.4, 10.0);
        }
        assert!((capacity.safe(Some(Duration::from_millis(50))) - 0.95).abs() < 1e-9, "{capacity:?}");
        // What is slow for as long as that without a burst is slow by itself.
        for now in 31..=200 {
            second(&mut capacity, now, 0.4, 10e3);
        }
        assert!((capacity.safe(Some(Duration::from_millis(50))) - 0.4).abs() < 1e-9, "{capacity:?}");
    }

    proptest! {
        #[test]
        fn a_latency_counts_for_the_highest_utilization_of_its_time(
            readings in prop::collection::vec((1..3_000_u64, 0.0..1.0_f64), 1..100),
            latency in 0.0..90.0_f64,
        ) {
            let (mut capacity, mut now, mut all) = (Capacity::default(), 0, Vec::new());
            for &(passed, utilization) in &readings {
                let since = now;
                now += passed;
                capacity.note(Duration::from_millis(now), Duration::from_millis(passed), utilization);
                all.push((since, now, utilization));
            }
            let passed = readings.last().unwrap().0;
            let known = capacity.busiest(Duration::from_millis(now), Duration::from_millis(passed), latency);
            let begun = (now - passed) as f64 - latency * 1e3;
            let oldest = all.len().saturating_sub(READINGS);
            let of_its_time = |&(index, &(since, until, _)): &(usize, &(u64, u64, f64))| {
                let kept = index >= oldest && now - since <= 60_000;
                index + 1 == all.len() || (kept && until as f64 > begun)
            };
            let expected = all.iter().enumerate().filter(of_its_time).map(|(_, one)| one.2).reduce(f64::max);
            prop_assert_eq!(known, expected);
        }
    }

    #[test]
    fn a_new_app_is_learned_anew() {
        let slow = [(0.3, 8.0), (0.62, 100.0)];
        let mut capacity = learned(&slow);
        capacity.doubt();
        assert!((capacity.safe(Some(Duration::from_millis(50))) - 0.6).abs() < 1e-9, "still a hint");
        for now in 200..230 {
            second(&mut capacity, now, 0.62, 9.0);
        }
        assert!(capacity.safe(Some(Duration::from_millis(50))) > 0.8);
    }
}
