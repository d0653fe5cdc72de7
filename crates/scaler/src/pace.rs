//! Pace: how far the count may move within a period.
//!
//! A limit looks at the count at the beginning of its period and allows at most its amount more or
//! fewer than that; of several limits the most permissive holds. So what was taken back within the
//! period may be given back, and a count may always stay where it is.
//!
//! Changes that fall into the same 64th of the longest period count as one, made at the later time:
//! the history stays small, and a steady climb or descent is held back a little longer, never less.
//!
//! Not here: how long a recommendation must last (see [`crate::stabilize`]) and bounds.

use std::{collections::VecDeque, time::Duration};

use serde::{Deserialize, Serialize};
use tidegate_core::Flaw;
use tidegate_core::policy::{Amount, PaceLimit};

use crate::{clock::SteadyClock, words};

/// Parts that the longest period is divided into.
const PARTS: u32 = 64;

/// The changes of the count that limits may still ask for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct History {
    /// The count before the first of `changes`.
    before: u32,
    /// Lived time, and the count from then on. Oldest first.
    changes: VecDeque<(Duration, u32)>,
}

/// What the limits of one direction allow.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Allowed {
    /// The count furthest away that may be reached.
    pub(crate) count: u32,
    /// The count at the beginning of the period.
    pub(crate) start: u32,
    pub(crate) limit: PaceLimit,
}

impl History {
    pub(crate) fn new(count: u32) -> Self {
        Self { before: count, changes: VecDeque::new() }
    }

    pub(crate) fn check(&self, clock: &SteadyClock) -> Result<(), Flaw> {
        self.changes.iter().try_for_each(|&(at, _)| clock.check_past("changes", at))
    }

    /// The count became `count` at `now`; nothing will be asked about before `now - longest`.
    pub(crate) fn changed(&mut self, now: Duration, longest: Duration, count: u32) {
        let part = |time: Duration| time.as_nanos().checked_div(longest.as_nanos() / u128::from(PARTS));
        if self.changes.back().is_some_and(|&(at, _)| part(at) == part(now)) {
            self.changes.pop_back();
        }
        self.changes.push_back((now, count));
        // The last change before the period says what the count was when it began.
        while let Some(&(at, count)) = self.changes.front()
            && now.saturating_sub(at) >= longest
            && self.changes.len() > 1
        {
            self.before = count;
            self.changes.pop_front();
        }
    }

    fn count_at(&self, time: Duration) -> u32 {
        let change = self.changes.iter().rev().find(|&&(at, _)| at <= time);
        change.map_or(self.before, |&(_, count)| count)
    }

    /// How far up the limits let the count go. `None`: as far as it likes.
    pub(crate) fn highest(&self, now: Duration, limits: &[PaceLimit]) -> Option<Allowed> {
        self.allowed(now, limits, u32::saturating_add).max_by_key(|allowed| allowed.count)
    }

    /// How far down the limits let the count go. `None`: as far as it likes.
    pub(crate) fn lowest(&self, now: Duration, limits: &[PaceLimit]) -> Option<Allowed> {
        self.allowed(now, limits, u32::saturating_sub).min_by_key(|allowed| allowed.count)
    }

    fn allowed(
        &self,
        now: Duration,
        limits: &[PaceLimit],
        moved: fn(u32, u32) -> u32,
    ) -> impl Iterator<Item = Allowed> {
        limits.iter().map(move |&limit| {
            // Before the history begins the count was what it began with.
            let start = now.checked_sub(limit.period).map_or(self.before, |begin| self.count_at(begin));
            Allowed { count: moved(start, limit.amount.of(start)), start, limit }
        })
    }
}

impl Allowed {
    /// `from 4 at most 4 (100%) within 15s`.
    pub(crate) fn because(&self) -> String {
        let amount = self.limit.amount.of(self.start);
        let share = match self.limit.amount {
            Amount::Instances(_) => String::new(),
            Amount::Share(share) => format!(" ({})", words::percent(share)),
        };
        format!("from {} by at most {amount}{share} within {}", self.start, words::span(self.limit.period))
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use proptest::prelude::*;

    use super::*;

    fn limit(amount: Amount, seconds: u64) -> PaceLimit {
        PaceLimit { amount, period: Duration::from_secs(seconds) }
    }

    fn instances(count: u32) -> Amount {
        Amount::Instances(NonZeroU32::new(count).unwrap())
    }

    /// Seconds and counts of a fleet that grows from `start` as fast as `limits` let it.
    fn climb(start: u32, limits: &[PaceLimit], seconds: u64) -> Vec<(u64, u32)> {
        let (mut history, mut count, mut changes) = (History::new(start), start, Vec::new());
        for second in 0..=seconds {
            let now = Duration::from_secs(second);
            let next = history.highest(now, limits).map_or(u32::MAX, |allowed| allowed.count).max(count);
            if next != count {
                count = next;
                history.changed(now, Duration::from_mins(1), count);
                changes.push((second, count));
            }
        }
        changes
    }

    #[test]
    fn doubling_or_four_more_every_fifteen_seconds() {
        let limits = [limit(Amount::Share(1.0), 15), limit(instances(4), 15)];
        assert_eq!(climb(1, &limits, 50), [(0, 5), (15, 10), (30, 20), (45, 40)]);
    }

    #[test]
    fn a_share_of_nothing_is_still_one() {
        assert_eq!(climb(0, &[limit(Amount::Share(0.1), 10)], 25), [(0, 1), (10, 2), (20, 3)]);
    }

    #[test]
    fn what_was_taken_back_may_be_given_back() {
        let limits = [limit(instances(2), 60)];
        let mut history = History::new(10);
        history.changed(Duration::from_secs(100), Duration::from_mins(1), 8);
        let at = Duration::from_secs(101);
        assert_eq!(history.lowest(at, &limits).map(|allowed| allowed.count), Some(8));
        assert_eq!(history.highest(at, &limits).map(|allowed| allowed.count), Some(12));
    }

    #[test]
    fn without_limits_anything_goes() {
        assert_eq!(History::new(3).highest(Duration::ZERO, &[]), None);
    }

    #[test]
    fn a_limit_explains_itself() {
        let allowed = History::new(4).highest(Duration::ZERO, &[limit(Amount::Share(0.5), 90)]).unwrap();
        assert_eq!((allowed.count, allowed.because().as_str()), (6, "from 4 by at most 2 (50%) within 90s"));
    }

    proptest! {
        /// The twin keeps the count of every second and looks up the beginning of the period.
        #[test]
        fn limits_are_those_of_the_naive_twin(
            wants in prop::collection::vec(0..40_u32, 1..200),
            amount in 1..8_u32,
            share in 0.01..2.0_f64,
            periods in prop::array::uniform2(1..60_u64),
        ) {
            let limits = [limit(instances(amount), periods[0]), limit(Amount::Share(share), periods[1])];
            let (mut history, mut counts) = (History::new(5), vec![5]);
            for (second, &wanted) in wants.iter().enumerate() {
                let now = Duration::from_secs(second as u64);
                let moved = |up: bool| limits.map(|limit| {
                    let begin = second.checked_sub(limit.period.as_secs() as usize);
                    let start: u32 = counts[begin.map_or(0, |begin| begin + 1)];
                    let amount = limit.amount.of(start);
                    if up { start + amount } else { start.saturating_sub(amount) }
                });
                let highest = *moved(true).iter().max().unwrap();
                let lowest = *moved(false).iter().min().unwrap();
                prop_assert_eq!(history.highest(now, &limits).map(|allowed| allowed.count), Some(highest));
                prop_assert_eq!(history.lowest(now, &limits).map(|allowed| allowed.count), Some(lowest));
                let count = counts[second];
                let next = wanted.clamp(lowest.min(count), highest.max(count));
                if next != count {
                    history.changed(now, Duration::from_mins(1), next);
                }
                counts.push(next);
                prop_assert!(history.changes.len() <= PARTS as usize + 2);
            }
        }

        #[test]
        fn a_long_period_needs_little_memory(counts in prop::collection::vec(0..1_000_u32, 1_000..1_500)) {
            let mut history = History::new(0);
            for (second, &count) in counts.iter().enumerate() {
                history.changed(Duration::from_secs(second as u64), Duration::from_mins(10), count);
                prop_assert!(history.changes.len() <= PARTS as usize + 2);
            }
        }
    }
}
