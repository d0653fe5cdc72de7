//! A datagram socket as Lua sees it: what `ngx.socket.udp` makes.
//!
//! It has one peer, by UDP or by a file. Sending never waits: a datagram leaves, or the network has lost it. Receiving
//! is tried at once and answers [`Outcome::Wait`] when nothing has come.

use std::{
    cell::{Cell, RefCell},
    io,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    os::fd::{AsFd, BorrowedFd},
    path::Path,
    rc::Rc,
    time::Duration,
};

use rustix::net::{RecvFlags, SendFlags, recv, send};
use tokio::{
    io::Interest,
    net::{UdpSocket, UnixDatagram},
};

use super::{
    Owned,
    busy::{Busy, Wait},
    connect::Target,
    failure,
    resolver::Resolver,
    tcp::{Cause, Outcome, Waiting},
};
use crate::Reply;

/// More than this has no datagram.
const LARGEST: usize = 64 << 10;

pub(crate) struct Udp {
    pub(crate) timeout: Cell<Duration>,
    pub(crate) busy: Rc<Busy>,
    /// The number of the request that it was connected in; 0: none.
    pub(crate) request: Cell<u64>,
    /// The address that it sends from.
    pub(crate) from: Cell<Option<SocketAddr>>,
    link: RefCell<Option<Rc<Link>>>,
}

struct Link {
    socket: Socket,
    /// The peer as log lines name it.
    name: String,
}

enum Socket {
    Udp(UdpSocket),
    Unix(UnixDatagram),
}

impl Socket {
    fn to_address(address: SocketAddr, from: Option<SocketAddr>) -> io::Result<Self> {
        let any = match address {
            SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
            SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
        };
        let socket = std::net::UdpSocket::bind(from.unwrap_or(any))?;
        socket.set_nonblocking(true)?;
        socket.connect(address)?;
        UdpSocket::from_std(socket).map(Self::Udp)
    }

    fn to_file(path: &Path) -> io::Result<Self> {
        // An abstract name of its own, so that the peer can answer.
        let own = socket2::Socket::new(socket2::Domain::UNIX, socket2::Type::DGRAM, None)?;
        rustix::net::bind(&own, &rustix::net::SocketAddrUnix::new_unnamed())?;
        let socket = std::os::unix::net::UnixDatagram::from(std::os::fd::OwnedFd::from(own));
        socket.set_nonblocking(true)?;
        socket.connect(path)?;
        UnixDatagram::from_std(socket).map(Self::Unix)
    }

    /// Asks the system at once: the runtime does not know of a new socket yet that it can be written to.
    fn try_send(&self, bytes: &[u8]) -> io::Result<usize> {
        Ok(send(self.as_fd(), bytes, SendFlags::NOSIGNAL)?)
    }

    fn try_receive(&self, space: &mut [u8]) -> io::Result<usize> {
        match recv(self.as_fd(), &mut *space, RecvFlags::empty()) {
            Err(rustix::io::Errno::AGAIN) => {}
            outcome => return Ok(outcome?.0),
        }
        // Once more, so that the runtime forgets that there was something.
        let attempt = || Ok(recv(self.as_fd(), space, RecvFlags::empty())?.0);
        match self {
            Self::Udp(socket) => socket.try_io(Interest::READABLE, attempt),
            Self::Unix(socket) => socket.try_io(Interest::READABLE, attempt),
        }
    }

    async fn readable(&self) {
        let _ = match self {
            Self::Udp(socket) => socket.ready(Interest::READABLE | Interest::ERROR).await,
            Self::Unix(socket) => socket.ready(Interest::READABLE | Interest::ERROR).await,
        };
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Udp(socket) => socket.as_fd(),
            Self::Unix(socket) => socket.as_fd(),
        }
    }
}

impl Udp {
    pub(crate) fn new(timeout: Duration) -> Self {
        Self {
            timeout: Cell::new(timeout),
            busy: Rc::default(),
            request: Cell::new(0),
            from: Cell::new(None),
            link: RefCell::default(),
        }
    }

    pub(crate) fn is_open(&self) -> bool {
        self.link.borrow().is_some()
    }

    pub(crate) fn close(&self) {
        self.link.replace(None);
    }

    pub(crate) fn check_busy(&self) -> Result<(), Cause> {
        if self.busy.is(Wait::Read) || self.busy.is(Wait::Connect) {
            return Err(Cause::Busy("socket busy"));
        }
        Ok(())
    }

    /// Who log lines are about.
    pub(crate) fn peer(&self) -> String {
        self.link.borrow().as_ref().map_or_else(String::new, |link| link.name.clone())
    }

    /// Makes `target` the peer.
    pub(crate) fn connect(
        self: &Rc<Self>,
        target: Result<Target, String>,
        resolver: &Rc<Resolver>,
    ) -> Outcome<()> {
        self.close();
        let (socket, name) = match target {
            Err(wrong) => return Outcome::Failed(Cause::Broken(wrong)),
            Ok(Target::File(path)) => (Socket::to_file(&path), format!("unix:{}", path.display())),
            Ok(Target::Address(address)) => {
                (Socket::to_address(address, self.from.get()), address.to_string())
            }
            Ok(Target::Name(name, port)) => return Outcome::Wait(self.look_up(name, port, resolver)),
        };
        match socket {
            Ok(socket) => {
                self.attach(socket, name);
                Outcome::Ready(())
            }
            Err(error) => Outcome::Failed(Cause::Broken(failure::text(&error))),
        }
    }

    fn attach(&self, socket: Socket, name: String) {
        self.link.replace(Some(Rc::new(Link { socket, name })));
    }

    fn look_up(self: &Rc<Self>, name: String, port: u16, resolver: &Rc<Resolver>) -> Waiting {
        let (udp, resolver, guard) = (Rc::clone(self), Rc::clone(resolver), self.busy.with(Wait::Connect));
        Box::pin(async move {
            let _guard = guard;
            let ip = match resolver.resolve(&name).await {
                Ok(ip) => ip,
                Err(why) => return Reply::Failed(why),
            };
            match Socket::to_address((ip, port).into(), udp.from.get()) {
                Ok(socket) => {
                    udp.attach(socket, format!("{name}:{port}({ip})"));
                    Reply::Done
                }
                Err(error) => Reply::Failed(failure::text(&error)),
            }
        })
    }

    pub(crate) fn send(&self, bytes: &[u8]) -> Result<(), Cause> {
        let link = self.link.borrow();
        let link = link.as_ref().ok_or(Cause::NotConnected)?;
        loop {
            match link.socket.try_send(bytes) {
                Ok(_) => return Ok(()),
                // A datagram that does not fit now is lost, as any may be.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(Cause::Broken(failure::text(&error))),
            }
        }
    }

    /// Receives a datagram; what is longer than `size` is cut. A failure comes with a line for the log.
    pub(crate) fn receive(&self, size: usize) -> Outcome<Vec<u8>> {
        let Some(link) = self.link.borrow().clone() else { return Outcome::Failed(Cause::NotConnected) };
        let mut space = vec![0; size.min(LARGEST)];
        loop {
            match link.socket.try_receive(&mut space) {
                Ok(count) => {
                    space.truncate(count);
                    return Outcome::Ready(space);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    return Outcome::Wait(self.wait(link));
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Outcome::Failed(Cause::Broken(failure::text(&error))),
            }
        }
    }

    fn wait(&self, link: Rc<Link>) -> Waiting {
        let (guard, span) = (self.busy.with(Wait::Read), self.timeout.get());
        Box::pin(async move {
            let _guard = guard;
            match tokio::time::timeout(span, link.socket.readable()).await {
                Ok(()) => Reply::Done,
                Err(_) => Reply::Failed("timeout".into()),
            }
        })
    }
}

impl Owned for Udp {
    fn request(&self) -> &Cell<u64> {
        &self.request
    }

    fn abandon(&self) {
        self.close();
    }
}
