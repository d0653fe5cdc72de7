//! Where connections come in and go to, and how TLS is spoken with clients and upstreams.
//!
//! Certificates and keys are named and not held: keys are secrets.

use std::{
    fmt,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
};

use serde::{Deserialize, Serialize};

use super::Script;

/// An address that the data plane accepts connections on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listener {
    pub address: Address,
    /// `None`: clients speak plain HTTP.
    pub tls: Option<ServerTls>,
}

/// Where connections are accepted, or made to.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Address {
    Ip(SocketAddr),
    /// A Unix socket at this path.
    Unix(Arc<Path>),
}

impl Address {
    /// Unless it is a path.
    pub const fn ip(&self) -> Option<SocketAddr> {
        match self {
            Self::Ip(address) => Some(*address),
            Self::Unix(_) => None,
        }
    }
}

impl From<SocketAddr> for Address {
    fn from(address: SocketAddr) -> Self {
        Self::Ip(address)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// How a listener speaks TLS. Files are named and not held, as keys are secrets.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ServerTls {
    /// The first is for clients that ask for none of the names. Empty only where a script gives certificates.
    pub certificates: Vec<CertificateFiles>,
    pub versions: TlsVersions,
    /// Runs once a client has said what it wants, and may change how TLS is spoken with it.
    pub ssl_client_hello: Option<Script>,
    /// Runs for a client that would go on with a session, and may have kept it. With this or
    /// [`ssl_session_store`](Self::ssl_session_store), sessions are kept by scripts and clients get no tickets that tell all.
    pub ssl_session_fetch: Option<Script>,
    /// Runs after that, and may give the client another certificate.
    pub ssl_certificate: Option<Script>,
    /// Runs once hands are shaken anew, and may keep the session.
    pub ssl_session_store: Option<Script>,
    /// `None`: clients are not asked for certificates of theirs.
    pub clients: Option<ClientCertificates>,
}

impl ServerTls {
    /// Whether scripts keep sessions, in place of clients.
    pub const fn keeps_sessions(&self) -> bool {
        self.ssl_session_fetch.is_some() || self.ssl_session_store.is_some()
    }

    /// All scripts there are.
    pub fn scripts(&self) -> impl Iterator<Item = &Script> {
        let Self { ssl_client_hello, ssl_session_fetch, ssl_certificate, ssl_session_store, .. } = self;
        [ssl_client_hello, ssl_session_fetch, ssl_certificate, ssl_session_store].into_iter().flatten()
    }

    pub fn scripts_mut(&mut self) -> impl Iterator<Item = &mut Script> {
        let Self { ssl_client_hello, ssl_session_fetch, ssl_certificate, ssl_session_store, .. } = self;
        [ssl_client_hello, ssl_session_fetch, ssl_certificate, ssl_session_store].into_iter().flatten()
    }
}

/// Versions of TLS that may be spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TlsVersions {
    pub tls12: bool,
    pub tls13: bool,
}

impl Default for TlsVersions {
    fn default() -> Self {
        Self { tls12: true, tls13: true }
    }
}

/// One of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TlsVersion {
    Tls12,
    Tls13,
}

/// Certificates that clients are asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientCertificates {
    /// Certificates in PEM that theirs must be trusted by.
    pub trusted: PathBuf,
    pub verify: ClientVerification,
}

/// What becomes of clients whose certificate is missing or no good.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ClientVerification {
    /// They are refused.
    #[default]
    Required,
    /// Those without one are served, those with a bad one are refused.
    Optional,
    /// They are served.
    OptionalNoCa,
}

/// A certificate with those that vouch for it, and its key, in PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateFiles {
    pub certificate: PathBuf,
    pub key: PathBuf,
    /// What its authority says of the certificate, in DER, for clients that ask.
    pub staple: Option<PathBuf>,
}

/// How TLS is spoken with an upstream. Files are named and not held, as keys are secrets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpstreamTls {
    /// What endpoints are told and must be; `None`: the host of the endpoint, or its address.
    pub server_name: Option<String>,
    /// Whether endpoints must be who they say.
    pub verify: bool,
    /// Certificates that endpoints must be trusted by; `None`: those of the system.
    pub trusted: Option<PathBuf>,
    /// What is shown to endpoints that ask for it.
    pub identity: Option<CertificateFiles>,
}
