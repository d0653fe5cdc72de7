//! Calibration of what is finally said.
//!
//! A choice among models that are each calibrated is not calibrated itself: one is believed while it
//! looks good. So the quantiles of the choice are shifted, in units of the recent error, by quantile
//! tracking (the proportional part of conformal PID control, Angelopoulos et al. 2023): a miss
//! shifts by much, a hit back by little, and in the long run the share of misses is what was asked for.

use serde::{Deserialize, Serialize};
use tidegate_core::Flaw;

use crate::pending::Pending;

/// How many recent errors a miss shifts, at a horizon of one step. Further ahead, misses come in
/// rows that are known only later, so each shifts by less; but not by as much less as they are more,
/// or else a forecast of the next hour would take weeks to become honest.
const STEERING: f64 = 0.05;

/// Shifts of the quantiles of one forecaster.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Calibration {
    steering: f64,
    /// For each level, in recent errors.
    shifts: Vec<f64>,
    /// What was said of the next steps.
    pending: Pending,
}

impl Calibration {
    pub(crate) fn new(horizon: usize, levels: &[f64]) -> Self {
        let steering = STEERING / (horizon as f64).powf(0.75);
        Self { steering, shifts: vec![0.0; levels.len()], pending: Pending::new(horizon, levels.len()) }
    }

    pub(crate) fn check(&self, horizon: usize, levels: usize) -> Result<(), Flaw> {
        let shifts = self.shifts.len();
        Flaw::unless(shifts == levels, "shifts", || format!("{shifts} for {levels} levels"))?;
        self.pending.check(horizon, levels).map_err(Flaw::of("pending"))
    }

    /// Learns from what was said of this moment.
    pub(crate) fn judge(&mut self, levels: &[f64], truth: Option<f64>) {
        let Some((said, truth)) = self.pending.due().zip(truth) else {
            return;
        };
        for ((shift, &level), said) in self.shifts.iter_mut().zip(levels).zip(said) {
            let beyond = if truth > said { 1.0 } else { 0.0 };
            *shift += self.steering * (beyond - (1.0 - level));
        }
    }

    /// What to say of the horizon, where a model says `quantiles` and was wrong by `error` of late.
    pub(crate) fn speak(&mut self, quantiles: Option<&[f64]>, error: f64) {
        let said: Option<Vec<f64>> = quantiles.map(|quantiles| {
            // A higher level never has a lower value, nor does demand go below zero.
            let mut least = 0.0_f64;
            let shifted = quantiles.iter().zip(&self.shifts).map(|(quantile, shift)| {
                least = least.max(quantile + shift * error);
                least
            });
            shifted.collect()
        });
        self.pending.say(said.as_deref());
    }

    /// What was said of the moment that comes next, which is judged with its truth.
    pub(crate) fn next(&self) -> Option<Vec<f64>> {
        self.pending.due()
    }

    /// The newest that was said.
    pub(crate) fn quantiles(&self) -> Option<Vec<f64>> {
        self.pending.newest()
    }
}
