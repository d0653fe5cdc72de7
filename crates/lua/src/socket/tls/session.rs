//! How hands are shaken, and what a script keeps of that to be faster the next time.

use std::sync::Arc;

use rustls::{
    ClientConfig,
    client::{ClientSessionMemoryCache, Resumption},
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, PrivateKeyDer},
};

use tidegate_core::snapshot::TlsVersions;

use super::{Failure, Trust, Verdict};

/// Servers whose tickets a session keeps: one, and another if the name changes.
const SERVERS: usize = 2;

/// What a handshake asks for. A session is used again by one that asks for the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wish {
    /// Whether the server must be trusted.
    pub(crate) verified: bool,
    /// The name that the server is told, and whose certificate it must have.
    pub(crate) name: Option<String>,
    /// The private key, then the certificates that belong to it, in DER.
    pub(crate) identity: Vec<Vec<u8>>,
}

pub(crate) struct Session {
    pub(crate) wish: Wish,
    pub(super) config: Arc<ClientConfig>,
    pub(super) verdict: Arc<Verdict>,
}

impl Session {
    /// Without `trust`, whatever certificate the server has is good. What is not `kept` cannot be used again.
    pub(crate) fn new(
        wish: Wish,
        trust: Option<Arc<Trust>>,
        (depth, versions): (u32, TlsVersions),
        kept: bool,
    ) -> Result<Self, Failure> {
        let verdict = Arc::new(Verdict::new(trust, depth, wish.name.clone()));
        let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_protocol_versions(&tidegate_tls::versions(versions.tls12, versions.tls13))
            .map_err(Failure::protocol)?
            .dangerous()
            .with_custom_certificate_verifier(Arc::clone(&verdict) as _);
        let mut config = match wish.identity.split_first() {
            None => builder.with_no_client_auth(),
            Some((key, chain)) => {
                let key = PrivateKeyDer::try_from(key.clone()).map_err(Failure::protocol)?;
                let chain = chain.iter().map(|der| CertificateDer::from(der.clone())).collect();
                builder.with_client_auth_cert(chain, key).map_err(Failure::protocol)?
            }
        };
        config.resumption = if kept {
            Resumption::store(Arc::new(ClientSessionMemoryCache::new(SERVERS)))
        } else {
            Resumption::disabled()
        };
        Ok(Self { wish, config: Arc::new(config), verdict })
    }
}
