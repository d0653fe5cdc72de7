//! Quantiles of what a model gets wrong, kept honest online.
//!
//! Residuals are taken relative to their recent size, so a window full of quiet hours still says
//! something about the rush. A quantile is read from [`WINDOW`] of them; how far out it is
//! read is steered by adaptive conformal inference (Gibbs and Candès 2021): every time the truth
//! lies beyond, a little further, every time it does not, a little less. So over time the share
//! beyond is what was asked for, whatever the series does.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

/// Residuals that quantiles are read from.
const WINDOW: usize = 512;
/// Fewest residuals that a quantile is read from.
const FEWEST: usize = 24;
/// How much one residual of the window moves the recent size.
const SIZE_MEMORY: f64 = 0.03;
/// Residuals of neighbouring moments tell the same story the more, the further ahead they were said:
/// so many of them in a horizon enter the window, and the window reaches back the further for it.
const PER_HORIZON: usize = 4;
/// How far one miss moves the level that is read.
const STEERING: f64 = 0.005;
/// Levels that can be read; beyond the outermost residual there is nothing.
const OUTERMOST: f64 = 0.001;

/// The latest residuals of one model at one horizon.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", from = "Kept")]
pub(crate) struct Residuals {
    /// Steps from one residual of the window to the next, and to the next one from now.
    stride: usize,
    wait: usize,
    /// Mean absolute residual of late.
    size: f64,
    /// Relative residuals, oldest first and in order of size.
    recent: VecDeque<f64>,
    #[serde(skip)]
    sorted: Vec<f64>,
    /// The level that is read for each level that is asked for.
    steered: Vec<f64>,
}

/// What is written of them: the order of size is found again.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Kept {
    stride: usize,
    wait: usize,
    size: f64,
    recent: VecDeque<f64>,
    steered: Vec<f64>,
}

impl From<Kept> for Residuals {
    fn from(kept: Kept) -> Self {
        let Kept { stride, wait, size, recent, steered } = kept;
        let mut sorted: Vec<f64> = recent.iter().copied().collect();
        sorted.sort_by(f64::total_cmp);
        Self { stride, wait, size, recent, sorted, steered }
    }
}

impl Residuals {
    pub(crate) fn new(horizon: usize, levels: &[f64]) -> Self {
        let stride = horizon.div_ceil(PER_HORIZON).max(1);
        Self {
            stride,
            wait: 0,
            size: 0.0,
            recent: VecDeque::new(),
            sorted: Vec::new(),
            steered: levels.to_vec(),
        }
    }

    /// Mean absolute residual of late.
    pub(crate) fn size(&self) -> f64 {
        self.size
    }

    /// What to add to the model's expectation for the level at `index`; `None` before enough is known.
    pub(crate) fn offset(&self, index: usize) -> Option<f64> {
        if self.sorted.len() < FEWEST {
            return None;
        }
        let place = self.steered[index].clamp(OUTERMOST, 1.0 - OUTERMOST) * (self.sorted.len() - 1) as f64;
        let (below, share) = (place as usize, place.fract());
        let above = (below + 1).min(self.sorted.len() - 1);
        Some(self.size * (self.sorted[below] + (self.sorted[above] - self.sorted[below]) * share))
    }

    /// The truth was `residual` more than the model expected.
    pub(crate) fn learn(&mut self, residual: f64) {
        let memory = if self.size > 0.0 { SIZE_MEMORY / self.stride as f64 } else { 1.0 };
        self.size += memory * (residual.abs() - self.size);
        if self.wait > 0 {
            self.wait -= 1;
            return;
        }
        self.wait = self.stride - 1;
        let relative = if self.size > 0.0 { residual / self.size } else { 0.0 };
        if self.recent.len() == WINDOW
            && let Some(oldest) = self.recent.pop_front()
        {
            let place = self.sorted.partition_point(|&other| other < oldest);
            self.sorted.remove(place);
        }
        self.recent.push_back(relative);
        self.sorted.insert(self.sorted.partition_point(|&other| other < relative), relative);
    }

    /// Whether the truth lay `beyond` what was said for the level at `index`.
    pub(crate) fn steer(&mut self, index: usize, level: f64, beyond: bool) {
        let miss = if beyond { 1.0 } else { 0.0 } - (1.0 - level);
        self.steered[index] = (self.steered[index] + STEERING * miss).clamp(0.0, 1.0);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn quantiles_are_those_of_the_window() {
        let mut residuals = Residuals::new(1, &[0.05, 0.5, 0.95]);
        for step in 0..2_000_u32 {
            residuals.learn(f64::from(step * 37 % 101) - 50.0);
        }
        for (index, expected) in [(0, -45.0), (1, 0.0), (2, 45.0)] {
            let offset = residuals.offset(index).unwrap();
            assert!((offset - expected).abs() < 8.0, "{offset}, not {expected}");
        }
    }

    #[test]
    fn misses_move_the_level_outwards() {
        let mut residuals = Residuals::new(1, &[0.9]);
        for step in 0..100 {
            residuals.learn(f64::from(step % 10));
        }
        let before = residuals.offset(0);
        for _ in 0..5 {
            residuals.steer(0, 0.9, true);
        }
        assert!(residuals.offset(0) > before);
    }

    proptest! {
        #[test]
        fn the_sorted_window_holds_what_the_window_holds(residuals in prop::collection::vec(-10.0..10.0_f64, 0..1_200)) {
            let mut window = Residuals::new(1, &[0.5]);
            for residual in residuals {
                window.learn(residual);
            }
            let mut naive: Vec<f64> = window.recent.iter().copied().collect();
            naive.sort_by(f64::total_cmp);
            prop_assert_eq!(naive, window.sorted);
            prop_assert!(window.recent.len() <= WINDOW);
        }
    }
}
