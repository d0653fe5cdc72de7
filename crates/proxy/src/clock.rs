//! What time it is, for logs and for Lua: the wall clock, asked for now and then, and the monotonic clock in between.
//!
//! A machine that boots with a wrong clock has it set a moment later, and one that slept wakes up in another hour. So the two are
//! held against each other with every tick, and where the wall clock went another way it is followed.
//!
//! Not here: waits and deadlines. They go by the monotonic clock alone, which nobody sets.

use std::{
    cell::Cell,
    time::{Duration, Instant},
};

use tidegate_core::Timestamp;

/// So far the two may be apart. Clocks are slewed by less from tick to tick, and time should rarely go back.
const APART: Duration = Duration::from_millis(1);

#[derive(Debug)]
pub(crate) struct Clock {
    /// The same moment on both clocks.
    known: Cell<(Instant, Timestamp)>,
}

impl Clock {
    pub(crate) const fn new(instant: Instant, wall: Timestamp) -> Self {
        Self { known: Cell::new((instant, wall)) }
    }

    /// The wall clock at `instant`, which is not before the last that was [followed](Self::follow) by much.
    pub(crate) fn at(&self, instant: Instant) -> Timestamp {
        let (known, wall) = self.known.get();
        wall + instant.saturating_duration_since(known)
    }

    /// It is `wall` at `instant`.
    pub(crate) fn follow(&self, instant: Instant, wall: Timestamp) {
        let expected = self.at(instant);
        // One of the two is zero.
        if wall.since(expected) > APART || expected.since(wall) > APART {
            self.known.set((instant, wall));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_is_set_is_followed_both_ways_and_slewing_is_not() {
        let (start, after) = (Instant::now(), Duration::from_secs);
        let clock = Clock::new(start, Timestamp::from_secs(1_000));
        assert_eq!(clock.at(start + after(5)), Timestamp::from_secs(1_005));
        clock.follow(start + after(5), Timestamp::from_micros(1_005_000_900));
        assert_eq!(clock.at(start + after(6)), Timestamp::from_secs(1_006), "less than a millisecond");
        clock.follow(start + after(6), Timestamp::from_secs(9_000));
        assert_eq!(clock.at(start + after(8)), Timestamp::from_secs(9_002));
        clock.follow(start + after(8), Timestamp::from_secs(10));
        assert_eq!(clock.at(start + after(9)), Timestamp::from_secs(11));
    }
}
