//! How TLS is spoken with upstreams: whom they are trusted by, what they are shown, what they are called.
//!
//! Made once for each configuration and for all workers, so that they have sessions to resume in common. What a reload has
//! not changed, the contents of files included, stays, and connections with it.

use std::{
    collections::{BTreeMap, hash_map::DefaultHasher},
    fs,
    hash::{Hash as _, Hasher as _},
    path::Path,
    sync::Arc,
};

use rustls::{
    ClientConfig,
    pki_types::{DnsName, ServerName},
};
use tidegate_core::{
    Endpoint, Snapshot, UpstreamId,
    snapshot::{Address, CertificateFiles, UpstreamTls},
};
use tidegate_tls::{Identity, Trust};

use crate::certificates::{Error, text};

/// What upstreams are told that follows.
const PROTOCOL: &[u8] = b"http/1.1";

/// Of those upstreams that TLS is spoken with.
pub(crate) type Ways = BTreeMap<UpstreamId, Arc<Way>>;

/// How TLS is spoken with one upstream.
#[derive(Debug)]
pub(crate) struct Way {
    pub(crate) config: Arc<ClientConfig>,
    /// Who every endpoint has to be; `None`: itself.
    pub(crate) name: Option<Arc<ServerName<'static>>>,
    settings: UpstreamTls,
    /// Of what the files had in them.
    print: u64,
}

/// Those of `snapshot`; what has not changed is taken over from `previous`.
pub(crate) fn all(snapshot: &Snapshot, previous: &Ways) -> Result<Ways, Error> {
    let secure =
        snapshot.upstreams.iter().filter_map(|(name, upstream)| Some((name, upstream.tls.as_ref()?)));
    secure.map(|(name, settings)| Ok((name.clone(), Way::new(settings, previous.get(name))?))).collect()
}

impl Way {
    fn new(settings: &UpstreamTls, previous: Option<&Arc<Self>>) -> Result<Arc<Self>, Error> {
        let files = Files::read(settings)?;
        let print = files.print();
        if let Some(known) = previous.filter(|known| known.settings == *settings && known.print == print) {
            return Ok(Arc::clone(known));
        }
        let trust = settings.verify.then(|| files.trust(settings)).transpose()?;
        let identity = files.identity(settings)?;
        let mut config = tidegate_tls::client(trust.as_ref(), identity.as_ref())?;
        config.alpn_protocols = vec![PROTOCOL.to_vec()];
        let name = settings.server_name.clone().and_then(|name| ServerName::try_from(name).ok());
        Ok(Arc::new(Self {
            config: Arc::new(config),
            name: name.map(Arc::new),
            settings: settings.clone(),
            print,
        }))
    }
}

/// Who an endpoint has to be of which nothing else is said.
pub(crate) fn name_of(endpoint: &Endpoint) -> ServerName<'static> {
    let named = endpoint.host.as_deref().and_then(|host| ServerName::try_from(host.to_owned()).ok());
    let numbered = || match &endpoint.address {
        Address::Ip(address) => ServerName::IpAddress(address.ip().to_canonical().into()),
        Address::Unix(_) => ServerName::DnsName(DnsName::try_from("localhost").expect("it is a name")),
    };
    named.unwrap_or_else(numbered)
}

/// What is in the files of one upstream.
struct Files {
    trusted: Vec<u8>,
    pair: Option<(Vec<u8>, Vec<u8>)>,
}

impl Files {
    fn read(settings: &UpstreamTls) -> Result<Self, Error> {
        let trusted = match &settings.trusted {
            Some(path) => text(path)?,
            // A system that trusts nobody has no such file.
            None => tidegate_tls::SYSTEM
                .iter()
                .find_map(|path| fs::read(Path::new(path)).ok())
                .unwrap_or_default(),
        };
        let pair = |files: &CertificateFiles| Ok::<_, Error>((text(&files.certificate)?, text(&files.key)?));
        Ok(Self { trusted, pair: settings.identity.as_ref().map(pair).transpose()? })
    }

    fn print(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        (&self.trusted, &self.pair).hash(&mut hasher);
        hasher.finish()
    }

    fn trust(&self, settings: &UpstreamTls) -> Result<Trust, Error> {
        match &settings.trusted {
            None => Ok(Trust::of_system(&self.trusted)),
            Some(path) => Trust::from_pem(&self.trusted)
                .map_err(|source| Error::Untrustworthy { path: path.clone(), source }),
        }
    }

    fn identity(&self, settings: &UpstreamTls) -> Result<Option<Identity>, Error> {
        let (Some(files), Some((certificate, key))) = (&settings.identity, &self.pair) else {
            return Ok(None);
        };
        let identity = Identity::from_pem(certificate, key);
        identity.map(Some).map_err(|source| Error::unfit(files, source))
    }
}
