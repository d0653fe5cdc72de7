//! A client that speaks TLS, as scripts see it, and the certificate that a script gives it.

use std::{fmt, net::SocketAddr};

use tidegate_tls::{Error, Identity};

/// What is known of a client from what it said first, and of its connection.
#[derive(Debug, Clone)]
pub struct Hello {
    /// The host that it asks for.
    pub name: Option<String>,
    pub client: SocketAddr,
    /// The address that it came to.
    pub local: SocketAddr,
    /// The number of the protocol's version that will be spoken: 0x0303 is TLS 1.2.
    pub version: u16,
    /// What the client made up for this handshake.
    pub random: Option<[u8; 32]>,
}

/// The certificate of one client, which a script may choose until hands are shaken.
#[derive(Default)]
pub struct Choosing {
    /// The configuration's are not wanted any more.
    is_cleared: bool,
    certificates: Vec<Vec<u8>>,
    key: Option<Vec<u8>>,
}

impl Choosing {
    pub(crate) fn clear(&mut self) {
        *self = Self { is_cleared: true, ..Self::default() };
    }

    /// Another certificate of the chain, in DER; the server's own is the first.
    pub(crate) fn add(&mut self, certificate: &[u8], is_first: bool) {
        if is_first {
            self.certificates.clear();
        }
        self.certificates.push(certificate.to_owned());
    }

    /// Sets the key, in DER, unless it is not that of the certificate.
    pub(crate) fn set_key(&mut self, key: &[u8]) -> Result<(), Error> {
        if !self.certificates.is_empty() {
            Identity::from_der(&self.certificates, key)?;
        }
        self.key = Some(key.to_owned());
        Ok(())
    }

    /// What the client gets: `None` what the configuration says, `Some(None)` nothing, as there is nothing left.
    pub fn outcome(&self) -> Result<Option<Option<Identity>>, Error> {
        match (&self.certificates[..], &self.key) {
            ([], None) => Ok(self.is_cleared.then_some(None)),
            (certificates, Some(key)) => {
                Identity::from_der(certificates, key).map(|identity| Some(Some(identity)))
            }
            (_, None) => Err(Error::NoKey),
        }
    }
}

impl fmt::Debug for Choosing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The key is a secret.
        f.debug_struct("Choosing").field("certificates", &self.certificates.len()).finish_non_exhaustive()
    }
}
