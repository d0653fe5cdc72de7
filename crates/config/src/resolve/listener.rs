//! `tls` of listeners and upstreams: certificates and keys, which have to be there and fit.

use std::{
    io::ErrorKind,
    path::{Path, PathBuf},
};

use tidegate_core::snapshot::{
    CertificateFiles, ClientCertificates, ServerTls, TlsVersion, TlsVersions, UpstreamTls,
};
use tidegate_tls::{Identity, Trust};

use crate::{
    decode::{Field, List, Located},
    leaf::text::File,
    raw::{self, lua::Chunk},
    report::{Report, quote},
    resolve::Resolver,
};

impl Resolver<'_, '_> {
    #[expect(clippy::option_option, reason = "no TLS differs from a broken one")]
    pub(super) fn server_tls(&mut self, listener: &raw::Listener) -> Option<Option<ServerTls>> {
        let mut script = |of: fn(&raw::ListenerLua) -> &Field<Chunk>| {
            listener.lua.value().and_then(|lua| self.chunk(of(lua)))
        };
        let (hello, certificate) = (script(|lua| &lua.ssl_client_hello), script(|lua| &lua.ssl_certificate));
        let (fetch, store) = (script(|lua| &lua.ssl_session_fetch), script(|lua| &lua.ssl_session_store));
        let Some(Located { value: raw::Certificates(list), place }) = listener.tls.optional()? else {
            let lua = listener.lua.value()?;
            let scripts = [
                ("sslCertificate", &lua.ssl_certificate),
                ("sslClientHello", &lua.ssl_client_hello),
                ("sslSessionFetch", &lua.ssl_session_fetch),
                ("sslSessionStore", &lua.ssl_session_store),
            ];
            let script = scripts.iter().find_map(|(what, script)| Some((*what, script.given()?.place)));
            let asked = listener.client_certificates.given().map(|asked| ("clientCertificates", asked.place));
            let versions = listener.tls_protocols.given().map(|list| ("tlsProtocols", list.place));
            return match script.or(asked).or(versions) {
                Some((what, place)) => {
                    let message = format!("`{what}` is for listeners with `tls`");
                    let help = "add `tls: [{ certificate: FILE, key: FILE }]`, or `tls: []` if a script gives certificates";
                    self.report.error(place, message, help);
                    None
                }
                None => Some(None),
            };
        };
        let certificates = list.resolve(|pair, _| self.certificate(pair));
        let clients = listener.client_certificates.optional().and_then(|asked| self.clients(asked));
        let versions = listener.tls_protocols.optional().and_then(|list| self.versions(list));
        let (ssl_client_hello, ssl_session_fetch, ssl_certificate, ssl_session_store) =
            (hello?, fetch?, certificate?, store?);
        if list.is_empty() && ssl_certificate.is_none() {
            let help =
                "add `{ certificate: FILE, key: FILE }`, or a script as `lua.sslCertificate` that gives some";
            self.report.error(*place, "no certificate", help);
        }
        Some(Some(ServerTls {
            certificates: certificates?,
            versions: versions?,
            ssl_client_hello,
            ssl_session_fetch,
            ssl_certificate,
            ssl_session_store,
            clients: clients?,
        }))
    }

    pub(super) fn versions(&mut self, list: Option<&Located<List<TlsVersion>>>) -> Option<TlsVersions> {
        let Some(Located { value: list, place }) = list else { return Some(TlsVersions::default()) };
        if list.is_empty() {
            self.report.error(*place, "no version of TLS", "name `TLSv1.2`, `TLSv1.3` or both");
        }
        let all = list.resolve(|&version, _| Some(version))?;
        let has = |version| all.contains(&version);
        Some(TlsVersions { tls12: has(TlsVersion::Tls12), tls13: has(TlsVersion::Tls13) })
    }

    fn certificate(&mut self, raw: &raw::KeyPair) -> Option<CertificateFiles> {
        match (raw.certificate.given(), raw.key.given()) {
            (Some(certificate), Some(key)) => {
                let files = self.pair(certificate, key);
                let staple = raw.staple.optional().and_then(|file| self.staple(file));
                Some(CertificateFiles { staple: staple?, ..files? })
            }
            (certificate, key) => {
                let _ = (certificate.map(|file| self.pem(file)), key.map(|file| self.pem(file)));
                None
            }
        }
    }

    #[expect(clippy::option_option, reason = "no file differs from one that is not there")]
    fn staple(&mut self, file: Option<&Located<File>>) -> Option<Option<PathBuf>> {
        let Some(file) = file else { return Some(None) };
        let path = self.scripts.locate(&file.value.0);
        match self.scripts.text(&path) {
            // It is there, and no text.
            Err(error) if error.kind() == ErrorKind::InvalidData => Some(Some(path)),
            Err(error) => {
                tell(&file.value.0, &path, file, &error, self.report);
                None
            }
            Ok(_) => {
                let message = format!("{}: it is no OCSP response", quote(&file.value.0.to_string_lossy()));
                let help = "it should be DER, as `openssl ocsp -respout` writes it";
                self.report.error(file.place, message, help);
                None
            }
        }
    }

    /// A certificate and its key, which have to fit.
    fn pair(&mut self, certificate: &Located<File>, key: &Located<File>) -> Option<CertificateFiles> {
        let (read, secret) = (self.pem(certificate), self.pem(key));
        let ((at, text), (key_at, secret)) = (read?, secret?);
        if let Err(error) = Identity::from_pem(text.as_bytes(), secret.as_bytes()) {
            self.unfit(if error.is_of_key() { key } else { certificate }, &error);
        }
        Some(CertificateFiles { certificate: at, key: key_at, staple: None })
    }

    #[expect(clippy::option_option, reason = "no TLS differs from a broken one")]
    pub(super) fn upstream_tls(&mut self, raw: &Field<raw::UpstreamTls>) -> Option<Option<UpstreamTls>> {
        let Some(Located { value: raw, .. }) = raw.optional()? else { return Some(None) };
        let trusted = raw.trusted_certificate.optional().and_then(|file| self.trusted(file));
        let identity = match (raw.client_certificate.optional()?, raw.client_key.optional()?) {
            (Some(certificate), Some(key)) => self.pair(certificate, key).map(Some),
            (None, None) => Some(None),
            (Some(lone), None) => self.lone(lone, "clientCertificate", "clientKey"),
            (None, Some(lone)) => self.lone(lone, "clientKey", "clientCertificate"),
        };
        Some(Some(UpstreamTls {
            server_name: raw.server_name.optional()?.map(|name| name.value.0.clone()),
            verify: *raw.verify.value()?,
            trusted: trusted?,
            identity: identity?,
        }))
    }

    #[expect(clippy::option_option, reason = "clients that are not asked differ from a broken mapping")]
    fn clients(
        &mut self,
        raw: Option<&Located<raw::ClientCertificates>>,
    ) -> Option<Option<ClientCertificates>> {
        let Some(Located { value: raw, .. }) = raw else { return Some(None) };
        let trusted = self.trusted(Some(raw.trusted_certificate.given()?))??;
        Some(Some(ClientCertificates { trusted, verify: *raw.verify.value()? }))
    }

    /// Certificates that others are judged by.
    #[expect(clippy::option_option, reason = "no file differs from a broken one")]
    fn trusted(&mut self, file: Option<&Located<File>>) -> Option<Option<PathBuf>> {
        let Some(file) = file else { return Some(None) };
        let (path, text) = self.pem(file)?;
        if let Err(error) = Trust::from_pem(text.as_bytes()) {
            self.unfit(file, &error);
        }
        Some(Some(path))
    }

    fn unfit(&mut self, file: &Located<File>, error: &tidegate_tls::Error) {
        let message = format!("{}: {error}", quote(&file.value.0.to_string_lossy()));
        self.report.error(file.place, message, error.help());
    }

    fn lone<T>(&mut self, given: &Located<File>, what: &str, missing: &str) -> Option<T> {
        let message = format!("`{what}` is of no use without `{missing}`");
        self.report.error(given.place, message, format!("write `{missing}: FILE` as well"));
        None
    }

    /// A file and what is in it.
    fn pem(&mut self, file: &Located<File>) -> Option<(PathBuf, String)> {
        let path = self.scripts.locate(&file.value.0);
        match self.scripts.text(&path) {
            Ok(text) => Some((path, text)),
            Err(error) => {
                tell(&file.value.0, &path, file, &error, self.report);
                None
            }
        }
    }
}

fn tell(written: &Path, path: &Path, file: &Located<File>, error: &std::io::Error, report: &mut Report<'_>) {
    let message = format!("cannot read {}: {error}", quote(&written.to_string_lossy()));
    report.error(file.place, message, format!("it was looked for at {}", quote(&path.to_string_lossy())));
}
