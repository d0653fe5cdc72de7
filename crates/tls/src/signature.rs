//! Signatures of handshakes.
//!
//! rustls checks them, but for certificates of version 1, which it does not read and OpenSSL does: of these, all that counts
//! is the key, and no more is taken from them here. Chains and names are not judged by this.

use rustls::{
    CertificateError, DigitallySignedStruct, PeerIncompatible, SignatureScheme,
    client::danger::HandshakeSignatureValid,
    crypto::{WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature},
    pki_types::CertificateDer,
};

use crate::{certificate::Body, provider};

type Outcome = Result<HandshakeSignatureValid, rustls::Error>;

/// Of TLS 1.2.
pub fn verify_12(
    message: &[u8],
    certificate: &CertificateDer<'_>,
    signature: &DigitallySignedStruct,
) -> Outcome {
    match Body::read(certificate) {
        Some(body) if body.is_old => verify(message, &body, signature, usize::MAX),
        _ => verify_tls12_signature(message, certificate, signature, algorithms()),
    }
}

/// Of TLS 1.3, which knows no signatures by PKCS #1, and one curve for each way to sign.
pub fn verify_13(
    message: &[u8],
    certificate: &CertificateDer<'_>,
    signature: &DigitallySignedStruct,
) -> Outcome {
    match Body::read(certificate) {
        Some(body) if body.is_old && !is_old(signature.scheme) => verify(message, &body, signature, 1),
        _ => verify_tls13_signature(message, certificate, signature, algorithms()),
    }
}

fn verify(message: &[u8], body: &Body<'_>, signature: &DigitallySignedStruct, most: usize) -> Outcome {
    let known = algorithms().mapping.iter().find(|(scheme, _)| *scheme == signature.scheme);
    let known = known.map_or(&[][..], |(_, known)| known);
    let key = body.key_parts().ok_or(CertificateError::BadEncoding)?;
    let fits = known.iter().take(most).find(|one| one.public_key_alg_id().as_ref() == key.algorithm);
    let fits = fits.ok_or(PeerIncompatible::NoSignatureSchemesInCommon)?;
    let verified = fits.verify_signature(key.bits, message, signature.signature());
    verified.map_err(|_| CertificateError::BadSignature)?;
    Ok(HandshakeSignatureValid::assertion())
}

const fn is_old(scheme: SignatureScheme) -> bool {
    matches!(
        scheme,
        SignatureScheme::RSA_PKCS1_SHA1
            | SignatureScheme::RSA_PKCS1_SHA256
            | SignatureScheme::RSA_PKCS1_SHA384
            | SignatureScheme::RSA_PKCS1_SHA512
            | SignatureScheme::ECDSA_SHA1_Legacy
    )
}

pub(crate) fn algorithms() -> &'static WebPkiSupportedAlgorithms {
    &provider().signature_verification_algorithms
}

/// All that can be checked.
pub fn schemes() -> Vec<SignatureScheme> {
    algorithms().supported_schemes()
}
