//! How each listener speaks TLS: certificates read from their files, and what all workers share of handshakes.
//!
//! Made once for each configuration and for all workers, so that they agree on it. The keys of tickets outlast
//! configurations: a client may resume a session whose ticket another worker gave it, before the last reload.

use std::{fs, io, path::PathBuf, sync::Arc};

use rustls::{
    ServerConfig,
    crypto::aws_lc_rs::Ticketer,
    server::{ClientHello, ProducesTickets, ResolvesServerCert},
    sign::CertifiedKey,
};
use tidegate_core::{
    Snapshot,
    snapshot::{CertificateFiles, ServerTls},
};
use tidegate_tls::{Directory, Identity, provider};

/// What clients may be told that follows.
const PROTOCOLS: [&[u8]; 2] = [b"http/1.1", b"http/1.0"];

/// Why there is no TLS.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot read {}", path.display())]
    Unreadable { path: PathBuf, source: io::Error },
    #[error("{} with {}", certificate.display(), key.display())]
    Unfit { certificate: PathBuf, key: PathBuf, source: tidegate_tls::Error },
    #[error("TLS cannot be set up")]
    Setup(#[from] rustls::Error),
}

impl Error {
    /// All of it in a line.
    pub(crate) fn told(&self) -> String {
        let source = std::error::Error::source(self);
        source.map_or_else(|| self.to_string(), |source| format!("{self}: {source}"))
    }
}

/// By the number of the listener; `None` where clients speak plain HTTP.
pub(crate) type Listeners = Vec<Option<Arc<ServerConfig>>>;

/// What outlasts configurations.
#[derive(Debug, Default)]
pub(crate) struct Tickets(Option<Arc<dyn ProducesTickets>>);

impl Tickets {
    /// How the listeners of `snapshot` speak TLS.
    pub(crate) fn listeners(&mut self, snapshot: &Snapshot) -> Result<Listeners, Error> {
        let all = snapshot.listeners.iter();
        all.map(|listener| listener.tls.as_ref().map(|tls| self.config(tls)).transpose()).collect()
    }

    fn config(&mut self, tls: &ServerTls) -> Result<Arc<ServerConfig>, Error> {
        let identities = tls.certificates.iter().map(read).collect::<Result<Vec<_>, _>>()?;
        let mut config = config(Arc::new(Directory::new(identities)))?;
        config.ticketer = match &self.0 {
            Some(known) => Arc::clone(known),
            None => Arc::clone(self.0.insert(Ticketer::new()?)),
        };
        Ok(Arc::new(config))
    }
}

fn config(certificates: Arc<dyn ResolvesServerCert>) -> Result<ServerConfig, rustls::Error> {
    let builder = ServerConfig::builder_with_provider(Arc::clone(provider()));
    let builder = builder.with_safe_default_protocol_versions()?.with_no_client_auth();
    let mut config = builder.with_cert_resolver(certificates);
    config.alpn_protocols = PROTOCOLS.map(<[u8]>::to_vec).into();
    Ok(config)
}

fn read(files: &CertificateFiles) -> Result<Identity, Error> {
    let CertificateFiles { certificate, key } = files;
    let text =
        |path: &PathBuf| fs::read(path).map_err(|source| Error::Unreadable { path: path.clone(), source });
    let unfit = |source| Error::Unfit { certificate: certificate.clone(), key: key.clone(), source };
    Identity::from_pem(&text(certificate)?, &text(key)?).map_err(unfit)
}

/// The same way to speak TLS for one client, which gets this certificate, or is turned away.
pub(crate) fn with_certificate(config: &ServerConfig, key: Option<Arc<CertifiedKey>>) -> Arc<ServerConfig> {
    let mut config = config.clone();
    config.cert_resolver = Arc::new(Sole(key));
    Arc::new(config)
}

#[derive(Debug)]
struct Sole(Option<Arc<CertifiedKey>>);

impl ResolvesServerCert for Sole {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.0.clone()
    }
}
