//! Sessions that scripts keep, so that clients spare themselves whole handshakes, also with another node.
//!
//! rustls asks for a session in the middle of a handshake and does not wait. So a script is asked before, by the name in what the
//! client says first, and each handshake has a store of its own: it knows that one session, and holds the one that is
//! made, which another script may keep then. Tickets, by which clients keep all of a session themselves, are not given.

use std::{
    mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use rustls::{
    ServerConfig,
    server::{ProducesTickets, StoresServerSessions},
};
use tidegate_lua::Session;

/// The sessions of one handshake.
#[derive(Debug, Default)]
pub(crate) struct Sessions(Mutex<Held>);

#[derive(Debug, Default)]
struct Held {
    /// What the client would go on with.
    known: Option<Session>,
    made: Option<Session>,
}

impl Sessions {
    pub(crate) fn new(known: Option<Session>) -> Arc<Self> {
        Arc::new(Self(Mutex::new(Held { known, made: None })))
    }

    /// Has handshakes under `config` go by these.
    pub(crate) fn rule(self: &Arc<Self>, config: &mut ServerConfig) {
        config.session_storage = Arc::clone(self) as _;
        config.ticketer = Arc::new(NoTickets);
        config.send_tls13_tickets = 1; // That many are kept.
    }

    /// The session that was made, once.
    pub(crate) fn take_made(&self) -> Option<Session> {
        self.held().made.take()
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl StoresServerSessions for Sessions {
    fn put(&self, name: Vec<u8>, content: Vec<u8>) -> bool {
        self.held().made = Some(Session { name, content: Some(content) });
        true
    }

    fn get(&self, name: &[u8]) -> Option<Vec<u8>> {
        self.held().known.as_ref().filter(|known| known.name == name)?.content.clone()
    }

    fn take(&self, name: &[u8]) -> Option<Vec<u8>> {
        let known = &mut self.held().known;
        known.as_mut().filter(|known| known.name == name).and_then(|known| mem::take(&mut known.content))
    }

    fn can_cache(&self) -> bool {
        true
    }
}

#[derive(Debug)]
struct NoTickets;

impl ProducesTickets for NoTickets {
    fn enabled(&self) -> bool {
        false
    }

    fn lifetime(&self) -> u32 {
        0
    }

    fn encrypt(&self, _: &[u8]) -> Option<Vec<u8>> {
        None
    }

    fn decrypt(&self, _: &[u8]) -> Option<Vec<u8>> {
        None
    }
}
