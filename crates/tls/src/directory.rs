//! Which certificate a client gets.
//!
//! The one for the very name that it asks for, or else one for all names of that domain (`*.example.com`), or else the
//! first of all. Where several are for a name, the first whose key the client can verify is taken, so that
//! a server may have an ECDSA and an RSA certificate.

use std::{collections::HashMap, sync::Arc};

use rustls::{
    SignatureScheme,
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};

use crate::Identity;

/// The certificates of a server. Without any, no client gets one.
#[derive(Debug, Default)]
pub struct Directory {
    all: Vec<Arc<CertifiedKey>>,
    /// By name; `.example.com` for `*.example.com`.
    by_name: HashMap<String, Vec<Arc<CertifiedKey>>>,
}

impl Directory {
    pub fn new(identities: impl IntoIterator<Item = Identity>) -> Self {
        let mut directory = Self::default();
        for Identity { key, names, .. } in identities {
            for name in names {
                let name = name.strip_prefix('*').map_or(name.clone(), str::to_owned);
                directory.by_name.entry(name).or_default().push(Arc::clone(&key));
            }
            directory.all.push(key);
        }
        directory
    }

    fn find(&self, name: Option<&str>, schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        let usable = |keys: &[Arc<CertifiedKey>]| {
            keys.iter().find(|key| key.key.choose_scheme(schemes).is_some()).cloned()
        };
        let named = |name: &str| self.by_name.get(name).and_then(|keys| usable(keys));
        let asked = name
            .map(str::to_ascii_lowercase)
            .and_then(|name| named(&name).or_else(|| name.find('.').and_then(|dot| named(&name[dot..]))));
        asked.or_else(|| usable(&self.all))
    }
}

impl ResolvesServerCert for Directory {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.find(hello.server_name(), hello.signature_schemes())
    }
}

#[cfg(test)]
mod tests {
    use rustls::SignatureScheme::{ECDSA_NISTP256_SHA256, RSA_PSS_SHA256};

    use super::*;
    use crate::identity::tests::{EC, RSA};

    #[test]
    fn a_client_gets_the_certificate_for_the_name_and_the_key_that_it_knows() {
        let ec = Identity::from_pem(EC.0, EC.1).unwrap();
        let rsa = Identity::from_pem(RSA.0, RSA.1).unwrap();
        let (of_ec, of_rsa) = (Arc::clone(&ec.key), Arc::clone(&rsa.key));
        let directory = Directory::new([ec, rsa]);
        let check = |name, schemes: &[SignatureScheme], expected: Option<&Arc<CertifiedKey>>| {
            let found = directory.find(name, schemes);
            assert!(
                match (&found, expected) {
                    (Some(found), Some(expected)) => Arc::ptr_eq(found, expected),
                    (found, expected) => found.is_none() && expected.is_none(),
                },
                "{name:?} {schemes:?}"
            );
        };
        let both = [RSA_PSS_SHA256, ECDSA_NISTP256_SHA256];
        check(None, &both, Some(&of_ec));
        check(Some("example.com"), &both, Some(&of_ec));
        check(Some("EXAMPLE.com"), &both, Some(&of_ec));
        check(Some("www.example.com"), &both, Some(&of_ec));
        check(Some("other.org"), &both, Some(&of_rsa));
        check(Some("a.b.example.com"), &[RSA_PSS_SHA256], Some(&of_rsa));
        check(Some("example.com"), &[RSA_PSS_SHA256], Some(&of_rsa));
        check(Some("www.example.com"), &[RSA_PSS_SHA256], Some(&of_rsa));
        check(Some("nobody.net"), &both, Some(&of_ec));
        check(Some("nobody.net"), &[], None);
        assert!(Directory::default().find(Some("example.com"), &both).is_none());
    }
}
