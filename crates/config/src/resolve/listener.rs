//! `listeners[].tls`: certificates and keys, which have to be there and fit.

use std::path::{Path, PathBuf};

use tidegate_core::snapshot::{CertificateFiles, ServerTls};
use tidegate_tls::Identity;

use crate::{
    decode::Located,
    leaf::text::File,
    raw,
    report::{Report, quote},
    resolve::Resolver,
};

impl Resolver<'_, '_> {
    #[expect(clippy::option_option, reason = "no TLS differs from a broken one")]
    pub(super) fn server_tls(&mut self, listener: &raw::Listener) -> Option<Option<ServerTls>> {
        let script = listener.lua.value().and_then(|lua| self.chunk(&lua.ssl_certificate));
        let Some(Located { value: raw::Certificates(list), place }) = listener.tls.optional()? else {
            return match listener.lua.value()?.ssl_certificate.optional()? {
                Some(script) => {
                    let message = "`sslCertificate` is for listeners with `tls`";
                    let help = "add `tls: [{ certificate: FILE, key: FILE }]`, or `tls: []` if the script gives certificates";
                    self.report.error(script.place, message, help);
                    None
                }
                None => Some(None),
            };
        };
        let certificates = list.resolve(|pair, _| self.certificate(pair));
        let ssl_certificate = script?;
        if list.is_empty() && ssl_certificate.is_none() {
            let help =
                "add `{ certificate: FILE, key: FILE }`, or a script as `lua.sslCertificate` that gives some";
            self.report.error(*place, "no certificate", help);
        }
        Some(Some(ServerTls { certificates: certificates?, ssl_certificate }))
    }

    fn certificate(&mut self, raw: &raw::Certificate) -> Option<CertificateFiles> {
        let (certificate, key) = (raw.certificate.given(), raw.key.given());
        let read = certificate.map(|file| self.pem(file));
        let secret = key.map(|file| self.pem(file));
        let ((at, text), (key_at, secret)) = (read??, secret??);
        if let Err(error) = Identity::from_pem(text.as_bytes(), secret.as_bytes()) {
            let at_fault = if error.is_of_key() { key? } else { certificate? };
            let message = format!("{}: {error}", quote(&at_fault.value.0.to_string_lossy()));
            self.report.error(at_fault.place, message, error.help());
        }
        Some(CertificateFiles { certificate: at, key: key_at })
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
