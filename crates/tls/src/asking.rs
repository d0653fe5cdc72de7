//! Certificates that clients are asked for.
//!
//! A handshake does not fail for want of a good certificate, only for one whose key the client does not have: whether it is
//! any good is judged when hands have been shaken, so that a client can be told in words what is wrong, and scripts
//! can decide what follows.

use std::sync::Arc;

use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, SignatureScheme,
    client::danger::HandshakeSignatureValid,
    pki_types::{CertificateDer, UnixTime},
    server::{
        WebPkiClientVerifier,
        danger::{ClientCertVerified, ClientCertVerifier},
    },
};

use crate::{Trust, schemes, verify_12, verify_13};

/// Asks clients for certificates, and judges those that they show.
#[derive(Debug)]
pub struct Asking {
    trust: Trust,
    chains: Option<Arc<dyn ClientCertVerifier>>,
    /// Who may have signed them, as clients are told.
    hints: Vec<DistinguishedName>,
}

impl Asking {
    pub fn new(trust: Trust) -> Self {
        let builder = WebPkiClientVerifier::builder_with_provider(
            Arc::clone(&trust.roots),
            Arc::clone(crate::provider()),
        );
        Self { hints: trust.roots.subjects(), chains: builder.build().ok(), trust }
    }

    /// Whether a client that has shown these certificates, its own first, can be believed; or why not.
    pub fn judge(&self, chain: &[CertificateDer<'_>], now: UnixTime) -> Result<(), String> {
        let Some((own, others)) = chain.split_first() else { return Err("no certificate".into()) };
        if self.trust.knows(own, now).map_err(|why| told(&why))? {
            return Ok(());
        }
        let Some(chains) = &self.chains else { return Err(told(&CertificateError::UnknownIssuer)) };
        match chains.verify_client_cert(own, others, now) {
            Ok(_) => Ok(()),
            Err(rustls::Error::InvalidCertificate(why)) => Err(told(&why)),
            Err(other) => Err(other.to_string()),
        }
    }
}

/// In OpenSSL's words, where it has some.
fn told(why: &CertificateError) -> String {
    let text = match why {
        CertificateError::UnknownIssuer => "unable to get local issuer certificate",
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => "certificate has expired",
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "certificate is not yet valid"
        }
        CertificateError::Revoked => "certificate revoked",
        CertificateError::BadSignature => "certificate signature failure",
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
            "unsuitable certificate purpose"
        }
        other => return format!("{other:?}"),
    };
    text.to_owned()
}

impl ClientCertVerifier for Asking {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &self.hints
    }

    fn verify_client_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        Ok(ClientCertVerified::assertion())
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

    #[test]
    fn who_is_known_is_believed_and_others_are_told_why_not() {
        let judged = |trust: &[u8], at: u64| {
            let asking = Asking::new(Trust::from_pem(trust).unwrap());
            let now = UnixTime::since_unix_epoch(Duration::from_secs(at));
            asking.judge(&[CertificateDer::from(sample())], now)
        };
        let now = 1_800_000_000;
        assert_eq!(judged(EC.0, now), Ok(()));
        assert_eq!(judged(EC.0, 9_000_000_000), Err("certificate has expired".into()));
        assert!(judged(RSA.0, now).is_err());
        let nobody = Asking::new(Trust::of_system(b""));
        let now = UnixTime::since_unix_epoch(Duration::from_secs(now));
        let why = nobody.judge(&[CertificateDer::from(sample())], now).unwrap_err();
        assert_eq!(why, "unable to get local issuer certificate");
        assert!(nobody.judge(&[], now).is_err());
    }
}
