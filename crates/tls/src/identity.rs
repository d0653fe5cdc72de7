//! A certificate and its key.

use std::sync::{Arc, OnceLock};

use rustls::{
    InconsistentKeys, SupportedProtocolVersion,
    crypto::{CryptoProvider, aws_lc_rs},
    pki_types::{
        CertificateDer, PrivateKeyDer,
        pem::{self, PemObject as _},
    },
    sign::CertifiedKey,
    version::{TLS12, TLS13},
};

use crate::certificate::{Body, Facts};

/// Why a certificate and a key cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("there is no certificate in it")]
    NoCertificate,
    #[error("its certificates cannot be read: {0}")]
    BadCertificate(String),
    #[error("there is no private key in it that is not encrypted")]
    NoKey,
    #[error("its key cannot be used: {0}")]
    BadKey(String),
    #[error("the key is not that of the certificate")]
    Mismatch,
}

impl Error {
    /// Whether the key is at fault, rather than the certificate.
    pub const fn is_of_key(&self) -> bool {
        matches!(self, Self::NoKey | Self::BadKey(_) | Self::Mismatch)
    }

    /// What to do about it.
    pub const fn help(&self) -> &'static str {
        match self {
            Self::NoCertificate => {
                "it should be PEM: the server's own certificate, then those that vouch for it"
            }
            Self::BadCertificate(_) => "it should be PEM, as authorities give it out",
            Self::NoKey => {
                "it should be PEM; decrypt the key if it needs a password (`openssl pkey -in … -out …`)"
            }
            Self::BadKey(_) => "use an RSA key of 2,048 bits or more, an ECDSA key, or an Ed25519 key",
            Self::Mismatch => "use the key that the certificate was asked for with",
        }
    }
}

/// What all TLS is computed by.
pub fn provider() -> &'static Arc<CryptoProvider> {
    static PROVIDER: OnceLock<Arc<CryptoProvider>> = OnceLock::new();
    PROVIDER.get_or_init(|| Arc::new(aws_lc_rs::default_provider()))
}

/// Versions of TLS for a configuration, by whether each is spoken.
pub fn versions(tls12: bool, tls13: bool) -> Vec<&'static SupportedProtocolVersion> {
    let known = [(tls13, &TLS13), (tls12, &TLS12)];
    known.into_iter().filter_map(|(is_spoken, version)| is_spoken.then_some(version)).collect()
}

/// The last second in which the first certificate of a file in PEM holds, since the Unix epoch.
pub fn not_after(certificates: &[u8]) -> Option<i64> {
    Facts::of(&CertificateDer::from_pem_slice(certificates).ok()?).not_after
}

/// A certificate with those that vouch for it, and its key.
#[derive(Debug, Clone)]
pub struct Identity {
    pub key: Arc<CertifiedKey>,
    /// Hosts that it is for, in lower case; `*.example.com` among them.
    pub names: Vec<String>,
}

impl Identity {
    /// From files in PEM: the server's own certificate first.
    pub fn from_pem(certificates: &[u8], key: &[u8]) -> Result<Self, Error> {
        let chain = CertificateDer::pem_slice_iter(certificates).collect::<Result<Vec<_>, _>>();
        let chain = chain.map_err(|error| Error::BadCertificate(error.to_string()))?;
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|error| match error {
            pem::Error::NoItemsFound => Error::NoKey,
            other => Error::BadKey(other.to_string()),
        })?;
        Self::new(chain, key)
    }

    /// From DER: certificates one behind the other, and a key of any usual form.
    pub fn from_der(certificates: &[Vec<u8>], key: &[u8]) -> Result<Self, Error> {
        let chain = certificates.iter().cloned().map(CertificateDer::from).collect();
        let key = PrivateKeyDer::try_from(key.to_vec()).map_err(|why| Error::BadKey(why.into()))?;
        Self::new(chain, key)
    }

    fn new(chain: Vec<CertificateDer<'static>>, key: PrivateKeyDer<'static>) -> Result<Self, Error> {
        let own = chain.first().ok_or(Error::NoCertificate)?;
        let Facts { names, .. } = Facts::of(own);
        let old_key = Body::read(own).filter(|body| body.is_old).map(|body| body.key.to_vec());
        let key = provider().key_provider.load_private_key(key);
        let key = CertifiedKey::new(chain, key.map_err(|error| Error::BadKey(error.to_string()))?);
        match old_key {
            // rustls does not read such certificates, but clients do.
            Some(old) => match key.key.public_key() {
                Some(own) if own.as_ref() != old => return Err(Error::Mismatch),
                _ => {}
            },
            None => match key.keys_match() {
                Ok(()) | Err(rustls::Error::InconsistentKeys(InconsistentKeys::Unknown)) => {}
                Err(rustls::Error::InconsistentKeys(_)) => return Err(Error::Mismatch),
                Err(rustls::Error::InvalidCertificate(why)) => {
                    return Err(Error::BadCertificate(format!("{why:?}")));
                }
                Err(other) => return Err(Error::BadKey(other.to_string())),
            },
        }
        Ok(Self { key: Arc::new(key), names })
    }

    /// The same with what its authority says of it, in DER, for clients that ask.
    #[must_use]
    pub fn with_staple(mut self, staple: Vec<u8>) -> Self {
        Arc::make_mut(&mut self.key).ocsp = Some(staple);
        self
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Made for these tests, to hold for a hundred years.
    pub(crate) const EC: (&[u8], &[u8]) = (include_bytes!("sample/ec.pem"), include_bytes!("sample/ec.key"));
    pub(crate) const RSA: (&[u8], &[u8]) =
        (include_bytes!("sample/rsa.pem"), include_bytes!("sample/rsa.key"));

    /// Of the first version, which has no extensions.
    pub(crate) const OLD: (&[u8], &[u8]) =
        (include_bytes!("sample/old.pem"), include_bytes!("sample/old.key"));

    const ENDS: i64 = 4_949_306_778;

    /// A certificate in DER.
    pub(crate) fn sample() -> Vec<u8> {
        CertificateDer::from_pem_slice(EC.0).unwrap().to_vec()
    }

    #[test]
    fn a_certificate_says_its_names_and_its_end() {
        let identity = Identity::from_pem(EC.0, EC.1).unwrap();
        assert_eq!(identity.names, ["example.com", "*.example.com"]);
        assert_eq!(not_after(EC.0), Some(ENDS));
    }

    #[test]
    fn what_does_not_fit_is_told_apart() {
        let why = |certificate: &[u8], key: &[u8]| Identity::from_pem(certificate, key).unwrap_err();
        assert_eq!(why(EC.0, RSA.1), Error::Mismatch);
        assert_eq!(why(b"", EC.1), Error::NoCertificate);
        assert_eq!(why(EC.0, b""), Error::NoKey);
        assert_eq!(why(EC.1, EC.0), Error::NoKey, "the two are swapped");
        assert!(matches!(why(&EC.0[..200], EC.1), Error::BadCertificate(_)));
        assert!(matches!(why(EC.0, &EC.1[..80]), Error::BadKey(_)));
        let empty = b"-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n";
        assert!(matches!(why(empty, EC.1), Error::BadCertificate(_)));
        let encrypted = b"-----BEGIN ENCRYPTED PRIVATE KEY-----\nMAA=\n-----END ENCRYPTED PRIVATE KEY-----\n";
        assert_eq!(why(EC.0, encrypted), Error::NoKey);
    }

    #[test]
    fn certificates_of_the_first_version_will_do() {
        assert!(Identity::from_pem(OLD.0, OLD.1).unwrap().names.is_empty());
        assert_eq!(Identity::from_pem(OLD.0, EC.1).unwrap_err(), Error::Mismatch);
        assert_eq!(Identity::from_pem(OLD.0, RSA.1).unwrap_err(), Error::Mismatch);
    }

    #[test]
    fn der_makes_the_same() {
        let key = PrivateKeyDer::from_pem_slice(EC.1).unwrap();
        let identity = Identity::from_der(&[sample()], key.secret_der()).unwrap();
        assert_eq!(identity.names, ["example.com", "*.example.com"]);
        assert!(matches!(Identity::from_der(&[sample()], b"no key"), Err(Error::BadKey(_))));
        assert!(matches!(Identity::from_der(&[], key.secret_der()), Err(Error::NoCertificate)));
    }
}
