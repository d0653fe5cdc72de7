//! The variables that a request has because its client speaks TLS, as nginx calls them.

use std::borrow::Cow;

use rustls::{CipherSuite, NamedGroup, ProtocolVersion};

use super::certificate;
use crate::secure::{Session, Shown, is_resumed};

/// `None`: there is no such variable.
pub(super) fn read(session: &Session, name: &[u8]) -> Option<Cow<'static, [u8]>> {
    let tls = session.tls();
    let text: Cow<'static, str> = match name {
        b"ssl_protocol" => match tls.protocol_version()? {
            ProtocolVersion::TLSv1_3 => "TLSv1.3".into(),
            _ => "TLSv1.2".into(),
        },
        b"ssl_cipher" => cipher(tls.negotiated_cipher_suite()?.suite()),
        b"ssl_curve" => match tls.negotiated_key_exchange_group()?.name() {
            NamedGroup::secp256r1 => "prime256v1".into(),
            other => format!("{other:?}").into(),
        },
        b"ssl_server_name" => session.hello.name.clone()?.into(),
        b"ssl_alpn_protocol" => String::from_utf8_lossy(tls.alpn_protocol()?).into_owned().into(),
        b"ssl_session_reused" => if is_resumed(&tls) { "r" } else { "." }.into(),
        b"ssl_client_verify" => match &session.shown {
            Shown::Nothing => "NONE".into(),
            Shown::Good => "SUCCESS".into(),
            Shown::Bad(why) => format!("FAILED:{why}").into(),
        },
        // Sessions have no names that both versions know, and nothing comes before hands are shaken.
        b"ssl_session_id" | b"ssl_early_data" => "".into(),
        _ => match name.strip_prefix(b"ssl_client_") {
            Some(name) => certificate::read(tls.peer_certificates()?.first()?, name)?.into(),
            None => return None,
        },
    };
    Some(match text {
        Cow::Borrowed(text) => Cow::Borrowed(text.as_bytes()),
        Cow::Owned(text) => Cow::Owned(text.into_bytes()),
    })
}

/// As OpenSSL calls it.
fn cipher(suite: CipherSuite) -> Cow<'static, str> {
    match suite {
        CipherSuite::TLS13_AES_128_GCM_SHA256 => "TLS_AES_128_GCM_SHA256".into(),
        CipherSuite::TLS13_AES_256_GCM_SHA384 => "TLS_AES_256_GCM_SHA384".into(),
        CipherSuite::TLS13_CHACHA20_POLY1305_SHA256 => "TLS_CHACHA20_POLY1305_SHA256".into(),
        CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256 => "ECDHE-ECDSA-AES128-GCM-SHA256".into(),
        CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384 => "ECDHE-ECDSA-AES256-GCM-SHA384".into(),
        CipherSuite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256 => "ECDHE-ECDSA-CHACHA20-POLY1305".into(),
        CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256 => "ECDHE-RSA-AES128-GCM-SHA256".into(),
        CipherSuite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384 => "ECDHE-RSA-AES256-GCM-SHA384".into(),
        CipherSuite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256 => "ECDHE-RSA-CHACHA20-POLY1305".into(),
        other => format!("{other:?}").into(),
    }
}
