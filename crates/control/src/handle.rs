//! What other threads may ask of the control plane.

use std::{
    io,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
};

use tidegate_core::{FleetId, Timestamp, flame::Wish as FlameWish};
use tokio::sync::{Notify, mpsc, oneshot};

use crate::{
    chaos::{Disturbance, Refused, WAITING},
    journal::{
        Journal, Page,
        history::{History, Recorded},
    },
    recorders::{Recorders, Told},
    view::View,
};

/// The control plane as seen from outside: cheap to clone, never waits for it.
#[derive(Debug, Clone)]
pub struct Handle(pub(crate) Arc<Shared>);

#[derive(Debug)]
pub(crate) struct Shared {
    view: Mutex<Arc<View>>,
    journal: Mutex<Journal>,
    /// Where demand is recorded, if it is.
    state: Option<PathBuf>,
    /// Holds one permit at most, so that any number of wishes is one reload, and the last is not lost.
    pub(crate) reload: Notify,
    /// As above, for requests that wait for a fleet without instances.
    pub(crate) wake: Notify,
    /// Instances that can be asked what their Lua does.
    pub(crate) recorders: Recorders,
    /// A successor looks after instances that outlive this process.
    entrusted: AtomicBool,
    wish: mpsc::Sender<Wish>,
    wishes: Mutex<Option<mpsc::Receiver<Wish>>>,
}

/// What is to go wrong, and whom to tell whether it did.
pub(crate) type Wish = (Disturbance, oneshot::Sender<Result<(), Refused>>);

impl Shared {
    pub(crate) fn new(view: View, journal: Journal, state: Option<PathBuf>) -> Self {
        let (wish, wishes) = mpsc::channel(WAITING);
        Self {
            recorders: Recorders::default(),
            entrusted: AtomicBool::default(),
            wish,
            wishes: Mutex::new(Some(wishes)),
            view: Mutex::new(Arc::new(view)),
            journal: Mutex::new(journal),
            state,
            reload: Notify::new(),
            wake: Notify::new(),
        }
    }

    /// What others want to go wrong. For the one loop that does it.
    pub(crate) fn wishes(&self) -> mpsc::Receiver<Wish> {
        lock(&self.wishes).take().expect("a control plane runs once")
    }

    pub(crate) fn is_entrusted(&self) -> bool {
        self.entrusted.load(Relaxed)
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

    /// Makes something go wrong, if that is allowed.
    pub async fn disturb(&self, disturbance: Disturbance) -> Result<(), Refused> {
        let (sender, answer) = oneshot::channel();
        self.0.wish.try_send((disturbance, sender)).map_err(|_| Refused::Busy)?;
        answer.await.unwrap_or(Err(Refused::Busy))
    }

    /// Has instances that are processes of their own look at what their Lua does.
    pub async fn record(&self, wish: &FlameWish) -> Told {
        self.0.recorders.record(wish).await
    }

    /// From now on a successor looks after instances that outlive this process: they are left alone when it ends, also where the
    /// file says that they end with it.
    pub fn entrust(&self) {
        self.0.entrusted.store(true, Relaxed);
    }

    /// Reads the configuration again, soon.
    pub fn reload(&self) {
        self.0.reload.notify_one();
    }

    /// The decisions about a fleet until `at` (or now), newest first: the last that changed nothing, if
    /// it is the newest, and those that changed something. `None`: there is no such fleet.
    pub fn decisions(&self, fleet: &FleetId, at: Option<Timestamp>, limit: usize) -> Option<Vec<Arc<Page>>> {
        self.0.journal().until(fleet, at, limit)
    }

    /// When the first and the last decision about a fleet were made that are known here.
    pub fn known(&self, fleet: &FleetId) -> Option<(Timestamp, Timestamp)> {
        self.0.journal().range(fleet)
    }

    /// The demand of a fleet over the `span` seconds before `until`, as far as it was recorded: what was
    /// ten seconds ago is the last that is surely known. `None`: nothing was, or nothing is recorded at all. Reads a file.
    pub fn demand(&self, fleet: &FleetId, until: Timestamp, span: u64) -> io::Result<Option<Recorded>> {
        let Some(state) = &self.0.state else { return Ok(None) };
        History::new(state).read(fleet, until, span)
    }

    /// Where journal and demand are kept. `None`: nowhere.
    pub fn state(&self) -> Option<&Path> {
        self.0.state.as_deref()
    }

    /// The decision that was in force at `at` (or now). `None`: no such fleet, or none is known.
    pub fn explain(&self, fleet: &FleetId, at: Option<Timestamp>) -> Option<Arc<Page>> {
        self.decisions(fleet, at, 1)?.pop()
    }
}
