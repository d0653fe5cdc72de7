//! A node: worker threads, from the first socket to the last answer.
//!
//! There is a socket on each listener's address for every worker that there may be (`SO_REUSEPORT`); the kernel spreads
//! connections over them. A Unix socket is one that all accept from. All sockets are bound before the first thread starts, so a node either
//! listens everywhere or does not start. Who works, and who takes connections from which socket, is the [`Crew`]'s.
//!
//! Sockets that a predecessor has handed over ([`handover`](crate::handover)) come first; where those are more than there may be workers,
//! all are accepted from nevertheless.
//!
//! Stopping: connections that wait in the kernel's queue are still taken, then the sockets are
//! closed; answers say `Connection: close`; clients that send nothing for [`IDLE_GRACE`] are let go,
//! and what still runs after the drain time is cut.

use std::{
    collections::HashMap,
    fs, io,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    thread::JoinHandle,
    time::{Duration, Instant},
};

use tidegate_core::{Roster, Snapshot, Telemetry, UpstreamId, roster::Load, snapshot::Address};
use tidegate_lua::Dicts;
use tokio::sync::watch;

use crate::{
    access_log,
    certificates::{self, Tickets, Tls},
    crew::Crew,
    handover::{Handed, absolute},
    outage::Outage,
    socket::{Row, Socket},
    way,
};

/// How long a client connection without a request is kept when the node stops.
pub(crate) const IDLE_GRACE: Duration = Duration::from_secs(1);

/// Where the kernel says what it makes its clock of.
const CLOCK_SOURCE: &str = "/sys/devices/system/clocksource/clocksource0/current_clocksource";

/// Why a node did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("cannot listen on {address}")]
    Listen { address: Address, source: io::Error },
    #[error("cannot open the access log")]
    AccessLog(#[source] io::Error),
    #[error("cannot start a worker")]
    Worker(#[from] io::Error),
    #[error("lua")]
    Lua(#[from] tidegate_lua::Error),
    #[error("tls")]
    Tls(#[from] certificates::Error),
    #[error("there is no seat for another worker")]
    Full,
}

impl StartError {
    pub(crate) fn died() -> Self {
        io::Error::other("worker died").into()
    }
}

/// A running data plane.
#[derive(Debug)]
pub struct Node {
    listeners: Vec<Address>,
    /// Those of them that are no paths.
    addresses: Vec<SocketAddr>,
    crew: Arc<Crew>,
    log_writer: JoinHandle<()>,
}

/// What the workers of a node have in common.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) telemetry: Arc<Telemetry>,
    dicts: Mutex<(u64, Arc<Dicts>)>,
    tls: Mutex<Current>,
    /// Load of static endpoints; those of fleets bring their own.
    loads: Mutex<HashMap<(UpstreamId, Address), Arc<Load>>>,
    /// Whether the disk takes request bodies.
    pub(crate) outage: Outage,
}

/// How TLS is spoken under the configuration of that generation.
#[derive(Debug, Default)]
struct Current {
    generation: u64,
    tls: Arc<Tls>,
    tickets: Tickets,
}

impl Shared {
    /// How TLS is spoken under `snapshot`: the same for every worker that asks.
    pub(crate) fn tls(&self, snapshot: &Snapshot) -> Result<Arc<Tls>, certificates::Error> {
        let mut current = self.tls.lock().unwrap_or_else(PoisonError::into_inner);
        if current.generation < snapshot.generation {
            let ways = way::all(snapshot, &current.tls.ways)?;
            let listeners = current.tickets.listeners(snapshot)?;
            current.tls = Arc::new(Tls { listeners, ways });
            current.generation = snapshot.generation;
        }
        Ok(Arc::clone(&current.tls))
    }

    /// The shared dictionaries of `snapshot`: the same ones for every worker that asks.
    pub(crate) fn dicts(&self, snapshot: &Snapshot) -> Arc<Dicts> {
        let mut current = self.dicts.lock().unwrap_or_else(PoisonError::into_inner);
        if current.0 < snapshot.generation {
            *current = (snapshot.generation, current.1.reconfigured(&snapshot.lua.shared_dicts));
        }
        Arc::clone(&current.1)
    }

    /// Lets whoever reads the telemetry see what the dictionaries hold.
    fn show_dicts(self: &Arc<Self>) {
        let shared = Arc::downgrade(self);
        self.telemetry.set_dicts(move || {
            let Some(shared) = shared.upgrade() else { return Vec::new() };
            let dicts = Arc::clone(&shared.dicts.lock().unwrap_or_else(PoisonError::into_inner).1);
            dicts.uses()
        });
    }

    pub(crate) fn load(&self, upstream: &UpstreamId, address: &Address) -> Arc<Load> {
        let mut loads = self.loads.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(loads.entry((upstream.clone(), address.clone())).or_default())
    }
}

impl Node {
    /// Starts the workers that `telemetry` says there are, and has sockets for those that there may be. Returns once all
    /// of them serve the present snapshot.
    pub fn start(
        snapshots: &watch::Receiver<Arc<Snapshot>>,
        roster: &watch::Receiver<Arc<Roster>>,
        telemetry: Arc<Telemetry>,
    ) -> Result<Self, StartError> {
        Self::succeed(snapshots, roster, telemetry, &mut Handed::default())
    }

    /// The same with the sockets that a predecessor has handed over.
    pub fn succeed(
        snapshots: &watch::Receiver<Arc<Snapshot>>,
        roster: &watch::Receiver<Arc<Roster>>,
        telemetry: Arc<Telemetry>,
        handed: &mut Handed,
    ) -> Result<Self, StartError> {
        tidegate_lua::tell_clock_source(&fs::read_to_string(CLOCK_SOURCE).unwrap_or_default());
        let snapshot = Arc::clone(&snapshots.borrow());
        let (count, most) = (telemetry.working(), telemetry.workers().len());
        let (listeners, sockets) = bind_all(&snapshot, most, handed)?;
        let addresses = listeners.iter().filter_map(Address::ip).collect();
        let output = snapshot.access_log.as_ref().map(|settings| &settings.output);
        let (log, log_writer) = access_log::start(output)?;
        let dicts = Mutex::new((snapshot.generation, Dicts::new(&snapshot.lua.shared_dicts)));
        let (loads, tls) = (Mutex::default(), Mutex::default());
        let outage = Outage::new(Instant::now());
        let shared = Arc::new(Shared { telemetry, dicts, tls, loads, outage });
        shared.show_dicts();
        let crew = Crew::new(shared, sockets, log, snapshots.clone(), roster.clone());
        let node = Self { listeners, addresses, crew, log_writer };
        match node.crew.begin(count) {
            Ok(()) => Ok(node),
            Err(error) => {
                // Paths of sockets that a predecessor listens on too are not this node's to remove.
                node.drain(handed.addresses());
                node.join();
                Err(error)
            }
        }
    }

    /// Its workers, for whoever decides how many there are.
    pub fn crew(&self) -> Arc<Crew> {
        Arc::clone(&self.crew)
    }

    /// All its sockets, by number of their listener.
    pub(crate) fn sockets(&self) -> Arc<[Row]> {
        self.crew.sockets()
    }

    /// Where the node listens, with the port that was found for port 0.
    pub fn listeners(&self) -> &[Address] {
        &self.listeners
    }

    /// The same but for Unix sockets.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Takes no new connections, and ends the present ones as they finish their requests. Others go on listening on `elsewhere`.
    pub fn drain(&self, elsewhere: &[Address]) {
        self.crew.drain();
        for listener in self.listeners.iter().filter(|listener| !elsewhere.contains(&absolute(listener))) {
            if let Address::Unix(path) = listener {
                // Nobody may come this way any more; a path that is left over would only mislead.
                let _ = fs::remove_file(path);
            }
        }
    }

    /// Opens the file of the access log again: it may have been rotated away.
    pub fn reopen_access_log(&self) {
        self.crew.reopen_access_log();
    }

    /// Whether a worker has ended. Before [`Node::drain`] none should.
    pub fn has_ended(&self) -> bool {
        self.crew.has_ended()
    }

    /// Waits until every worker has ended, which they do only after [`Node::drain`].
    pub fn join(self) {
        self.crew.join();
        if self.log_writer.join().is_err() {
            tracing::error!("the access log's writer panicked");
        }
    }
}

/// A row of sockets for each worker, with one on each listener's address, and more rows for handed ones that are more; and the
/// addresses. Unix sockets all share.
fn bind_all(
    snapshot: &Snapshot,
    workers: usize,
    handed: &mut Handed,
) -> Result<(Vec<Address>, Vec<Row>), StartError> {
    let mut rows: Vec<Row> = (0..workers).map(|_| Vec::new()).collect();
    let mut addresses = Vec::new();
    for (number, listener) in snapshot.listeners.iter().enumerate() {
        let mut address = listener.address.clone();
        let mut sockets = handed.take(&address);
        let is_handed = !sockets.is_empty();
        while sockets.len() < workers {
            let socket = match sockets.first() {
                Some(shared @ Socket::Unix(_)) => shared.try_clone(),
                // Workers may yet fail to start: until then all connections are the predecessor's.
                Some(_) if is_handed => Socket::bind_beside(&mut address),
                _ => Socket::bind(&mut address),
            };
            sockets.push(socket.map_err(|source| StartError::Listen { address: address.clone(), source })?);
        }
        rows.resize_with(rows.len().max(sockets.len()), Vec::new);
        for (row, socket) in rows.iter_mut().zip(sockets) {
            row.push((number, socket));
        }
        addresses.push(address);
    }
    Ok((addresses, rows))
}
