//! A connected stream socket, of TCP or of a file, or one end of a pipe.
//!
//! Reads and writes never block. Besides the answer of the system, a read that got less than it asked for
//! tells that nothing more is there, so the next one waits without asking.

use std::{
    cell::Cell,
    future::poll_fn,
    io::{self, ErrorKind::WouldBlock},
    os::fd::{AsFd, AsRawFd, BorrowedFd},
    rc::Rc,
    task::Poll,
};

use rustix::net::{RecvFlags, Shutdown, recv, shutdown};
use socket2::SockRef;
use tokio::{
    io::Interest,
    net::{TcpStream, UnixStream, unix::pipe},
};

#[derive(Debug)]
pub(crate) enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
    /// Of a client, to receive so many bytes of, or all.
    Client {
        stream: TcpStream,
        left: Option<Rc<Cell<u64>>>,
        /// What comes is not what the client sends, and is counted elsewhere.
        is_secure: bool,
    },
    /// The end of a pipe that is read from.
    Source(pipe::Receiver),
    /// The end that is written to.
    Sink(pipe::Sender),
}

impl Stream {
    /// 0 is the end.
    pub(crate) fn try_read(&self, space: &mut [u8]) -> io::Result<usize> {
        let Self::Client { left: Some(left), is_secure: false, .. } = self else {
            return self.try_read_any(space);
        };
        let most = usize::try_from(left.get()).unwrap_or(usize::MAX).min(space.len());
        if most == 0 {
            return Ok(0);
        }
        let count = self.try_read_any(&mut space[..most])?;
        left.set(left.get() - count as u64);
        Ok(count)
    }

    /// Whether its end means that a client left before all has come.
    pub(crate) fn is_cut_short(&self) -> bool {
        let Self::Client { left, .. } = self else { return false };
        left.as_ref().is_none_or(|left| left.get() > 0)
    }

    /// What is left of what may be received over TLS.
    pub(crate) fn left(&self) -> Option<&Cell<u64>> {
        match self {
            Self::Client { left, is_secure: true, .. } => left.as_deref(),
            _ => None,
        }
    }

    fn try_read_any(&self, space: &mut [u8]) -> io::Result<usize> {
        let mut read = 0;
        let attempt = || {
            (read, _) = recv(self.as_fd(), &mut *space, RecvFlags::empty())?;
            // Makes the runtime forget that there is something to read.
            if read > 0 && read < space.len() { Err(WouldBlock.into()) } else { Ok(()) }
        };
        let outcome = match self {
            Self::Tcp(stream) | Self::Client { stream, .. } => stream.try_io(Interest::READABLE, attempt),
            Self::Unix(stream) => stream.try_io(Interest::READABLE, attempt),
            Self::Source(pipe) => return pipe.try_read(space),
            Self::Sink(_) => return Ok(0),
        };
        if read > 0 { Ok(read) } else { outcome.map(|()| 0) }
    }

    pub(crate) fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) | Self::Client { stream, .. } => stream.try_write(bytes),
            Self::Unix(stream) => stream.try_write(bytes),
            Self::Sink(pipe) => pipe.try_write(bytes),
            Self::Source(_) => Err(io::ErrorKind::BrokenPipe.into()),
        }
    }

    /// Returns when a read is worth trying. What is wrong with the stream, that tells.
    pub(crate) async fn readable(&self) {
        // One waits at a time, so the place that the runtime has for one is enough: its list of many costs more.
        let _ = poll_fn(|cx| match self {
            Self::Tcp(stream) | Self::Client { stream, .. } => stream.poll_read_ready(cx),
            Self::Unix(stream) => stream.poll_read_ready(cx),
            Self::Source(pipe) => pipe.poll_read_ready(cx),
            Self::Sink(_) => Poll::Ready(Ok(())),
        })
        .await;
    }

    pub(crate) async fn writable(&self) {
        let _ = poll_fn(|cx| match self {
            Self::Tcp(stream) | Self::Client { stream, .. } => stream.poll_write_ready(cx),
            Self::Unix(stream) => stream.poll_write_ready(cx),
            Self::Sink(pipe) => pipe.poll_write_ready(cx),
            Self::Source(_) => Poll::Ready(Ok(())),
        })
        .await;
    }

    pub(crate) fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        Ok(shutdown(self.as_fd(), how)?)
    }

    pub(crate) fn options(&self) -> SockRef<'_> {
        match self {
            Self::Tcp(stream) | Self::Client { stream, .. } => SockRef::from(stream),
            Self::Unix(stream) => SockRef::from(stream),
            Self::Source(pipe) => SockRef::from(pipe),
            Self::Sink(pipe) => SockRef::from(pipe),
        }
    }

    pub(crate) fn number(&self) -> i32 {
        self.as_fd().as_raw_fd()
    }
}

impl AsFd for Stream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Tcp(stream) | Self::Client { stream, .. } => stream.as_fd(),
            Self::Unix(stream) => stream.as_fd(),
            Self::Source(pipe) => pipe.as_fd(),
            Self::Sink(pipe) => pipe.as_fd(),
        }
    }
}
