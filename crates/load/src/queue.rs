//! Requests that are due and wait for a free connection.
//!
//! Connections that wait are served in turn, so that a light load uses all of them and, with them,
//! every worker of a server that spreads connections over its workers.

use std::{
    collections::VecDeque,
    num::NonZeroUsize,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use tokio::sync::Notify;

/// A bounded queue of the moments at which requests were due.
#[derive(Debug)]
pub(crate) struct Queue {
    state: Mutex<State>,
    limit: usize,
    changed: Notify,
}

#[derive(Debug, Default)]
struct State {
    waiting: VecDeque<Instant>,
    closed: bool,
}

/// What a connection finds in the queue.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Next {
    Due(Instant),
    Empty,
    /// Nothing waits and nothing will.
    Closed,
}

impl Queue {
    pub(crate) fn new(limit: NonZeroUsize) -> Self {
        Self { state: Mutex::default(), limit: limit.get(), changed: Notify::new() }
    }

    /// Returns whether there was room.
    pub(crate) fn push(&self, due: Instant) -> bool {
        let mut state = self.lock();
        let room = state.waiting.len() < self.limit;
        if room {
            state.waiting.push_back(due);
            drop(state);
            self.changed.notify_one();
        }
        room
    }

    pub(crate) fn take(&self) -> Next {
        let mut state = self.lock();
        match state.waiting.pop_front() {
            Some(due) => Next::Due(due),
            None if state.closed => Next::Closed,
            None => Next::Empty,
        }
    }

    /// Waits until [`Queue::take`] may find something else than before.
    pub(crate) async fn changed(&self) {
        self.changed.notified().await;
    }

    /// Lets connections leave once the queue is empty.
    pub(crate) fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_waiters();
    }

    pub(crate) fn len(&self) -> usize {
        self.lock().waiting.len()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
