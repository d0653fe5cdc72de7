//! Names to addresses, for connections that Lua makes.
//!
//! The hosts file comes first; then name servers are asked over UDP, and over TCP when an answer does not fit. What
//! they said is kept for as long as they said. One lookup of a name is under way at a time and all who need it
//! wait for that one. While no server answers, addresses that have become old are still given for
//! [`STALE`] at most.
//!
//! Addresses of a name are given in turn. Small on purpose: complete resolvers with validation bring more code than
//! the rest of the sockets.

use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    net::{IpAddr, SocketAddr},
    num::NonZeroUsize,
    rc::Rc,
    sync::Arc,
    time::Duration,
};

use lru::LruCache;
use tidegate_core::snapshot::SocketSettings;
use tokio::{sync::OnceCell, time::Instant};

use self::{hosts::Hosts, message::Kind, system::System};

mod exchange;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
mod hosts;
mod message;
mod system;

/// Names whose addresses are kept.
const KEPT_NAMES: NonZeroUsize = NonZeroUsize::new(4_096).expect("is not zero");
/// How long a failure to find a name is kept at most, and addresses at least and at most.
const NEGATIVE: Duration = Duration::from_secs(5);
const SHORTEST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_hours(24);
/// How long addresses are used beyond their time while nobody can be asked.
const STALE: Duration = Duration::from_mins(5);

/// What a resolver is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Settings {
    /// Name servers; `None`: those of the system.
    pub(crate) servers: Option<Vec<SocketAddr>>,
    /// Keeps addresses for so long, whatever servers say.
    pub(crate) valid: Option<Duration>,
    pub(crate) ipv4: bool,
    pub(crate) ipv6: bool,
    /// How long a lookup may take in all.
    pub(crate) timeout: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self { servers: None, valid: None, ipv4: true, ipv6: true, timeout: Duration::from_secs(30) }
    }
}

impl From<&SocketSettings> for Settings {
    /// What is neither an address nor an address with a port has been refused with the configuration.
    fn from(settings: &SocketSettings) -> Self {
        let address = |text: &String| {
            let plain = || Some(SocketAddr::from((text.parse::<IpAddr>().ok()?, system::PORT)));
            text.parse().ok().or_else(plain)
        };
        let servers: Vec<_> = settings.resolver.iter().filter_map(address).collect();
        Self {
            servers: (!servers.is_empty()).then_some(servers),
            timeout: settings.resolver_timeout,
            ..Self::default()
        }
    }
}

/// Why a name has no address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Error {
    #[error("1: Format error")]
    Format,
    #[error("2: Server failure")]
    Server,
    #[error("3: Host not found")]
    NotFound,
    #[error("4: Unimplemented")]
    Unimplemented,
    #[error("5: Operation refused")]
    Refused,
    #[error("110: Operation timed out")]
    TimedOut,
}

impl Error {
    /// Whether the name servers have answered about the name, rather than not at all.
    fn is_answer(self) -> bool {
        matches!(self, Self::NotFound | Self::Format)
    }
}

/// What servers said about a name.
#[derive(Debug, Clone)]
pub(crate) struct Found {
    addresses: Vec<IpAddr>,
    valid: Duration,
}

type Flight = OnceCell<Result<Rc<Entry>, Error>>;

#[derive(Debug)]
struct Entry {
    outcome: Result<Vec<IpAddr>, Error>,
    until: Instant,
    next: Cell<usize>,
}

impl Entry {
    fn address(&self) -> Result<IpAddr, Error> {
        let addresses = self.outcome.as_ref().map_err(|&error| error)?;
        let next = self.next.get();
        self.next.set(next.wrapping_add(1));
        addresses.get(next % addresses.len().max(1)).copied().ok_or(Error::NotFound)
    }
}

struct Kept(LruCache<Box<str>, Rc<Entry>>);

impl Default for Kept {
    fn default() -> Self {
        Self(LruCache::new(KEPT_NAMES))
    }
}

#[derive(Default)]
pub(crate) struct Resolver {
    settings: RefCell<Settings>,
    kept: RefCell<Kept>,
    flights: RefCell<HashMap<Box<str>, Rc<Flight>>>,
    system: RefCell<System>,
    hosts: RefCell<Hosts>,
}

impl Resolver {
    pub(crate) fn new(settings: Settings) -> Self {
        Self { settings: RefCell::new(settings), ..Self::default() }
    }

    /// An address of `name`, or why there is none in OpenResty's words.
    pub(crate) async fn resolve(&self, name: &str) -> Result<IpAddr, String> {
        let lower = name.trim_end_matches('.').to_ascii_lowercase();
        let settings = self.settings.borrow().clone();
        if let Some(address) = self.hosts.borrow_mut().find(&lower, &settings) {
            return Ok(address);
        }
        let old = self.kept.borrow_mut().0.get(&*lower).cloned();
        if let Some(entry) = &old
            && entry.until > Instant::now()
        {
            return entry.address().map_err(|error| unresolved(name, error));
        }
        let system = self.system.borrow_mut().read();
        if settings.servers.as_ref().map_or(system.servers.is_empty(), Vec::is_empty) {
            return Err(format!("no resolver defined to resolve \"{name}\""));
        }
        let outcome = self.look_up_once(lower, &settings, system).await;
        let entry = match (outcome, old) {
            (Err(error), Some(old))
                if !error.is_answer() && old.outcome.is_ok() && old.until + STALE > Instant::now() =>
            {
                old
            }
            (Err(error), _) => return Err(unresolved(name, error)),
            (Ok(entry), _) => entry,
        };
        entry.address().map_err(|error| unresolved(name, error))
    }

    /// Joins the lookup of a name that is under way, or begins one. Should its beginner not live to see the end, one
    /// of the others goes on.
    async fn look_up_once(
        &self,
        name: String,
        settings: &Settings,
        system: Arc<system::Configuration>,
    ) -> Result<Rc<Entry>, Error> {
        let flight = Rc::clone(self.flights.borrow_mut().entry(name.clone().into()).or_default());
        let outcome = flight
            .get_or_init(|| async {
                let found = look_up(&name, settings, &system).await;
                let (outcome, valid) = match found {
                    Ok(found) => {
                        (Ok(found.addresses), settings.valid.unwrap_or(found.valid.clamp(SHORTEST, LONGEST)))
                    }
                    Err(error) if error.is_answer() => (Err(error), NEGATIVE),
                    Err(error) => return Err(error),
                };
                let entry = Rc::new(Entry { outcome, until: Instant::now() + valid, next: Cell::new(0) });
                self.kept.borrow_mut().0.put(name.clone().into(), Rc::clone(&entry));
                Ok(entry)
            })
            .await
            .clone();
        let mut flights = self.flights.borrow_mut();
        if flights.get(&*name).is_some_and(|listed| Rc::ptr_eq(listed, &flight)) {
            flights.remove(&*name);
        }
        outcome
    }
}

fn unresolved(name: &str, error: Error) -> String {
    format!("{name} could not be resolved ({error})")
}

/// Asks for a name as it is and, as the system is configured to, within its domains.
async fn look_up(name: &str, settings: &Settings, system: &system::Configuration) -> Result<Found, Error> {
    let servers = settings.servers.as_ref().unwrap_or(&system.servers);
    let candidates = if settings.servers.is_some() { vec![name.to_owned()] } else { system.candidates(name) };
    let asking = async {
        let mut last = Error::NotFound;
        for candidate in &candidates {
            match look_up_exactly(candidate, servers, settings).await {
                Err(Error::NotFound) => {}
                Err(error) => last = error,
                found => return found,
            }
        }
        Err(last)
    };
    tokio::time::timeout(settings.timeout, asking).await.unwrap_or(Err(Error::TimedOut))
}

async fn look_up_exactly(name: &str, servers: &[SocketAddr], settings: &Settings) -> Result<Found, Error> {
    let ask = async |wanted: bool, kind| {
        if wanted { Some(exchange::ask(name, kind, servers).await) } else { None }
    };
    let (four, six) = tokio::join!(ask(settings.ipv4, Kind::A), ask(settings.ipv6, Kind::Aaaa));
    match (four, six) {
        (Some(Ok(mut four)), Some(Ok(six))) => {
            four.addresses.extend(six.addresses);
            four.valid = four.valid.min(six.valid);
            Ok(four)
        }
        // Half an answer is enough; a name without an address of one kind may well have one of the other.
        (Some(Ok(found)), _) | (_, Some(Ok(found))) => Ok(found),
        (Some(Err(error)), Some(Err(Error::NotFound)) | None) | (_, Some(Err(error))) => Err(error),
        (None, None) => Err(Error::NotFound),
    }
}
