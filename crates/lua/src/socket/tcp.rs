//! A stream socket as Lua sees it: what `ngx.socket.tcp` makes.
//!
//! Every operation is tried at once and answers [`Outcome::Wait`] when it would block; the future that comes with it
//! ends when trying again is worth it, or with why it is not. Reading and writing are independent, so one
//! light thread can do either while another does the other; two that want the same are told that the socket is busy.
//!
//! Not here: who may use a socket (see [`crate::socket`]) and where connections come from (see
//! [`super::connect`]).

use std::{
    cell::{Cell, RefCell},
    io,
    net::SocketAddr,
    pin::Pin,
    rc::Rc,
    time::Duration,
};

use super::{
    busy::{Busy, Wait},
    failure,
    link::Link,
    receive::{self, End, Progress, Receive, Want},
};
use crate::Reply;

pub(crate) type Waiting = Pin<Box<dyn Future<Output = Reply>>>;

/// What came of trying.
pub(crate) enum Outcome<T> {
    Ready(T),
    Wait(Waiting),
    Failed(Cause),
}

/// Why not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Cause {
    /// There is no connection, or none any more.
    NotConnected,
    Busy(&'static str),
    /// It went wrong; the connection is of no use in that direction.
    Broken(String),
}

/// How long each kind of wait may last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Timeouts {
    pub(crate) connect: Duration,
    pub(crate) send: Duration,
    pub(crate) receive: Duration,
}

pub(crate) struct Tcp {
    pub(crate) timeouts: Cell<Timeouts>,
    pub(crate) busy: Rc<Busy>,
    /// The number of the request that it was connected in; 0: none.
    pub(crate) request: Cell<u64>,
    link: RefCell<Option<Rc<Link>>>,
    can_read: Cell<bool>,
    can_write: Cell<bool>,
    /// The address that it connects from.
    pub(crate) from: Cell<Option<SocketAddr>>,
    /// What the log should have about the last failure to connect.
    pub(crate) trouble: RefCell<Option<String>>,
    /// The last receive, which goes on or serves as the next one.
    receive: RefCell<Option<Receive>>,
    /// Bytes that are asked of the peer at once, at first.
    buffer_bytes: usize,
}

/// Bytes for Lua: the first so many of what was taken off an inbox.
pub(crate) struct Received {
    pub(crate) take: usize,
    pub(crate) give: usize,
    pub(crate) end: End,
    pub(crate) is_line: bool,
}

impl Tcp {
    pub(crate) fn new(timeouts: Timeouts, buffer_bytes: usize) -> Self {
        Self {
            timeouts: Cell::new(timeouts),
            busy: Rc::default(),
            request: Cell::new(0),
            link: RefCell::default(),
            can_read: Cell::new(false),
            can_write: Cell::new(false),
            from: Cell::new(None),
            trouble: RefCell::default(),
            receive: RefCell::default(),
            buffer_bytes,
        }
    }

    /// The connection, open in at least one direction.
    pub(crate) fn link(&self) -> Option<Rc<Link>> {
        self.link.borrow().clone()
    }

    pub(crate) fn attach(&self, link: Rc<Link>) {
        link.traffic.borrow_mut().inbox.set_step(self.buffer_bytes);
        self.link.replace(Some(link));
        self.can_read.set(true);
        self.can_write.set(true);
        self.receive.replace(None);
    }

    pub(crate) fn detach(&self) -> Option<Rc<Link>> {
        self.can_read.set(false);
        self.can_write.set(false);
        self.receive.replace(None);
        self.link.take()
    }

    pub(crate) fn is_open(&self) -> bool {
        self.can_read.get() && self.can_write.get()
    }

    fn close_reading(&self) {
        self.can_read.set(false);
        if !self.can_write.get() {
            drop(self.detach());
        }
    }

    fn close_writing(&self) {
        self.can_write.set(false);
        if !self.can_read.get() {
            drop(self.detach());
        }
    }

    /// What an operation of that kind has to do with somebody else's.
    pub(crate) fn check_busy(&self, waits: &[Wait]) -> Result<(), Cause> {
        for &wait in waits {
            if self.busy.is(wait) {
                return Err(Cause::Busy(match wait {
                    Wait::Connect => "socket busy connecting",
                    Wait::Read => "socket busy reading",
                    Wait::Write => "socket busy writing",
                }));
            }
        }
        Ok(())
    }

    fn reading_link(&self) -> Option<Rc<Link>> {
        if self.can_read.get() { self.link() } else { None }
    }

    fn writing_link(&self) -> Option<Rc<Link>> {
        if self.can_write.get() { self.link() } else { None }
    }

    /// Whether a receive can be begun.
    pub(crate) fn may_receive(&self) -> Result<(), Cause> {
        if self.reading_link().is_none() {
            return Err(Cause::NotConnected);
        }
        self.check_busy(&[Wait::Connect, Wait::Read])
    }

    /// Begins to receive.
    pub(crate) fn receive(&self, want: Want) -> Outcome<Received> {
        let mut receive = self.receive.borrow_mut();
        match &mut *receive {
            // What a pattern needs is made once.
            Some(same) if *same.want() == want => same.restart(),
            other => *other = Some(Receive::new(want)),
        }
        drop(receive);
        self.receive_on()
    }

    /// Goes on after a wait.
    pub(crate) fn receive_on(&self) -> Outcome<Received> {
        let Some(link) = self.reading_link() else { return Outcome::Failed(Cause::NotConnected) };
        let mut receive = self.receive.borrow_mut();
        let Some(receive) = &mut *receive else { return Outcome::Failed(Cause::NotConnected) };
        loop {
            let progress = {
                let traffic = link.traffic.borrow();
                receive.look(traffic.inbox.unread(), traffic.ended)
            };
            match progress {
                Progress::Done { take, give, end } => {
                    let is_line = *receive.want() == Want::Line;
                    return Outcome::Ready(Received { take, give, end, is_line });
                }
                Progress::Closed => return Outcome::Failed(Cause::Broken("closed".into())),
                Progress::More => {}
            }
            match link.fill(receive.wanted()) {
                Ok(0) if link.stream.is_cut_short() => {
                    return Outcome::Failed(Cause::Broken("client aborted".into()));
                }
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    return Outcome::Wait(self.wait(&link, Wait::Read));
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Outcome::Failed(Cause::Broken(failure::text(&error))),
            }
        }
    }

    /// Takes received bytes off the inbox and hands them to `give`.
    pub(crate) fn take<R>(&self, received: &Received, give: impl FnOnce(&[u8]) -> R) -> R {
        let Some(link) = self.link() else { return give(&[]) };
        let mut traffic = link.traffic.borrow_mut();
        let taken = &mut traffic.inbox.take(received.take)[..received.give];
        let length = if received.is_line { receive::without_returns(taken) } else { taken.len() };
        give(&taken[..length])
    }

    /// Gives up the receive: what of it has come, and if it is `broken`, that is the end of reading.
    pub(crate) fn give_up<R>(&self, broken: bool, give: impl FnOnce(&[u8]) -> R) -> R {
        let partial = {
            let (link, receive) = (self.link(), self.receive.borrow());
            link.zip(receive.as_ref())
                .map_or(0, |(link, receive)| receive.partial(link.traffic.borrow().inbox.unread()))
        };
        let is_line = self.receive.borrow().as_ref().is_some_and(|receive| *receive.want() == Want::Line);
        let received = Received { take: partial, give: partial, end: End::Piece, is_line };
        let given = self.take(&received, give);
        if broken {
            self.close_reading();
        }
        given
    }

    /// Whether a send can be begun.
    pub(crate) fn may_send(&self) -> Result<(), Cause> {
        if self.writing_link().is_none() {
            return Err(Cause::NotConnected);
        }
        self.check_busy(&[Wait::Connect, Wait::Write])
    }

    pub(crate) fn send(&self, bytes: &[u8]) -> Outcome<()> {
        self.after_send(|link| link.send(bytes))
    }

    pub(crate) fn send_on(&self) -> Outcome<()> {
        self.after_send(Link::send_rest)
    }

    fn after_send(&self, send: impl FnOnce(&Link) -> io::Result<bool>) -> Outcome<()> {
        let Some(link) = self.writing_link() else { return Outcome::Failed(Cause::NotConnected) };
        match send(&link) {
            Ok(true) => Outcome::Ready(()),
            Ok(false) => Outcome::Wait(self.wait(&link, Wait::Write)),
            Err(error) => {
                self.close_writing();
                Outcome::Failed(Cause::Broken(failure::text(&error)))
            }
        }
    }

    /// A send took too long: what has not left will not.
    pub(crate) fn give_up_sending(&self) {
        if let Some(link) = self.link() {
            link.traffic.borrow_mut().outbox = Vec::new();
        }
        self.close_writing();
    }

    fn wait(&self, link: &Rc<Link>, wait: Wait) -> Waiting {
        let (link, guard, timeouts) = (Rc::clone(link), self.busy.with(wait), self.timeouts.get());
        Box::pin(async move {
            let _guard = guard;
            let in_time = match wait {
                Wait::Write => link.within(timeouts.send, link.stream.writable()).await,
                Wait::Connect | Wait::Read => link.within(timeouts.receive, link.stream.readable()).await,
            };
            if in_time { Reply::Done } else { Reply::Failed("timeout".into()) }
        })
    }

    /// Says one end, or both, of the connection's streams.
    pub(crate) fn shutdown(&self, how: rustix::net::Shutdown) -> Result<(), Cause> {
        let link = self.link().ok_or(Cause::NotConnected)?;
        link.stream.shutdown(how).map_err(|error| Cause::Broken(failure::text(&error)))?;
        if how != rustix::net::Shutdown::Write {
            self.close_reading();
        }
        if how != rustix::net::Shutdown::Read {
            self.close_writing();
        }
        Ok(())
    }
}
