//! A client's connection that speaks TLS.
//!
//! rustls keeps the state of the protocol and knows no sockets; here it is joined with one. Reading and writing share that
//! state, also with Lua that has been lent the connection, so it is behind a lock that nobody ever waits for: whoever uses a
//! connection is on the thread that serves it.
//!
//! What is written is encrypted at once and sent as far as that goes; the rest goes before whatever is written next, and
//! flushing waits for it. A client is told when the connection ends (`close_notify`), if it can be told without waiting.
//! One that leaves without saying so has left all the same: where a message ends, HTTP says.

use std::{
    io::{self, ErrorKind, IoSlice, Read, Write},
    net::Shutdown,
    os::fd::AsFd as _,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, ready},
};

use rustix::net::{RecvFlags, recv};
use rustls::{HandshakeKind, ServerConnection};
use socket2::SockRef;
use tidegate_lua::Hello;
use tokio::{
    io::{Interest, ReadBuf},
    net::TcpStream,
};

/// What there is of TLS beside the socket: it goes with the connection to other threads.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) tls: Arc<Mutex<ServerConnection>>,
    pub(crate) hello: Arc<Hello>,
}

impl Session {
    pub(crate) fn tls(&self) -> MutexGuard<'_, ServerConnection> {
        self.tls.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether the client has spared itself a whole handshake by a ticket.
pub(crate) fn is_resumed(tls: &ServerConnection) -> bool {
    tls.handshake_kind() == Some(HandshakeKind::Resumed)
}

/// A socket, and what is spoken over it.
#[derive(Debug)]
pub(crate) struct Secure {
    /// `None` once it has been passed on.
    stream: Option<TcpStream>,
    pub(crate) session: Arc<Session>,
}

impl Secure {
    pub(crate) const fn new(stream: TcpStream, session: Arc<Session>) -> Self {
        Self { stream: Some(stream), session }
    }

    /// The socket alone, and the session, for who goes on with them elsewhere.
    pub(crate) fn into_parts(mut self) -> (TcpStream, Arc<Session>) {
        let stream = self.stream.take().expect("it is taken here only");
        (stream, Arc::clone(&self.session))
    }

    pub(crate) fn stream(&self) -> &TcpStream {
        self.stream.as_ref().expect("it is taken when this ends")
    }

    pub(crate) fn poll_read(&self, cx: &mut Context<'_>, space: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let tls = &mut *self.session.tls();
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
            ready!(self.poll_receive(tls, cx))?;
        }
    }

    /// Takes in what the client has sent.
    fn poll_receive(&self, tls: &mut ServerConnection, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let stream = self.stream();
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
        let _ = self.poll_send(tls, cx);
        Poll::Ready(processed.map(drop).map_err(io::Error::other))
    }

    pub(crate) fn poll_write(&self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(bytes)])
    }

    pub(crate) fn poll_write_vectored(
        &self,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let tls = &mut *self.session.tls();
        ready!(self.poll_send(tls, cx))?;
        let count = tls.writer().write_vectored(pieces)?;
        match self.poll_send(tls, cx) {
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Ready(Ok(())) | Poll::Pending => Poll::Ready(Ok(count)),
        }
    }

    pub(crate) fn poll_flush(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_send(&mut self.session.tls(), cx)
    }

    pub(crate) fn poll_shutdown(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let tls = &mut *self.session.tls();
        tls.send_close_notify();
        ready!(self.poll_send(tls, cx))?;
        Poll::Ready(SockRef::from(self.stream()).shutdown(Shutdown::Write))
    }

    /// Sends what is encrypted.
    fn poll_send(&self, tls: &mut ServerConnection, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let stream = self.stream();
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

    /// Ready once the client has closed its connection, or said that it is about to. What it sent before, and has not been
    /// read, hides that.
    pub(crate) fn poll_gone(&self, cx: &mut Context<'_>) -> Poll<()> {
        let tls = &mut *self.session.tls();
        loop {
            match tls.process_new_packets() {
                Ok(state) if state.plaintext_bytes_to_read() > 0 => return Poll::Pending,
                Ok(state) if !state.peer_has_closed() => {}
                Ok(_) | Err(_) => return Poll::Ready(()),
            }
            let stream = self.stream();
            if ready!(stream.poll_read_ready(cx)).is_err() {
                return Poll::Ready(());
            }
            match tls.read_tls(&mut Wire(stream)) {
                Ok(1..) => {}
                Err(error) if is_passing(&error) => {}
                Ok(0) | Err(_) => return Poll::Ready(()),
            }
        }
    }

    /// Tells the client that nothing more comes, if it can be told at once.
    fn part(&self) {
        if let Some(stream) = &self.stream {
            let tls = &mut *self.session.tls();
            tls.send_close_notify();
            while tls.wants_write() && tls.write_tls(&mut Wire(stream)).is_ok() {}
        }
    }

    /// The same, and that is the end of what is sent.
    pub(crate) fn end(&self) -> io::Result<()> {
        self.part();
        SockRef::from(self.stream()).shutdown(Shutdown::Write)
    }
}

impl Drop for Secure {
    fn drop(&mut self) {
        self.part();
    }
}

fn is_passing(error: &io::Error) -> bool {
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
