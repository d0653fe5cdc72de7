//! Stabilization: one odd moment must not move the count.
//!
//! Growth is allowed up to the smallest recommendation of the scale-out window, shrinking down to
//! the largest of the scale-in window. Each direction keeps only recommendations that may still
//! matter: a newer one outlives every older one that is no more extreme.
//!
//! Recommendations that fall into the same 64th of the window are merged into the more extreme at
//! the later time, so a window of an hour costs no more memory than one of a minute and holds at
//! most a 64th longer than asked.
//!
//! Invariant: the result is never beyond any recommendation younger than the window.
//! Not here: rate of change (see [`crate::pace`]) and bounds.

use std::{collections::VecDeque, time::Duration};

use serde::{Deserialize, Serialize};
use tidegate_core::Flaw;

/// Parts that a window is divided into.
const PARTS: u64 = 64;
/// A shorter window is none.
const MICROSECOND: Duration = Duration::from_micros(1);

/// Which recommendation of a window holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Holds {
    Smallest,
    Largest,
}

/// The recommendations of one direction.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Stabilizer {
    holds: Holds,
    /// Lived microseconds and count: oldest and most extreme first.
    recent: VecDeque<(u64, u32)>,
}

impl Stabilizer {
    /// `count` is taken as recommended until now, so that a restart does not move a fleet.
    pub(crate) fn new(holds: Holds, count: u32) -> Self {
        Self { holds, recent: VecDeque::from([(0, count)]) }
    }

    /// Whether all of it was by `lived`, and that it `holds` what it should.
    pub(crate) fn check(&self, holds: Holds, lived: Duration) -> Result<(), Flaw> {
        Flaw::unless(self.holds == holds, "holds", || format!("{:?}, not {holds:?}", self.holds))?;
        let past = self.recent.iter().all(|&(at, _)| at <= micros(lived));
        Flaw::unless(past, "recent", || format!("one is of later than {lived:?}"))
    }

    /// Records `wanted` and returns the recommendation of the last `window` that holds.
    #[inline]
    pub(crate) fn hold(&mut self, now: Duration, window: Duration, wanted: u32) -> u32 {
        let now = micros(now);
        if window >= MICROSECOND {
            return self.hold_within(micros(window), now, wanted);
        }
        // Mostly there is one, to be overwritten.
        if self.recent.len() == 1 {
            self.recent[0] = (now, wanted);
        } else {
            self.recent = VecDeque::from([(now, wanted)]);
        }
        wanted
    }

    /// For a window that is one, in microseconds. Not inlined, so that the rest is.
    #[inline(never)]
    fn hold_within(&mut self, window: u64, now: u64, wanted: u32) -> u32 {
        let mut wanted = wanted;
        if let Some(&(at, seen)) = self.recent.back()
            && part(at, window).is_some_and(|earlier| part(now, window) == Some(earlier))
        {
            self.recent.pop_back();
            wanted = self.more_extreme(seen, wanted);
        }
        while self.recent.back().is_some_and(|&(_, seen)| self.more_extreme(seen, wanted) == wanted) {
            self.recent.pop_back();
        }
        self.recent.push_back((now, wanted));
        while self.recent.front().is_some_and(|&(at, _)| now.saturating_sub(at) > window) {
            self.recent.pop_front();
        }
        // Never empty: `wanted` was just pushed and has age zero.
        self.recent.front().map_or(wanted, |&(_, count)| count)
    }

    fn more_extreme(&self, one: u32, other: u32) -> u32 {
        match self.holds {
            Holds::Smallest => one.min(other),
            Holds::Largest => one.max(other),
        }
    }
}

/// Which part of which window `time` falls into; `None` where windows have no parts to merge.
fn part(time: u64, window: u64) -> Option<u64> {
    time.checked_div(window / PARTS)
}

fn micros(time: Duration) -> u64 {
    time.as_secs().saturating_mul(1_000_000).saturating_add(time.subsec_micros().into())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MINUTE: Duration = Duration::from_mins(1);

    /// Runs `(second, wanted)` pairs through a one-minute window and returns what holds.
    fn run(holds: Holds, steps: &[(u64, u32)]) -> Vec<u32> {
        let mut stabilizer = Stabilizer::new(holds, steps[0].1);
        let hold = |&(at, wanted): &(u64, u32)| stabilizer.hold(Duration::from_secs(at), MINUTE, wanted);
        steps.iter().map(hold).collect()
    }

    #[test]
    fn shrinking_waits_for_the_whole_window() {
        assert_eq!(run(Holds::Largest, &[(0, 9), (30, 2), (60, 2), (61, 2)]), [9, 9, 9, 2]);
    }

    #[test]
    fn growth_waits_for_the_whole_window() {
        assert_eq!(run(Holds::Smallest, &[(0, 2), (1, 9), (60, 7), (61, 8)]), [2, 2, 2, 7]);
    }

    #[test]
    fn without_a_window_the_newest_holds() {
        let mut stabilizer = Stabilizer::new(Holds::Largest, 9);
        assert_eq!(
            [2, 1, 3].map(|wanted| stabilizer.hold(Duration::ZERO, Duration::ZERO, wanted)),
            [2, 1, 3]
        );
    }

    proptest! {
        #[test]
        fn a_window_of_a_minute_is_that_of_the_naive_twin(
            wants in prop::collection::vec(0..12_u32, 1..300),
            largest in any::<bool>(),
        ) {
            let mut stabilizer = Stabilizer::new(if largest { Holds::Largest } else { Holds::Smallest }, wants[0]);
            for (second, &wanted) in wants.iter().enumerate() {
                let held = stabilizer.hold(Duration::from_secs(second as u64), MINUTE, wanted);
                let window = &wants[second.saturating_sub(60)..=second];
                let naive = if largest { window.iter().max() } else { window.iter().min() };
                prop_assert_eq!(Some(&held), naive);
            }
        }

        /// Without a window, all that was recommended before is forgotten.
        #[test]
        fn a_window_may_come_and_go(steps in prop::collection::vec((0..12_u32, prop::bool::weighted(0.9)), 1..300)) {
            let (mut stabilizer, mut recent) = (Stabilizer::new(Holds::Largest, 0), vec![(0, 0)]);
            for (second, &(wanted, holds)) in (0_u64..).zip(&steps) {
                let window = if holds { MINUTE } else { Duration::from_nanos(999) };
                let held = stabilizer.hold(Duration::from_secs(second), window, wanted);
                recent.retain(|&(at, _)| holds && second - at <= 60);
                recent.push((second, wanted));
                prop_assert_eq!(Some(held), recent.iter().map(|&(_, wanted)| wanted).max());
            }
        }

        #[test]
        fn microseconds_are_those_of_the_library(seconds: u64, nanos in 0..1_000_000_000_u32) {
            for time in [Duration::new(seconds, nanos), Duration::new(seconds / 1_000_000, nanos)] {
                prop_assert_eq!(micros(time), u64::try_from(time.as_micros()).unwrap_or(u64::MAX));
            }
        }

        #[test]
        fn a_long_window_is_small_and_holds_no_less_than_asked(
            wants in prop::collection::vec(0..1_000_u32, 1..600),
            window in 65..500_u64,
        ) {
            let mut stabilizer = Stabilizer::new(Holds::Largest, 0);
            for (second, &wanted) in wants.iter().enumerate() {
                let held = stabilizer.hold(Duration::from_secs(second as u64), Duration::from_secs(window), wanted);
                let max_of = |span: u64| wants[second.saturating_sub(span as usize)..=second].iter().max();
                prop_assert!(Some(&held) >= max_of(window));
                prop_assert!(Some(&held) <= max_of(window + window.div_ceil(64)));
                prop_assert!(stabilizer.recent.len() <= PARTS as usize + 2);
            }
        }
    }
}
