//! Which seasons a series has, found from the series itself.
//!
//! For each length that comes into question the correlation of the values with those one length ago is
//! kept, and with those half a length ago. A season is there where the first is high and the second is
//! not: a series that only moves slowly resembles itself at every distance. All sums fade over some
//! lengths, so a season that ends is lost again, and one more value costs the same work.
//!
//! Not here: whether a season is of use to a forecast. That is what the models are judged by.

use serde::{Deserialize, Serialize};
use tidegate_core::Flaw;

use crate::{model::unless_counted, season::Past};

/// Least correlation of a season, and how much higher it is than that of half its length.
const LEAST: f64 = 0.3;
const ABOVE_HALF: f64 = 0.1;
/// Lengths over which the sums fade.
const LENGTHS: usize = 3;

/// A season that was looked for.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Season {
    /// Its length.
    pub steps: usize,
    /// Correlation of the values with those one length ago, from -1 to 1; 0 while that is not known.
    pub correlation: f64,
    /// Whether the series repeats itself so, as far as was seen.
    pub found: bool,
}

/// Deviations from the mean some time ago: their squares, and their products with those of now.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
struct Lag {
    square: f64,
    product: f64,
}

impl Lag {
    fn observe(&mut self, memory: f64, deviation: f64, then: f64) {
        self.square += memory * (then * then - self.square);
        self.product += memory * (deviation * then - self.product);
    }

    /// With values of which the mean square deviation is `square`.
    fn correlation(self, square: f64) -> f64 {
        let scale = (square * self.square).sqrt();
        if scale > 0.0 { (self.product / scale).clamp(-1.0, 1.0) } else { 0.0 }
    }
}

/// What is known of one length.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Cycle {
    length: usize,
    /// Values that were held against those one length ago.
    seen: u64,
    mean: f64,
    square: f64,
    whole: Lag,
    half: Lag,
}

impl Cycle {
    pub(crate) fn new(length: usize) -> Self {
        Self { length, seen: 0, mean: 0.0, square: 0.0, whole: Lag::default(), half: Lag::default() }
    }

    pub(crate) fn check(&self, length: usize) -> Result<(), Flaw> {
        Flaw::unless(self.length == length, "length", || format!("{} instead of {length}", self.length))?;
        unless_counted("seen", self.seen)
    }

    /// The next value, before it has become part of `past`.
    pub(crate) fn observe(&mut self, value: f64, past: &Past) {
        let halfway = self.length - self.length / 2;
        let Some((whole, half)) = past.ago(self.length, 1).zip(past.ago(self.length, 1 + halfway)) else {
            return;
        };
        self.seen += 1;
        let memory = (1.0 / (LENGTHS * self.length) as f64).max(1.0 / self.seen as f64);
        self.mean += memory * (value - self.mean);
        let deviation = value - self.mean;
        self.square += memory * (deviation * deviation - self.square);
        self.whole.observe(memory, deviation, whole - self.mean);
        self.half.observe(memory, deviation, half - self.mean);
    }

    pub(crate) fn season(&self) -> Season {
        let (whole, half) = (self.whole.correlation(self.square), self.half.correlation(self.square));
        // Two whole lengths, of which the second was held against the first.
        let known = self.seen >= self.length as u64;
        let found = known && whole >= LEAST && whole >= half + ABOVE_HALF;
        Season { steps: self.length, correlation: if known { whole } else { 0.0 }, found }
    }
}

#[cfg(test)]
mod tests {
    use std::f64::consts::TAU;

    use super::*;

    fn seasons(values: impl Iterator<Item = f64>) -> Vec<usize> {
        let mut past = Past::new(24, 168);
        let mut cycles = [6, 24, 168].map(Cycle::new);
        for value in values {
            for cycle in &mut cycles {
                cycle.observe(value, &past);
            }
            past.push(Some(value));
        }
        cycles.iter().map(Cycle::season).filter(|season| season.found).map(|season| season.steps).collect()
    }

    fn day(step: u32) -> f64 {
        100.0 + 30.0 * (TAU * f64::from(step) / 24.0).sin()
    }

    #[test]
    fn a_day_is_found_after_two_of_them() {
        assert_eq!(seasons((0..40).map(day)), [0_usize; 0]);
        assert_eq!(seasons((0..100).map(day)), [24]);
    }

    #[test]
    fn a_week_is_found_beside_its_days() {
        let week = |step: u32| if step % 168 < 120 { day(step) } else { day(step) * 0.5 };
        assert_eq!(seasons((0..1_000).map(week)), [24, 168]);
    }

    #[test]
    fn what_moves_slowly_or_at_random_has_no_season() {
        assert_eq!(seasons((0..1_000).map(f64::from)), [0_usize; 0]);
        assert_eq!(seasons((0..1_000_u32).map(|step| f64::from(step * 7_919 % 101))), [0_usize; 0]);
        assert_eq!(seasons((0..1_000).map(|_| 5.0)), [0_usize; 0]);
    }

    #[test]
    fn a_season_that_ends_is_lost() {
        let ends = |step: u32| if step < 480 { day(step) } else { f64::from(step * 7_919 % 101) };
        assert_eq!(seasons((0..900).map(ends)), [0_usize; 0]);
    }
}
