//! A node: worker threads, from the first socket to the last answer.
//!
//! There is a socket on each listener's address for every worker that there may be (`SO_REUSEPORT`); the kernel spreads
//! connections over them. All sockets are bound before the first thread starts, so a node either
//! listens everywhere or does not start. Who works, and who takes connections from which socket, is the [`Crew`]'s.
//!
//! Stopping: connections that wait in the kernel's queue are still taken, then the sockets are
//! closed; answers say `Connection: close`; clients that send nothing for [`IDLE_GRACE`] are let go,
//! and what still runs after the drain time is cut.

use std::{
    collections::HashMap,
    io,
    net::{SocketAddr, TcpListener},
    sync::{Arc, Mutex, PoisonError},
    thread::JoinHandle,
    time::Duration,
};

use socket2::{Domain, Protocol, Socket, Type};
use tidegate_core::{Roster, Snapshot, Telemetry, UpstreamId, roster::Load};
use tidegate_lua::Dicts;
use tokio::sync::watch;

use crate::{
    access_log,
    certificates::{self, Listeners, Tickets},
    crew::Crew,
};

/// Connections that wait to be accepted, for each socket. The kernel may allow fewer.
const BACKLOG: i32 = 4_096;

/// How long a client connection without a request is kept when the node stops.
pub(crate) const IDLE_GRACE: Duration = Duration::from_secs(1);

/// Why a node did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("cannot listen on {address}")]
    Listen { address: SocketAddr, source: io::Error },
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
    addresses: Vec<SocketAddr>,
    crew: Arc<Crew>,
    log_writer: JoinHandle<()>,
}

/// What the workers of a node have in common.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) telemetry: Arc<Telemetry>,
    dicts: Mutex<(u64, Arc<Dicts>)>,
    tls: Mutex<Tls>,
    /// Load of static endpoints; those of fleets bring their own.
    loads: Mutex<HashMap<(UpstreamId, SocketAddr), Arc<Load>>>,
}

/// How the listeners of one configuration speak TLS.
#[derive(Debug, Default)]
struct Tls {
    generation: u64,
    listeners: Arc<Listeners>,
    tickets: Tickets,
}

impl Shared {
    /// How the listeners of `snapshot` speak TLS: the same for every worker that asks.
    pub(crate) fn listeners(&self, snapshot: &Snapshot) -> Result<Arc<Listeners>, certificates::Error> {
        let mut tls = self.tls.lock().unwrap_or_else(PoisonError::into_inner);
        if tls.generation < snapshot.generation {
            tls.listeners = Arc::new(tls.tickets.listeners(snapshot)?);
            tls.generation = snapshot.generation;
        }
        Ok(Arc::clone(&tls.listeners))
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

    pub(crate) fn load(&self, upstream: &UpstreamId, address: SocketAddr) -> Arc<Load> {
        let mut loads = self.loads.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(loads.entry((upstream.clone(), address)).or_default())
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
        let snapshot = Arc::clone(&snapshots.borrow());
        let (count, most) = (telemetry.working(), telemetry.workers().len());
        let (addresses, sockets) = bind_all(&snapshot, most)?;
        let output = snapshot.access_log.as_ref().map(|settings| &settings.output);
        let (log, log_writer) = access_log::start(output)?;
        let dicts = Mutex::new((snapshot.generation, Dicts::new(&snapshot.lua.shared_dicts)));
        let (loads, tls) = (Mutex::default(), Mutex::default());
        let shared = Arc::new(Shared { telemetry, dicts, tls, loads });
        shared.show_dicts();
        let crew = Crew::new(shared, sockets, log, snapshots.clone(), roster.clone());
        let node = Self { addresses, crew, log_writer };
        match node.crew.begin(count) {
            Ok(()) => Ok(node),
            Err(error) => {
                node.drain();
                node.join();
                Err(error)
            }
        }
    }

    /// Its workers, for whoever decides how many there are.
    pub fn crew(&self) -> Arc<Crew> {
        Arc::clone(&self.crew)
    }

    /// Where the node listens: the listeners' addresses, with the port that was found for port 0.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Takes no new connections, and ends the present ones as they finish their requests.
    pub fn drain(&self) {
        self.crew.drain();
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

/// One socket for each worker on each listener's address; and the addresses.
fn bind_all(
    snapshot: &Snapshot,
    workers: usize,
) -> Result<(Vec<SocketAddr>, Vec<Vec<TcpListener>>), StartError> {
    let mut sockets: Vec<Vec<TcpListener>> = (0..workers).map(|_| Vec::new()).collect();
    let mut addresses = Vec::new();
    for listener in &snapshot.listeners {
        let mut address = listener.address;
        for of_worker in &mut sockets {
            let socket = bind(address).map_err(|source| StartError::Listen { address, source })?;
            // Port 0 becomes a port with the first socket; the others share it.
            address = socket.local_addr()?;
            of_worker.push(socket);
        }
        addresses.push(address);
    }
    Ok((addresses, sockets))
}

fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}
