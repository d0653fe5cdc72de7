//! Time for windows and holds, from a wall clock that may jump.
//!
//! The scaler is given wall-clock time, because that is what a journal and a schedule need. Its
//! windows run on time that was *lived through*: the sum of the gaps between steps. A gap of a
//! very different size than usual is a clock that was set, or a machine that slept, and counts as
//! one usual gap, and so does a clock that was set back. A real change of pace is believed within a
//! few steps, because the usual gap at most doubles with each.
//!
//! Invariant: lived time never goes back, and one step never adds more than [`LEAST_JUMP`] or
//! [`JUMP_FACTOR`] usual gaps, whichever is longer.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use tidegate_core::{Flaw, Timestamp};

/// Gaps up to this are always believed.
const LEAST_JUMP: Duration = Duration::from_secs(5);
/// Gaps up to this many usual ones are believed.
const JUMP_FACTOR: u32 = 4;
/// The pace of the control loop, until another is seen.
const USUAL: Duration = Duration::from_secs(1);

/// Lived time since the scaler began.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SteadyClock {
    last: Option<Timestamp>,
    usual: Duration,
    lived: Duration,
}

impl Default for SteadyClock {
    fn default() -> Self {
        Self { last: None, usual: USUAL, lived: Duration::ZERO }
    }
}

impl SteadyClock {
    /// A step at `now`: how much time passed since the step before.
    pub(crate) fn tick(&mut self, now: Timestamp) -> Duration {
        let last = self.last.replace(now).unwrap_or(now);
        let gap = now.since(last);
        // Mostly they are alike.
        let passed = if gap == self.usual { gap } else { self.odd(gap, now < last) };
        self.lived = self.lived.saturating_add(passed);
        passed
    }

    /// How much time passed in a gap that is not the usual one.
    fn odd(&mut self, gap: Duration, set_back: bool) -> Duration {
        let believed = gap <= LEAST_JUMP || gap <= self.usual.saturating_mul(JUMP_FACTOR);
        let passed = if believed && !set_back { gap } else { self.usual };
        if !gap.is_zero() {
            self.usual = gap.min(self.usual.saturating_mul(2));
        }
        passed
    }

    pub(crate) fn check(&self) -> Result<(), Flaw> {
        Flaw::unless(!self.usual.is_zero(), "usual", || "no time passes between two steps".to_owned())?;
        Flaw::unless_short("usual", self.usual)?;
        Flaw::unless_short("lived", self.lived)
    }

    /// What is said to have been at `time` has been, and will be forgotten.
    pub(crate) fn check_past(&self, field: &str, time: Duration) -> Result<(), Flaw> {
        Flaw::unless_within(field, time, self.lived)
    }

    pub(crate) fn lived(&self) -> Duration {
        self.lived
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Lived seconds after a step at each of `seconds`.
    fn lived(seconds: &[u64]) -> Vec<u64> {
        let mut clock = SteadyClock::default();
        let tick = |&at: &u64| {
            clock.tick(Timestamp::from_secs(at));
            clock.lived().as_secs()
        };
        seconds.iter().map(tick).collect()
    }

    #[test]
    fn a_jump_forward_counts_as_one_step() {
        assert_eq!(lived(&[100, 101, 102, 3_702, 3_703, 3_704]), [0, 1, 2, 3, 4, 5]);
    }

    #[test]
    fn a_jump_back_counts_as_one_step() {
        assert_eq!(lived(&[9_000, 9_001, 5_401, 5_402, 5_403]), [0, 1, 2, 3, 4]);
    }

    #[test]
    fn a_stalled_loop_is_believed() {
        assert_eq!(lived(&[0, 1, 2, 6, 7]), [0, 1, 2, 6, 7]);
    }

    #[test]
    fn a_slower_pace_is_believed_soon() {
        assert_eq!(lived(&[0, 15, 30, 45, 60, 75]), [0, 1, 3, 18, 33, 48]);
    }

    proptest! {
        /// The twin asks everything of every gap.
        #[test]
        fn the_usual_gap_is_a_gap_like_any_other(
            moves in prop::collection::vec(prop_oneof![Just(1_000_i64), Just(0), -9_000..90_000_i64], 1..60),
        ) {
            let (mut clock, mut at, mut twin) = (SteadyClock::default(), 1_000_000_i64, (None, USUAL, Duration::ZERO));
            for millis in moves {
                at += millis;
                let now = Timestamp::from_micros(at.unsigned_abs() * 1_000);
                let (last, usual, lived) = twin;
                let last = last.unwrap_or(now);
                let gap = now.since(last);
                let believed = now >= last && (gap <= LEAST_JUMP || gap <= usual * JUMP_FACTOR);
                let passed = if believed { gap } else { usual };
                let next = if gap.is_zero() { usual } else { gap.min(usual * 2) };
                twin = (Some(now), next, lived + passed);
                prop_assert_eq!(clock.tick(now), passed);
                prop_assert_eq!((clock.last, clock.usual, clock.lived), twin);
            }
        }
    }
}
