//! What a series was, as far back as its longest season.
//!
//! Two rings serve every season: a fine one as long as a day and a coarse one as long as a week, or whatever
//! the seasons are. A ring holds means of neighbouring steps, between whose centres it interpolates: of a day of half
//! minutes those are a minute each, of a week thirty. Each mean is kept as one of 65,535 values a
//! twenty-seventh of a percent apart, so that what is written and read back is the same.
//!
//! Invariant: a ring keeps at most its season and two bins, each of them a number that is not negative.

use serde::{Deserialize, Serialize};
use tidegate_core::Flaw;

use crate::{
    model::unless_counted,
    packed::{Bits, Packed},
};

/// Bins of the usual season: a minute each, where it is a day.
const FINE: usize = 1_440;
/// Bins of the longest season: half an hour each, where it is a week.
const COARSE: usize = 336;
/// Values that a smoothed value of the past is made of, and how much each weighs less than its successor.
const SMOOTHED: usize = 8;
const FADING: f64 = 0.7;

/// The smallest value that is told from zero, and the distance of neighbours, as logarithms.
const SMALLEST: f64 = 1e-6;
const APART: f64 = 0.000_738;

/// What came a season ago.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Past {
    fine: Ring,
    coarse: Ring,
}

/// The latest values, as far back as one season.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Ring {
    /// Steps of the season; 0: nothing is kept.
    longest: usize,
    /// Steps in a bin.
    width: usize,
    /// Steps so far.
    steps: usize,
    /// The latest full bins; that of number `n` lies at `n` modulo the length.
    bins: Packed<Coarse>,
    /// Of the bin that is not full.
    sum: f64,
}

/// A value that survives being written in two bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Coarse(f32);

impl Coarse {
    pub(crate) fn get(self) -> f64 {
        f64::from(self.0)
    }

    pub(crate) fn new(value: f64) -> Self {
        Self::decode(Self::encode(value))
    }

    fn encode(value: f64) -> u16 {
        if value < SMALLEST {
            return 0;
        }
        // From 1; a cast takes what is beyond the last one for the last one.
        1.0_f64.max(((value / SMALLEST).ln() / APART).round()) as u16
    }

    fn decode(code: u16) -> Self {
        if code == 0 { Self(0.0) } else { Self((SMALLEST * (f64::from(code) * APART).exp()) as f32) }
    }
}

impl Bits for Coarse {
    const BYTES: usize = 2;

    fn write(self, bytes: &mut Vec<u8>) {
        Self::encode(f64::from(self.0)).write(bytes);
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        u16::read(bytes).map(Self::decode)
    }
}

impl Past {
    /// A past with a `usual` season, as a day is, and a longest one.
    pub(crate) fn new(usual: usize, longest: usize) -> Self {
        let coarse = if longest > usual { longest } else { 0 };
        Self { fine: Ring::new(usual, FINE), coarse: Ring::new(coarse, COARSE) }
    }

    /// Whether it is of the same seasons as `fresh`.
    pub(crate) fn check(&self, fresh: &Self) -> Result<(), Flaw> {
        self.fine.check(&fresh.fine).map_err(Flaw::of("fine"))?;
        self.coarse.check(&fresh.coarse).map_err(Flaw::of("coarse"))
    }

    /// The same past in steps of another length. Of a ring that would have other bins then, nothing is left.
    pub(crate) fn in_steps(&self, usual: usize, longest: usize) -> Self {
        let fresh = Self::new(usual, longest);
        Self {
            fine: self.fine.in_steps(fresh.fine, FINE),
            coarse: self.coarse.in_steps(fresh.coarse, COARSE),
        }
    }

    /// The value of the next step. A series begins with its first known value.
    pub(crate) fn push(&mut self, value: Option<f64>) {
        if let Some(value) = value {
            self.fine.push(value);
            self.coarse.push(value);
        }
    }

    /// What the value `steps` after now was one season of `length` earlier, or as many as it takes.
    pub(crate) fn ago(&self, length: usize, steps: usize) -> Option<f64> {
        self.at(back(length, steps)?)
    }

    /// The same, smoothed by those before it.
    pub(crate) fn smoothed_ago(&self, length: usize, steps: usize) -> Option<f64> {
        self.smoothed(back(length, steps)?)
    }

    /// The value `back` steps before now, not further than the longest season.
    fn at(&self, back: usize) -> Option<f64> {
        self.fine.at(back).or_else(|| self.coarse.at(back))
    }

    fn smoothed(&self, back: usize) -> Option<f64> {
        self.at(back)?;
        let (mut sum, mut weights, mut weight) = (0.0, 0.0, 1.0);
        for value in (back..back + SMOOTHED).map_while(|back| self.at(back)) {
            sum += weight * value;
            weights += weight;
            weight *= FADING;
        }
        Some(sum / weights)
    }
}

impl Ring {
    fn new(longest: usize, bins: usize) -> Self {
        Self { longest, width: longest.div_ceil(bins).max(1), steps: 0, bins: Packed::default(), sum: 0.0 }
    }

    fn check(&self, fresh: &Self) -> Result<(), Flaw> {
        let (shape, expected) = ((self.longest, self.width), (fresh.longest, fresh.width));
        Flaw::unless(shape == expected, "longest, width", || format!("{shape:?}, not {expected:?}"))?;
        unless_counted("steps", self.steps as u64)?;
        let (bins, full) = (self.bins.len(), (self.steps / self.width).min(self.capacity()));
        Flaw::unless(bins == full, "bins", || format!("{bins} instead of {full}"))
    }

    /// What this one holds, in the steps of `fresh`, if its bins are as long. What is in the bin that is not full
    /// is lost.
    fn in_steps(&self, fresh: Self, most: usize) -> Self {
        let full = self.steps / self.width;
        // So many bins that they must have been filled from finer steps, or the steps are the same.
        let alike = fresh.capacity() == self.capacity()
            && (self.longest == fresh.longest || self.capacity() == most + 2);
        if alike { Self { steps: full * fresh.width, bins: self.bins.clone(), ..fresh } } else { fresh }
    }

    fn push(&mut self, value: f64) {
        if self.longest == 0 {
            return;
        }
        self.sum += value;
        self.steps += 1;
        if self.steps.is_multiple_of(self.width) {
            let mean = Coarse::new(self.sum / self.width as f64);
            let full = self.steps / self.width - 1;
            self.sum = 0.0;
            if full < self.capacity() {
                self.bins.push(mean);
            } else {
                let place = full % self.capacity();
                self.bins[place] = mean;
            }
        }
    }

    /// More than a season, so that the same moment one season ago and its neighbours are still there.
    fn capacity(&self) -> usize {
        self.longest / self.width + 2
    }

    /// The value `back` steps before now, as the bins around it say.
    fn at(&self, back: usize) -> Option<f64> {
        let step = self.steps.checked_sub(back + 1).filter(|_| back <= self.longest)?;
        // Twice the place among the centres of bins, in steps: whole numbers as far as they go.
        let place = (2 * step + 1).saturating_sub(self.width);
        let (bin, rest) = (place / (2 * self.width), place % (2 * self.width));
        let near = self.bin(bin).or_else(|| self.bin(bin + 1))?;
        let share = rest as f64 / (2 * self.width) as f64;
        let next = if rest == 0 { near } else { self.bin(bin + 1).unwrap_or(near) };
        Some(near + (next - near) * share)
    }

    fn bin(&self, number: usize) -> Option<f64> {
        let full = self.steps / self.width;
        if number == full {
            let count = self.steps % self.width;
            return (count > 0).then(|| self.sum / count as f64);
        }
        let kept = number < full && number + self.capacity() >= full;
        kept.then(|| self.bins.get(number % self.capacity()).map(|mean| f64::from(mean.0)))?
    }
}

/// How many steps before now the moment `steps` after now was, one or more seasons earlier.
fn back(length: usize, steps: usize) -> Option<usize> {
    (length > 0).then(|| steps.div_ceil(length).max(1) * length - steps)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn past(longest: usize, values: impl IntoIterator<Item = u32>) -> Past {
        let mut past = Past::new(longest, longest);
        for value in values {
            past.push(Some(f64::from(value)));
        }
        past
    }

    fn rounded(value: Option<f64>) -> Option<u32> {
        value.map(|value| value.round() as u32)
    }

    #[test]
    fn a_season_ago_is_known_once_now_was_seen_before() {
        assert_eq!(past(3, 0..3).ago(3, 0), None);
        let past = past(3, 0..4);
        let ago = [0, 1, 2, 3, 4, 6, 7].map(|steps| rounded(past.ago(3, steps)));
        assert_eq!(ago, [0, 1, 2, 3, 1, 3, 1].map(Some));
    }

    #[test]
    fn several_seasons_fit_into_one_past() {
        let past = past(6, 0..100);
        assert_eq!((rounded(past.ago(2, 1)), rounded(past.ago(6, 1))), (Some(98), Some(94)));
        assert_eq!(rounded(past.ago(6, 0)), Some(93));
    }

    #[test]
    fn without_a_season_nothing_repeats() {
        assert_eq!(past(0, 0..9).ago(0, 0), None);
    }

    /// Half minutes of a day and a week.
    fn weekly(values: impl Iterator<Item = u32>) -> Past {
        let mut past = Past::new(2_880, 20_160);
        values.for_each(|value| past.push(Some(f64::from(value))));
        past
    }

    #[test]
    fn long_seasons_are_kept_coarsely_and_read_between() {
        let past = weekly(0..60_000);
        assert_eq!((past.fine.bins.len(), past.coarse.bins.len()), (FINE + 2, COARSE + 2));
        for (season, steps) in
            [(2_880, 0), (2_880, 1), (2_880, 777), (20_160, 0), (20_160, 7), (20_160, 20_160)]
        {
            let (read, expected) = (past.ago(season, steps).unwrap(), (59_999 - season + steps) as f64);
            assert!((read / expected - 1.0).abs() < 0.002, "{steps} ahead: {read}, not {expected}");
        }
    }

    #[test]
    fn a_past_is_the_same_in_steps_of_another_length() {
        // Half minutes, and then minutes: the value is the number of the minute.
        let mut past = weekly((0..50_000).map(|step| step / 2)).in_steps(1_440, 10_080);
        for minute in 25_000..25_500 {
            past.push(Some(f64::from(minute)));
        }
        for season in [1_440, 10_080] {
            let (read, expected) = (past.ago(season, 1).unwrap(), f64::from(25_500 - season as u32));
            assert!((read - expected).abs() < 40.0, "{season} minutes before: {read}, not {expected}");
        }
        assert_eq!(past.in_steps(50, 350).ago(50, 1), None, "other bins are another past");
    }

    proptest! {
        #[test]
        fn a_value_is_kept_to_a_thousandth_and_comes_back_the_same(value in 1e-6..1e15_f64) {
            let kept = Coarse::new(value);
            prop_assert!((f64::from(kept.0) / value - 1.0).abs() < 1e-3, "{kept:?} for {value}");
            prop_assert_eq!(Coarse::new(f64::from(kept.0)), kept);
        }

        #[test]
        fn fine_bins_are_what_was_pushed(
            values in prop::collection::vec(0.0..1e6_f64, 1..80),
            longest in 1..40_usize,
        ) {
            let mut past = Past::new(longest, longest);
            for &value in &values {
                past.push(Some(value));
            }
            for back in 0..values.len() + 3 {
                let expected = values.len().checked_sub(back + 1).filter(|_| back <= longest);
                let expected = expected.map(|at| Coarse::new(values[at]).0);
                prop_assert_eq!(past.at(back).map(|value| value as f32), expected);
            }
        }

        #[test]
        fn coarse_bins_stay_within_what_was_pushed(
            values in prop::collection::vec(1.0..1e3_f64, 1..200),
            width in 2..9_usize,
        ) {
            let mut past = Ring { width, ..Ring::new(60, 60) };
            for (at, &value) in values.iter().enumerate() {
                past.push(value);
                for back in 0..at + 3 {
                    let read = past.at(back);
                    prop_assert_eq!(read.is_some(), back <= at.min(60), "{} back at {}", back, at);
                    prop_assert!(read.is_none_or(|read| (0.99..1_001.0).contains(&read)));
                }
            }
        }
    }
}
