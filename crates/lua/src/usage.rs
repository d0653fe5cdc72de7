//! What the Lua of a request takes, and may take.

use std::time::Duration;

use tidegate_core::{snapshot::Budget, telemetry::LuaTotals};

use crate::ticks::{Pace, Ticks};

/// What runs took since somebody asked last.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    pub taken: LuaTotals,
    /// Code ran for long without a wait: whoever else wanted the thread had to wait.
    pub long: Option<Long>,
}

/// How code went that ran for long without a wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Long {
    /// It took so long, the longest of several.
    Ended(Duration),
    /// It crossed a bound, at least once.
    CutOff,
}

impl Long {
    fn and(self, other: Option<Self>) -> Self {
        match (self, other) {
            (Self::Ended(one), Some(Self::Ended(other))) => Self::Ended(one.max(other)),
            (one @ Self::Ended(_), None) => one,
            (Self::CutOff, _) | (_, Some(Self::CutOff)) => Self::CutOff,
        }
    }
}

/// The account of a request, or of a run that has none.
#[derive(Debug, Default)]
pub(crate) struct Account {
    usage: Usage,
    /// Of the processor, counted where the budget has a bound for it.
    spent: Duration,
    /// What its runs added to the memory of the VM, less what was collected meanwhile.
    added_bytes: usize,
    waits_since: Option<Ticks>,
}

impl Account {
    /// A stretch of code begins.
    pub(crate) fn resume(&mut self, stretch: &Stretch) {
        if let Some(since) = self.waits_since.take() {
            self.usage.taken.yields += 1;
            self.usage.taken.wait_ns += stretch.pace.nanos(since, stretch.began);
        }
    }

    /// The stretch of code has ended, `waits` or not, when so much memory was in use and had been asked for.
    pub(crate) fn halt(&mut self, stretch: &Stretch, now: Ticks, memory: (usize, u64), waits: bool) {
        self.usage.taken.cpu_ns += stretch.took(now);
        self.usage.taken.allocated_bytes += memory.1 - stretch.memory.1;
        self.added_bytes = (self.added_bytes + memory.0).saturating_sub(stretch.memory.0);
        self.waits_since = waits.then_some(now);
    }

    /// The stretch that ends was a long one.
    pub(crate) fn tell_long(&mut self, long: Long) {
        self.usage.long = Some(long.and(self.usage.long));
    }

    pub(crate) fn spend(&mut self, span: Duration) {
        self.spent += span;
    }

    /// What the next stretch may use, where so much memory is used, within a budget of this account's own and one for
    /// every stretch of the VM, of which no more than `left` is left to those who run away.
    pub(crate) fn limits(
        &self,
        own: &Budget,
        (whole, left): (&Budget, Option<Duration>),
        used: usize,
    ) -> Limits {
        let mut limits = Limits { next: *whole, told: *whole, instead_of: Duration::ZERO };
        if let Some(left) = left.filter(|left| *left < whole.cpu) {
            (limits.next.cpu, limits.told.cpu, limits.instead_of) = (left, left, whole.cpu);
        }
        let cpu = own.cpu.saturating_sub(self.spent);
        if !own.cpu.is_zero() && (whole.cpu.is_zero() || cpu < limits.next.cpu) {
            // None at all would be no bound.
            limits.next.cpu = cpu.max(Limits::SPENT);
            (limits.told.cpu, limits.instead_of) = (own.cpu, Duration::ZERO);
        }
        let left = own.memory_bytes.saturating_sub(self.added_bytes as u64);
        let memory = (used as u64).saturating_add(left);
        if own.memory_bytes > 0 && (whole.memory_bytes == 0 || memory < whole.memory_bytes) {
            limits.next.memory_bytes = memory;
            limits.told.memory_bytes = own.memory_bytes;
        }
        limits
    }

    #[inline]
    pub(crate) fn take(&mut self) -> Usage {
        std::mem::take(&mut self.usage)
    }
}

/// What a stretch of code may use.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Limits {
    /// Time of its own, memory of the whole VM.
    pub(crate) next: Budget,
    /// The bounds that these follow from, as scripts are told them.
    pub(crate) told: Budget,
    /// The time there would be if the script had not run away; zero: it has not.
    pub(crate) instead_of: Duration,
}

impl Limits {
    /// The time there is for what may not go on.
    pub(crate) const SPENT: Duration = Duration::from_nanos(1);
}

/// How things were when a stretch of code began.
pub(crate) struct Stretch {
    pub(crate) pace: Pace,
    pub(crate) began: Ticks,
    /// In use, and ever asked for.
    pub(crate) memory: (usize, u64),
}

impl Stretch {
    /// Nanoseconds until `now`.
    pub(crate) fn took(&self, now: Ticks) -> u64 {
        self.pace.nanos(self.began, now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    fn budget(millis: u64, memory_bytes: u64) -> Budget {
        Budget { cpu: Duration::from_millis(millis), memory_bytes }
    }

    #[test]
    fn the_smaller_bound_holds_and_none_is_no_bound() {
        let mut account = Account::default();
        account.spend(Duration::from_millis(30));
        account.added_bytes = 2 << 20;
        let limits = |own, whole| account.limits(&own, (&whole, None), 7);
        let same = |budget| Limits { next: budget, told: budget, instead_of: Duration::ZERO };
        assert_eq!(limits(Budget::NONE, Budget::NONE), same(Budget::NONE));
        assert_eq!(limits(Budget::NONE, budget(50, MIB)), same(budget(50, MIB)));
        let own = Limits { told: budget(100, 5 * MIB), ..same(budget(70, 3 * MIB + 7)) };
        assert_eq!(limits(budget(100, 5 * MIB), Budget::NONE), own);
        assert_eq!(limits(budget(100, 5 * MIB), budget(50, MIB)), same(budget(50, MIB)));
        let none = limits(budget(20, MIB), Budget::NONE);
        assert_eq!(none.next, Budget { cpu: Limits::SPENT, memory_bytes: 7 });
    }

    #[test]
    fn who_runs_away_has_less_and_never_more() {
        let account = Account::default();
        let limits = |own, whole, left| {
            let Limits { next, told, instead_of } =
                account.limits(&own, (&whole, Some(Duration::from_millis(left))), 0);
            assert_eq!(next, told);
            (next.cpu.as_millis(), instead_of.as_millis())
        };
        let none = Budget::NONE;
        assert_eq!(limits(none, budget(1_000, 0), 50), (50, 1_000));
        assert_eq!(limits(none, budget(40, 0), 50), (40, 0));
        assert_eq!(limits(none, none, 50), (0, 0), "no bound stays none");
        assert_eq!(limits(budget(20, 0), budget(1_000, 0), 50), (20, 0));
        assert_eq!(limits(budget(200, 0), budget(1_000, 0), 50), (50, 1_000));
    }

    #[test]
    fn of_several_long_stretches_the_longest_is_told_or_that_one_was_cut_off() {
        let ended = |millis| Long::Ended(Duration::from_millis(millis));
        let told = |all: &[Long]| {
            let mut account = Account::default();
            for &long in all {
                account.tell_long(long);
            }
            account.take().long
        };
        assert_eq!(told(&[]), None);
        assert_eq!(told(&[ended(20), ended(70), ended(30)]), Some(ended(70)));
        assert_eq!(told(&[ended(20), Long::CutOff, ended(30)]), Some(Long::CutOff));
    }

    #[test]
    fn waits_are_counted_when_they_end() {
        let mut account = Account::default();
        let stretch = |began, memory| Stretch { pace: Pace::CLOCK, began: Ticks(began), memory };
        let (first, second) = (stretch(70, (10, 100)), stretch(77, (30, 150)));
        account.resume(&first);
        account.halt(&first, Ticks(72), (30, 150), true);
        account.resume(&second);
        account.halt(&second, Ticks(78), (5, 151), false);
        let taken = LuaTotals { cpu_ns: 3, allocated_bytes: 51, yields: 1, wait_ns: 5 };
        assert_eq!(account.take(), Usage { taken, long: None });
        assert_eq!((account.added_bytes, account.take()), (0, Usage::default()));
    }
}
