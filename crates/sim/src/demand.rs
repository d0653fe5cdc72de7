//! Demand: how many requests arrive in each second.
//!
//! A trace is scaled to a peak of [`PEAK`] requests/s. Rows of a second or less are taken as they
//! are; longer rows are interpolated between their centres and each second's arrivals are drawn
//! from a Poisson distribution, because a mean over minutes says nothing about the seconds.

use std::time::Duration;

use tidegate_core::Trace;

use crate::{CAPACITY, random::Random};

/// Requests per second of the largest row.
pub const PEAK: f64 = 4_000.0;

/// Arrivals, one number for each second.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Demand {
    arrivals: Vec<u32>,
}

impl Demand {
    pub fn new(arrivals: Vec<u32>) -> Self {
        Self { arrivals }
    }

    /// The demand of a trace, scaled to the peak of the benchmark.
    pub fn replay(trace: &Trace, seed: u64) -> Self {
        Self::replay_unscaled(&trace.scaled_to_peak(PEAK), seed)
    }

    /// The demand of a trace at its own rates.
    pub fn replay_unscaled(trace: &Trace, seed: u64) -> Self {
        let seconds = trace.duration().as_secs();
        let arrivals = if trace.step() > Duration::from_secs(1) {
            let mut random = Random::new(seed);
            (0..seconds).map(|second| random.poisson(trace.rate_at(second as f64 + 0.5))).collect()
        } else {
            (0..seconds).map(|second| mean_within(trace, second).round() as u32).collect()
        };
        Self { arrivals }
    }

    /// So many times as much in each second.
    #[must_use]
    pub fn times(&self, factor: f64) -> Self {
        let times = |&arrivals: &u32| (f64::from(arrivals) * factor).round() as u32;
        Self { arrivals: self.arrivals.iter().map(times).collect() }
    }

    /// Requests that arrive in each second.
    pub fn arrivals(&self) -> &[u32] {
        &self.arrivals
    }

    pub fn seconds(&self) -> usize {
        self.arrivals.len()
    }

    /// Instances that the busiest second needs.
    pub fn busiest(&self) -> u32 {
        needed(self.arrivals.iter().copied().max().unwrap_or_default(), f64::from(CAPACITY))
    }

    /// Mean arrivals per second of the first `seconds`.
    pub fn mean_of_first(&self, seconds: usize) -> f64 {
        let first = &self.arrivals[..seconds.min(self.arrivals.len())];
        first.iter().map(|&arrivals| f64::from(arrivals)).sum::<f64>() / first.len().max(1) as f64
    }

    /// With how many ready instances a run begins: as many as serve its first minute at `target`, of `capacity` requests/s each.
    pub fn first_instances(&self, capacity: f64, target: f64) -> u32 {
        ((self.mean_of_first(60) / (capacity * target)).ceil() as u32).max(1)
    }
}

/// Instance-seconds of the cheapest fleet that has what each second needs, with instances that start in
/// `start_up` seconds and perfect foresight.
pub(crate) fn floor(seconds: usize, start_up: u32, needed: impl Fn(usize) -> u32) -> u64 {
    let mut sum = 0;
    each_of_floor(seconds, start_up, needed, |count| sum += u64::from(count));
    sum
}

/// Calls `take` with the instances that the floor pays for in each second.
pub(crate) fn each_of_floor(
    seconds: usize,
    start_up: u32,
    needed: impl Fn(usize) -> u32,
    mut take: impl FnMut(u32),
) {
    // After van Herk (1992): what a second pays for is the most from it to the end of its block, and from there on to a
    // start-up after it. So each need is looked at twice, however long a start takes.
    let width = start_up as usize + 1;
    let mut block: Vec<u32> = (0..width.min(seconds)).map(&needed).collect();
    for begin in (0..seconds).step_by(width) {
        block.truncate(seconds - begin);
        let mut most = 0;
        for from_here in block.iter_mut().rev() {
            most = most.max(*from_here);
            *from_here = most;
        }
        let mut most_beyond = 0;
        for (next, slot) in (begin + width..).zip(&mut block) {
            take(most_beyond.max(*slot));
            // What is paid for gives its room to the block that follows.
            *slot = if next < seconds { needed(next) } else { 0 };
            most_beyond = most_beyond.max(*slot);
        }
    }
}

/// Instances that serve `arrivals` within their second, each `capacity`: at least one is always there.
pub(crate) fn needed(arrivals: u32, capacity: f64) -> u32 {
    // Where an instance serves a little less than a whole part, it is not one more that is needed.
    let needed = f64::from(arrivals) / capacity - 1e-9;
    let whole = needed as u32;
    (whole + u32::from(f64::from(whole) < needed)).max(1)
}

/// The mean rate of the rows that lie in one second.
fn mean_within(trace: &Trace, second: u64) -> f64 {
    let slice = trace.slice(Duration::from_secs(second), Duration::from_secs(1));
    slice.map_or_else(|| trace.rate_at(second as f64 + 0.5), |rows| rows.mean())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn trace(millis: u64, rates: &[f64]) -> Trace {
        Trace::new(Duration::from_millis(millis), rates.to_vec()).unwrap()
    }

    #[test]
    fn rows_of_a_second_are_taken_as_they_are() {
        assert_eq!(Demand::replay(&trace(1_000, &[1.0, 4.0, 0.0]), 1).arrivals, [1_000, 4_000, 0]);
        assert_eq!(Demand::replay(&trace(500, &[1.0, 3.0, 4.0, 0.0]), 1).arrivals, [2_000, 2_000]);
    }

    #[test]
    fn longer_rows_are_interpolated_and_noisy() {
        let demand = Demand::replay(&trace(600_000, &[1.0, 4.0]), 1);
        assert_eq!(demand.seconds(), 1_200);
        let mean = |from: usize| f64::from(demand.arrivals[from..from + 100].iter().sum::<u32>()) / 100.0;
        assert!((mean(0) - 1_000.0).abs() < 20.0, "{}", mean(0));
        assert!((mean(550) - 2_500.0).abs() < 30.0, "halfway between the centres: {}", mean(550));
        assert!((mean(1_100) - 4_000.0).abs() < 40.0, "{}", mean(1_100));
        assert_ne!(demand, Demand::replay(&trace(600_000, &[1.0, 4.0]), 2));
    }

    proptest! {
        #[test]
        fn the_floor_has_capacity_from_its_launch_to_its_need(
            arrivals in prop::collection::vec(0..1_000_u32, 1..80),
            start_up in 0..40_u32,
        ) {
            let window = |second: usize| {
                let end = (second + start_up as usize).min(arrivals.len() - 1);
                arrivals[second..=end].iter().map(|&a| u64::from(a.div_ceil(100).max(1))).max().unwrap()
            };
            let naive: u64 = (0..arrivals.len()).map(window).sum();
            let floor = floor(arrivals.len(), start_up, |second| needed(arrivals[second], 100.0));
            prop_assert_eq!(floor, naive);
        }
    }
}
