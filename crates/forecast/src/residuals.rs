//! Quantiles of what a model gets wrong, kept honest online.
//!
//! Residuals are taken relative to their recent size, so a memory full of quiet hours still says
//! something about the rush. They are counted in bins, narrow where most of them are and wide far out, and
//! every count fades, so the memory is small and its work constant. A quantile is read from the
//! counts; how far out it is read is steered by adaptive conformal inference (Gibbs and Candès 2021):
//! every time the truth lies beyond, a little further, every time it does not, a little less. So over
//! time the share beyond is what was asked for, whatever the series does.
//!
//! Of few residuals the largest is not yet the largest there will be. So while they are few, a level is read further from the
//! median than it says, as in conformal prediction with finite samples (Vovk, Gammerman and Shafer 2005).

use serde::{Deserialize, Serialize};
use tidegate_core::Flaw;

use crate::packed::Packed;

/// Bins, and how far apart their edges are in units of the inverse hyperbolic sine: as wide as the
/// hundredth part of the usual residual near zero, and as a tenth of a large one.
const BINS: usize = 64;
const WIDTH: f64 = 0.25;
/// Residuals that a count is the sum of, before the older ones have faded.
const MEMORY: f64 = 400.0;
/// Fewest residuals that a quantile is read from.
const FEWEST: f64 = 7.5;
/// How much one residual of the memory moves the recent size.
const SIZE_MEMORY: f64 = 0.03;
/// Residuals of neighbouring moments tell the same story the more, the further ahead they were said:
/// so many of them in a horizon are counted, and the memory reaches back the further for it.
const PER_HORIZON: usize = 4;
/// How far one miss moves the level that is read.
const STEERING: f64 = 0.005;
/// Levels that can be read; beyond the outermost residual there is nothing.
const OUTERMOST: f64 = 0.001;

/// The latest residuals of one model at one horizon.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Residuals {
    /// Steps from one residual that is counted to the next, and to the next one from now.
    stride: usize,
    /// Residuals that are counted in a horizon.
    #[serde(default = "one")]
    per_horizon: f64,
    wait: usize,
    /// Mean absolute residual of late.
    size: f64,
    /// Relative residuals in each bin, faded.
    counts: Packed<f32>,
    /// Horizons that the residuals are from that were ever counted.
    #[serde(default)]
    horizons: f64,
    /// The level that is read for each level that is asked for.
    steered: Vec<f64>,
}

impl Residuals {
    pub(crate) fn new(horizon: usize, levels: &[f64]) -> Self {
        let stride = horizon.div_ceil(PER_HORIZON).max(1);
        Self {
            stride,
            per_horizon: horizon as f64 / stride as f64,
            wait: 0,
            size: 0.0,
            counts: Packed::new(vec![0.0; BINS]),
            horizons: 0.0,
            steered: levels.to_vec(),
        }
    }

    pub(crate) fn check(&self, horizon: usize, levels: usize) -> Result<(), Flaw> {
        let (stride, wait) = (self.stride, self.wait);
        let is_one = (1..=horizon.max(1)).contains(&stride);
        Flaw::unless(is_one, "stride", || format!("{stride} at a horizon of {horizon}"))?;
        Flaw::unless(wait < stride, "wait", || format!("{wait} at a stride of {stride}"))?;
        let (counts, steered) = (self.counts.len(), self.steered.len());
        Flaw::unless(counts == BINS, "counts", || format!("{counts} instead of {BINS}"))?;
        let are_counts = self.counts.iter().all(|count| count.is_finite() && *count >= 0.0);
        Flaw::unless(are_counts, "counts", || "one is not a count".to_owned())?;
        Flaw::unless(steered == levels, "steered", || format!("{steered} for {levels} levels"))
    }

    /// Mean absolute residual of late.
    pub(crate) fn size(&self) -> f64 {
        self.size
    }

    /// What to add to the model's expectation for the level at `index`; `None` before enough is known.
    pub(crate) fn offset(&self, index: usize) -> Option<f64> {
        let total: f64 = self.counts.iter().map(|&count| f64::from(count)).sum();
        if total < FEWEST {
            return None;
        }
        // Those that have faded were seen all the same.
        let steered = outwards(self.steered[index], self.horizons.max(total / self.per_horizon));
        let mut left = steered.clamp(OUTERMOST, 1.0 - OUTERMOST) * total;
        for (bin, count) in (0..).zip(self.counts.iter().map(|&count| f64::from(count))) {
            if left <= count && count > 0.0 {
                return Some(self.size * edge(bin, left / count));
            }
            left -= count;
        }
        Some(self.size * edge(BINS as u32 - 1, 1.0))
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
        let fade = (1.0 - 1.0 / MEMORY) as f32;
        self.counts.iter_mut().for_each(|count| *count *= fade);
        self.counts[bin(relative)] += 1.0;
        self.horizons += 1.0 / self.per_horizon;
    }

    /// Whether the truth lay `beyond` what was said for the level at `index`.
    pub(crate) fn steer(&mut self, index: usize, level: f64, beyond: bool) {
        let miss = if beyond { 1.0 } else { 0.0 } - (1.0 - level);
        self.steered[index] = (self.steered[index] + STEERING * miss).clamp(0.0, 1.0);
    }
}

/// Where to read among residuals of so many `horizons`, each a story of its own, so that `level` of those to come lie below: the
/// next is as likely to be the largest or the smallest as any other. Half of each lies below where it stands.
fn outwards(level: f64, horizons: f64) -> f64 {
    level + (level - 0.5) / horizons
}

fn one() -> f64 {
    1.0
}

/// The bin of a relative residual; the outermost ones take what is further out.
fn bin(relative: f64) -> usize {
    let place = relative.asinh() / WIDTH + BINS as f64 / 2.0;
    (place.max(0.0) as usize).min(BINS - 1)
}

/// The relative residual at `share` of a bin.
fn edge(bin: u32, share: f64) -> f64 {
    let low = (f64::from(bin) - BINS as f64 / 2.0) * WIDTH;
    // Between the edges the residuals are taken to be spread evenly.
    low.sinh() + ((low + WIDTH).sinh() - low.sinh()) * share
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn quantiles_are_those_of_the_residuals() {
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
    fn of_few_residuals_quantiles_are_read_further_out() {
        // Dealt anew a thousand times: the next lies above the 90 % quantile of ten about once in ten times.
        let mut state = 1_u32;
        let mut deal = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            f64::from(state >> 8) / f64::from(1 << 24) - 0.5
        };
        let mut beyond = 0;
        for _ in 0..1_000 {
            let mut residuals = Residuals { size: 0.25, ..Residuals::new(1, &[0.9]) };
            for _ in 0..10 {
                residuals.learn(deal());
            }
            beyond += u32::from(deal() > residuals.offset(0).unwrap());
        }
        assert!((70..130).contains(&beyond), "{beyond}");
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
        fn a_quantile_is_as_far_out_as_the_sorted_residuals_say(
            residuals in prop::collection::vec(-10.0..10.0_f64, 60..300),
            level in 0.05..0.95_f64,
        ) {
            let mut counted = Residuals::new(1, &[level]);
            // Seen before, so their size is known; it still breathes while they are counted.
            let size = residuals.iter().map(|one| one.abs()).sum::<f64>() / residuals.len() as f64;
            counted.size = size;
            for &one in &residuals {
                counted.learn(one);
            }
            let read = counted.offset(0).unwrap();
            let below = residuals.iter().filter(|&&one| one <= read).count() as f64 / residuals.len() as f64;
            prop_assert!((below - level).abs() < 0.25, "{below} of them are below the quantile at {level}");
        }

        #[test]
        fn bins_hold_what_falls_into_them(relative in -1_000.0..1_000.0_f64) {
            let bin = bin(relative) as u32;
            prop_assert!(edge(bin, 0.0) <= relative + 1e-9 && relative <= edge(bin, 1.0) + 1e-9);
        }
    }
}
