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

    /// What a charge weighs `passed` seconds later, where after `memory` seconds one weighs 37 % of a new one. `sums` and `columns` are all
    /// that was charged: they are divided when the weight is.
    #[inline(always)]
    pub(super) fn grow(
        &mut self,
        (passed, memory): (f64, f64),
        sums: &mut [&mut f64],
        columns: &mut [&mut [f32]],
    ) -> f64 {
        // The inverse of what is kept after as long.
        self.now *= self.fading.kept(-passed, memory);
        if self.now >= HEAVY {
            self.now /= HEAVY;
            lighten(sums, columns);
        }
        self.now
    }

    #[inline(always)]
    pub(super) fn now(self) -> f64 {
        self.now
    }
}

#[cold]
fn lighten(sums: &mut [&mut f64], columns: &mut [&mut [f32]]) {
    for sum in sums {
        **sum /= HEAVY;
    }
    for figure in columns.iter_mut().flat_map(|column| column.iter_mut()) {
        *figure /= HEAVY as f32;
    }
}

/// Lets every loop pay for what it `has`, for the seconds that are `owed`.
#[inline(always)]
pub(super) fn pay(owed: &mut f64, cost: &mut [f32], has: &[f32]) {
    let owed = std::mem::take(owed) as f32;
    for (cost, has) in cost.iter_mut().zip(has) {
        *cost += has * owed;
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
                let before = weight.now();
                sum += weight.grow((passed, memory), &mut [&mut sum], &mut []) * charge;
                divided += u32::from(weight.now() < before);
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
