//! TLS over a connection that stands: the handshake that `sslhandshake` asks for, and what is read and written then.
//!
//! rustls speaks the protocol. Certificates are judged by [`trust`] as OpenSSL judges them, because scripts and
//! operators know its rules and its words. A session can be used again only by a handshake that is as strict as the
//! one it comes from.

mod session;
mod trust;

use std::{
    io::{self, ErrorKind, Read, Write},
    net::IpAddr,
    rc::Rc,
    sync::Arc,
};

use rustls::{ClientConnection, ServerConnection, pki_types::ServerName};
use tokio::time::timeout;

use self::trust::Verdict;
pub(crate) use self::{
    session::{Session, Wish},
    trust::Trust,
};
use super::{
    busy::Wait,
    link::{Link, Tls},
    stream::Stream,
    tcp::{Tcp, Waiting},
};
use crate::Reply;

/// Why there is no TLS.
pub(crate) struct Failure {
    /// As scripts are told.
    pub(crate) text: String,
    /// As the log has it.
    pub(crate) log: String,
}

impl Failure {
    fn protocol(why: impl std::fmt::Display) -> Self {
        let log = format!("SSL_do_handshake() failed (SSL: {why}) while SSL handshaking");
        Self { text: "handshake failed".into(), log }
    }
}

/// Shakes hands over the connection of `tcp`, which is closed if that fails. The session stays with it if it `is_kept`.
pub(crate) fn begin(tcp: Rc<Tcp>, session: Rc<Session>, is_kept: bool) -> Waiting {
    let (guard, span) = (tcp.busy.with(Wait::Connect), tcp.timeouts.get().connect);
    Box::pin(async move {
        let _guard = guard;
        let Some(link) = tcp.link() else { return Reply::Failed("closed".into()) };
        let (text, log) = match timeout(span, shake(&link, &session)).await {
            Ok(Ok(())) => {
                link.session.replace(is_kept.then_some(session));
                return Reply::Done;
            }
            Ok(Err(failure)) => (failure.text, failure.log),
            Err(_) => ("timeout".into(), "lua tcp socket ssl handshake timed out".into()),
        };
        tcp.trouble.replace(Some(log));
        drop(tcp.detach());
        Reply::Failed(text)
    })
}

/// Shakes hands over `link` and leaves it encrypted.
async fn shake(link: &Link, session: &Session) -> Result<(), Failure> {
    let name = server_name(session.wish.name.as_deref());
    let mut tls = ClientConnection::new(Arc::clone(&session.config), name).map_err(Failure::protocol)?;
    // A script may give any amount at once, as it may without TLS.
    tls.set_buffer_limit(None);
    converse(&mut tls, &link.stream).await.map_err(|error| match session.verdict.failure() {
        Some(failure) => failure,
        None => Failure::protocol(error),
    })?;
    link.tls.replace(Some(Tls::Own(Box::new(tls))));
    Ok(())
}

/// A name that no server is told stands for none.
fn server_name(name: Option<&str>) -> ServerName<'static> {
    let told = name.and_then(|name| ServerName::try_from(name.to_owned()).ok());
    told.unwrap_or(ServerName::IpAddress(IpAddr::from([0, 0, 0, 0]).into()))
}

async fn converse(tls: &mut ClientConnection, stream: &Stream) -> io::Result<()> {
    loop {
        while tls.wants_write() {
            match tls.write_tls(&mut Wire(stream)) {
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => stream.writable().await,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        if !tls.is_handshaking() {
            return Ok(());
        }
        match tls.read_tls(&mut Wire(stream)) {
            Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
            Ok(_) => {
                if let Err(error) = tls.process_new_packets() {
                    // The peer is told why, if it can be told at once.
                    let _ = tls.write_tls(&mut Wire(stream));
                    return Err(io::Error::other(error));
                }
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => stream.readable().await,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// Either side of TLS, as far as what is read and written goes.
pub(super) trait Speaks {
    fn take(&mut self, space: &mut [u8]) -> io::Result<usize>;
    fn give(&mut self, bytes: &[u8]) -> io::Result<()>;
    /// Takes in what has come.
    fn receive(&mut self, wire: &mut dyn Read) -> io::Result<()>;
    fn wants_write(&self) -> bool;
    fn send(&mut self, wire: &mut dyn Write) -> io::Result<usize>;
    fn notify_of_end(&mut self);
}

/// The same for both sides.
macro_rules! speaks {
    ($side:ty) => {
        impl Speaks for $side {
            fn take(&mut self, space: &mut [u8]) -> io::Result<usize> {
                self.reader().read(space)
            }

            fn give(&mut self, bytes: &[u8]) -> io::Result<()> {
                self.writer().write_all(bytes)
            }

            fn receive(&mut self, wire: &mut dyn Read) -> io::Result<()> {
                self.read_tls(wire)?;
                self.process_new_packets().map(drop).map_err(io::Error::other)
            }

            fn wants_write(&self) -> bool {
                (**self).wants_write()
            }

            fn send(&mut self, wire: &mut dyn Write) -> io::Result<usize> {
                self.write_tls(wire)
            }

            fn notify_of_end(&mut self) {
                self.send_close_notify();
            }
        }
    };
}

speaks!(ClientConnection);
speaks!(ServerConnection);

/// Reads what the peer has sent; 0 is the end, whether the peer said so or just left.
pub(super) fn read(tls: &mut dyn Speaks, stream: &Stream, space: &mut [u8]) -> io::Result<usize> {
    loop {
        match tls.take(space) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(0),
            outcome => return outcome,
        }
        tls.receive(&mut Wire(stream))?;
        if tls.wants_write() {
            write_rest(tls, stream)?;
        }
    }
}

/// Sends what it can of `bytes` and keeps the rest to be sent. Answers whether all of it has left.
pub(super) fn write(tls: &mut dyn Speaks, stream: &Stream, bytes: &[u8]) -> io::Result<bool> {
    tls.give(bytes)?;
    write_rest(tls, stream)
}

/// Goes on sending what was kept.
pub(super) fn write_rest(tls: &mut dyn Speaks, stream: &Stream) -> io::Result<bool> {
    while tls.wants_write() {
        match tls.send(&mut Wire(stream)) {
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(true)
}

/// Tells the peer that nothing more comes, if it can be told at once.
pub(super) fn close(tls: &mut dyn Speaks, stream: &Stream) {
    tls.notify_of_end();
    let _ = write_rest(tls, stream);
}

/// A stream as rustls reads and writes it.
struct Wire<'a>(&'a Stream);

impl Read for Wire<'_> {
    fn read(&mut self, space: &mut [u8]) -> io::Result<usize> {
        self.0.try_read(space)
    }
}

impl Write for Wire<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.try_write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
