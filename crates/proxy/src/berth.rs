//! Connections that wait for their next request, where others can get at them.
//!
//! While a connection waits, its socket lies in a [`Berth`]. Its task takes it from there when it is woken; and where Lua holds
//! up the thread, so that the task cannot be woken, somebody on another thread may take it and serve it elsewhere. Whoever
//! comes first has it: nothing of the connection is anywhere else, as no request has begun. One that has just been accepted
//! waits as well, for its task to begin.
//!
//! A lock is taken twice for a request, by one thread as long as nobody is held up.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::Waker,
};

use slab::Slab;
use tidegate_core::telemetry::Series;
use tidegate_lua::flame::Label;
use tokio::net::TcpStream;

use crate::peer::Client;

/// The berths of one thread, and what it serves them by.
#[derive(Debug, Default)]
pub(crate) struct Berths {
    all: Mutex<Slab<Arc<Berth>>>,
    /// By the label that each has in the thread's VM.
    routes: Mutex<HashMap<Label, Arc<Series>>>,
}

/// Of one connection.
#[derive(Debug)]
pub(crate) struct Berth {
    pub(crate) client: SocketAddr,
    /// Its number in this process.
    pub(crate) number: u64,
    inside: Mutex<Inside>,
}

#[derive(Debug, Default)]
struct Inside {
    /// `None` while it is served, and when somebody else has taken it.
    client: Option<Client>,
    /// The number of the listener that it has come to, until somebody attends to it.
    listener: Option<usize>,
    /// How many requests it has carried.
    count: u64,
    waker: Option<Waker>,
}

/// A connection that was taken away from its thread.
#[derive(Debug)]
pub(crate) struct Taken {
    pub(crate) client: Client,
    /// The number of the listener that it has come to, if nobody has attended to it yet.
    pub(crate) listener: Option<usize>,
    /// How many requests it has carried.
    pub(crate) count: u64,
}

impl Berths {
    pub(crate) fn book(self: &Arc<Self>, client: SocketAddr, number: u64) -> Mooring {
        let berth = Arc::new(Berth { client, number, inside: Mutex::default() });
        let key = self.all().insert(Arc::clone(&berth));
        Mooring { berths: Arc::clone(self), berth, key }
    }

    pub(crate) fn find(&self, key: usize) -> Option<Arc<Berth>> {
        self.all().get(key).cloned()
    }

    /// Shows all that wait, by their keys.
    pub(crate) fn each(&self, mut look: impl FnMut(usize, &TcpStream)) {
        for (key, berth) in &*self.all() {
            if let Some(client) = &berth.inside().client {
                look(key, client.stream());
            }
        }
    }

    /// These routes are served from now on.
    pub(crate) fn set_routes<'a>(&self, routes: impl Iterator<Item = (Label, &'a Arc<Series>)>) {
        let routes = routes.map(|(label, series)| (label, Arc::clone(series))).collect();
        *self.routes.lock().unwrap_or_else(PoisonError::into_inner) = routes;
    }

    pub(crate) fn route(&self, label: Label) -> Option<Arc<Series>> {
        self.routes.lock().unwrap_or_else(PoisonError::into_inner).get(&label).cloned()
    }

    fn all(&self) -> MutexGuard<'_, Slab<Arc<Berth>>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Berth {
    /// Shows the connection, if it still waits.
    pub(crate) fn look(&self, look: impl FnOnce(&TcpStream)) {
        if let Some(client) = &self.inside().client {
            look(client.stream());
        }
    }

    /// Takes the connection away from its thread, if it still waits. Its task learns of it when it is woken.
    pub(crate) fn take_away(&self) -> Option<Taken> {
        let mut inside = self.inside();
        let client = inside.client.take()?;
        if let Some(waker) = inside.waker.take() {
            waker.wake();
        }
        Some(Taken { client, listener: inside.listener, count: inside.count })
    }

    fn inside(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the task of a connection has of its berth.
#[derive(Debug)]
pub(crate) struct Mooring {
    berths: Arc<Berths>,
    berth: Arc<Berth>,
    key: usize,
}

impl Mooring {
    /// The connection has come to the listener of this number, and waits for its task to begin.
    pub(crate) fn land(&self, stream: TcpStream, listener: usize) {
        let mut inside = self.berth.inside();
        inside.client = Some(Client::Plain(stream));
        inside.listener = Some(listener);
    }

    /// The number of the connection in this process.
    pub(crate) fn number(&self) -> u64 {
        self.berth.number
    }

    /// The connection waits from now on; `waker` is called if somebody takes it away.
    pub(crate) fn put(&self, client: Client, count: u64, waker: &Waker) {
        let mut inside = self.berth.inside();
        inside.client = Some(client);
        inside.listener = None;
        inside.count = count;
        if !inside.waker.as_ref().is_some_and(|known| known.will_wake(waker)) {
            inside.waker = Some(waker.clone());
        }
    }

    /// It waits no more. `None`: somebody has taken it away.
    pub(crate) fn take(&self) -> Option<Client> {
        self.berth.inside().client.take()
    }
}

impl Drop for Mooring {
    fn drop(&mut self) {
        self.berths.all().remove(self.key);
    }
}
