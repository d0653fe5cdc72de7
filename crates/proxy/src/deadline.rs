//! Coarse time limits that cost nothing while they are kept.
//!
//! A tokio timeout around every read would take 1–2 µs; nearly all of them would be for nothing. Here
//! a wait writes the tick at which it ends into a slot of its own, and a sweep over all slots of the
//! worker, [`TICK`] apart, wakes those that are overdue. So arming is one store, and a wait ends up
//! to two ticks late.
//!
//! The sweep also is the worker's clock for everything that needs no precision.

use std::{
    cell::{Cell, OnceCell, RefCell},
    rc::Rc,
    task::{Context, Poll, Waker},
    time::Duration,
};

use slab::Slab;

/// Time between two sweeps.
pub(crate) const TICK: Duration = Duration::from_millis(100);

/// All deadlines of a worker.
#[derive(Debug, Default)]
pub(crate) struct Deadlines {
    now: Cell<u64>,
    slots: RefCell<Slab<Rc<Slot>>>,
}

#[derive(Debug, Default)]
struct Slot {
    /// The tick at which the wait is over; 0 while nothing is awaited.
    due: Cell<u64>,
    /// Whether the wait is for a client that owes nothing: no request is being served.
    idle: Cell<bool>,
    fired: Cell<bool>,
    waker: RefCell<Option<Waker>>,
}

impl Deadlines {
    /// Ticks since the worker started.
    pub(crate) const fn now(&self) -> u64 {
        self.now.get()
    }

    /// Time since the worker started, to a tick.
    pub(crate) fn elapsed(&self) -> Duration {
        ticks_to_duration(self.now.get())
    }

    pub(crate) fn deadline(self: &Rc<Self>) -> Deadline {
        Deadline { place: OnceCell::new(), owner: Rc::clone(self) }
    }

    fn place(&self) -> Place {
        let slot = Rc::new(Slot::default());
        let key = self.slots.borrow_mut().insert(Rc::clone(&slot));
        Place { slot, key }
    }

    /// One tick has passed: ends every wait that is due.
    pub(crate) fn sweep(&self) {
        let now = self.now.get() + 1;
        self.now.set(now);
        self.end(|slot| slot.due.get() <= now);
    }

    /// Ends idle waits that have lasted for `grace`, given what they were armed with.
    pub(crate) fn end_idle(&self, keep_alive: Duration, grace: Duration) {
        let spared = self.now.get() + duration_to_ticks(keep_alive.saturating_sub(grace));
        self.end(|slot| slot.idle.get() && slot.due.get() <= spared);
    }

    fn end(&self, over: impl Fn(&Slot) -> bool) {
        for (_, slot) in self.slots.borrow().iter().filter(|(_, slot)| slot.due.get() != 0 && over(slot)) {
            slot.due.set(0);
            slot.fired.set(true);
            if let Some(waker) = slot.waker.borrow().as_ref() {
                waker.wake_by_ref();
            }
        }
    }
}

const fn duration_to_ticks(span: Duration) -> u64 {
    span.as_millis().div_ceil(TICK.as_millis()) as u64
}

const fn ticks_to_duration(ticks: u64) -> Duration {
    Duration::from_millis(ticks * TICK.as_millis() as u64)
}

/// A limit on whatever its owner waits for at the moment.
#[derive(Debug)]
pub(crate) struct Deadline {
    /// Taken with the first wait: many an owner never waits.
    place: OnceCell<Place>,
    owner: Rc<Deadlines>,
}

#[derive(Debug)]
struct Place {
    slot: Rc<Slot>,
    key: usize,
}

impl Deadline {
    fn slot(&self) -> &Slot {
        &self.place.get_or_init(|| self.owner.place()).slot
    }

    /// The wait that begins now may take `span`.
    pub(crate) fn arm(&self, span: Duration) {
        let slot = self.slot();
        slot.fired.set(false);
        slot.idle.set(false);
        // The present tick has partly passed, so one more is needed never to end early.
        slot.due.set(self.owner.now.get() + duration_to_ticks(span) + 1);
    }

    /// The same, for a wait that may be cut short when the node stops.
    pub(crate) fn arm_idle(&self, span: Duration) {
        self.arm(span);
        self.slot().idle.set(true);
    }

    /// Nothing is awaited any more.
    pub(crate) fn disarm(&self) {
        if let Some(place) = self.place.get() {
            place.slot.fired.set(false);
            place.slot.due.set(0);
        }
    }

    /// Ready once the wait has taken too long.
    pub(crate) fn poll(&self, cx: &mut Context<'_>) -> Poll<()> {
        let slot = self.slot();
        if slot.fired.get() {
            return Poll::Ready(());
        }
        let mut waker = slot.waker.borrow_mut();
        if !waker.as_ref().is_some_and(|known| known.will_wake(cx.waker())) {
            *waker = Some(cx.waker().clone());
        }
        Poll::Pending
    }
}

impl Drop for Deadline {
    fn drop(&mut self) {
        if let Some(place) = self.place.get() {
            self.owner.slots.borrow_mut().remove(place.key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expired(deadline: &Deadline) -> bool {
        deadline.poll(&mut Context::from_waker(Waker::noop())).is_ready()
    }

    fn sweep(deadlines: &Deadlines, times: usize) {
        (0..times).for_each(|_| deadlines.sweep());
    }

    #[test]
    fn a_wait_never_ends_early_and_at_most_two_ticks_late() {
        let deadlines = Rc::new(Deadlines::default());
        let deadline = deadlines.deadline();
        deadline.arm(Duration::from_millis(250));
        sweep(&deadlines, 3);
        assert!(!expired(&deadline), "the first tick was not a whole one");
        sweep(&deadlines, 1);
        assert!(expired(&deadline));
    }

    #[test]
    fn disarmed_and_rearmed_deadlines_forget_the_past() {
        let deadlines = Rc::new(Deadlines::default());
        let deadline = deadlines.deadline();
        deadline.arm(Duration::from_millis(100));
        sweep(&deadlines, 5);
        deadline.arm(Duration::from_millis(100));
        assert!(!expired(&deadline));
        deadline.disarm();
        sweep(&deadlines, 5);
        assert!(!expired(&deadline));
    }

    #[test]
    fn stopping_ends_what_has_been_idle_for_the_grace_and_nothing_busy() {
        let deadlines = Rc::new(Deadlines::default());
        let (old, young, busy) = (deadlines.deadline(), deadlines.deadline(), deadlines.deadline());
        let keep_alive = Duration::from_mins(1);
        old.arm_idle(keep_alive);
        busy.arm(keep_alive);
        sweep(&deadlines, 20);
        young.arm_idle(keep_alive);
        deadlines.end_idle(keep_alive, Duration::from_secs(1));
        assert_eq!([expired(&old), expired(&young), expired(&busy)], [true, false, false]);
    }
}
