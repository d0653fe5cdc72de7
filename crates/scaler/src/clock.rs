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
        let set_back = self.last.is_some_and(|last| now < last);
        let gap = self.last.map_or(Duration::ZERO, |last| now.since(last));
        self.last = Some(now);
        if set_back {
            self.lived = self.lived.saturating_add(self.usual);
            return self.usual;
        }
        let usual = gap <= LEAST_JUMP || gap <= self.usual.saturating_mul(JUMP_FACTOR);
        let passed = if usual { gap } else { self.usual };
        // Mostly they are alike.
        if gap != self.usual && !gap.is_zero() {
            self.usual = gap.min(self.usual.saturating_mul(2));
        }
        self.lived = self.lived.saturating_add(passed);
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
}
