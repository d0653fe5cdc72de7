//! Patience: shrinking later, where that makes changes few.
//!
//! Fewer changes cost capacity, and how many are few depends on demand. The measure is the cheapest of the
//! [`plain`](super::plain) loops that keeps the objective: a third of its changes are few, and no fleet should cost more than it does. Where there were
//! more, the fleet shrinks only once what is kept in vain has cost several times what a change is worth: the more times, the
//! more changes there were. Where few are out of reach (the fleet would cost more than the plain loop, or changes far too often), it
//! shrinks at once and stays cheap.
//!
//! It never has fewer instances than the followed loop wants.

use serde::{Deserialize, Serialize};
use tidegate_core::Flaw;

use crate::fading::Fading;

use super::{
    course::change,
    plain::{Judged, MEMORY, Plain},
    worth::Worth,
};

/// Of the changes of the plain loop: a little less than a third.
const FEW: f64 = 0.32;
/// Each doubling of the patience makes the fleet dearer: as much as this power of the share of changes that are to be saved.
const DEARER: f64 = 0.15;
/// So much cheaper than the plain loop, as a share of its cost, it should then still be for all the patience.
const SPARE: f64 = 0.02;
/// More than so many times as often as it should is too far to go, and from so much less on it is all the patience.
const FAR: f64 = 1.8;
const NEARER: f64 = 0.2;
/// The patience grows with this power of how many times too often there were changes, up to so many times.
const STEEP: f64 = 10.0;
const MOST: f64 = 5.0;

/// What is kept, and for how long more than is wanted.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Patience {
    plain: Plain,
    /// Instance-seconds and changes of the fleet itself, fading like those of the plain loops.
    cost: f64,
    changes: f64,
    kept: f32,
    /// Instance-seconds by which that was more than wanted since it last was not.
    spared: f32,
    /// How many times the worth of a change these may be.
    times: f32,
    #[serde(default)]
    worth: Worth,
    #[serde(skip)]
    fading: Fading,
}

impl Patience {
    pub(super) fn check(&self) -> Result<(), Flaw> {
        self.plain.check().map_err(Flaw::of("plain"))
    }

    /// Charges the fleet and the plain loops.
    #[inline(always)]
    pub(super) fn judge(&mut self, passed: f64, work: f64, patient: f64) {
        let fading = self.fading.kept(passed, MEMORY);
        (self.cost, self.changes) =
            (self.cost * fading + f64::from(self.kept) * passed, self.changes * fading);
        self.worth.fade(passed, fading);
        self.plain.charge(passed, work, patient);
    }

    #[inline(always)]
    pub(super) fn look(&mut self, level: f64, passed: f64, start_up: f64) {
        self.plain.look(level, passed, start_up);
    }

    /// Begun anew where what was read back is of other loops than these.
    pub(super) fn of_these_loops(self) -> Self {
        if self.plain.is_whole() { self } else { Self::default() }
    }

    /// Looks anew at how much patience there should be, and at what a change is worth.
    #[inline(always)]
    pub(super) fn choose(&mut self, overload: f64) {
        let plain = self.plain.best(overload);
        self.worth.choose(plain.map(|plain| plain.changes), FEW);
        self.times = plain.map_or(0.0, |plain| self.besides(plain));
    }

    /// What a change is worth, in times of what it usually is.
    pub(super) fn worth(&self) -> f32 {
        self.worth.times()
    }

    fn besides(&self, plain: Judged) -> f32 {
        let often = self.changes / (FEW * plain.changes).max(1.0);
        if often <= 1.0 {
            return 0.0;
        }
        let dear = self.cost / plain.cost.max(1.0) * often.powf(DEARER);
        let within_reach = ((FAR - often) / NEARER).clamp(0.0, 1.0) * ((1.0 - dear) / SPARE).clamp(0.0, 1.0);
        (often.powf(STEEP).min(MOST).powf(within_reach) - 1.0) as f32
    }

    /// What is kept where `wanted` are wanted from now on, `passed` seconds after it was last asked.
    pub(super) fn keep(&mut self, wanted: f32, passed: f64) -> f32 {
        self.worth.keep(wanted, passed);
        self.spared += (self.kept - wanted) * passed as f32;
        if wanted > self.kept || self.spared >= self.times * change(self.kept) {
            self.spared = 0.0;
            if wanted.to_bits() != self.kept.to_bits() {
                (self.kept, self.changes) = (wanted, self.changes + 1.0);
            }
        }
        self.kept
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: Judged = Judged { cost: 10_000.0, changes: 100.0 };

    fn besides(cost: f64, changes: f64) -> f32 {
        Patience { cost, changes, ..Patience::default() }.besides(PLAIN)
    }

    #[test]
    fn who_changes_seldom_shrinks_at_once() {
        assert!(besides(8_000.0, 31.0) <= 0.0);
    }

    #[test]
    fn the_more_changes_the_more_patience() {
        let (few, more, most) = (besides(8_000.0, 33.0), besides(8_000.0, 35.0), besides(8_000.0, 45.0));
        assert!(0.0 < few && few < more && more < most, "{few}, {more}, {most}");
        assert!(f64::from(most) <= MOST - 1.0, "{most}");
    }

    #[test]
    fn who_would_be_dearer_than_the_plain_loop_is_not_patient() {
        assert!(besides(9_000.0, 40.0) > 1.0);
        assert!(besides(9_900.0, 40.0) <= 0.0);
    }

    #[test]
    fn what_is_out_of_reach_is_not_paid_for() {
        assert!(besides(8_000.0, 60.0) <= 0.0);
    }

    #[test]
    fn growing_is_at_once_and_shrinking_once_it_cost_as_much() {
        let mut patience = Patience { times: 2.0, ..Patience::default() };
        assert_eq!(
            [patience.keep(4.0, 1.0), patience.keep(6.0, 1.0)].map(f32::to_bits),
            [4.0_f32, 6.0].map(f32::to_bits)
        );
        let allowed = (2.0 * change(6.0) / 2.0).ceil() as usize;
        let kept: Vec<f32> = (0..=allowed).map(|_| patience.keep(4.0, 1.0)).collect();
        assert!(kept[..allowed - 1].iter().all(|&kept| kept > 5.0), "{kept:?}");
        assert!(kept[allowed] < 5.0, "{kept:?}");
        assert!((patience.changes - 3.0).abs() < 1e-9);
    }

    #[test]
    fn without_patience_what_is_wanted_is_kept() {
        let mut patience = Patience::default();
        for wanted in [3.0, 7.0, 2.0, 2.0, 9.0, 1.0_f32] {
            assert!((patience.keep(wanted, 1.0) - wanted).abs() < f32::EPSILON);
        }
    }
}
