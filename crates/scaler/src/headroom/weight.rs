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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn sums_are_what_they_would_be_had_they_faded(
            charges in prop::collection::vec((0.0..100.0_f64, 0.0..15.0_f64), 1..400),
        ) {
            let memory = 100.0;
            let (mut weight, mut sum, mut twin, mut divided) = (Weight::default(), 0.0, 0.0_f64, 0_u32);
            for &(charge, passed) in &charges {
                if let Some(scale) = weight.grow(passed, memory) {
                    (sum, divided) = (sum * f64::from(scale), divided + 1);
                }
                sum += weight.now() * charge;
                twin = twin * (-passed / memory).exp() + charge;
                prop_assert!((sum / weight.now() - twin).abs() <= 1e-9 * twin, "{sum}, {twin}");
                prop_assert!(weight.check().is_ok());
            }
            let all: f64 = charges.iter().map(|(_, passed)| passed).sum();
            prop_assert_eq!(divided, (all / memory / HEAVY.ln()) as u32);
        }
    }

    #[test]
    fn a_weight_that_cannot_have_become_is_refused() {
        for (weight, possible) in
            [(1.0, true), (65_535.9, true), (0.0, false), (-1.0, false), (65_536.0, false)]
        {
            assert_eq!(Weight::from(weight).check().is_ok(), possible, "{weight}");
        }
    }
}
