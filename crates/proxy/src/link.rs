//! A connection to an upstream, plain or with TLS.
//!
//! Requests that follow each other over it must mean the same by it, so a connection knows what was agreed on when it
//! was made ([`Terms`]), and is used again on the same terms only.

use std::{
    cell::{RefCell, RefMut},
    io::{self, ErrorKind, IoSlice},
    net::SocketAddr,
    os::fd::OwnedFd,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use rustls::{ClientConfig, ClientConnection, pki_types::ServerName};
use tidegate_core::snapshot::Address;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{
        TcpSocket, TcpStream, UnixStream,
        tcp::{ReadHalf, WriteHalf},
    },
};

use crate::{
    error::Error,
    sealed::{self, Wire, is_passing},
    wait::{Fault, Limit},
};

/// What TLS with an endpoint is to be like.
#[derive(Debug, Clone)]
pub(crate) struct Terms {
    config: Arc<ClientConfig>,
    /// Who the endpoint has to be.
    name: Arc<ServerName<'static>>,
}

impl Terms {
    pub(crate) const fn new(config: Arc<ClientConfig>, name: Arc<ServerName<'static>>) -> Self {
        Self { config, name }
    }

    fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.config, &other.config) && self.name == other.name
    }
}

#[derive(Debug)]
pub(crate) enum Link {
    Plain(TcpStream),
    Sealed(Box<Sealed>),
}

/// A socket, and what is spoken over it.
#[derive(Debug)]
pub(crate) struct Sealed {
    stream: TcpStream,
    /// Never held while anything is waited for.
    tls: RefCell<ClientConnection>,
    terms: Terms,
}

impl Link {
    /// Connects to `address`, from `local` if that is given, and shakes hands there if there are terms. Each of the two may take the limit's span.
    pub(crate) async fn connect(
        address: &Address,
        local: Option<SocketAddr>,
        terms: Option<Terms>,
        limit: Limit<'_>,
    ) -> Result<Self, Error> {
        let mut connecting = std::pin::pin!(open(address, local));
        let stream = match limit.bound(|cx| connecting.as_mut().poll(cx)).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) | Err(Fault::Io(error)) => return Err(Error::Connect(error)),
            Err(Fault::Timeout) => return Err(Error::ConnectTimeout),
        };
        match terms {
            None => Ok(Self::Plain(stream)),
            Some(terms) => {
                Sealed::shake(stream, terms, limit).await.map(|sealed| Self::Sealed(Box::new(sealed)))
            }
        }
    }

    /// Whether a request may be sent over it that is to be sent on these terms.
    pub(crate) fn suits(&self, terms: Option<&Terms>) -> bool {
        match (self, terms) {
            (Self::Plain(_), None) => true,
            (Self::Sealed(sealed), Some(terms)) => sealed.terms.is_same(terms),
            _ => false,
        }
    }

    /// Whether nothing, neither data nor the end, has come on a connection that should be silent. Asks the kernel only
    /// when readiness was signalled, so it costs no system call on a healthy one.
    pub(crate) fn is_open(&self) -> bool {
        match self {
            Self::Plain(stream) => {
                matches!(stream.try_read(&mut [0]), Err(error) if error.kind() == ErrorKind::WouldBlock)
            }
            Self::Sealed(sealed) => sealed.is_open(),
        }
    }

    pub(crate) fn split(&mut self) -> (LinkSource<'_>, LinkSink<'_>) {
        match self {
            Self::Plain(stream) => {
                let (source, sink) = stream.split();
                (LinkSource::Plain(source), LinkSink::Plain(sink))
            }
            Self::Sealed(sealed) => (LinkSource::Sealed(sealed), LinkSink::Sealed(sealed)),
        }
    }
}

/// Reads and writes are the same over a Unix socket, so one type does for both.
async fn open(address: &Address, local: Option<SocketAddr>) -> io::Result<TcpStream> {
    match address {
        Address::Ip(address) => {
            let stream = match local {
                Some(local) => from(local)?.connect(*address).await?,
                None => TcpStream::connect(address).await?,
            };
            stream.set_nodelay(true)?;
            Ok(stream)
        }
        Address::Unix(path) => {
            let stream = UnixStream::connect(path).await?.into_std()?;
            TcpStream::from_std(OwnedFd::from(stream).into())
        }
    }
}

/// A socket whose connection comes from there.
fn from(local: SocketAddr) -> io::Result<TcpSocket> {
    let socket = if local.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    // Connections that have ended there do not keep others from it.
    socket.set_reuseaddr(true)?;
    socket.bind(local)?;
    Ok(socket)
}

impl Sealed {
    async fn shake(stream: TcpStream, terms: Terms, limit: Limit<'_>) -> Result<Self, Error> {
        let begun = ClientConnection::new(Arc::clone(&terms.config), ServerName::clone(&terms.name));
        let mut tls = begun.map_err(|error| Error::Handshake(error.to_string()))?;
        match limit.bound(|cx| sealed::poll_handshake(&mut tls, &stream, cx)).await {
            Ok(Ok(())) => Ok(Self { stream, tls: RefCell::new(tls), terms }),
            Ok(Err(failure)) => Err(Error::Handshake(failure.to_string())),
            Err(_) => Err(Error::ConnectTimeout),
        }
    }

    fn tls(&self) -> RefMut<'_, ClientConnection> {
        self.tls.borrow_mut()
    }

    /// What TLS says by itself, like tickets for later, is taken in.
    fn is_open(&self) -> bool {
        let tls = &mut *self.tls();
        loop {
            match tls.process_new_packets() {
                Ok(state) if state.plaintext_bytes_to_read() > 0 || state.peer_has_closed() => return false,
                Ok(_) => {}
                Err(_) => return false,
            }
            match tls.read_tls(&mut Wire(&self.stream)) {
                Ok(1..) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return true,
                Err(error) if is_passing(&error) => {}
                Ok(0) | Err(_) => return false,
            }
        }
    }
}

impl Drop for Sealed {
    fn drop(&mut self) {
        sealed::part(self.tls.get_mut(), &self.stream);
    }
}

/// Where answers come from.
#[derive(Debug)]
pub(crate) enum LinkSource<'a> {
    Plain(ReadHalf<'a>),
    Sealed(&'a Sealed),
}

impl AsyncRead for LinkSource<'_> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        space: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match &mut *self {
            Self::Plain(source) => Pin::new(source).poll_read(cx, space),
            Self::Sealed(sealed) => sealed::poll_read(&mut sealed.tls(), &sealed.stream, cx, space),
        }
    }
}

/// Where requests go.
#[derive(Debug)]
pub(crate) enum LinkSink<'a> {
    Plain(WriteHalf<'a>),
    Sealed(&'a Sealed),
}

impl AsyncWrite for LinkSink<'_> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match &mut *self {
            Self::Plain(sink) => Pin::new(sink).poll_write(cx, bytes),
            Self::Sealed(sealed) => {
                sealed::poll_write(&mut sealed.tls(), &sealed.stream, cx, &[IoSlice::new(bytes)])
            }
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match &mut *self {
            Self::Plain(sink) => Pin::new(sink).poll_write_vectored(cx, pieces),
            Self::Sealed(sealed) => sealed::poll_write(&mut sealed.tls(), &sealed.stream, cx, pieces),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &*self {
            Self::Plain(_) => Poll::Ready(Ok(())),
            Self::Sealed(sealed) => sealed::poll_send(&mut sealed.tls(), &sealed.stream, cx),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut *self {
            Self::Plain(sink) => Pin::new(sink).poll_shutdown(cx),
            Self::Sealed(sealed) => sealed::poll_shutdown(&mut sealed.tls(), &sealed.stream, cx),
        }
    }
}
