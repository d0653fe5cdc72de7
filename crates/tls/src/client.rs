//! The client's side of TLS: whom it believes and who it says it is.

use std::sync::Arc;

use rustls::{ClientConfig, pki_types::ServerName, sign::SingleCertAndKey};

use crate::{Identity, Trust, provider};

/// How a client speaks TLS that believes whom `trust` vouches for, or else anybody, and shows `identity` if it is asked.
pub fn client(trust: Option<&Trust>, identity: Option<&Identity>) -> Result<ClientConfig, rustls::Error> {
    let builder = ClientConfig::builder_with_provider(Arc::clone(provider()));
    let builder = builder.with_safe_default_protocol_versions()?;
    let builder = builder.dangerous().with_custom_certificate_verifier(Trust::judge(trust));
    Ok(match identity {
        None => builder.with_no_client_auth(),
        Some(identity) => {
            let shown = SingleCertAndKey::from(Arc::clone(&identity.key));
            builder.with_client_cert_resolver(Arc::new(shown))
        }
    })
}

/// Whether a server can be told that this is who it should be.
pub fn is_server_name(text: &str) -> bool {
    ServerName::try_from(text).is_ok()
}
