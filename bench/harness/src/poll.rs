//! As little as possible between a socket and its bytes.
//!
//! Load and origin share one core with nothing else on it; what they use up is missing from what
//! they can ask of a proxy. So both are plain loops over epoll.

use std::{
    io::{self, Read as _, Write as _},
    net::TcpStream,
    os::fd::AsFd,
    time::Duration,
};

use rustix::{
    buffer::spare_capacity,
    event::{
        Timespec,
        epoll::{self, CreateFlags, Event, EventData, EventFlags},
    },
    fd::OwnedFd,
};

/// Events taken at a time.
const EVENTS: usize = 1_024;

/// Sockets that are waited for, each with a number.
pub(crate) struct Poll {
    epoll: OwnedFd,
    events: Vec<Event>,
}

impl Poll {
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self { epoll: epoll::create(CreateFlags::CLOEXEC)?, events: Vec::with_capacity(EVENTS) })
    }

    /// Watches for something to read, until `socket` is closed.
    pub(crate) fn watch(&self, socket: impl AsFd, number: usize) -> io::Result<()> {
        Ok(epoll::add(&self.epoll, socket, EventData::new_u64(number as u64), EventFlags::IN)?)
    }

    /// Watches for room to write besides, or no more.
    pub(crate) fn watch_writing(&self, socket: impl AsFd, number: usize, writing: bool) -> io::Result<()> {
        let flags = if writing { EventFlags::IN | EventFlags::OUT } else { EventFlags::IN };
        Ok(epoll::modify(&self.epoll, socket, EventData::new_u64(number as u64), flags)?)
    }

    /// The numbers of sockets that something happened to, at most after `patience`.
    pub(crate) fn wait(&mut self, patience: Duration) -> io::Result<impl Iterator<Item = usize> + use<'_>> {
        let patience = Timespec::try_from(patience).map_err(io::Error::other)?;
        self.events.clear();
        match epoll::wait(&self.epoll, spare_capacity(&mut self.events), Some(&patience)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        Ok(self.events.iter().map(|event| event.data.u64() as usize))
    }
}

/// Reads once. `None`: nothing is there yet.
pub(crate) fn read(mut stream: &TcpStream, buffer: &mut [u8]) -> io::Result<Option<usize>> {
    or_later(stream.read(buffer))
}

/// Writes once. `None`: there is no room yet.
pub(crate) fn write(mut stream: &TcpStream, bytes: &[u8]) -> io::Result<Option<usize>> {
    or_later(stream.write(bytes))
}

fn or_later(result: io::Result<usize>) -> io::Result<Option<usize>> {
    match result {
        Ok(count) => Ok(Some(count)),
        Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}
