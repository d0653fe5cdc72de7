//! Whose turn it is: requests that wait for a place at an instance, of all workers together.
//!
//! Who waits has a [`Turn`]. The higher priority comes first, and among equals whoever came first. The first is called
//! when there may be a place for it; and whenever the first leaves, with a place or without one, whoever is first then
//! is called. So no place stays empty while somebody waits for one, and nobody is overtaken.
//!
//! Invariant: while nobody waits, no lock is taken.
//! Not here: who may wait and for how long, and the places themselves (see [`crate::roster::Load`]).

use std::{
    cmp::Reverse,
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    task::{Context, Poll, Waker},
};

/// Those that wait, in their order.
#[derive(Debug, Default)]
pub struct Turns {
    /// How many wait. Who begins to wait is counted before it looks for a place for the last time, and who leaves a place looks
    /// here afterwards: one of the two sees the other.
    waiting: AtomicUsize,
    order: Mutex<Order>,
}

#[derive(Debug, Default)]
struct Order {
    calls: BTreeMap<Key, Call>,
    next: u64,
}

type Key = (Reverse<u8>, u64);

/// How one of them is told.
#[derive(Debug, Default)]
struct Call {
    /// It was called, and does not know yet.
    came: bool,
    waker: Option<Waker>,
}

/// A place in the order, until it is dropped.
#[derive(Debug)]
pub struct Turn {
    turns: Arc<Turns>,
    key: Key,
}

impl Turns {
    /// Lines up behind those of the same priority.
    pub fn line_up(self: &Arc<Self>, priority: u8) -> Turn {
        let mut order = self.lock();
        let key = (Reverse(priority), order.next);
        order.next += 1;
        order.calls.insert(key, Call::default());
        self.waiting.store(order.calls.len(), SeqCst);
        Turn { turns: Arc::clone(self), key }
    }

    /// Whether nobody waits.
    pub fn is_empty(&self) -> bool {
        self.waiting.load(SeqCst) == 0
    }

    /// There may be a place: the first is called. Whether there is one.
    pub fn call(&self) -> bool {
        if self.is_empty() {
            return false;
        }
        let mut order = self.lock();
        let Some(mut first) = order.calls.first_entry() else { return false };
        let call = first.get_mut();
        call.came = true;
        let waker = call.waker.take();
        drop(order);
        if let Some(waker) = waker {
            waker.wake();
        }
        true
    }

    fn lock(&self) -> MutexGuard<'_, Order> {
        self.order.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Turn {
    /// Whether nobody comes before.
    pub fn is_first(&self) -> bool {
        self.turns.lock().calls.first_key_value().is_some_and(|(key, _)| *key == self.key)
    }

    /// Until it is called; once for each time that it was.
    pub fn poll_called(&self, cx: &Context<'_>) -> Poll<()> {
        let mut order = self.turns.lock();
        // It is there until it is dropped.
        let Some(call) = order.calls.get_mut(&self.key) else { return Poll::Ready(()) };
        if std::mem::take(&mut call.came) {
            return Poll::Ready(());
        }
        call.waker = Some(cx.waker().clone());
        Poll::Pending
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut order = self.turns.lock();
        let was_first = order.calls.first_key_value().is_some_and(|(key, _)| *key == self.key);
        order.calls.remove(&self.key);
        self.turns.waiting.store(order.calls.len(), SeqCst);
        drop(order);
        if was_first {
            self.turns.call();
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn is_called(turn: &Turn) -> bool {
        turn.poll_called(&Context::from_waker(Waker::noop())).is_ready()
    }

    #[test]
    fn the_first_is_called_and_then_whoever_is_first_when_it_leaves() {
        let turns = Arc::<Turns>::default();
        assert!(turns.is_empty() && !turns.call(), "nobody waits");
        let [one, two, three] = [(); 3].map(|()| turns.line_up(5));
        assert!(turns.call());
        assert!(is_called(&one) && !is_called(&one), "once for each call");
        assert!(!is_called(&two));
        drop(two);
        assert!(!is_called(&three), "the first is still there");
        drop(one);
        assert!(is_called(&three) && three.is_first());
        drop(three);
        assert!(turns.is_empty());
    }

    #[test]
    fn the_higher_priority_comes_first() {
        let turns = Arc::<Turns>::default();
        let (usual, urgent) = (turns.line_up(5), turns.line_up(9));
        assert!(urgent.is_first() && !usual.is_first());
        assert!(turns.call() && is_called(&urgent) && !is_called(&usual));
    }

    proptest! {
        /// Beside a list that is sorted whenever somebody asks.
        #[test]
        fn whoever_is_first_came_first_among_the_highest(
            steps in prop::collection::vec((any::<bool>(), 0..3_u8, 0..9_usize), 0..60),
        ) {
            let turns = Arc::<Turns>::default();
            let mut all: Vec<(u8, usize, Turn)> = Vec::new();
            for (number, (joins, priority, index)) in steps.into_iter().enumerate() {
                if joins {
                    all.push((priority, number, turns.line_up(priority)));
                } else if !all.is_empty() {
                    let index = index % all.len();
                    let first = all.iter().min_by_key(|one| (Reverse(one.0), one.1)).map(|one| one.1);
                    let left = all.remove(index);
                    let was_first = Some(left.1) == first;
                    for (.., turn) in &all {
                        _ = is_called(turn);
                    }
                    drop(left);
                    let first = all.iter().min_by_key(|one| (Reverse(one.0), one.1)).map(|one| one.1);
                    for (_, number, turn) in &all {
                        prop_assert_eq!(is_called(turn), was_first && Some(*number) == first);
                    }
                }
                let first = all.iter().min_by_key(|one| (Reverse(one.0), one.1)).map(|one| one.1);
                for (_, number, turn) in &all {
                    prop_assert_eq!(turn.is_first(), Some(*number) == first);
                }
                prop_assert_eq!(turns.is_empty(), all.is_empty());
            }
        }
    }
}
