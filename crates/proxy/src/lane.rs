//! Slow lanes: a second thread for each worker, for requests that would hold up all others.
//!
//! Lua is not interrupted to let others run, because scripts count on that: while one computes, its worker serves nobody
//! else. So routes whose scripts computed for long are slow for a while, on all workers
//! ([`Slowness`](tidegate_core::telemetry::Slowness)), and a request of a slow route goes, with its connection, to the lane of
//! its worker. That is a thread like a worker's with a VM of its own, but it listens nowhere, and where there is not enough
//! processor for all it is workers that come first. A connection comes back when it asks for something else.
//!
//! A lane starts when somebody comes, through the worker's [`Door`], and ends when nobody has asked it for anything for a
//! while; then it passes on the connections that it has, and its memory is given back.
//!
//! Nobody gets lost on the way: whoever leaves closes its inbox and serves who is in it, a lane that cannot start sends back
//! who waits for it, and where an inbox is closed or full a request is served where it is.

use std::{
    cell::RefCell,
    net::{SocketAddr, TcpStream},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
        mpsc::sync_channel,
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use tidegate_core::{
    Roster, Snapshot, Timestamp,
    telemetry::{Series, WorkerSeries},
};
use tidegate_lua::Vm;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use crate::{
    access_log::AccessLog,
    crew::{Duty, Sharing},
    node::Shared,
    parting::Colleague,
    peer::Client,
    seat::{self, Place, Seat},
    secure::Session,
};

/// Connections that may be on their way to one thread.
const INBOX: usize = 256;

/// Connections that a lane may hold.
const HELD: u64 = 4_096;

/// A request that waits while a worker is held up looks so often, at most, whether it still is; and time between two looks.
const TURNS: u32 = 500;
const TURN: Duration = Duration::from_millis(20);

/// How often in a row, a second apart, a lane is seen without anything to do before it ends.
const QUIET_LOOKS: u32 = 10;

/// A connection on its way to another thread, with a request that has been read but not begun.
#[derive(Debug)]
pub(crate) struct Crossing {
    pub(crate) stream: TcpStream,
    pub(crate) layer: Layer,
    pub(crate) client: SocketAddr,
    /// Its number in this process, and how many requests it has carried before this one.
    pub(crate) number: u64,
    pub(crate) count: u64,
    /// What has been received and not been served.
    pub(crate) received: Vec<u8>,
}

/// What is spoken over a connection.
#[derive(Debug)]
pub(crate) enum Layer {
    /// Nothing has been yet: it has just come to the listener of this number.
    Fresh(usize),
    Plain,
    Secure(Arc<Session>),
}

impl Crossing {
    /// With nothing that has been received. `None`: the connection is gone.
    pub(crate) fn of(client: Client, address: SocketAddr, (number, count): (u64, u64)) -> Option<Self> {
        let (stream, layer) = match client {
            Client::Plain(stream) => (stream, Layer::Plain),
            Client::Secure(secure) => {
                let (stream, session) = secure.into_parts();
                (stream, Layer::Secure(session))
            }
        };
        let stream = stream.into_std().ok()?;
        Some(Self { stream, layer, client: address, number, count, received: Vec::new() })
    }
}

/// The right to put one connection into another thread's inbox.
pub(crate) type Permit = mpsc::OwnedPermit<Crossing>;

pub(crate) fn inbox() -> (mpsc::Sender<Crossing>, mpsc::Receiver<Crossing>) {
    mpsc::channel(INBOX)
}

/// Where a thread stands, and how to get to the other side.
#[derive(Debug)]
pub(crate) enum Side {
    /// A worker, with the door to its lane.
    Worker(Arc<Door>),
    /// A lane, with its worker for as long as one may go there.
    Lane(RefCell<Option<Colleague>>, Arc<Shared>),
}

impl Side {
    /// From now on everybody stays.
    pub(crate) fn close(&self) {
        match self {
            Self::Worker(door) => door.bar(),
            Self::Lane(home, _) => drop(home.take()),
        }
    }

    /// The way to the other side, for a request of a route that belongs there.
    pub(crate) fn leave(&self, route: &Series, now: Timestamp) -> Option<Permit> {
        match (self, route.slowness.is_on(now)) {
            (Self::Worker(door), true) => door.enter(),
            (Self::Lane(home, _), false) if !self.worker_is_held() => {
                home.borrow().as_ref()?.inbox.clone().try_reserve_owned().ok()
            }
            _ => None,
        }
    }

    /// Whether this is a lane whose worker is held up.
    fn worker_is_held(&self) -> bool {
        let Self::Lane(home, shared) = self else { return false };
        home.borrow().as_ref().is_some_and(|home| shared.telemetry.slot(home.index).is_held.load(Relaxed))
    }

    /// Lets a request of a slow route wait while the lane is all that others have, as its worker is held up too.
    pub(crate) async fn wait_turn(&self, route: &Series, now: Timestamp) {
        for _ in 0..TURNS {
            if !self.worker_is_held() || !route.slowness.is_on(now) {
                return;
            }
            tokio::time::sleep(TURN).await;
        }
    }
}

/// The way to the slow lane of a worker.
#[derive(Debug)]
pub(crate) struct Door {
    worker: Colleague,
    shared: Arc<Shared>,
    sharing: watch::Receiver<Arc<Sharing>>,
    snapshots: watch::Receiver<Arc<Snapshot>>,
    roster: watch::Receiver<Arc<Roster>>,
    /// Ends lanes with the worker.
    stop: CancellationToken,
    /// Nobody gets in.
    is_barred: Arc<AtomicBool>,
    behind: Mutex<Behind>,
}

/// What is behind a door.
#[derive(Debug)]
struct Behind {
    access_log: AccessLog,
    lane: Option<Lane>,
    /// Lanes that are about to end.
    leaving: Vec<JoinHandle<()>>,
    /// Requests that the lane had seen at the last look, and for how many looks it had nothing to do.
    arrived: u64,
    quiet: u32,
}

#[derive(Debug)]
struct Lane {
    inbox: mpsc::Sender<Crossing>,
    duty: watch::Sender<Duty>,
    thread: JoinHandle<()>,
}

impl Door {
    /// For the worker that sits in `seat` and is reached as `worker`.
    pub(crate) fn new(seat: &Seat, worker: Colleague) -> Self {
        let access_log = seat.access_log.another();
        let behind = Behind { access_log, lane: None, leaving: Vec::new(), arrived: 0, quiet: 0 };
        Self {
            worker,
            shared: Arc::clone(&seat.shared),
            sharing: seat.sharing.clone(),
            snapshots: seat.snapshots.clone(),
            roster: seat.roster.clone(),
            stop: seat.stop.child_token(),
            is_barred: Arc::default(),
            behind: Mutex::new(behind),
        }
    }

    /// The way in, if there is room. Who goes first starts the lane.
    pub(crate) fn enter(&self) -> Option<Permit> {
        if self.is_barred.load(Relaxed) || self.series().connections() >= HELD {
            return None;
        }
        let mut behind = self.behind();
        if behind.lane.as_ref().is_none_or(|lane| lane.inbox.is_closed()) {
            match self.open(&behind.access_log) {
                Ok(lane) => behind.leave(Some(lane)),
                Err(error) => {
                    self.is_barred.store(true, Relaxed);
                    tracing::error!(%error, "a slow lane cannot start; its worker serves slow routes too");
                    return None;
                }
            }
        }
        behind.lane.as_ref()?.inbox.clone().try_reserve_owned().ok()
    }

    /// Whether the lane is held up itself.
    pub(crate) fn is_held(&self) -> bool {
        self.series().is_held.load(Relaxed)
    }

    /// Nobody gets in any more.
    pub(crate) fn bar(&self) {
        self.is_barred.store(true, Relaxed);
    }

    /// Whether there is somebody whom a slow route could hold up. Where it was refused that a lane starts, it may be tried again.
    pub(crate) fn set_wanted(&self, is_wanted: bool) {
        self.is_barred.store(!is_wanted, Relaxed);
    }

    /// Ends a lane that nobody has asked for anything for a while. Called about once a second; says whether one has ended.
    pub(crate) fn tend(&self) -> bool {
        let mut behind = self.behind();
        let ended = behind.join_ended();
        if ended > 0 && behind.lane.is_none() {
            self.series().retire();
        }
        let Some(lane) = &behind.lane else { return ended > 0 };
        let waiting = lane.inbox.capacity() < lane.inbox.max_capacity();
        let (arrived, finished) = self.shared.telemetry.requests_on(self.number());
        let is_quiet = !waiting && arrived == finished && arrived == behind.arrived;
        behind.arrived = arrived;
        behind.quiet = if is_quiet { behind.quiet + 1 } else { 0 };
        if behind.quiet >= QUIET_LOOKS {
            behind.leave(None);
        }
        ended > 0
    }

    /// Ends the lane with its worker.
    pub(crate) fn shut(&self) {
        self.bar();
        self.stop.cancel();
    }

    /// Waits for all lanes to end.
    pub(crate) fn join(&self) {
        let mut behind = self.behind();
        behind.leave(None);
        behind.leaving.drain(..).for_each(join);
    }

    /// Starts a lane.
    fn open(&self, access_log: &AccessLog) -> std::io::Result<Lane> {
        let (inbox, crossings) = inbox();
        let (duty, duties) = watch::channel(Duty::Work);
        let seat = Seat {
            index: self.number(),
            shared: Arc::clone(&self.shared),
            sockets: Arc::default(),
            sharing: self.sharing.clone(),
            duty: duties,
            access_log: access_log.another(),
            snapshots: self.snapshots.clone(),
            roster: self.roster.clone(),
            stop: self.stop.child_token(),
            inbox: crossings,
            place: Place::Lane(self.worker.clone()),
        };
        let (name, is_barred) = (format!("lane-{}", seat.index), Arc::clone(&self.is_barred));
        let home = self.worker.clone();
        let thread = thread::Builder::new().name(name).stack_size(Vm::STACK_BYTES).spawn(move || {
            let (ready, started) = sync_channel(1);
            if let Some(crossings) = seat::occupy(seat, &ready) {
                is_barred.store(true, Relaxed); // First, lest they come again.
                if let Ok(Err(error)) = started.recv() {
                    tracing::error!(%error, "a slow lane cannot start; its worker serves slow routes too");
                }
                send_back(crossings, &home);
            }
        })?;
        Ok(Lane { inbox, duty, thread })
    }

    fn number(&self) -> usize {
        self.shared.telemetry.workers().len() + self.worker.index
    }

    fn series(&self) -> &WorkerSeries {
        self.shared.telemetry.slot(self.number())
    }

    fn behind(&self) -> MutexGuard<'_, Behind> {
        self.behind.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Behind {
    /// Has the lane that there is end, and `next` take its place.
    fn leave(&mut self, next: Option<Lane>) {
        self.quiet = 0;
        if let Some(lane) = std::mem::replace(&mut self.lane, next) {
            lane.duty.send_replace(Duty::End);
            self.leaving.push(lane.thread);
        }
    }

    /// Says how many lanes have ended since the last time.
    fn join_ended(&mut self) -> usize {
        let ended = self.leaving.extract_if(.., |thread| thread.is_finished()).collect::<Vec<_>>();
        let count = ended.len();
        ended.into_iter().for_each(join);
        count
    }
}

fn join(thread: JoinHandle<()>) {
    if thread.join().is_err() {
        tracing::error!("a slow lane panicked");
    }
}

/// Sends everybody who waits in the inbox of a lane that could not start back to where they came from.
fn send_back(mut crossings: mpsc::Receiver<Crossing>, home: &Colleague) {
    crossings.close();
    while let Some(crossing) = crossings.blocking_recv() {
        if home.inbox.blocking_send(crossing).is_err() {
            return; // The worker has ended.
        }
    }
}
