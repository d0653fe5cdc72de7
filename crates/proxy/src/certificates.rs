//! How TLS is spoken: certificates read from their files, and what all workers share of handshakes.
//!
//! Made once for each configuration and for all workers, so that they agree on it. The keys of tickets outlast
//! configurations: a client may resume a session whose ticket another worker gave it, before the last reload.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use rustls::{
    ServerConfig,
    crypto::aws_lc_rs::Ticketer,
    server::{ClientHello, ProducesTickets, ResolvesServerCert},
    sign::CertifiedKey,
};
use tidegate_core::{
    Snapshot,
    snapshot::{CertificateFiles, ClientCertificates, ClientVerification, ServerTls, TlsVersions},
};
use tidegate_lua::Chosen;
use tidegate_tls::{Asking, Directory, Identity, Trust, provider};

use crate::{sessions::Sessions, way::Ways};

/// What clients may be told that follows.
const PROTOCOLS: [&[u8]; 2] = [b"http/1.1", b"http/1.0"];

/// Why there is no TLS.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot read {}", path.display())]
    Unreadable { path: PathBuf, source: io::Error },
    #[error("{} with {}", certificate.display(), key.display())]
    Unfit { certificate: PathBuf, key: PathBuf, source: tidegate_tls::Error },
    #[error("{}", path.display())]
    Untrustworthy { path: PathBuf, source: tidegate_tls::Error },
    #[error("TLS cannot be set up")]
    Setup(#[from] rustls::Error),
}

impl Error {
    pub(crate) fn unfit(files: &CertificateFiles, source: tidegate_tls::Error) -> Self {
        Self::Unfit { certificate: files.certificate.clone(), key: files.key.clone(), source }
    }

    /// All of it in a line.
    pub(crate) fn told(&self) -> String {
        let source = std::error::Error::source(self);
        source.map_or_else(|| self.to_string(), |source| format!("{self}: {source}"))
    }
}

/// By the number of the listener; `None` where clients speak plain HTTP.
pub(crate) type Listeners = Vec<Option<Arc<Reception>>>;

/// How TLS is spoken with the clients of a listener.
#[derive(Debug)]
pub(crate) struct Reception {
    pub(crate) config: Arc<ServerConfig>,
    /// Unless a script chooses others.
    pub(crate) versions: TlsVersions,
    /// Whether scripts keep sessions.
    keeps_sessions: bool,
    /// What clients are asked for, and what becomes of those that do not have it.
    pub(crate) asking: Option<Asked>,
}

/// How TLS is spoken with one client.
pub(crate) struct Terms {
    pub(crate) config: Arc<ServerConfig>,
    pub(crate) asking: Option<Asked>,
    /// Unless clients keep their sessions themselves, in tickets.
    pub(crate) sessions: Option<Arc<Sessions>>,
}

/// How TLS is spoken under one configuration.
#[derive(Debug, Default)]
pub(crate) struct Tls {
    pub(crate) listeners: Listeners,
    pub(crate) ways: Ways,
}

/// What outlasts configurations.
#[derive(Debug, Default)]
pub(crate) struct Tickets(Option<Arc<dyn ProducesTickets>>);

impl Tickets {
    /// How the listeners of `snapshot` speak TLS.
    pub(crate) fn listeners(&mut self, snapshot: &Snapshot) -> Result<Listeners, Error> {
        let all = snapshot.listeners.iter();
        all.map(|listener| listener.tls.as_ref().map(|tls| self.reception(tls)).transpose()).collect()
    }

    fn reception(&mut self, tls: &ServerTls) -> Result<Arc<Reception>, Error> {
        let identities = tls.certificates.iter().map(read).collect::<Result<Vec<_>, _>>()?;
        let asking = tls.clients.as_ref().map(asking).transpose()?;
        let tickets = match &self.0 {
            Some(known) => known,
            None => self.0.insert(Ticketer::new()?),
        };
        let certificates = Arc::new(Directory::new(identities));
        let asked = asking.as_ref().map(|(asking, _)| asking);
        let config = config(certificates, asked, tickets, tls.versions)?;
        let (versions, keeps_sessions) = (tls.versions, tls.keeps_sessions());
        Ok(Arc::new(Reception { config: Arc::new(config), versions, keeps_sessions, asking }))
    }
}

fn asking(clients: &ClientCertificates) -> Result<Asked, Error> {
    let path = &clients.trusted;
    let trust = Trust::from_pem(&text(path)?);
    let trust = trust.map_err(|source| Error::Untrustworthy { path: path.clone(), source })?;
    Ok((Arc::new(Asking::new(trust)), clients.verify))
}

fn config(
    certificates: Arc<dyn ResolvesServerCert>,
    asking: Option<&Arc<Asking>>,
    tickets: &Arc<dyn ProducesTickets>,
    TlsVersions { tls12, tls13 }: TlsVersions,
) -> Result<ServerConfig, rustls::Error> {
    let builder = ServerConfig::builder_with_provider(Arc::clone(provider()));
    let builder = builder.with_protocol_versions(&tidegate_tls::versions(tls12, tls13))?;
    let builder = match asking {
        Some(asking) => builder.with_client_cert_verifier(Arc::clone(asking) as _),
        None => builder.with_no_client_auth(),
    };
    let mut config = builder.with_cert_resolver(certificates);
    config.alpn_protocols = PROTOCOLS.map(<[u8]>::to_vec).into();
    config.ticketer = Arc::clone(tickets);
    Ok(config)
}

fn read(files: &CertificateFiles) -> Result<Identity, Error> {
    let CertificateFiles { certificate, key, staple } = files;
    let identity = Identity::from_pem(&text(certificate)?, &text(key)?);
    let identity = identity.map_err(|source| Error::unfit(files, source))?;
    Ok(match staple {
        Some(staple) => identity.with_staple(text(staple)?),
        None => identity,
    })
}

/// What is in a file.
pub(crate) fn text(path: &Path) -> Result<Vec<u8>, Error> {
    fs::read(path).map_err(|source| Error::Unreadable { path: path.to_owned(), source })
}

/// What clients are asked for, and what becomes of those that do not have it.
pub(crate) type Asked = (Arc<Asking>, ClientVerification);

impl Reception {
    /// How TLS is spoken with one client, of which scripts have `chosen` this much.
    pub(crate) fn after(&self, chosen: Chosen) -> Result<Terms, rustls::Error> {
        let Chosen { identity, versions, asked, staple, session } = chosen;
        let mut config = Arc::clone(&self.config);
        let mut asking = self.asking.clone();
        if versions.is_some() || asked.is_some() {
            if let Some(asked) = asked {
                asking = Some((self.asked(&asked), ClientVerification::OptionalNoCa));
            }
            let verifier = asking.as_ref().map(|(asking, _)| asking);
            let certificates = Arc::clone(&config.cert_resolver);
            let versions = versions.unwrap_or(self.versions);
            config = Arc::new(self::config(certificates, verifier, &config.ticketer, versions)?);
        }
        if let Some(identity) = identity {
            let config = Arc::make_mut(&mut config);
            config.cert_resolver = Arc::new(Sole(identity.map(|identity| Arc::clone(&identity.key))));
        }
        if let Some(staple) = staple {
            let config = Arc::make_mut(&mut config);
            config.cert_resolver = Arc::new(Stapled(Arc::clone(&config.cert_resolver), staple));
        }
        let sessions = self.keeps_sessions.then(|| Sessions::new(session));
        if let Some(sessions) = &sessions {
            sessions.rule(Arc::make_mut(&mut config));
        }
        Ok(Terms { config, asking, sessions })
    }

    /// The same where there are no scripts.
    pub(crate) fn terms(&self) -> Terms {
        Terms { config: Arc::clone(&self.config), asking: self.asking.clone(), sessions: None }
    }

    /// Where a script asks for a certificate that these vouch for.
    fn asked(&self, trusted: &[Vec<u8>]) -> Arc<Asking> {
        match &self.asking {
            Some((asking, _)) if trusted.is_empty() => Arc::clone(asking),
            _ => Arc::new(Asking::new(Trust::from_der(trusted))),
        }
    }

    /// For a client that is turned away: it cannot be told why, only that there is no certificate for it.
    pub(crate) fn without_certificate(&self) -> Terms {
        let mut config = ServerConfig::clone(&self.config);
        config.cert_resolver = Arc::new(Sole(None));
        Terms { config: Arc::new(config), asking: None, sessions: None }
    }
}

/// Certificates with what their authority says of them.
#[derive(Debug)]
struct Stapled(Arc<dyn ResolvesServerCert>, Vec<u8>);

impl ResolvesServerCert for Stapled {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let mut key = CertifiedKey::clone(&*self.0.resolve(hello)?);
        key.ocsp = Some(self.1.clone());
        Some(Arc::new(key))
    }
}

#[derive(Debug)]
struct Sole(Option<Arc<CertifiedKey>>);

impl ResolvesServerCert for Sole {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.0.clone()
    }
}
