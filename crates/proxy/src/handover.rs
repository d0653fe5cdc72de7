//! How a gateway hands its listening sockets over to the one that is started beside it to take its place.
//!
//! A gateway offers its sockets on a Unix socket in its state directory. One that starts with the same directory asks for
//! them before it binds any, and accepts from the very same sockets: their queues are of both then, so nothing is reset when
//! the older one closes its own copies. Whatever goes wrong on the way, the newer one binds as if there were no other.
//!
//! The connection that sockets came by stays open and says who is there: its ends live as long as their gateways listen. A gateway
//! passes on its ends of those to its predecessors too, so one with several successors learns when the last of them is gone.
//! Then it is on its own again: it offers its sockets anew, and serves the Admin API again, which is the youngest one's.
//!
//! Invariant: all sockets that are kept are accepted from, and others are closed at once.

pub(crate) mod message;
mod offer;
mod passing;
#[cfg(test)]
mod tests;

use std::{
    fs,
    io::{self, Write as _},
    net::{SocketAddr, TcpListener},
    os::{
        fd::{AsFd as _, OwnedFd},
        unix::{fs::MetadataExt as _, net::UnixStream},
    },
    path::Path,
    sync::Arc,
    time::Duration,
};

use rustix::net::{RecvFlags, recv, sockopt::socket_acceptconn};
use tidegate_core::{Snapshot, snapshot::Address};
use tokio::{runtime::Builder, sync::watch, time::timeout};

use self::{
    message::{Offered, Purpose, taken_line},
    offer::{Offer, Running},
    passing::Error,
};
use crate::{node::Node, socket::Socket};

/// What handing over may take.
const WITHIN: Duration = Duration::from_secs(5);

/// What a predecessor has handed over.
#[derive(Debug, Default)]
pub struct Handed {
    listeners: Vec<(Address, Vec<Socket>)>,
    admin: Option<TcpListener>,
    /// What its listeners are bound to.
    addresses: Vec<Address>,
    /// To the one that has handed them over, which is to be told, and to the predecessors of that.
    links: Vec<UnixStream>,
}

/// Asks at `place` for the sockets of the gateway whose place is to be taken, if there is one; keeps those that `snapshot` listens on.
pub fn ask(place: &Path, snapshot: &Snapshot) -> Handed {
    match receive(place) {
        Ok((offered, _, _)) if offered.network != network() => {
            tracing::info!(
                pid = offered.pid,
                "a gateway in another network uses this state directory; its sockets are left alone"
            );
            Handed::default()
        }
        Ok((offered, sockets, link)) => {
            let pid = offered.pid;
            let handed = Handed::sort(offered, sockets, link, snapshot);
            let count: usize = handed.listeners.iter().map(|(_, sockets)| sockets.len()).sum();
            tracing::info!(
                pid,
                sockets = count,
                "took over listening sockets of the gateway that runs already"
            );
            handed
        }
        Err(Error::Io(error))
            if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) =>
        {
            tracing::debug!(%error, place = %place.display(), "there is no other gateway");
            Handed::default()
        }
        Err(error) => {
            let error = chain(&error);
            tracing::warn!(%error, place = %place.display(), "sockets are not taken over; tries to bind beside them");
            Handed::default()
        }
    }
}

fn receive(place: &Path) -> Result<(Offered, Vec<OwnedFd>, UnixStream), Error> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let receiving = async {
        let stream = tokio::net::UnixStream::connect(place).await?;
        if !offer::is_trusted(&stream) {
            return Err(io::Error::other("it is offered by another user").into());
        }
        let (offered, sockets) = passing::receive(&stream).await?;
        Ok((offered, sockets, stream.into_std()?))
    };
    let late = |_| io::Error::new(io::ErrorKind::TimedOut, format!("nothing within {}s", WITHIN.as_secs()));
    runtime.block_on(async { timeout(WITHIN, receiving).await }).map_err(late)?
}

impl Handed {
    fn sort(offered: Offered, sockets: Vec<OwnedFd>, link: UnixStream, snapshot: &Snapshot) -> Self {
        let mut handed = Self { links: vec![link], ..Self::default() };
        let wanted: Vec<Address> = snapshot.listeners.iter().map(|one| absolute(&one.address)).collect();
        let mut sockets = sockets.into_iter();
        for (purpose, count) in offered.sockets {
            let some: Vec<OwnedFd> = sockets.by_ref().take(count).collect();
            match purpose {
                Some(Purpose::Listener(address)) if wanted.contains(&address) => handed.listen(address, some),
                Some(Purpose::Admin(address)) if address == snapshot.admin.address => {
                    handed.admin =
                        some.into_iter().map(TcpListener::from).find(|one| is_listener(one, address));
                }
                Some(Purpose::Predecessor) => handed.links.extend(some.into_iter().map(UnixStream::from)),
                _ => {}
            }
        }
        handed
    }

    fn listen(&mut self, address: Address, sockets: Vec<OwnedFd>) {
        let known = |socket| match Socket::handed(socket, &address) {
            Ok(socket) => Some(socket),
            Err(error) => {
                tracing::warn!(%error, %address, "a socket that was handed over is not what it should be");
                None
            }
        };
        let sockets: Vec<Socket> = match &address {
            Address::Ip(_) => sockets.into_iter().filter_map(known).collect(),
            // All that come are the same one.
            Address::Unix(_) => sockets.into_iter().take(1).filter_map(known).collect(),
        };
        if !sockets.is_empty() && !self.addresses.contains(&address) {
            self.addresses.push(address.clone());
            self.listeners.push((address, sockets));
        }
    }

    /// The socket of the Admin API.
    pub fn take_admin(&mut self) -> Option<TcpListener> {
        self.admin.take()
    }

    /// All sockets on `address`.
    pub(crate) fn take(&mut self, address: &Address) -> Vec<Socket> {
        let address = absolute(address);
        let found = self.listeners.iter_mut().find(|(known, _)| *known == address);
        found.map(|(_, sockets)| std::mem::take(sockets)).unwrap_or_default()
    }

    /// Where its sockets listen.
    pub(crate) fn addresses(&self) -> &[Address] {
        &self.addresses
    }
}

/// Who was here before, and who may come.
#[derive(Debug)]
pub struct Succession {
    predecessors: Arc<[UnixStream]>,
    /// Where those listened too.
    handed: Vec<Address>,
    offer: Option<Running>,
}

impl Succession {
    /// Offers the sockets of `node` and the `admin` one at `place`, and tells the predecessor that its sockets have been
    /// `handed` over. `superseded` says from then on whether there is a successor.
    pub fn begin(
        place: Option<&Path>,
        node: &Node,
        admin: &TcpListener,
        handed: Handed,
        superseded: watch::Sender<bool>,
    ) -> Self {
        let listens: Vec<Address> = node.listeners().iter().map(absolute).collect();
        let predecessors: Arc<[UnixStream]> = handed.links.into();
        let running = place.and_then(|place| {
            let offer = Offer::new(listens.clone(), node.sockets(), admin, Arc::clone(&predecessors));
            let running = offer.and_then(|offer| Running::start(place, offer, superseded));
            let complain = |error: &io::Error| {
                tracing::warn!(%error, place = %place.display(), "sockets cannot be handed over to a successor");
            };
            running.inspect_err(complain).ok()
        });
        if let Some(mut link) = predecessors.first()
            && let Err(error) = link.write_all(&taken_line(&listens))
        {
            tracing::debug!(%error, "the predecessor has ended meanwhile");
        }
        Self { predecessors, handed: handed.addresses, offer: running }
    }

    /// Offers nothing any more. Says which addresses others listen on too.
    pub fn end(self) -> Vec<Address> {
        let mut elsewhere = self.offer.map(Running::end).unwrap_or_default();
        if self.predecessors.iter().any(is_open) {
            elsewhere.extend(self.handed);
        }
        elsewhere
    }
}

/// Whether its other end is open.
fn is_open(link: &UnixStream) -> bool {
    recv(link, &mut [0; 1][..], RecvFlags::PEEK | RecvFlags::DONTWAIT) == Err(rustix::io::Errno::AGAIN)
}

fn is_listener(socket: &TcpListener, address: SocketAddr) -> bool {
    let is_known = matches!(socket.local_addr(), Ok(local) if local == address);
    is_known && socket_acceptconn(socket.as_fd()).unwrap_or(false)
}

/// Relative paths mean something else to a process in another folder.
pub(crate) fn absolute(address: &Address) -> Address {
    match address {
        Address::Ip(_) => address.clone(),
        Address::Unix(path) => {
            std::path::absolute(path).map_or_else(|_| address.clone(), |path| Address::Unix(path.into()))
        }
    }
}

/// The number of the network that this process is in: containers that share a folder have others.
fn network() -> u64 {
    fs::metadata("/proc/self/ns/net").map_or(0, |found| found.ino())
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text = format!("{text}: {cause}");
        next = cause.source();
    }
    text
}
