//! A connection with what has come over it and what is still to go: what a pool keeps, and what a socket has while
//! it is connected.

use std::{
    cell::{Cell, RefCell},
    io,
    pin::Pin,
    rc::Rc,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use rustls::{ClientConnection, ServerConnection};
use tokio::{
    net::TcpStream,
    time::{Instant, Sleep, sleep_until},
};

use super::{
    inbox::Inbox,
    pool::Ticket,
    stream::Stream,
    tls::{self, Session, Speaks},
};
use crate::Lent;

/// As long as anything is waited for; a script may ask for what no clock can tell.
const LONGEST: Duration = Duration::from_hours(24 * 365);

#[derive(Default)]
pub(crate) struct Traffic {
    pub(crate) inbox: Inbox,
    /// Bytes that were given to be sent and did not leave at once.
    pub(crate) outbox: Vec<u8>,
    /// The peer has sent its last byte.
    pub(crate) ended: bool,
}

/// What is spoken over a connection.
pub(crate) enum Tls {
    Own(Box<ClientConnection>),
    /// The client's, which goes on when the script is done.
    Lent(Arc<Mutex<ServerConnection>>),
}

impl Tls {
    fn with<R>(&mut self, f: impl FnOnce(&mut dyn Speaks) -> R) -> R {
        match self {
            Self::Own(tls) => f(&mut **tls),
            Self::Lent(tls) => f(&mut *tls.lock().unwrap_or_else(PoisonError::into_inner)),
        }
    }
}

pub(crate) struct Link {
    pub(crate) stream: Stream,
    pub(crate) traffic: RefCell<Traffic>,
    /// Once hands have been shaken.
    pub(crate) tls: RefCell<Option<Tls>>,
    /// What a script may use to shake hands again.
    pub(crate) session: RefCell<Option<Rc<Session>>>,
    /// How often it was taken from a pool.
    pub(crate) reused: Cell<u32>,
    /// Its place in a pool that counts it.
    pub(crate) ticket: RefCell<Option<Ticket>>,
    /// Bounds waits, one after the other: to put off one that has been set costs far less than to set another.
    timer: Cell<Option<Pin<Box<Sleep>>>>,
}

impl Link {
    pub(crate) fn new(stream: Stream, ticket: Option<Ticket>) -> Self {
        Self {
            stream,
            traffic: RefCell::default(),
            tls: RefCell::default(),
            session: RefCell::default(),
            reused: Cell::new(0),
            ticket: RefCell::new(ticket),
            timer: Cell::default(),
        }
    }

    /// Waits for `event`, but no longer than `span`; answers whether it came in time.
    pub(crate) async fn within(&self, span: Duration, event: impl Future) -> bool {
        let deadline = Instant::now() + span.min(LONGEST);
        let mut timer = self.timer.take().unwrap_or_else(|| Box::pin(sleep_until(deadline)));
        timer.as_mut().reset(deadline);
        let in_time = tokio::select! {
            biased;
            _ = event => true,
            () = timer.as_mut() => false,
        };
        self.timer.set(Some(timer));
        in_time
    }

    /// A client's connection, with what has come over it.
    pub(crate) fn lent(lent: Lent) -> io::Result<Self> {
        let Lent { stream, received, left, tls } = lent;
        let stream = TcpStream::from_std(stream.into())?;
        let link = Self::new(Stream::Client { stream, left, is_secure: tls.is_some() }, None);
        link.tls.replace(tls.map(Tls::Lent));
        let mut rest = &received[..];
        while !rest.is_empty() {
            let inbox = &mut link.traffic.borrow_mut().inbox;
            let room = inbox.room(received.len()).ok_or(io::ErrorKind::OutOfMemory)?;
            let count = room.len().min(rest.len());
            room[..count].copy_from_slice(&rest[..count]);
            inbox.put(count);
            rest = &rest[count..];
        }
        Ok(link)
    }

    /// Puts what the peer has sent into the inbox; answers how much that was, 0 at the end. `wanted` is how much is
    /// going to be needed in all.
    pub(crate) fn fill(&self, wanted: usize) -> io::Result<usize> {
        let traffic = &mut *self.traffic.borrow_mut();
        let room = traffic.inbox.room(wanted).ok_or(io::ErrorKind::OutOfMemory)?;
        let count = match &mut *self.tls.borrow_mut() {
            Some(tls) => {
                let most = self.stream.left().map_or(u64::MAX, Cell::get);
                let most = usize::try_from(most).unwrap_or(usize::MAX).min(room.len());
                let count = if most == 0 {
                    0
                } else {
                    tls.with(|tls| tls::read(tls, &self.stream, &mut room[..most]))?
                };
                if let Some(left) = self.stream.left() {
                    left.set(left.get() - count as u64);
                }
                count
            }
            None => self.stream.try_read(room)?,
        };
        traffic.inbox.put(count);
        traffic.ended |= count == 0;
        Ok(count)
    }

    /// Sends what it can of `bytes` and keeps the rest to be sent. Answers whether all of it has left.
    pub(crate) fn send(&self, bytes: &[u8]) -> io::Result<bool> {
        if let Some(tls) = &mut *self.tls.borrow_mut() {
            return tls.with(|tls| tls::write(tls, &self.stream, bytes));
        }
        let sent = write_all(&self.stream, bytes)?;
        let outbox = &mut self.traffic.borrow_mut().outbox;
        outbox.clear();
        outbox.extend_from_slice(&bytes[sent..]);
        Ok(outbox.is_empty())
    }

    /// Goes on sending what was kept.
    pub(crate) fn send_rest(&self) -> io::Result<bool> {
        if let Some(tls) = &mut *self.tls.borrow_mut() {
            return tls.with(|tls| tls::write_rest(tls, &self.stream));
        }
        let outbox = &mut self.traffic.borrow_mut().outbox;
        let sent = write_all(&self.stream, outbox)?;
        outbox.drain(..sent);
        if outbox.is_empty() {
            *outbox = Vec::new();
        }
        Ok(outbox.is_empty())
    }

    /// Whether it is alive and the peer has sent nothing that was not received.
    pub(crate) fn is_quiet(&self) -> bool {
        let traffic = self.traffic.borrow();
        if traffic.ended || !traffic.inbox.is_empty() {
            return false;
        }
        drop(traffic);
        matches!(self.fill(1), Err(error) if error.kind() == io::ErrorKind::WouldBlock)
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        if let Some(Tls::Own(tls)) = self.tls.get_mut() {
            tls::close(&mut **tls, &self.stream);
        }
    }
}

/// Writes until all is written or no more is taken; answers how much was.
fn write_all(stream: &Stream, bytes: &[u8]) -> io::Result<usize> {
    let mut sent = 0;
    while sent < bytes.len() {
        match stream.try_write(&bytes[sent..]) {
            Ok(count) => sent += count,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(sent)
}
