//! What one fleet's commands are asked, and what they last said there is.
//!
//! [`Remote::survey`] lists again and again. Each list goes to the fleet, which takes in what it does not know: that is
//! how instances are found again that an earlier Tidegate started. Instances that have ended here and yet are listed, because
//! a stop failed or a start was slower than its limit, are stopped once more and never taken in.
//!
//! Invariant: a list says nothing about what happened after it was begun.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tidegate_core::{
    FleetId, InstanceId, OwnerId, PoolId,
    snapshot::{Exec, OnExit},
};
use tokio::{
    sync::{Notify, Semaphore, SemaphorePermit, mpsc, watch},
    time::{Instant, sleep},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    command::{self, Error},
    contract::{Action, List, Listed, Order, Started, VERSION},
};
use crate::driver::Event;

/// Instances that ended and are remembered; a list that is older than that many ends is older than `interval`.
const ENDED: usize = 4_096;

/// Longest wait for the next list after several that failed.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// Most commands at a time, whatever a reload says: permits that a fleet's semaphore is made with.
const MOST_PARALLEL: u32 = 64;

#[derive(Debug)]
pub(crate) struct Remote {
    fleet: FleetId,
    owner: OwnerId,
    settings: watch::Sender<Arc<Exec>>,
    /// For each command that runs, a share of [`MOST_PARALLEL`].
    turns: Semaphore,
    listing: watch::Sender<Listing>,
    again: Notify,
    ended: Mutex<Ended>,
    tasks: TaskTracker,
    /// Tidegate ends, and instances stay.
    pub(super) leave: CancellationToken,
    /// The fleet is gone.
    pub(crate) over: CancellationToken,
}

/// The last list that there is.
#[derive(Debug, Clone, Default)]
pub(super) struct Listing {
    /// Lists so far.
    pub(super) round: u64,
    /// When it was asked for.
    pub(super) began: Option<Instant>,
    pub(super) instances: BTreeMap<InstanceId, Listed>,
}

#[derive(Debug, Default)]
struct Ended {
    /// Oldest first.
    when: VecDeque<(InstanceId, Instant)>,
    /// Those that are being stopped once more.
    stopping: BTreeSet<InstanceId>,
}

impl Remote {
    pub(crate) fn new(fleet: FleetId, owner: OwnerId, exec: Exec, tasks: TaskTracker) -> Arc<Self> {
        Arc::new(Self {
            fleet,
            owner,
            settings: watch::Sender::new(Arc::new(exec)),
            turns: Semaphore::new(MOST_PARALLEL as usize),
            listing: watch::Sender::default(),
            again: Notify::new(),
            ended: Mutex::default(),
            tasks,
            leave: CancellationToken::new(),
            over: CancellationToken::new(),
        })
    }

    /// Takes what a reload made of the commands.
    pub(crate) fn configure(&self, exec: &Exec) {
        self.settings.send_if_modified(|current| {
            let changed = **current != *exec;
            if changed {
                *current = Arc::new(exec.clone());
            }
            changed
        });
        self.again.notify_one();
    }

    pub(super) fn listing(&self) -> watch::Receiver<Listing> {
        self.listing.subscribe()
    }

    /// Tidegate ends: instances are left as they are, if that is what is wanted or they are `entrusted` to a successor. Says
    /// whether.
    pub(crate) fn leave(&self, entrusted: bool) -> bool {
        let keep = entrusted || self.settings.borrow().on_exit == OnExit::Keep;
        if keep {
            self.leave.cancel();
        }
        keep
    }

    pub(super) async fn start(
        &self,
        instance: &InstanceId,
        pool: Option<&PoolId>,
        exec: &Exec,
    ) -> Result<Started, Error> {
        let (revision, pool) = (revision(exec), pool.map(PoolId::as_str));
        let action = Action::Start { instance, revision: &revision, settings: &exec.settings, pool };
        let turn = self.turn(exec).await;
        let started: Started = self.run(&exec.start, action, exec).await?;
        drop(turn);
        if started.endpoint.is_none() {
            self.again.notify_one();
        }
        Ok(started)
    }

    pub(super) async fn stop(&self, instance: &InstanceId) -> Result<(), Error> {
        let exec = Arc::clone(&self.settings.borrow());
        let _turn = self.turn(&exec).await;
        let stopped: serde_json::Value = self.run(&exec.stop, Action::Stop { instance }, &exec).await?;
        // What it says does not matter: that it succeeded does.
        drop(stopped);
        Ok(())
    }

    /// Stops an instance behind the back of those who look after it.
    pub(crate) async fn end(&self, instance: &InstanceId) {
        if let Err(error) = self.stop(instance).await {
            tracing::warn!(fleet = %self.fleet, %instance, %error, "cannot be stopped");
        }
    }

    /// The instance has ended for us: from now on it is not to be there.
    pub(super) fn ended(&self, id: &InstanceId) {
        let mut ended = self.lock();
        ended.when.push_back((id.clone(), Instant::now()));
        if ended.when.len() > ENDED {
            ended.when.pop_front();
        }
    }

    /// Lists until the fleet is gone or Tidegate ends.
    pub(crate) async fn survey(self: Arc<Self>, events: mpsc::Sender<Event>) {
        tokio::select! {
            () = self.keep_listing(&events) => {}
            () = self.leave.cancelled() => {}
            () = self.over.cancelled() => {}
        }
    }

    async fn keep_listing(self: &Arc<Self>, events: &mpsc::Sender<Event>) {
        let mut failures = 0_u32;
        loop {
            let exec = Arc::clone(&self.settings.borrow());
            let pause = match self.list(&exec, events).await {
                Ok(()) => {
                    failures = 0;
                    exec.interval
                }
                Err(error) => {
                    tracing::warn!(fleet = %self.fleet, %error, "instances cannot be listed; those that are known stay");
                    let reason = format!("instances cannot be listed: {error}");
                    _ = events.send(Event::Unlisted { fleet: self.fleet.clone(), reason }).await;
                    failures = (failures + 1).min(10);
                    (exec.interval * (1 << failures)).clamp(exec.interval, LONGEST_PAUSE.max(exec.interval))
                }
            };
            tokio::select! {
                () = sleep(pause) => {}
                () = self.again.notified() => {}
            }
        }
    }

    async fn list(self: &Arc<Self>, exec: &Exec, events: &mpsc::Sender<Event>) -> Result<(), Error> {
        let began = Instant::now();
        let list: List = self.run(&exec.list, Action::List, exec).await?;
        let instances = list.of(&self.owner, &self.fleet);
        self.listing.send_modify(|listing| {
            let round = listing.round + 1;
            *listing = Listing { round, began: Some(began), instances: instances.clone() };
        });
        let Ok(permit) = events.reserve().await else { return Ok(()) };
        // Under the lock, so that no end comes between this look and the event.
        let mut ended = self.lock();
        let mut present = Vec::with_capacity(instances.len());
        for (id, listed) in instances {
            match ended.when.iter().rev().find(|(known, _)| *known == id) {
                None => present.push(listed),
                Some((_, at)) if *at < began => self.stop_again(id, &mut ended),
                Some(_) => {}
            }
        }
        let revision = revision(exec);
        for listed in &mut present {
            listed.revision.get_or_insert_with(|| revision.clone());
        }
        permit.send(Event::Listed { fleet: self.fleet.clone(), revision, instances: present });
        Ok(())
    }

    /// Stops what should have ended and has not. One attempt for each list that shows it.
    fn stop_again(self: &Arc<Self>, id: InstanceId, ended: &mut Ended) {
        if !ended.stopping.insert(id.clone()) {
            return;
        }
        let remote = Arc::clone(self);
        self.tasks.spawn(async move {
            tracing::warn!(fleet = %remote.fleet, instance = %id, "listed although it has ended; it is stopped again");
            if let Err(error) = remote.stop(&id).await {
                tracing::warn!(fleet = %remote.fleet, instance = %id, %error, "cannot be stopped");
            }
            remote.lock().stopping.remove(&id);
        });
    }

    async fn run<T: serde::de::DeserializeOwned>(
        &self,
        command: &[String],
        action: Action<'_>,
        exec: &Exec,
    ) -> Result<T, Error> {
        let order = Order { version: VERSION, owner: &self.owner, fleet: &self.fleet, action };
        command::run(command, &order, exec.timeout).await
    }

    /// Until fewer than `parallel` commands run. Lists do not wait: they are one at a time already.
    async fn turn(&self, exec: &Exec) -> Option<SemaphorePermit<'_>> {
        let share = MOST_PARALLEL / exec.parallel.get();
        // It fails only for a semaphore that is closed, which this one never is.
        self.turns.acquire_many(share.max(1)).await.ok()
    }

    fn lock(&self) -> MutexGuard<'_, Ended> {
        // Nothing panics while it is held.
        self.ended.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A word for what instances are started with: the same for the same, in every process.
fn revision(exec: &Exec) -> String {
    let settings = exec.settings.iter().flat_map(|(name, value)| [name.as_str(), value]);
    let words = exec.start.iter().map(String::as_str).chain([""]).chain(settings);
    format!("{:016x}", fnv(words))
}

/// FNV-1a over words, with an end after each.
pub(crate) fn fnv<'a>(words: impl Iterator<Item = &'a str>) -> u64 {
    let bytes = words.flat_map(|word| word.bytes().chain([0]));
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}
