//! What the Lua of a request takes, and may take.

use std::time::Duration;

use tidegate_core::{snapshot::Budget, telemetry::LuaTotals};

use crate::ticks::{Pace, Ticks};

/// What runs took since somebody asked last.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    pub taken: LuaTotals,
    /// Code ran for long without a wait, or was cut off: whoever else wanted the thread had to wait.
    pub is_long: bool,
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
        self.usage.taken.cpu_ns += stretch.pace.nanos(stretch.began, now);
        self.usage.taken.allocated_bytes += memory.1 - stretch.memory.1;
        self.added_bytes = (self.added_bytes + memory.0).saturating_sub(stretch.memory.0);
        self.waits_since = waits.then_some(now);
    }

    /// The stretch that ends was a long one.
    pub(crate) fn tell_long(&mut self) {
        self.usage.is_long = true;
    }

    pub(crate) fn spend(&mut self, span: Duration) {
        self.spent += span;
    }

    /// What the next stretch may use, where so much memory is used, within a budget of this account's own and one for
    /// every stretch of the VM.
    pub(crate) fn limits(&self, own: &Budget, whole: &Budget, used: usize) -> Limits {
        let mut limits = Limits { next: *whole, told: *whole };
        let cpu = own.cpu.saturating_sub(self.spent);
        if !own.cpu.is_zero() && (whole.cpu.is_zero() || cpu < whole.cpu) {
            // None at all would be no bound.
            limits.next.cpu = cpu.max(Limits::SPENT);
            limits.told.cpu = own.cpu;
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
        let limits = |own, whole| account.limits(&own, &whole, 7);
        let same = |budget| Limits { next: budget, told: budget };
        assert_eq!(limits(Budget::NONE, Budget::NONE), same(Budget::NONE));
        assert_eq!(limits(Budget::NONE, budget(50, MIB)), same(budget(50, MIB)));
        let own = Limits { next: budget(70, 3 * MIB + 7), told: budget(100, 5 * MIB) };
        assert_eq!(limits(budget(100, 5 * MIB), Budget::NONE), own);
        assert_eq!(limits(budget(100, 5 * MIB), budget(50, MIB)), same(budget(50, MIB)));
        let none = limits(budget(20, MIB), Budget::NONE);
        assert_eq!(none.next, Budget { cpu: Limits::SPENT, memory_bytes: 7 });
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
        assert_eq!(account.take(), Usage { taken, is_long: false });
        assert_eq!((account.added_bytes, account.take()), (0, Usage::default()));
    }
}
