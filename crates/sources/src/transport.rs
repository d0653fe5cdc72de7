//! Connections, with TLS or without.

use std::{
    fmt::Display,
    io,
    path::{Path, PathBuf},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject},
};
use tidegate_core::snapshot::{Identity, Server, Tls};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf},
    net::TcpStream,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use crate::error::{Error, Result};

/// A connection to a server.
#[derive(Debug)]
pub(crate) enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// A connection with what has come over it and is not understood yet, and what is still to go.
#[derive(Debug)]
pub(crate) struct Buffered {
    stream: Stream,
    pub(crate) read: Vec<u8>,
    pub(crate) out: Vec<u8>,
}

impl Buffered {
    pub(crate) const fn new(stream: Stream) -> Self {
        Self { stream, read: Vec::new(), out: Vec::new() }
    }

    pub(crate) async fn flush(&mut self) -> Result<()> {
        if !self.out.is_empty() {
            self.stream.write_all(&self.out).await?;
            self.stream.flush().await?;
            self.out.clear();
        }
        Ok(())
    }

    /// Waits for more. Nothing is lost when this is not waited for to its end.
    pub(crate) async fn fill(&mut self) -> Result<()> {
        self.read.reserve(16 << 10);
        if self.stream.read_buf(&mut self.read).await? == 0 {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
        Ok(())
    }
}

/// Connects as the server's address says.
pub(crate) async fn connect(server: &Server, tls: &Tls) -> Result<Stream> {
    let stream = tcp(server).await?;
    if server.tls { secure(stream, server, tls).await } else { Ok(Stream::Plain(stream)) }
}

pub(crate) async fn tcp(server: &Server) -> Result<TcpStream> {
    let failed = |source| Error::Connect { server: name(server), source };
    let stream = TcpStream::connect((server.host.as_str(), server.port)).await.map_err(failed)?;
    stream.set_nodelay(true).map_err(failed)?;
    Ok(stream)
}

/// TLS on a connection that stands.
pub(crate) async fn secure(stream: TcpStream, server: &Server, tls: &Tls) -> Result<Stream> {
    let failed = |source| Error::Connect { server: name(server), source };
    let host = ServerName::try_from(server.host.clone())
        .map_err(|_| failed(io::Error::other("its name cannot be in a certificate")))?;
    let connector = TlsConnector::from(config(tls)?);
    let stream = connector.connect(host, stream).await.map_err(failed)?;
    Ok(Stream::Tls(Box::new(stream)))
}

fn config(tls: &Tls) -> Result<Arc<ClientConfig>> {
    let trusted = match &tls.trusted {
        Some(path) => path.clone(),
        None => tidegate_tls::SYSTEM.iter().map(PathBuf::from).find(|path| path.exists()).unwrap_or_default(),
    };
    let mut roots = RootCertStore::empty();
    for certificate in certificates(&trusted)? {
        // One that cannot be used is no reason not to use the others.
        let _ = roots.add(certificate);
    }
    if roots.is_empty() {
        return Err(unusable(&trusted, "there are none that can be trusted"));
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let builder = builder.map_err(|error| unusable(&trusted, error))?.with_root_certificates(roots);
    Ok(Arc::new(match &tls.identity {
        None => builder.with_no_client_auth(),
        Some(Identity { certificate, key }) => {
            let chain = certificates(certificate)?;
            let private = PrivateKeyDer::from_pem_file(key).map_err(|error| unusable(key, error))?;
            builder.with_client_auth_cert(chain, private).map_err(|error| unusable(certificate, error))?
        }
    }))
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>> {
    let all = CertificateDer::pem_file_iter(path).and_then(Iterator::collect);
    all.map_err(|error| unusable(path, error))
}

fn unusable(path: &Path, reason: impl Display) -> Error {
    Error::Certificates { path: path.display().to_string(), reason: reason.to_string() }
}

/// As errors have it.
pub(crate) fn name(server: &Server) -> String {
    format!("{}:{}", server.host, server.port)
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        ctx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(ctx, buffer),
            Self::Tls(stream) => Pin::new(stream).poll_read(ctx, buffer),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, ctx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(ctx, bytes),
            Self::Tls(stream) => Pin::new(stream).poll_write(ctx, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, ctx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(ctx),
            Self::Tls(stream) => Pin::new(stream).poll_flush(ctx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, ctx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(ctx),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(ctx),
        }
    }
}
