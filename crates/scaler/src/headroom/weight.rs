//! Sums that fade, without a touch: what comes later weighs more.
//!
//! To let hundreds of sums fade takes a multiplication for each of them in every step. Instead the step's charges are multiplied by a weight
//! that grows as fast as the sums would have faded (forward decay: Cormode, Shkapenyuk, Srivastava and Xu, 2009). Ratios of
//! sums are what they would be, and so is which of them is the least. Now and then everything is divided by a power of two, which is exact.

use serde::{Deserialize, Serialize};
use tidegate_core::Flaw;

use crate::fading::Fading;

/// From this weight on everything is divided by it.
const HEAVY: f64 = 65_536.0;

/// What a charge weighs now.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(from = "f64", into = "f64")]
pub(super) struct Weight {
    now: f64,
    fading: Fading,
}

impl Default for Weight {
    fn default() -> Self {
        Self::from(1.0)
    }
}

impl From<f64> for Weight {
    fn from(now: f64) -> Self {
        Self { now, fading: Fading::default() }
    }
}

impl From<Weight> for f64 {
    fn from(weight: Weight) -> Self {
        weight.now
    }
}

impl Weight {
    pub(super) fn check(&self) -> Result<(), Flaw> {
        Flaw::unless((1.0..HEAVY).contains(&self.now), "weight", || {
            format!("{} is not between 1 and {HEAVY}", self.now)
        })
    }

    /// `passed` seconds later, where after `memory` seconds a charge weighs 37 % of a new one. Where there is an answer, everything
    /// that was charged has to be multiplied by it.
    #[inline(always)]
    pub(super) fn grow(&mut self, passed: f64, memory: f64) -> Option<f32> {
        // The inverse of what is kept after as long.
        self.now *= self.fading.kept(-passed, memory);
        if self.now < HEAVY {
            return None;
        }
        self.now /= HEAVY;
        Some((1.0 / HEAVY) as f32)
    }

    #[inline(always)]
    pub(super) fn now(self) -> f64 {
        self.now
    }
}
