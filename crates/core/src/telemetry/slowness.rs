//! For how long a route counts as one that holds up others, and how long its Lua may go on meanwhile.
//!
//! A route that was slow once is remembered for a while; one that is so again and again for ever longer, because each time
//! that it is forgotten somebody has to wait until it is found out anew. All workers know of it.
//!
//! Lua that was cut off twice of late runs away, and whatever else it is given of its budget is lost to others. From then on, for as
//! long as the route is remembered, its runs may take some times as long as the longest that came to its end by itself.

use std::{
    sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed},
    time::Duration,
};

use crate::Timestamp;

/// How long the first time is remembered, and for how long at most, however many there were.
const TERMS: (Duration, Duration) = (Duration::from_secs(30), Duration::from_mins(10));

/// What follows this soon belongs to the same time.
const APART: Duration = Duration::from_secs(1);

/// A route that was not slow for so long after its term starts afresh.
const FORGIVEN_AFTER: Duration = Duration::from_mins(10);

/// Whoever was cut off so often runs away.
const RUNS_AWAY: u32 = 2;

/// What is left then to each run: so many times the longest that ended by itself, and no less than this. What takes half as
/// long need not be found to be long, so it is not known.
const TIMES_THE_LONGEST: u64 = 4;
const LEAST_LEFT_MS: u64 = 100;

#[derive(Debug, Default)]
pub struct Slowness {
    /// In microseconds since the epoch.
    until: AtomicU64,
    /// In microseconds; 0: it never was slow.
    term: AtomicU64,
    /// Threads that it holds up at this moment.
    holds: AtomicU32,
    /// How often its Lua was cut off since it starts afresh.
    cut_off: AtomicU32,
    /// What the longest of its runs took that ended by themselves, of those that were found to be long, in milliseconds.
    longest_ms: AtomicU64,
}

impl Slowness {
    /// A request has held up others. Two threads that say so at once are as good as one.
    pub fn tell(&self, now: Timestamp) {
        let (until, term) = (self.until.load(Relaxed), self.term.load(Relaxed));
        let (now, last) = (now.as_micros(), until.saturating_sub(term));
        let term = if term == 0 || now > until.saturating_add(micros(FORGIVEN_AFTER)) {
            self.cut_off.store(0, Relaxed);
            micros(TERMS.0)
        } else if now >= last.saturating_add(micros(APART)) {
            (2 * term).min(micros(TERMS.1))
        } else {
            term
        };
        self.term.store(term, Relaxed);
        self.until.store(now.saturating_add(term), Relaxed);
    }

    /// A run of its Lua has held up others and was cut off. Says whether that shows that it runs away, which was not known yet.
    pub fn cut_off(&self, now: Timestamp) -> bool {
        self.tell(now);
        self.cut_off.fetch_add(1, Relaxed) + 1 == RUNS_AWAY
    }

    /// A run of its Lua took so long and ended by itself.
    pub fn ended(&self, took: Duration) {
        self.longest_ms.fetch_max(u64::try_from(took.as_millis()).unwrap_or(u64::MAX), Relaxed);
    }

    /// What is left to each of its runs, if it runs away. Only then anybody asks what time it is.
    #[inline]
    pub fn left(&self, now: impl FnOnce() -> Timestamp) -> Option<Duration> {
        if self.cut_off.load(Relaxed) < RUNS_AWAY || !self.is_on(now()) {
            return None;
        }
        let longest = self.longest_ms.load(Relaxed).saturating_mul(TIMES_THE_LONGEST);
        Some(Duration::from_millis(longest.max(LEAST_LEFT_MS)))
    }

    /// A request holds up others from now on, until [`release`](Self::release).
    pub fn hold(&self, now: Timestamp) {
        self.holds.fetch_add(1, Relaxed);
        self.tell(now);
    }

    /// Ends what [`hold`](Self::hold) began.
    pub fn release(&self) {
        self.holds.fetch_sub(1, Relaxed);
    }

    /// Whether requests are expected to hold up others.
    pub fn is_on(&self, now: Timestamp) -> bool {
        let left = self.until.load(Relaxed).saturating_sub(now.as_micros());
        // More than the longest term is left only where the clock was set back meanwhile.
        (1..=micros(TERMS.1)).contains(&left) || self.holds.load(Relaxed) > 0
    }

    /// What the route does is not what it did before.
    pub fn forgive(&self) {
        self.term.store(0, Relaxed);
        self.until.store(0, Relaxed);
        self.cut_off.store(0, Relaxed);
        self.longest_ms.store(0, Relaxed);
    }
}

fn micros(span: Duration) -> u64 {
    u64::try_from(span.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Tells it at each of these seconds; says for how many seconds it is on after the last.
    fn term(told: &[u64]) -> u64 {
        let slowness = Slowness::default();
        for &at in told {
            slowness.tell(Timestamp::from_secs(at));
        }
        let last = *told.last().unwrap();
        (0..9_999).find(|after| !slowness.is_on(Timestamp::from_secs(last + after))).unwrap()
    }

    #[test]
    fn it_lasts_longer_each_time_up_to_a_bound() {
        assert_eq!(term(&[100]), 30);
        assert_eq!(term(&[100, 104]), 60);
        assert_eq!(term(&[100, 104, 108]), 120);
        assert_eq!(term(&(0..20).map(|turn| 100 + 4 * turn).collect::<Vec<_>>()), 600);
    }

    #[test]
    fn many_at_once_are_one() {
        assert_eq!(term(&[100, 100, 100]), 30);
        assert_eq!(term(&[100, 100, 104, 104]), 60);
    }

    #[test]
    fn it_is_remembered_beyond_its_term_but_not_for_ever() {
        assert_eq!(term(&[100, 400]), 60);
        assert_eq!(term(&[100, 800]), 30);
    }

    #[test]
    fn no_route_is_slow_at_first_or_once_forgiven() {
        let (slowness, now) = (Slowness::default(), Timestamp::from_secs(100));
        assert!(!slowness.is_on(now));
        slowness.tell(now);
        slowness.tell(Timestamp::from_secs(110));
        slowness.forgive();
        assert!(!slowness.is_on(now));
        slowness.hold(now);
        slowness.forgive();
        assert!(slowness.is_on(now), "it still goes on");
        slowness.release();
        assert!(!slowness.is_on(now));
        slowness.tell(now);
        assert!(slowness.is_on(Timestamp::from_secs(129)) && !slowness.is_on(Timestamp::from_secs(130)));
    }

    #[test]
    fn what_runs_away_is_bounded_by_what_ended_by_itself_for_as_long_as_it_is_remembered() {
        let (slowness, at, millis) = (Slowness::default(), Timestamp::from_secs, Duration::from_millis);
        let left = |second| slowness.left(|| at(second));
        assert!(!slowness.cut_off(at(100)));
        assert_eq!(left(100), None, "once is no habit");
        assert!(slowness.cut_off(at(102)));
        assert!(!slowness.cut_off(at(104)), "that is known");
        assert_eq!(left(104), Some(millis(100)));
        slowness.ended(millis(11));
        assert_eq!(left(104), Some(millis(100)));
        slowness.ended(millis(300));
        slowness.ended(millis(20));
        assert_eq!(left(104), Some(millis(1_200)));
        assert_eq!(left(104 + 120), None, "it is forgotten");
        slowness.cut_off(at(300));
        assert_eq!(left(300), Some(millis(1_200)), "but not forgiven");
        slowness.cut_off(at(300 + 240 + 601));
        assert_eq!(left(300 + 240 + 601), None, "after ten minutes it starts afresh");
        slowness.cut_off(at(1_200));
        slowness.forgive();
        slowness.cut_off(at(1_200));
        slowness.cut_off(at(1_200));
        assert_eq!(left(1_200), Some(millis(100)), "it is another script");
    }
}
