//! What a series was, as far back as its longest season.
//!
//! One ring serves every season: "a day ago" and "a week ago" are two places in it. Values are kept in
//! single precision, which is more than demand is known to and half the memory.
//!
//! Invariant: at most one longest season and one value are kept, each of them a number.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

/// Values that a smoothed value of the past is made of, and how much each weighs less than its successor.
const SMOOTHED: usize = 8;
const FADING: f64 = 0.7;

/// One value for each step, the oldest first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Past {
    /// Steps of the longest season; 0: nothing is kept.
    longest: usize,
    values: VecDeque<f32>,
}

impl Past {
    pub(crate) fn new(longest: usize) -> Self {
        Self { longest, values: VecDeque::new() }
    }

    /// The value of the next step. A series begins with its first known value.
    pub(crate) fn push(&mut self, value: Option<f64>) {
        let Some(value) = value.filter(|_| self.longest > 0) else {
            return;
        };
        // One more than a season, so that the same moment one season ago is still there.
        if self.values.len() > self.longest {
            self.values.pop_front();
        }
        self.values.push_back(value as f32);
    }

    /// What the value `steps` after now was one season of `length` earlier, or as many as it takes.
    pub(crate) fn ago(&self, length: usize, steps: usize) -> Option<f64> {
        self.at(back(length, steps)?)
    }

    /// The same, smoothed by those before it.
    pub(crate) fn smoothed_ago(&self, length: usize, steps: usize) -> Option<f64> {
        self.smoothed(back(length, steps)?)
    }

    /// The mean of the smoothed values of that moment in as many seasons as are known, at most
    /// `seasons` of them, with their number.
    pub(crate) fn usual(&self, length: usize, steps: usize, seasons: usize) -> Option<(f64, usize)> {
        let nearest = back(length, steps)?;
        let known = (0..seasons).map_while(|season| self.smoothed(nearest + season * length));
        let (sum, count) = known.fold((0.0, 0), |(sum, count), value| (sum + value, count + 1));
        (count > 0).then(|| (sum / count as f64, count))
    }

    /// The value `back` steps before now.
    fn at(&self, back: usize) -> Option<f64> {
        let index = self.values.len().checked_sub(back + 1)?;
        self.values.get(index).map(|&value| f64::from(value))
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

/// How many steps before now the moment `steps` after now was, one or more seasons earlier.
fn back(length: usize, steps: usize) -> Option<usize> {
    (length > 0).then(|| steps.div_ceil(length).max(1) * length - steps)
}

#[cfg(test)]
mod tests {

    use super::*;

    fn past(longest: usize, values: impl IntoIterator<Item = u32>) -> Past {
        let mut past = Past::new(longest);
        for value in values {
            past.push(Some(f64::from(value)));
        }
        past
    }

    #[test]
    fn a_season_ago_is_known_once_now_was_seen_before() {
        assert_eq!(past(3, 0..3).ago(3, 0), None);
        let past = past(3, 0..4);
        let ago = [0, 1, 2, 3, 4, 6, 7].map(|steps| past.ago(3, steps).map(|value| value as u32));
        assert_eq!(ago, [0, 1, 2, 3, 1, 3, 1].map(Some));
    }

    #[test]
    fn several_seasons_fit_into_one_past() {
        let past = past(6, 0..100);
        assert_eq!((past.ago(2, 1), past.ago(6, 1)), (Some(98.0), Some(94.0)));
        assert_eq!(past.ago(6, 0), Some(93.0));
    }

    #[test]
    fn without_a_season_nothing_repeats() {
        assert_eq!(past(0, 0..9).ago(0, 0), None);
    }

    #[test]
    fn what_is_usual_is_the_mean_over_the_seasons() {
        // Steps of ten have the same value each, so smoothing is the only difference.
        let past = past(40, (0..41).map(|step| if step % 10 == 0 { 10 } else { 0 }));
        let (usual, seasons) = past.usual(10, 0, 7).unwrap();
        assert_eq!(seasons, 4);
        assert!(usual > 2.0 && usual < 10.0, "{usual}");
    }
}
