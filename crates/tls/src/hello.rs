//! What a client says first: as much of a `ClientHello` as scripts are told.
//!
//! rustls has found it sound before it is read here. All the same nothing is taken for granted: what is not where it
//! should be is not there.

use rustls::ProtocolVersion;

/// The type of a record with a handshake in it.
pub const HANDSHAKE: u8 = 22;

const SESSION_TICKET: u16 = 35;
const PRE_SHARED_KEY: u16 = 41;
const SUPPORTED_VERSIONS: u16 = 43;

/// The message of a client.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Said(Vec<u8>);

impl Said {
    /// From all that a client has sent so far.
    pub fn read(received: &[u8]) -> Self {
        Self(message(received))
    }

    /// What the client made up for this handshake.
    pub fn random(&self) -> Option<[u8; 32]> {
        self.parts()?.random.try_into().ok()
    }

    /// The newest version that both speak.
    pub fn version(&self) -> u16 {
        let wanted = u16::from(ProtocolVersion::TLSv1_3).to_be_bytes();
        let versions = self.extension(SUPPORTED_VERSIONS).and_then(|content| Rest(content).vector(1));
        let speaks_13 = versions.is_some_and(|all| all.chunks_exact(2).any(|version| version == wanted));
        if speaks_13 { ProtocolVersion::TLSv1_3.into() } else { ProtocolVersion::TLSv1_2.into() }
    }

    /// The name of the session that it would go on with, if TLS 1.3 `may` be spoken with it or not.
    pub fn session(&self, may_13: bool) -> Option<&[u8]> {
        let name = if may_13 && self.version() == u16::from(ProtocolVersion::TLSv1_3) {
            // Sessions have no names any more; the first of its tickets is one if it tells nothing itself.
            Rest(Rest(self.extension(PRE_SHARED_KEY)?).vector(2)?).vector(2)?
        } else if self.extension(SESSION_TICKET).is_some_and(|ticket| !ticket.is_empty()) {
            return None; // Then the name is made up.
        } else {
            self.parts()?.session
        };
        (!name.is_empty()).then_some(name)
    }

    /// The numbers of the ciphers that it offers, two bytes each.
    pub fn ciphers(&self) -> &[u8] {
        self.parts().map_or(&[], |parts| parts.ciphers)
    }

    /// Extensions by their number, in the order in which they came.
    pub fn extensions(&self) -> impl Iterator<Item = (u16, &[u8])> {
        let mut rest = Rest(self.parts().map_or(&[], |parts| parts.extensions));
        std::iter::from_fn(move || {
            let kind = rest.take(2)?;
            Some((u16::from_be_bytes([kind[0], kind[1]]), rest.vector(2)?))
        })
    }

    /// What is in an extension.
    pub fn extension(&self, kind: u16) -> Option<&[u8]> {
        self.extensions().find(|&(other, _)| other == kind).map(|(_, content)| content)
    }

    fn parts(&self) -> Option<Parts<'_>> {
        let mut rest = Rest(&self.0);
        rest.take(6)?; // Its type and length, and a version that means nothing any more.
        let random = rest.take(32)?;
        let session = rest.vector(1)?;
        let ciphers = rest.vector(2)?;
        rest.vector(1)?; // Compression.
        Some(Parts { random, session, ciphers, extensions: rest.vector(2).unwrap_or_default() })
    }
}

struct Parts<'a> {
    random: &'a [u8],
    session: &'a [u8],
    ciphers: &'a [u8],
    extensions: &'a [u8],
}

/// What the records carry.
pub(crate) fn message(received: &[u8]) -> Vec<u8> {
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
        let builder = ClientConfig::builder_with_provider(Arc::clone(crate::provider()));
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
            let said = Said::read(&bytes);
            assert_eq!(said.version(), expected);
            assert_eq!(said.random().unwrap(), bytes[11..43]);
            assert_eq!(said.extension(0).unwrap(), b"\0\x0c\0\0\x09localhost");
            assert_eq!(said.extension(999), None);
            assert!(said.ciphers().len() >= 6 && said.ciphers().len().is_multiple_of(2));
        }
    }

    /// A message with this session, versions, and extension.
    fn naming(session: &[u8], versions: &[u8], (kind, content): (u16, &[u8])) -> Said {
        let vector = |digits: usize, content: &[u8]| {
            [&(content.len() as u32).to_be_bytes()[4 - digits..], content].concat()
        };
        let extension =
            |kind: u16, content: &[u8]| [kind.to_be_bytes().to_vec(), vector(2, content)].concat();
        let versions = extension(SUPPORTED_VERSIONS, &vector(1, versions));
        let extensions = vector(2, &[versions, extension(kind, content)].concat());
        let before = [&[1, 0, 0, 0, 3, 3][..], &[7; 32], &vector(1, session), &vector(2, &[0, 1])].concat();
        Said([before, vector(1, &[0]), extensions].concat())
    }

    #[test]
    fn a_session_is_named_as_the_version_has_it() {
        let (old, both) = (&[3, 3][..], &[3, 4, 3, 3][..]);
        let (no_ticket, ticket) = ((SESSION_TICKET, &b""[..]), (SESSION_TICKET, &b"ticket"[..]));
        assert_eq!(naming(b"name", old, no_ticket).session(true), Some(&b"name"[..]));
        assert_eq!(naming(b"", old, no_ticket).session(true), None);
        assert_eq!(naming(b"name", old, ticket).session(true), None, "the name is made up beside a ticket");
        // In TLS 1.3 the name is there for old machines in between, unless the older version will be spoken.
        assert_eq!(naming(b"name", both, no_ticket).session(true), None);
        assert_eq!(naming(b"name", both, no_ticket).session(false), Some(&b"name"[..]));
        let tickets = (PRE_SHARED_KEY, &b"\0\x0c\0\x02ab\0\0\0\0\0\x00\0\x02\x01x"[..]);
        assert_eq!(naming(b"name", both, tickets).session(true), Some(&b"ab"[..]));
        assert_eq!(naming(b"name", both, (PRE_SHARED_KEY, b"\0\x0c\0\x09ab")).session(true), None);
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

    fn exhaust(said: &Said) {
        said.version();
        said.random();
        said.ciphers();
        let _ = [true, false].map(|may_13| said.session(may_13).map(<[u8]>::len));
        said.extensions().for_each(drop);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_to_an_end(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            exhaust(&Said::read(&bytes));
        }

        #[test]
        fn what_is_spoilt_is_read_to_an_end(at in 0_usize..300, by in any::<u8>(), length in 0_usize..400) {
            let mut bytes = said(&[&TLS12, &TLS13]);
            let at = at % bytes.len();
            bytes[at] = by;
            bytes.truncate(length);
            exhaust(&Said::read(&bytes));
        }
    }
}
