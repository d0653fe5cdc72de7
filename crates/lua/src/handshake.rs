//! A client that speaks TLS, as scripts see it, and what scripts decide on for its handshake.

use std::{cell::RefCell, fmt, net::SocketAddr, num::NonZeroUsize, sync::Arc};

use lru::LruCache;
use tidegate_core::snapshot::TlsVersions;
use tidegate_tls::{Error, Identity, Said};

/// What a session begins with when it is kept, so that nothing else is taken for one.
const KEPT_SESSION: &[u8] = b"tidegate tls session 1\n";

/// Certificates with their keys that each thread keeps for scripts that give them again and again.
const KEPT: NonZeroUsize = NonZeroUsize::new(256).expect("it is not zero");

/// What is known of a client from what it said first, and of its connection.
#[derive(Debug, Clone)]
pub struct Hello {
    /// The host that it asks for.
    pub name: Option<String>,
    pub client: SocketAddr,
    /// The address that it came to.
    pub local: SocketAddr,
    /// `unix:PATH`, if it came by a Unix socket; then neither address means anything.
    pub place: Option<Box<str>>,
    /// The number of the protocol's version that will be spoken: 0x0303 is TLS 1.2.
    pub version: u16,
    /// What the client made up for this handshake.
    pub random: Option<[u8; 32]>,
}

/// How hands are shaken with one client, as far as scripts have decided that.
#[derive(Default)]
pub struct Choosing {
    /// What the client said first.
    pub(crate) said: Said,
    certificate: Certificate,
    versions: Option<TlsVersions>,
    /// Certificates in DER that the client's own has to be trusted by; empty: those of the configuration.
    asked: Option<Vec<Vec<u8>>>,
    staple: Option<Vec<u8>>,
    /// The session that the client would go on with, or that has just been made.
    pub(crate) session: Option<Session>,
}

/// A session that outlasts its connection, so that the client spares itself a whole handshake.
#[derive(Default, PartialEq, Eq)]
pub struct Session {
    /// By which the client names it.
    pub name: Vec<u8>,
    /// Its secrets, if they are known.
    pub content: Option<Vec<u8>>,
}

/// The certificate that a script gives.
#[derive(Default)]
struct Certificate {
    /// The configuration's are not wanted any more.
    is_cleared: bool,
    chain: Vec<Vec<u8>>,
    key: Option<Vec<u8>>,
}

/// What has been decided on.
#[derive(Debug, Default)]
pub struct Chosen {
    /// `None`: as the configuration says; `Some(None)`: none, as there is nothing left.
    pub identity: Option<Option<Arc<Identity>>>,
    pub versions: Option<TlsVersions>,
    /// The client is asked for a certificate, which these, or those of the configuration, have to vouch for.
    pub asked: Option<Vec<Vec<u8>>>,
    /// What the authority says of the certificate.
    pub staple: Option<Vec<u8>>,
    /// The session that the client would go on with.
    pub session: Option<Session>,
}

impl Choosing {
    pub fn new(said: Said) -> Self {
        Self { said, ..Self::default() }
    }

    /// For a script that may keep a session.
    pub fn keeping(session: Session) -> Self {
        Self { session: Some(session), ..Self::default() }
    }

    /// Learns which session the client would go on with, where these versions are spoken unless a script has chosen
    /// others. `false`: none.
    pub fn has_session(&mut self, versions: TlsVersions) -> bool {
        let versions = self.versions.unwrap_or(versions);
        let name = self.said.session(versions.tls13).map(<[u8]>::to_vec);
        self.session = name.map(|name| Session { name, content: None });
        self.session.is_some()
    }

    pub(crate) fn clear(&mut self) {
        self.certificate = Certificate { is_cleared: true, ..Certificate::default() };
    }

    /// Another certificate of the chain, in DER; the server's own is the first.
    pub(crate) fn add(&mut self, certificate: &[u8], is_first: bool) {
        if is_first {
            self.certificate.chain.clear();
        }
        self.certificate.chain.push(certificate.to_owned());
    }

    /// Sets the key, in DER, unless it is not that of the certificate.
    pub(crate) fn set_key(&mut self, key: &[u8]) -> Result<(), Error> {
        if !self.certificate.chain.is_empty() {
            identity(&self.certificate.chain, key)?;
        }
        self.certificate.key = Some(key.to_owned());
        Ok(())
    }

    pub(crate) const fn set_versions(&mut self, versions: TlsVersions) {
        self.versions = Some(versions);
    }

    /// Asks the client for a certificate.
    pub(crate) fn ask(&mut self) {
        self.asked = Some(Vec::new());
    }

    /// Trusts this one in DER to vouch for it, besides others.
    pub(crate) fn trust(&mut self, certificate: &[u8]) {
        self.asked.get_or_insert_default().push(certificate.to_owned());
    }

    pub(crate) fn set_staple(&mut self, staple: &[u8]) {
        self.staple = Some(staple.to_owned());
    }

    pub fn outcome(self) -> Result<Chosen, Error> {
        let Certificate { is_cleared, chain, key } = &self.certificate;
        let identity = match (&chain[..], key) {
            ([], None) => is_cleared.then_some(None),
            (chain, Some(key)) => Some(Some(identity(chain, key)?)),
            (_, None) => return Err(Error::NoKey),
        };
        let Self { versions, asked, staple, session, .. } = self;
        Ok(Chosen { identity, versions, asked, staple, session })
    }
}

impl Session {
    /// As scripts keep it.
    pub(crate) fn write(&self, bytes: &mut Vec<u8>) {
        bytes.extend_from_slice(KEPT_SESSION);
        bytes.extend_from_slice(self.content.as_deref().unwrap_or_default());
    }

    /// Takes what was kept, unless it is something else.
    pub(crate) fn restore(&mut self, kept: &[u8]) -> bool {
        let content = kept.strip_prefix(KEPT_SESSION).filter(|content| !content.is_empty());
        self.content = content.map(<[u8]>::to_vec).or_else(|| self.content.take());
        content.is_some()
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // What is in it is a secret.
        f.debug_struct("Session").field("is_known", &self.content.is_some()).finish_non_exhaustive()
    }
}

impl fmt::Debug for Choosing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The key is a secret.
        f.debug_struct("Choosing")
            .field("certificates", &self.certificate.chain.len())
            .finish_non_exhaustive()
    }
}

/// A chain and its key.
type Pair = (Vec<Vec<u8>>, Vec<u8>);

/// To read a key and to compare it with its certificate takes longer than to shake hands.
fn identity(chain: &[Vec<u8>], key: &[u8]) -> Result<Arc<Identity>, Error> {
    thread_local! {
        static KNOWN: RefCell<LruCache<Pair, Arc<Identity>>> = RefCell::new(LruCache::new(KEPT));
    }
    let pair = (chain.to_vec(), key.to_vec());
    KNOWN.with_borrow_mut(|known| {
        if let Some(identity) = known.get(&pair) {
            return Ok(Arc::clone(identity));
        }
        let identity = Arc::new(Identity::from_der(chain, key)?);
        known.put(pair, Arc::clone(&identity));
        Ok(identity)
    })
}
