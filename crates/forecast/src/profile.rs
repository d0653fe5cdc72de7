//! How a season usually goes: the mean of each of its moments over the last few of them.
//!
//! What came a season ago is one day, with the freaks of that day. A profile is what days, or weeks, have in common, as the
//! seasonal part of Holt and Winters: each moment is moved towards what came at it by a share, the first times by
//! more. How far the present is from the profile is kept beside: as it is, and smoothed.
//!
//! Invariant: at most [`BINS`] means are kept, each of them not negative. Not here: how much of a deviation is left some
//! steps ahead. That is learned for each horizon, see [`crate::candidate`].

use serde::{Deserialize, Serialize};
use tidegate_core::Flaw;

use crate::{model::unless_counted, packed::Packed, season::Coarse};

/// Bins of a season: five minutes each of a day, ten of a week.
const BINS: usize = 1_008;
/// How much a season moves the profile once several were seen.
const SHARE: f64 = 0.2;
/// How much a deviation moves the smoothed one.
const SMOOTH: f64 = 0.3;

/// The usual course of one season.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Profile {
    /// Steps of the season; 0: there is none.
    season: usize,
    /// Steps in a bin.
    width: usize,
    /// Steps so far.
    steps: usize,
    bins: Packed<Coarse>,
    /// Of the bin that is not full: the sum of what was known, and how many.
    sum: f64,
    known: usize,
    /// How far the present is from the profile, and the same smoothed. `None` before a season was seen.
    deviations: Option<[f64; 2]>,
}

impl Profile {
    pub(crate) fn new(season: usize, bins: usize) -> Self {
        let width = season.div_ceil(bins.min(BINS)).max(1);
        Self { season, width, steps: 0, bins: Packed::default(), sum: 0.0, known: 0, deviations: None }
    }

    /// Whether it is of the same season as `fresh`, and as full as it should be.
    pub(crate) fn check(&self, fresh: &Self) -> Result<(), Flaw> {
        let (shape, expected) = ((self.season, self.width), (fresh.season, fresh.width));
        Flaw::unless(shape == expected, "season, width", || format!("{shape:?}, not {expected:?}"))?;
        unless_counted("steps", self.steps as u64)?;
        unless_counted("known", self.known as u64)?;
        let (bins, full) = (self.bins.len(), (self.steps / self.width).min(self.season.div_ceil(self.width)));
        Flaw::unless(bins <= full, "bins", || format!("{bins} where {full} can be full"))
    }

    /// The same course in steps of another length, if its bins are as long; `fresh` otherwise. What is in the bin that is
    /// not full is lost.
    pub(crate) fn in_steps(&self, fresh: Self) -> Self {
        let bins = |profile: &Self| {
            profile.season.is_multiple_of(profile.width).then(|| profile.season / profile.width)
        };
        if self.season == 0 || bins(self).is_none() || bins(self) != bins(&fresh) {
            return fresh;
        }
        let steps = self.steps / self.width * fresh.width;
        Self { steps, bins: self.bins.clone(), deviations: self.deviations, ..fresh }
    }

    /// The part of the next value that is worth remembering; `None` where it is not known.
    pub(crate) fn observe(&mut self, value: Option<f64>) {
        if self.season == 0 {
            return;
        }
        if let Some(value) = value {
            if let Some(usual) = self.at(self.steps) {
                let deviation = value - usual;
                let before = self.deviations.map_or(deviation, |[_, smooth]| smooth);
                self.deviations = Some([deviation, before + SMOOTH * (deviation - before)]);
            }
            self.sum += value;
            self.known += 1;
        }
        self.steps += 1;
        let phase = self.steps % self.season;
        if phase.is_multiple_of(self.width) {
            self.close();
        }
    }

    /// The bin is full.
    fn close(&mut self) {
        let step = self.steps - 1;
        let (bin, seen) = (step % self.season / self.width, step / self.season);
        let mean = (self.known > 0).then(|| self.sum / self.known as f64);
        (self.sum, self.known) = (0.0, 0);
        match (self.bins.get(bin).map(|bin| bin.get()), mean) {
            (Some(usual), Some(mean)) => {
                let share = SHARE.max(1.0 / (seen + 1) as f64);
                self.bins[bin] = Coarse::new(usual + share * (mean - usual));
            }
            (Some(_), None) => {}
            // The first season: what is not known is as what came before it.
            (None, mean) => {
                let before = self.bins.last().map(|bin| bin.get());
                let usual = mean.or(before).unwrap_or_default();
                self.bins.push(Coarse::new(usual));
            }
        }
    }

    /// What is usual `steps` after now, and how far now is from what is usual.
    pub(crate) fn ahead(&self, steps: usize) -> Option<(f64, [f64; 2])> {
        let usual = self.at((self.steps + steps).checked_sub(1)?)?;
        Some((usual, self.deviations?))
    }

    /// What is usual at a step, between the centres of the bins; only once a whole season was seen.
    fn at(&self, step: usize) -> Option<f64> {
        let bins = self.bins.len();
        if self.season == 0 || bins < self.season.div_ceil(self.width) {
            return None;
        }
        // Twice the place, in steps, so that the centre of a bin is a whole number; the first bin follows the last.
        let place = (2 * (step % self.season) + 1 + 2 * self.season - self.width) % (2 * self.season);
        let (bin, rest) = (place / (2 * self.width), place % (2 * self.width));
        let bin = bin.min(bins - 1);
        let (near, next) = (self.bins[bin].get(), self.bins[(bin + 1) % bins].get());
        Some(near + (next - near) * rest as f64 / (2 * self.width) as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(season: usize, bins: usize, values: impl Iterator<Item = Option<f64>>) -> Profile {
        let mut profile = Profile::new(season, bins);
        values.for_each(|value| profile.observe(value));
        profile
    }

    fn close(value: f64, expected: f64) {
        assert!((value - expected).abs() < 0.01 * expected.abs().max(1.0), "{value}, not {expected}");
    }

    #[test]
    fn a_season_is_usual_once_it_was_seen() {
        let day = |step: u32| Some(f64::from(step % 10 * 5));
        assert_eq!(seen(10, 100, (0..9).map(day)).ahead(1), None);
        let profile = seen(10, 100, (0..25).map(day));
        for steps in [1, 4, 7, 23] {
            let (usual, deviations) = profile.ahead(steps).unwrap();
            close(usual, day(24 + steps as u32).unwrap());
            assert!(deviations.iter().all(|deviation| deviation.abs() < 0.1), "{deviations:?}");
        }
    }

    #[test]
    fn the_mean_of_days_is_usual_and_today_deviates() {
        let day = |step: usize| Some([10.0, 20.0, 30.0, 100.0][step / 10]);
        let profile = seen(10, 100, (0..31).map(day));
        close(profile.ahead(5).unwrap().0, 20.0);
        let (_, [now, smooth]) = profile.ahead(5).unwrap();
        close(now, 80.0);
        assert!(smooth < now && smooth > 0.0, "{smooth}");
    }

    #[test]
    fn gaps_change_nothing_that_is_usual() {
        let day = |step: usize| (!(20..30).contains(&step)).then_some(7.0);
        close(seen(10, 100, (0..40).map(day)).ahead(3).unwrap().0, 7.0);
        assert!(seen(10, 100, (0..40).map(|_| None)).ahead(3).is_none());
    }

    #[test]
    fn coarse_bins_are_read_between() {
        let wave = |step: usize| Some(100.0 + 50.0 * (std::f64::consts::TAU * step as f64 / 1_000.0).sin());
        let profile = seen(1_000, 100, (0..3_000).map(wave));
        for steps in [1, 99, 500, 999, 1_001] {
            close(profile.ahead(steps).unwrap().0, wave(2_999 + steps).unwrap());
        }
    }

    #[test]
    fn a_course_is_the_same_in_steps_of_another_length() {
        let day = |minute: usize| Some((minute % 1_440) as f64);
        let halves = seen(2_880, 288, (0..6_000).map(|half| day(half / 2)));
        let minutes = halves.in_steps(Profile::new(1_440, 288));
        for steps in [1, 100, 700, 1_000] {
            close(minutes.ahead(steps).unwrap().0, day(2_999 + steps).unwrap());
        }
        assert_eq!(
            halves.in_steps(Profile::new(48, 288)),
            Profile::new(48, 288),
            "other bins are another course"
        );
    }

    #[test]
    fn without_a_season_nothing_is_usual() {
        assert_eq!(seen(0, 10, (0..9).map(|_| Some(1.0))).ahead(1), None);
    }
}
