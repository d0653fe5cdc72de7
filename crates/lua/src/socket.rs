//! Sockets that Lua opens: `ngx.socket` and what is built on it, and the processes whose streams are like sockets.
//!
//! A VM has one [`Sockets`]. Lua holds the number of a socket in an object whose finalizer releases it, so a
//! number is used as long as anybody has it. A connection belongs to the request that made it: others are refused, and
//! it is closed with the request, however that ends.
//!
//! An operation is tried at once; only what would block becomes a future for the worker to wait for (see [`tcp`]).
//! All sockets of a VM are used by one thread, within a tokio runtime of its own.

use std::{
    cell::{Cell, RefCell},
    net::SocketAddr,
    path::Path,
    rc::{Rc, Weak},
    sync::Arc,
    time::Duration,
};

use slab::Slab;
use tidegate_core::snapshot::{SocketSettings, TlsVersions};

use self::{
    connect::Target,
    pool::{Pool, Pools},
    process::Process,
    resolver::Resolver,
    tcp::{Outcome, Tcp, Timeouts},
    tls::{Session, Trust},
    udp::Udp,
};

pub(crate) mod busy;
pub(crate) mod connect;
pub(crate) mod failure;
mod inbox;
pub(crate) mod lent;
pub(crate) mod link;
pub(crate) mod pool;
pub(crate) mod process;
pub(crate) mod receive;
pub(crate) mod resolver;
mod stream;
pub(crate) mod tcp;
#[expect(unsafe_code, reason = "the border to AWS-LC")]
pub(crate) mod tls;
pub(crate) mod udp;

/// What sockets are unless told otherwise.
#[derive(Debug, Clone)]
pub(crate) struct Defaults {
    pub(crate) timeouts: Timeouts,
    pub(crate) keep_alive_timeout: Duration,
    pub(crate) pool_size: usize,
    pub(crate) log_errors: bool,
    pub(crate) buffer_bytes: usize,
    /// How many certificates may stand between a server's and one that is trusted.
    pub(crate) verify_depth: u32,
    pub(crate) tls_versions: TlsVersions,
}

impl From<&SocketSettings> for Defaults {
    fn from(settings: &SocketSettings) -> Self {
        Self {
            timeouts: Timeouts {
                connect: settings.connect_timeout,
                send: settings.send_timeout,
                receive: settings.read_timeout,
            },
            keep_alive_timeout: settings.keep_alive_timeout,
            pool_size: settings.pool_size,
            log_errors: settings.log_errors,
            buffer_bytes: settings.buffer_bytes,
            verify_depth: settings.verify_depth,
            tls_versions: settings.tls_versions,
        }
    }
}

/// A socket by its number.
#[derive(Clone)]
pub(crate) enum Entry {
    Tcp(Rc<Tcp>),
    Udp(Rc<Udp>),
    Session(Rc<Session>),
    Process(Rc<Process>),
}

/// All sockets of a VM.
pub(crate) struct Sockets {
    entries: RefCell<Slab<Entry>>,
    pub(crate) pools: Rc<Pools>,
    pub(crate) resolver: Rc<Resolver>,
    pub(crate) defaults: RefCell<Defaults>,
    requests: Cell<u64>,
    /// What servers must be trusted by; unless it is configured, found when it is needed first.
    trust: RefCell<Option<Arc<Trust>>>,
}

impl Sockets {
    /// Fails with why the settings cannot be used.
    pub(crate) fn new(settings: &SocketSettings) -> Result<Self, String> {
        let trust = match &*settings.trusted_certificate {
            "" => None,
            path => Some(Arc::new(Trust::from_file(Path::new(path)).ok_or_else(|| {
                format!(
                    "lua.sockets.trustedCertificate: there are no certificates in PEM to be read from {path}"
                )
            })?)),
        };
        let resolver = Rc::new(Resolver::new(resolver::Settings::from(settings)));
        Ok(Self {
            entries: RefCell::default(),
            pools: Rc::default(),
            resolver,
            defaults: RefCell::new(Defaults::from(settings)),
            requests: Cell::default(),
            trust: RefCell::new(trust),
        })
    }

    /// What a server must be trusted by.
    pub(crate) fn trust(&self) -> Option<Arc<Trust>> {
        let mut trust = self.trust.borrow_mut();
        if trust.is_none() {
            *trust = Trust::of_system().map(Arc::new);
        }
        trust.clone()
    }

    pub(crate) fn session(&self, number: u32) -> Option<Rc<Session>> {
        match self.entries.borrow().get(number as usize)? {
            Entry::Session(session) => Some(Rc::clone(session)),
            Entry::Tcp(_) | Entry::Udp(_) | Entry::Process(_) => None,
        }
    }

    /// Makes a number for an entry; `None` when there are no more.
    pub(crate) fn insert(&self, entry: Entry) -> Option<i32> {
        let mut entries = self.entries.borrow_mut();
        let number = i32::try_from(entries.vacant_key()).ok()?;
        entries.insert(entry);
        Some(number)
    }

    pub(crate) fn new_tcp(&self) -> Option<i32> {
        let (timeouts, buffer_bytes) = {
            let defaults = self.defaults.borrow();
            (defaults.timeouts, defaults.buffer_bytes)
        };
        self.insert(Entry::Tcp(Rc::new(Tcp::new(timeouts, buffer_bytes))))
    }

    pub(crate) fn tcp(&self, number: u32) -> Option<Rc<Tcp>> {
        match self.entries.borrow().get(number as usize)? {
            Entry::Tcp(tcp) => Some(Rc::clone(tcp)),
            Entry::Udp(_) | Entry::Session(_) | Entry::Process(_) => None,
        }
    }

    pub(crate) fn new_udp(&self) -> Option<i32> {
        self.insert(Entry::Udp(Rc::new(Udp::new(self.defaults.borrow().timeouts.receive))))
    }

    pub(crate) fn udp(&self, number: u32) -> Option<Rc<Udp>> {
        match self.entries.borrow().get(number as usize)? {
            Entry::Udp(udp) => Some(Rc::clone(udp)),
            Entry::Tcp(_) | Entry::Session(_) | Entry::Process(_) => None,
        }
    }

    pub(crate) fn process(&self, number: u32) -> Option<Rc<Process>> {
        match self.entries.borrow().get(number as usize)? {
            Entry::Process(process) => Some(Rc::clone(process)),
            Entry::Tcp(_) | Entry::Udp(_) | Entry::Session(_) => None,
        }
    }

    /// Nobody has the number any more.
    pub(crate) fn release(&self, number: u32) {
        let entry = self.entries.borrow_mut().try_remove(number as usize);
        match entry {
            Some(Entry::Tcp(tcp)) => drop(tcp.detach()),
            Some(Entry::Udp(udp)) => udp.close(),
            Some(Entry::Session(_) | Entry::Process(_)) | None => {}
        }
    }

    pub(crate) fn connect(
        &self,
        tcp: &Rc<Tcp>,
        target: impl FnOnce() -> Result<Target, String>,
        from: Option<SocketAddr>,
        pool: Option<Rc<Pool>>,
    ) -> Outcome<()> {
        drop(tcp.detach());
        connect::connect(tcp, pool, &self.resolver, target, from)
    }

    /// The number of a request that owns sockets.
    pub(crate) fn new_request(&self) -> Owner {
        let number = self.requests.get() + 1;
        self.requests.set(number);
        Owner { number, sockets: RefCell::default(), pruned_at: Cell::new(16) }
    }
}

impl Drop for Sockets {
    fn drop(&mut self) {
        self.pools.close_all();
    }
}

/// A socket that a request can own.
pub(crate) trait Owned {
    /// The number of the request; 0 is none.
    fn request(&self) -> &Cell<u64>;

    /// The request is over.
    fn abandon(&self);
}

impl Owned for Tcp {
    fn request(&self) -> &Cell<u64> {
        &self.request
    }

    fn abandon(&self) {
        drop(self.detach());
    }
}

/// A request that owns sockets. Dropping it closes them.
pub(crate) struct Owner {
    pub(crate) number: u64,
    sockets: RefCell<Vec<Weak<dyn Owned>>>,
    pruned_at: Cell<usize>,
}

impl Owner {
    /// Takes a socket over.
    pub(crate) fn adopt(&self, socket: &Rc<dyn Owned>) {
        if socket.request().replace(self.number) == self.number {
            return;
        }
        let mut sockets = self.sockets.borrow_mut();
        if sockets.len() >= self.pruned_at.get() {
            sockets.retain(|socket| socket.strong_count() > 0);
            self.pruned_at.set(2 * sockets.len() + 16);
        }
        sockets.push(Rc::downgrade(socket));
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        for socket in self.sockets.take().into_iter().filter_map(|socket| socket.upgrade()) {
            if socket.request().get() == self.number {
                socket.abandon();
                socket.request().set(0);
            }
        }
    }
}
