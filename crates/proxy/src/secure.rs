//! A client's connection that speaks TLS.
//!
//! Reading and writing share the state of the protocol, also with Lua that has been lent the connection, so it is behind a
//! lock that nobody ever waits for: whoever uses a connection is on the thread that serves it. A client is told when
//! the connection ends (`close_notify`), if it can be told without waiting.

use std::{
    io::{self, IoSlice},
    net::Shutdown,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, ready},
};

use rustls::{HandshakeKind, ServerConnection, pki_types::UnixTime};
use socket2::SockRef;
use tidegate_core::snapshot::ClientVerification;
use tidegate_lua::Hello;
use tidegate_tls::Asking;
use tokio::{io::ReadBuf, net::TcpStream};

use crate::sealed::{self, Wire, is_passing};

/// What there is of TLS beside the socket: it goes with the connection to other threads.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) tls: Arc<Mutex<ServerConnection>>,
    pub(crate) hello: Arc<Hello>,
    pub(crate) shown: Shown,
    /// Why its requests are not served.
    pub(crate) refusal: Option<&'static str>,
}

/// The certificate of the client's own.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Shown {
    Nothing,
    Good,
    /// Why it is not.
    Bad(String),
}

impl Shown {
    pub(crate) fn judged(asking: &Asking, tls: &ServerConnection) -> Self {
        match tls.peer_certificates().map(|chain| asking.judge(chain, UnixTime::now())) {
            None => Self::Nothing,
            Some(Ok(())) => Self::Good,
            Some(Err(why)) => Self::Bad(why),
        }
    }

    /// What a client is told that is not served.
    pub(crate) const fn refusal(&self, verify: ClientVerification) -> Option<&'static str> {
        match (self, verify) {
            (Self::Nothing, ClientVerification::Required) => Some("No required SSL certificate was sent"),
            (Self::Bad(_), ClientVerification::Required | ClientVerification::Optional) => {
                Some("The SSL certificate error")
            }
            _ => None,
        }
    }
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
        sealed::poll_read(&mut self.session.tls(), self.stream(), cx, space)
    }

    pub(crate) fn poll_write(&self, cx: &mut Context<'_>, pieces: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        sealed::poll_write(&mut self.session.tls(), self.stream(), cx, pieces)
    }

    pub(crate) fn poll_flush(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        sealed::poll_send(&mut self.session.tls(), self.stream(), cx)
    }

    pub(crate) fn poll_shutdown(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        sealed::poll_shutdown(&mut self.session.tls(), self.stream(), cx)
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
            sealed::part(&mut self.session.tls(), stream);
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
