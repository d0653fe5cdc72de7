//! What other threads may ask of the control plane.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tidegate_core::{FleetId, Timestamp};
use tidegate_scaler::Record;
use tokio::sync::Notify;

use crate::{journal::Journal, view::View};

/// The control plane as seen from outside: cheap to clone, never waits for it.
#[derive(Debug, Clone)]
pub struct Handle(pub(crate) Arc<Shared>);

#[derive(Debug)]
pub(crate) struct Shared {
    view: Mutex<Arc<View>>,
    journal: Mutex<Journal>,
    /// Holds one permit at most, so that any number of wishes is one reload, and the last is not lost.
    pub(crate) reload: Notify,
    /// As above, for requests that wait for a fleet without instances.
    pub(crate) wake: Notify,
}

impl Shared {
    pub(crate) fn new(view: View) -> Self {
        Self {
            view: Mutex::new(Arc::new(view)),
            journal: Mutex::default(),
            reload: Notify::new(),
            wake: Notify::new(),
        }
    }

    pub(crate) fn show(&self, view: View) {
        *lock(&self.view) = Arc::new(view);
    }

    pub(crate) fn journal(&self) -> MutexGuard<'_, Journal> {
        lock(&self.journal)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing panics while it holds one of these.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Handle {
    /// The state of all fleets, at most a second old.
    pub fn view(&self) -> Arc<View> {
        Arc::clone(&lock(&self.0.view))
    }

    /// Reads the configuration again, soon.
    pub fn reload(&self) {
        self.0.reload.notify_one();
    }

    /// The decisions about a fleet until `at` (or now), newest first: the last that changed nothing, if
    /// it is the newest, and those that changed something. `None`: there is no such fleet.
    pub fn decisions(
        &self,
        fleet: &FleetId,
        at: Option<Timestamp>,
        limit: usize,
    ) -> Option<Vec<Arc<Record>>> {
        self.0.journal().until(fleet, at, limit)
    }

    /// The decision that was in force at `at` (or now). `None`: no such fleet, or none is known.
    pub fn explain(&self, fleet: &FleetId, at: Option<Timestamp>) -> Option<Arc<Record>> {
        self.decisions(fleet, at, 1)?.pop()
    }
}
