//! TLS over a socket that is never waited for: what both of its sides have in common.
//!
//! rustls keeps the state of the protocol and knows no sockets; here it is joined with one. What is written is encrypted at
//! once and sent as far as that goes; the rest goes before whatever is written next, and flushing waits for it. A peer
//! that leaves without saying so has left all the same: where a message ends, HTTP says.

use std::{
    io::{self, ErrorKind, IoSlice, Read, Write},
    net::Shutdown,
    os::fd::AsFd as _,
    task::{Context, Poll, ready},
};

use rustix::net::{RecvFlags, recv};
use rustls::ConnectionCommon;
use socket2::SockRef;
use tokio::{
    io::{Interest, ReadBuf},
    net::TcpStream,
};

pub(crate) fn poll_read<D>(
    tls: &mut ConnectionCommon<D>,
    stream: &TcpStream,
    cx: &mut Context<'_>,
    space: &mut ReadBuf<'_>,
) -> Poll<io::Result<()>> {
    loop {
        match tls.reader().read(space.initialize_unfilled()) {
            Ok(count) => {
                space.advance(count);
                return Poll::Ready(Ok(()));
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Poll::Ready(Ok(())),
            Err(error) => return Poll::Ready(Err(error)),
        }
        ready!(poll_receive(tls, stream, cx))?;
    }
}

/// Takes in what the peer has sent.
fn poll_receive<D>(
    tls: &mut ConnectionCommon<D>,
    stream: &TcpStream,
    cx: &mut Context<'_>,
) -> Poll<io::Result<()>> {
    loop {
        ready!(stream.poll_read_ready(cx))?;
        match tls.read_tls(&mut Wire(stream)) {
            Ok(_) => break,
            Err(error) if is_passing(&error) => {}
            Err(error) => return Poll::Ready(Err(error)),
        }
    }
    let processed = tls.process_new_packets();
    // An alert, or what TLS has to say by itself; whatever does not leave at once goes before what is written next.
    let _ = poll_send(tls, stream, cx);
    Poll::Ready(processed.map(drop).map_err(io::Error::other))
}

pub(crate) fn poll_write<D>(
    tls: &mut ConnectionCommon<D>,
    stream: &TcpStream,
    cx: &mut Context<'_>,
    pieces: &[IoSlice<'_>],
) -> Poll<io::Result<usize>> {
    ready!(poll_send(tls, stream, cx))?;
    let count = tls.writer().write_vectored(pieces)?;
    match poll_send(tls, stream, cx) {
        Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
        Poll::Ready(Ok(())) | Poll::Pending => Poll::Ready(Ok(count)),
    }
}

pub(crate) fn poll_shutdown<D>(
    tls: &mut ConnectionCommon<D>,
    stream: &TcpStream,
    cx: &mut Context<'_>,
) -> Poll<io::Result<()>> {
    tls.send_close_notify();
    ready!(poll_send(tls, stream, cx))?;
    Poll::Ready(SockRef::from(stream).shutdown(Shutdown::Write))
}

/// Sends what is encrypted.
pub(crate) fn poll_send<D>(
    tls: &mut ConnectionCommon<D>,
    stream: &TcpStream,
    cx: &mut Context<'_>,
) -> Poll<io::Result<()>> {
    while tls.wants_write() {
        match tls.write_tls(&mut Wire(stream)) {
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => ready!(stream.poll_write_ready(cx))?,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Poll::Ready(Err(error)),
        }
    }
    Poll::Ready(Ok(()))
}

/// Tells the peer that nothing more comes, if it can be told at once.
pub(crate) fn part<D>(tls: &mut ConnectionCommon<D>, stream: &TcpStream) {
    tls.send_close_notify();
    while tls.wants_write() && tls.write_tls(&mut Wire(stream)).is_ok() {}
}

/// Why hands were not shaken.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error("the other side left")]
    Left,
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error(transparent)]
    Tls(#[from] rustls::Error),
}

/// Sends and receives until hands are shaken.
pub(crate) fn poll_handshake<D>(
    tls: &mut ConnectionCommon<D>,
    stream: &TcpStream,
    cx: &mut Context<'_>,
) -> Poll<Result<(), Failure>> {
    loop {
        ready!(poll_send(tls, stream, cx))?;
        if !tls.is_handshaking() {
            return Poll::Ready(Ok(()));
        }
        ready!(stream.poll_read_ready(cx))?;
        match tls.read_tls(&mut Wire(stream)) {
            Ok(0) => return Poll::Ready(Err(Failure::Left)),
            Ok(_) => {
                if let Err(error) = tls.process_new_packets() {
                    // The peer is told why, if it can be told at once.
                    let _ = tls.write_tls(&mut Wire(stream));
                    return Poll::Ready(Err(error.into()));
                }
            }
            Err(error) if is_passing(&error) => {}
            Err(error) => return Poll::Ready(Err(error.into())),
        }
    }
}

pub(crate) fn is_passing(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted)
}

/// A socket as rustls reads and writes it: without waiting.
pub(crate) struct Wire<'a>(pub(crate) &'a TcpStream);

impl Read for Wire<'_> {
    fn read(&mut self, space: &mut [u8]) -> io::Result<usize> {
        let mut read = 0;
        let outcome = self.0.try_io(Interest::READABLE, || {
            (read, _) = recv(self.0.as_fd(), &mut *space, RecvFlags::empty())?;
            // Less than was asked for is all there is: makes the runtime forget that there is something to read.
            if read > 0 && read < space.len() { Err(ErrorKind::WouldBlock.into()) } else { Ok(()) }
        });
        if read > 0 { Ok(read) } else { outcome.map(|()| 0) }
    }
}

impl Write for Wire<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.try_write(bytes)
    }

    fn write_vectored(&mut self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        self.0.try_write_vectored(pieces)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
