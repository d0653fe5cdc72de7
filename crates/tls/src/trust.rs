//! Whom to believe: certificates that vouch for others.
//!
//! What is judged with them are chains that end at one of them. A certificate that is among them itself needs no chain, so a
//! server whose certificate nobody else has signed can be trusted by naming just that; names and dates count
//! for it as for any other.

use std::sync::Arc;

use rustls::{
    CertificateError, DigitallySignedStruct, RootCertStore, SignatureScheme,
    client::{
        WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
        verify_server_name,
    },
    pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject as _},
    server::ParsedCertificate,
};

use crate::{Error, certificate::Facts, provider, schemes, verify_12, verify_13};

/// Where systems keep the certificates that they trust.
pub const SYSTEM: [&str; 3] =
    ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem"];

/// Certificates that are trusted.
#[derive(Debug, Clone)]
pub struct Trust {
    pub(crate) roots: Arc<RootCertStore>,
    pub(crate) known: Vec<CertificateDer<'static>>,
}

impl Trust {
    /// From a file in PEM, each certificate of which has to be one.
    pub fn from_pem(text: &[u8]) -> Result<Self, Error> {
        let mut roots = RootCertStore::empty();
        let known = CertificateDer::pem_slice_iter(text).collect::<Result<Vec<_>, _>>();
        let known = known.map_err(|error| Error::BadCertificate(error.to_string()))?;
        for certificate in &known {
            let added = roots.add(certificate.clone());
            added.map_err(|error| Error::BadCertificate(error.to_string()))?;
        }
        if known.is_empty() {
            return Err(Error::NoCertificate);
        }
        Ok(Self { roots: Arc::new(roots), known })
    }

    /// Certificates in DER; what is none of them is left out.
    pub fn from_der(certificates: &[Vec<u8>]) -> Self {
        let known: Vec<_> = certificates.iter().cloned().map(CertificateDer::from).collect();
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(known.iter().cloned());
        Self { roots: Arc::new(roots), known }
    }

    /// From what a system trusts, in PEM: what cannot be read of it is left out.
    pub fn of_system(text: &[u8]) -> Self {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(CertificateDer::pem_slice_iter(text).filter_map(Result::ok));
        // Nothing there stands for itself.
        Self { roots: Arc::new(roots), known: Vec::new() }
    }

    /// Whether it is one of them: then it needs nobody to vouch for it, and only holds until its end.
    pub(crate) fn knows(
        &self,
        certificate: &CertificateDer<'_>,
        now: UnixTime,
    ) -> Result<bool, CertificateError> {
        if !self.known.contains(certificate) {
            return Ok(false);
        }
        let seconds = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
        let has_expired = Facts::of(certificate).not_after.is_some_and(|end| end < seconds);
        if has_expired { Err(CertificateError::Expired) } else { Ok(true) }
    }

    /// Who judges servers by it. Without any trust, whatever certificate a server has is good.
    pub(crate) fn judge(trust: Option<&Self>) -> Arc<dyn ServerCertVerifier> {
        let Some(trust) = trust else { return Arc::new(Judge::Credulous) };
        let builder =
            WebPkiServerVerifier::builder_with_provider(Arc::clone(&trust.roots), Arc::clone(provider()));
        // It fails where nothing is trusted.
        Arc::new(Judge::Strict { chains: builder.build().ok(), trust: trust.clone() })
    }
}

#[derive(Debug)]
enum Judge {
    /// Believes everybody.
    Credulous,
    /// Believes chains, and what it knows.
    Strict { chains: Option<Arc<WebPkiServerVerifier>>, trust: Trust },
}

impl ServerCertVerifier for Judge {
    fn verify_server_cert(
        &self,
        own: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let Self::Strict { chains, trust } = self else { return Ok(ServerCertVerified::assertion()) };
        if trust.knows(own, now)? {
            verify_server_name(&ParsedCertificate::try_from(own)?, name)?;
            return Ok(ServerCertVerified::assertion());
        }
        let chains = chains.as_ref().ok_or(CertificateError::UnknownIssuer)?;
        chains.verify_server_cert(own, others, name, ocsp, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_12(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_13(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        schemes()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::identity::tests::{EC, RSA, sample};

    /// Whether a server with that sample is believed to be `name`, so many seconds after the epoch.
    fn judged(trust: Option<&Trust>, name: &str, at: u64) -> bool {
        let name = ServerName::try_from(name).unwrap();
        let now = UnixTime::since_unix_epoch(Duration::from_secs(at));
        let certificate = CertificateDer::from(sample());
        Trust::judge(trust).verify_server_cert(&certificate, &[], &name, &[], now).is_ok()
    }

    #[test]
    fn a_certificate_that_is_named_itself_is_believed_for_its_names_and_until_its_end() {
        let own = Trust::from_pem(EC.0).unwrap();
        let now = 1_800_000_000;
        assert!(judged(Some(&own), "example.com", now));
        assert!(judged(Some(&own), "www.example.com", now));
        assert!(!judged(Some(&own), "example.org", now));
        assert!(!judged(Some(&own), "example.com", 9_000_000_000));
        let other = Trust::from_pem(RSA.0).unwrap();
        assert!(!judged(Some(&other), "example.com", now));
        assert!(!judged(Some(&Trust::of_system(b"")), "example.com", now));
        assert!(judged(None, "example.org", now));
    }

    #[test]
    fn a_file_without_certificates_is_refused() {
        assert!(matches!(Trust::from_pem(b""), Err(Error::NoCertificate)));
        assert!(matches!(Trust::from_pem(EC.1), Err(Error::NoCertificate)));
        assert!(matches!(Trust::from_pem(&EC.0[..200]), Err(Error::BadCertificate(_))));
    }
}
