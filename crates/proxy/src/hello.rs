//! What a client says first: as much of a `ClientHello` as scripts are told and rustls does not say.
//!
//! rustls has found it sound before it is read here. All the same nothing is taken for granted: what is not where it
//! should be is not there.

use rustls::ProtocolVersion;

/// The type of a record with a handshake in it.
pub(crate) const HANDSHAKE: u8 = 22;

const SUPPORTED_VERSIONS: u16 = 43;

/// Of all that a client has sent so far.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Said {
    pub(crate) random: Option<[u8; 32]>,
    /// The version that is going to be spoken.
    pub(crate) version: u16,
}

impl Said {
    pub(crate) fn read(received: &[u8]) -> Self {
        let message = message(received);
        let mut rest = Rest(&message);
        let old = u16::from(ProtocolVersion::TLSv1_2);
        // Its type and length, and a version that means nothing any more.
        let random = rest.take(6).and_then(|_| rest.take(32)).and_then(|random| random.try_into().ok());
        let version =
            if speaks_13(&mut rest).unwrap_or(false) { ProtocolVersion::TLSv1_3.into() } else { old };
        Self { random, version }
    }
}

/// Whether TLS 1.3 is among the versions in the extensions that follow.
fn speaks_13(rest: &mut Rest<'_>) -> Option<bool> {
    rest.vector(1)?; // The session,
    rest.vector(2)?; // ciphers,
    rest.vector(1)?; // compression.
    let mut extensions = Rest(rest.vector(2)?);
    while let Some(kind) = extensions.take(2) {
        let content = extensions.vector(2)?;
        if kind == SUPPORTED_VERSIONS.to_be_bytes() {
            let wanted = u16::from(ProtocolVersion::TLSv1_3).to_be_bytes();
            return Some(Rest(content).vector(1)?.chunks_exact(2).any(|version| version == wanted));
        }
    }
    Some(false)
}

/// What the records carry.
fn message(received: &[u8]) -> Vec<u8> {
    let (mut rest, mut message) = (Rest(received), Vec::new());
    while let Some(head) = rest.take(3) {
        let Some(content) = rest.vector(2).filter(|_| head[0] == HANDSHAKE) else { break };
        message.extend_from_slice(content);
    }
    message
}

struct Rest<'a>(&'a [u8]);

impl<'a> Rest<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    /// What follows its length, which takes so many bytes.
    fn vector(&mut self, digits: usize) -> Option<&'a [u8]> {
        let length = self.take(digits)?.iter().fold(0, |length, &digit| length << 8 | usize::from(digit));
        self.take(length)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;
    use rustls::{
        ClientConfig, ClientConnection, RootCertStore, SupportedProtocolVersion,
        version::{TLS12, TLS13},
    };

    use super::*;

    /// What a client says that speaks these versions.
    fn said(versions: &[&'static SupportedProtocolVersion]) -> Vec<u8> {
        let builder = ClientConfig::builder_with_provider(Arc::clone(tidegate_tls::provider()));
        let builder = builder.with_protocol_versions(versions).unwrap();
        let config = builder.with_root_certificates(RootCertStore::empty()).with_no_client_auth();
        let name = "localhost".try_into().unwrap();
        let mut bytes = Vec::new();
        ClientConnection::new(Arc::new(config), name).unwrap().write_tls(&mut bytes).unwrap();
        bytes
    }

    #[test]
    fn the_version_is_the_newest_that_the_client_speaks() {
        for (versions, expected) in
            [(&[&TLS12][..], 0x0303), (&[&TLS13], 0x0304), (&[&TLS12, &TLS13], 0x0304)]
        {
            let bytes = said(versions);
            let Said { random, version } = Said::read(&bytes);
            assert_eq!(version, expected);
            assert_eq!(random.unwrap(), bytes[11..43]);
        }
    }

    #[test]
    fn records_may_part_it_anywhere() {
        let bytes = said(&[&TLS13]);
        let (whole, content) = (Said::read(&bytes), &bytes[5..]);
        for at in [1, 20, 60, content.len() - 1] {
            let record = |part: &[u8]| [&[22, 3, 1][..], &(part.len() as u16).to_be_bytes(), part].concat();
            let parted = [record(&content[..at]), record(&content[at..])].concat();
            assert_eq!(Said::read(&parted), whole);
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_to_an_end(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            Said::read(&bytes);
        }

        #[test]
        fn what_is_spoilt_is_read_to_an_end(at in 0_usize..300, by in any::<u8>(), length in 0_usize..400) {
            let mut bytes = said(&[&TLS12, &TLS13]);
            let at = at % bytes.len();
            bytes[at] = by;
            bytes.truncate(length);
            Said::read(&bytes);
        }
    }
}
