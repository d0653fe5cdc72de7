//! Slow lanes: a second thread for each worker, for requests that would hold up all others.
//!
//! Lua is not interrupted to let others run, because scripts count on that: while one computes, its worker serves nobody
//! else. So routes whose scripts computed for long are slow for a while, on all workers
//! ([`Slowness`](tidegate_core::telemetry::Slowness)), and a request of a slow route goes, with its connection, to the lane of
//! its worker. That is a thread like a worker's with a VM of its own, but it listens nowhere, and where there is not enough
//! processor for all it is workers that come first. A connection comes back when it asks for something else. A lane is
//! started when there is a slow route, and stays.
//!
//! Nobody gets lost on the way: whoever leaves closes its inbox and serves who is in it, and where an inbox is closed or
//! full a request is served where it is.

use std::{
    cell::RefCell,
    net::{SocketAddr, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
        mpsc::{Receiver, TryRecvError, sync_channel},
    },
    thread::{self, JoinHandle},
};

use tidegate_core::{
    Timestamp,
    telemetry::{Series, WorkerSeries},
};
use tidegate_lua::Vm;
use tokio::sync::mpsc;

use crate::{
    node::StartError,
    seat::{self, Seat},
};

/// Connections that may be on their way to one thread.
const INBOX: usize = 256;

/// Connections that a lane may hold.
const HELD: u64 = 4_096;

/// A connection on its way to another thread, with a request that has been read but not begun.
#[derive(Debug)]
pub(crate) struct Crossing {
    pub(crate) stream: TcpStream,
    pub(crate) client: SocketAddr,
    /// Its number in this process, and how many requests it has carried before this one.
    pub(crate) number: u64,
    pub(crate) count: u64,
    /// What has been received and not been served.
    pub(crate) received: Vec<u8>,
}

/// The right to put one connection into another thread's inbox.
pub(crate) type Permit = mpsc::OwnedPermit<Crossing>;

/// Where a thread stands: on which side, and how to get to the other.
#[derive(Debug)]
pub(crate) struct Side {
    is_lane: bool,
    /// Whether the node has, or had, a slow route.
    any_slow: Arc<AtomicBool>,
    across: RefCell<Option<mpsc::Sender<Crossing>>>,
}

impl Side {
    pub(crate) fn new(is_lane: bool, any_slow: Arc<AtomicBool>) -> Self {
        Self { is_lane, any_slow, across: RefCell::default() }
    }

    pub(crate) const fn is_lane(&self) -> bool {
        self.is_lane
    }

    pub(crate) fn open(&self, across: mpsc::Sender<Crossing>) {
        self.across.replace(Some(across));
    }

    /// From now on everybody stays.
    pub(crate) fn close(&self) {
        self.across.take();
    }

    /// A request of a route has held up this thread.
    pub(crate) fn tell_slow(&self, route: &Series, now: Timestamp) {
        route.slowness.tell(now);
        self.any_slow.store(true, Relaxed);
    }

    /// The way to the other side, for a request of a route that belongs there.
    pub(crate) fn leave(&self, route: &Series, now: Timestamp, lane: &WorkerSeries) -> Option<Permit> {
        if route.slowness.is_on(now) == self.is_lane {
            return None;
        }
        let across = self.across.borrow().clone()?;
        if !self.is_lane && lane.connections() >= HELD {
            return None;
        }
        across.try_reserve_owned().ok()
    }
}

pub(crate) fn inbox() -> (mpsc::Sender<Crossing>, mpsc::Receiver<Crossing>) {
    mpsc::channel(INBOX)
}

/// The lane of a worker, as that one holds it.
#[derive(Debug)]
pub(crate) struct Lane {
    thread: JoinHandle<()>,
    started: Receiver<Result<(), StartError>>,
    inbox: mpsc::Sender<Crossing>,
}

impl Lane {
    /// Begins to start a lane in `seat`, whose inbox is that of `inbox`.
    pub(crate) fn start(seat: Seat, inbox: mpsc::Sender<Crossing>) -> std::io::Result<Self> {
        let (ready, started) = sync_channel(1);
        let name = format!("lane-{}", seat.index);
        let thread = thread::Builder::new().name(name).stack_size(Vm::STACK_BYTES).spawn(move || {
            seat::occupy(seat, &ready);
        })?;
        Ok(Self { thread, started, inbox })
    }

    /// Opens the way to it once it has started.
    pub(crate) fn settle(&self, side: &Side) {
        match self.started.try_recv() {
            Ok(Ok(())) => side.open(self.inbox.clone()),
            Ok(Err(error)) => {
                tracing::error!(%error, "a slow lane cannot start; its worker serves slow routes too");
            }
            Err(TryRecvError::Empty | TryRecvError::Disconnected) => {}
        }
    }

    pub(crate) fn join(self) {
        drop(self.inbox);
        if self.thread.join().is_err() {
            tracing::error!("a slow lane panicked");
        }
    }
}
