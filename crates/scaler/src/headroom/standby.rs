//! Standby: capacity that was enough for a share of the time, whatever demand is now.
//!
//! A burst from a low level is over before anything that it starts is ready. What it meets is what stands
//! by, and how much that should be is a quantile of what demand has been.

use serde::{Deserialize, Serialize};
use tidegate_core::Flaw;

use super::packed;

/// The shares of time that standby was enough for.
pub(super) const SHARES: [f64; 6] = [0.6, 0.8, 0.9, 0.95, 0.98, 0.99];
/// After this long, a second weighs 37 % of a new one.
const MEMORY: f64 = 6.0 * 3_600.0;
/// Seconds between two looks at the quantiles.
const REFRESH: f64 = 60.0;
/// Bits of the mantissa that tell bins apart: four bins for each doubling.
const FINE: u32 = 2;
/// The bins begin at 2^-4 instances.
const SMALLEST: i32 = 127 - 4;
const BINS: usize = 80;
/// A quantile that fell by less than this share stays.
const SLACK: f32 = 0.15;

/// How long demand was how large, fading, and the quantiles of that.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Standby {
    /// Seconds, by the logarithm of demand.
    #[serde(with = "packed")]
    seconds: Vec<f32>,
    since: f64,
    /// For each share: instances that are kept, and that are ready.
    counts: [(f32, f32); SHARES.len()],
}

impl Default for Standby {
    fn default() -> Self {
        Self { seconds: vec![0.0; BINS], since: 0.0, counts: [(0.0, 0.0); SHARES.len()] }
    }
}

impl Standby {
    pub(super) fn check(&self) -> Result<(), Flaw> {
        let bins = self.seconds.len();
        Flaw::unless(bins == BINS, "seconds", || format!("{bins} instead of {BINS}"))
    }

    /// Returns whether the counts may be others now.
    pub(super) fn observe(&mut self, passed: f64, demand: f64) -> bool {
        let bin = ((demand as f32).to_bits() >> (23 - FINE)).cast_signed() - (SMALLEST << FINE);
        self.seconds[(bin.max(0) as usize).min(BINS - 1)] += passed as f32;
        self.since += passed;
        if self.since < REFRESH {
            return false;
        }
        let kept = (-self.since / MEMORY).exp() as f32;
        self.since = 0.0;
        for seconds in &mut self.seconds {
            *seconds *= kept;
        }
        let next = self.quantiles();
        for ((kept, ready), next) in self.counts.iter_mut().zip(next) {
            let before = *kept;
            if next > before || next < before * (1.0 - SLACK) {
                *kept = next;
            }
            // Instances take at most a refresh to start, or else this is what was asked for before.
            *ready = before.min(*kept);
        }
        true
    }

    /// Instances that are kept, and that are ready, for share number `which`.
    pub(super) fn count(&self, which: usize) -> (f32, f32) {
        self.counts[which]
    }

    fn quantiles(&self) -> [f32; SHARES.len()] {
        let total: f32 = self.seconds.iter().sum();
        let (mut bin, mut below) = (0, 0.0);
        SHARES.map(|share| {
            let wanted = share as f32 * total;
            while bin + 1 < BINS && below + self.seconds[bin] < wanted {
                below += self.seconds[bin];
                bin += 1;
            }
            let part = ((wanted - below) / self.seconds[bin].max(f32::MIN_POSITIVE)).clamp(0.0, 1.0);
            edge(bin) + (edge(bin + 1) - edge(bin)) * part
        })
    }
}

/// The demand at which a bin begins.
fn edge(bin: usize) -> f32 {
    f32::from_bits((bin as u32 + (SMALLEST.cast_unsigned() << FINE)) << (23 - FINE))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn standby_is_what_was_enough_for_a_share_of_the_time() {
        let mut standby = Standby::default();
        for second in 0..3_600_u32 {
            standby.observe(1.0, if second % 100 < 3 { 40.0 } else { 5.0 });
        }
        for (which, share) in SHARES.into_iter().enumerate() {
            let expected = if share < 0.97 { 5.0 } else { 40.0 };
            let (kept, ready) = standby.count(which);
            assert!((kept / expected - 1.0).abs() < 0.25, "{kept} at {share}");
            assert!(ready <= kept);
        }
    }

    #[test]
    fn absurd_demand_is_survived() {
        let mut standby = Standby::default();
        for demand in [0.0, 1e-30, 1e30, 3.0].repeat(100) {
            standby.observe(1.0, demand);
        }
        assert!((0..SHARES.len()).all(|which| standby.count(which).0.is_finite()));
    }
}
