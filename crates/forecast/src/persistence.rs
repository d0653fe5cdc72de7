//! How much of a deviation is left at the horizon: least squares, online.
//!
//! Whoever is 20 % busier than usual now will be busier than usual in an hour, but by how much is another number for every
//! series and horizon. It is found by regressing what the deviation came to be on what it was, as it was and
//! smoothed, with sums that fade. Before much was seen a smoothed deviation is taken to persist.

use serde::{Deserialize, Serialize};
use tidegate_core::Flaw;

use crate::model::unless_counted;

/// So much of the size of the deviations speaks for what is assumed beforehand.
const RIDGE: f64 = 0.02;
/// Deviations count up to so many usual ones.
const LARGEST: f64 = 6.0;
/// Deviations that must have been seen before one can be too large.
const FEWEST: u64 = 20;
/// What is assumed: nothing of the deviation as it was, all of the smoothed one.
const ASSUMED: [f64; 2] = [0.0, 1.0];

/// Sums of products: of the two deviations with each other and with what they came to be.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Persistence {
    seen: u64,
    /// Mean absolute deviation.
    size: f64,
    /// First with first, first with second, second with second.
    squares: [f64; 3],
    /// Of the first and the second with what is not explained by what is assumed.
    rests: [f64; 2],
}

impl Persistence {
    pub(crate) fn check(&self) -> Result<(), Flaw> {
        unless_counted("seen", self.seen)
    }

    /// A deviation that was `then` has come to be `now`; `memory` is how much one moves the sums.
    pub(crate) fn learn(&mut self, memory: f64, [first, second]: [f64; 2], now: f64) {
        self.seen += 1;
        let memory = memory.max(1.0 / self.seen as f64);
        // A freak says nothing of the others, and its square would outweigh them all.
        let most = if self.seen > FEWEST { LARGEST * self.size } else { f64::INFINITY };
        let [first, second, now] = [first, second, now].map(|deviation| deviation.max(-most).min(most));
        self.size += memory * (now.abs() - self.size);
        let rest = now - ASSUMED[0] * first - ASSUMED[1] * second;
        for (sum, product) in self.squares.iter_mut().zip([first * first, first * second, second * second]) {
            *sum += memory * (product - *sum);
        }
        for (sum, product) in self.rests.iter_mut().zip([first * rest, second * rest]) {
            *sum += memory * (product - *sum);
        }
    }

    /// What is left of a deviation.
    pub(crate) fn left(&self, [first, second]: [f64; 2]) -> f64 {
        let [one, both, other] = self.squares;
        let ridge = RIDGE * (one + other);
        let (one, other) = (one + ridge, other + ridge);
        let determinant = one * other - both * both;
        let assumed = ASSUMED[0] * first + ASSUMED[1] * second;
        // Zero where nothing was seen, or nothing ever deviated.
        if determinant <= 0.0 || !determinant.is_finite() {
            return assumed;
        }
        let [x, y] = self.rests;
        let share = [(x * other - y * both) / determinant, (y * one - x * both) / determinant];
        assumed + share[0] * first + share[1] * second
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_share_that_is_left_is_found() {
        let mut persistence = Persistence::default();
        assert!(
            (persistence.left([5.0, 3.0]) - 3.0).abs() < 1e-12,
            "it persists until something else is known"
        );
        for step in 0..500_u32 {
            let (first, second) = (f64::from(step * 37 % 101) - 50.0, f64::from(step * 53 % 89) - 44.0);
            persistence.learn(0.01, [first, second], 0.5 * first + 0.2 * second);
        }
        let left = persistence.left([10.0, 10.0]);
        assert!((left - 7.0).abs() < 0.6, "{left}");
    }

    #[test]
    fn a_freak_hardly_counts() {
        let mut persistence = Persistence::default();
        for step in 0..500_u32 {
            let then = f64::from(step * 37 % 101) - 50.0;
            let now = if step == 400 { 1e6 } else { 0.8 * then };
            persistence.learn(0.01, [then, 0.0], now);
        }
        let left = persistence.left([10.0, 0.0]);
        assert!((left - 8.0).abs() < 2.0, "{left}");
    }

    #[test]
    fn deviations_that_never_were_have_no_share() {
        let mut persistence = Persistence::default();
        for _ in 0..10 {
            persistence.learn(0.01, [0.0, 0.0], 0.0);
        }
        assert!(persistence.left([0.0, 0.0]).abs() < 1e-12 && persistence.left([1.0, 2.0]).is_finite());
    }
}
