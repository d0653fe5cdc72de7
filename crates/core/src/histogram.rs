//! Latency histograms that one thread fills while others read.
//!
//! Buckets are ten per decade (the R10 series of ISO 3: 1.0, 1.25, 1.6, 2.0 … 8.0) from 10 µs to
//! 100 s, so a quantile is exact to about ±13 %, boundaries are round numbers that Prometheus can
//! export as they are, and a histogram is 74 counters.

use std::{
    ops::AddAssign,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

/// Upper bounds, in microseconds, of all buckets but the last, which has none.
pub const BOUNDS_US: [u64; 71] = bounds();

const BUCKETS: usize = BOUNDS_US.len() + 1;

const fn bounds() -> [u64; 71] {
    let steps = [100, 125, 160, 200, 250, 320, 400, 500, 630, 800];
    let mut all = [0; 71];
    let (mut index, mut scale) = (0, 1);
    while index < 71 {
        all[index] = steps[index % 10] * scale / 10;
        index += 1;
        if index.is_multiple_of(10) {
            scale *= 10;
        }
    }
    all
}

/// The first bucket for values of so many bits: that of the smallest.
const FIRST: [u8; 65] = first();

const fn first() -> [u8; 65] {
    let mut first = [0; 65];
    let (mut bits, mut bucket) = (1, 0);
    while bits < 65 {
        while bucket < BOUNDS_US.len() && BOUNDS_US[bucket] < 1 << (bits - 1) {
            bucket += 1;
        }
        first[bits] = bucket as u8;
        bits += 1;
    }
    first
}

/// The bucket of a value: the first whose bound it is not above.
fn bucket_of(micros: u64) -> usize {
    let first = usize::from(FIRST[(u64::BITS - micros.leading_zeros()) as usize]);
    // A factor of two takes in four bounds at most. They are looked at without waiting for one another.
    let is_above = |offset| usize::from(BOUNDS_US.get(first + offset).is_some_and(|&bound| bound < micros));
    first + is_above(0) + is_above(1) + is_above(2) + is_above(3)
}

/// Counts durations. One thread alone may record, so that needs no locked instruction.
#[derive(Debug)]
pub struct Histogram {
    buckets: [AtomicU64; BUCKETS],
    sum_us: AtomicU64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { buckets: [const { AtomicU64::new(0) }; BUCKETS], sum_us: AtomicU64::new(0) }
    }
}

impl Histogram {
    pub fn record(&self, value: Duration) {
        let micros = u64::try_from(value.as_micros()).unwrap_or(u64::MAX);
        let bucket = &self.buckets[bucket_of(micros)];
        bucket.store(bucket.load(Relaxed).wrapping_add(1), Relaxed);
        self.sum_us.store(self.sum_us.load(Relaxed).wrapping_add(micros), Relaxed);
    }

    /// What was counted so far.
    pub fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        self.add_to(&mut counts);
        counts
    }

    /// Adds what was counted so far to `total`.
    pub fn add_to(&self, total: &mut Counts) {
        for (sum, bucket) in total.buckets.iter_mut().zip(&self.buckets) {
            *sum += bucket.load(Relaxed);
        }
        total.sum_us += self.sum_us.load(Relaxed);
    }
}

/// A reading of one or several [`Histogram`]s.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counts {
    buckets: [u64; BUCKETS],
    sum_us: u64,
}

impl Default for Counts {
    fn default() -> Self {
        Self { buckets: [0; BUCKETS], sum_us: 0 }
    }
}

impl AddAssign<&Self> for Counts {
    fn add_assign(&mut self, other: &Self) {
        for (sum, count) in self.buckets.iter_mut().zip(&other.buckets) {
            *sum += count;
        }
        self.sum_us = self.sum_us.wrapping_add(other.sum_us);
    }
}

impl Counts {
    pub fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }

    pub const fn sum(&self) -> Duration {
        Duration::from_micros(self.sum_us)
    }

    /// What was recorded since `earlier`, a previous reading of the same histograms.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        let mut difference = Self { buckets: self.buckets, sum_us: self.sum_us.wrapping_sub(earlier.sum_us) };
        for (count, before) in difference.buckets.iter_mut().zip(&earlier.buckets) {
            *count = count.saturating_sub(*before);
        }
        difference
    }

    /// The upper bound of the bucket that holds the quantile `q` (0 to 1); `None` without samples.
    /// Values over 100 s read as 100 s.
    pub fn quantile(&self, q: f64) -> Option<Duration> {
        let count = self.count();
        if count == 0 {
            return None;
        }
        let rank = ((q * count as f64).ceil() as u64).clamp(1, count);
        let mut seen = 0;
        let bucket = self.buckets.iter().position(|&n| {
            seen += n;
            seen >= rank
        })?;
        Some(Duration::from_micros(BOUNDS_US[bucket.min(BOUNDS_US.len() - 1)]))
    }

    /// `(upper bound in microseconds, samples at or below it)` of every bounded bucket.
    pub fn cumulative(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        BOUNDS_US.iter().zip(&self.buckets).scan(0, |total, (&bound, &count)| {
            *total += count;
            Some((bound, *total))
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn counts(micros: &[u64]) -> Counts {
        let histogram = Histogram::default();
        for &us in micros {
            histogram.record(Duration::from_micros(us));
        }
        let mut counts = Counts::default();
        histogram.add_to(&mut counts);
        counts
    }

    #[test]
    fn bounds_are_round_and_span_ten_microseconds_to_a_hundred_seconds() {
        assert_eq!(BOUNDS_US[..4], [10, 12, 16, 20]);
        assert_eq!(BOUNDS_US[20], 1_000);
        assert_eq!(BOUNDS_US[70], 100_000_000);
        assert!(BOUNDS_US.is_sorted());
    }

    #[test]
    fn nothing_recorded_has_no_quantile() {
        assert_eq!(counts(&[]).quantile(0.99), None);
    }

    #[test]
    fn a_difference_forgets_what_came_before() {
        let histogram = Histogram::default();
        histogram.record(Duration::from_secs(50));
        let mut before = Counts::default();
        histogram.add_to(&mut before);
        histogram.record(Duration::from_millis(1));
        let mut after = Counts::default();
        histogram.add_to(&mut after);
        assert_eq!(after.since(&before).quantile(1.0), Some(Duration::from_millis(1)));
        assert_eq!(after.since(&before).sum(), Duration::from_millis(1));
    }

    #[test]
    fn a_sum_is_what_one_histogram_would_have_counted() {
        let mut sum = counts(&[15, 90_000]);
        sum += &counts(&[7, 15]);
        assert_eq!(sum, counts(&[7, 15, 15, 90_000]));
    }

    #[test]
    fn a_value_falls_under_the_first_bound_that_it_is_not_above() {
        let near = |at: u64| [at.saturating_sub(1), at, at.saturating_add(1)];
        let values =
            BOUNDS_US.into_iter().chain((0..64).map(|bit| 1 << bit)).chain([u64::MAX]).flat_map(near);
        for value in values {
            assert_eq!(bucket_of(value), BOUNDS_US.partition_point(|&bound| bound < value), "{value}");
        }
    }

    proptest! {
        #[test]
        fn a_quantile_is_the_exact_one_rounded_up_to_its_bound(
            mut samples in prop::collection::vec(1..90_000_000_u64, 1..200),
            q in 0.0..=1.0_f64,
        ) {
            let read = counts(&samples).quantile(q).unwrap();
            samples.sort_unstable();
            let rank = ((q * samples.len() as f64).ceil() as usize).clamp(1, samples.len());
            let exact = samples[rank - 1];
            let bound = BOUNDS_US.iter().copied().find(|&bound| bound >= exact).unwrap();
            prop_assert_eq!(read, Duration::from_micros(bound));
        }
    }
}
