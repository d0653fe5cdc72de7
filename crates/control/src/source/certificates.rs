//! Whether the certificates of a configuration still hold. That they are there and fit their keys is known by then.

use std::{collections::BTreeSet, io, path::Path};

use tidegate_config::{Diagnostic, Severity};
use tidegate_core::Snapshot;

/// Days before its end from which on a certificate is warned about.
const SOON: i64 = 7;

const DAY: i64 = 24 * 60 * 60;

/// A warning for each that has expired at `now`, in seconds since the Unix epoch, or is about to.
pub(super) fn check(
    snapshot: &Snapshot,
    now: i64,
    read: &dyn Fn(&Path) -> io::Result<String>,
) -> Vec<Diagnostic> {
    let files = snapshot.listeners.iter().filter_map(|listener| listener.tls.as_ref());
    let of_upstreams =
        snapshot.upstreams.values().filter_map(|upstream| upstream.tls.as_ref()?.identity.as_ref());
    let files = files.flat_map(|tls| &tls.certificates).chain(of_upstreams);
    let files: BTreeSet<_> = files.map(|files| &files.certificate).collect();
    let warning = |path: &Path| {
        let end = tidegate_tls::not_after(read(path).ok()?.as_bytes())?;
        let date = jiff::Timestamp::from_second(end).ok()?;
        let message = match (end - now).div_euclid(DAY) {
            ..0 => format!("the certificate has expired on {date}; it will be refused"),
            left @ 0..=SOON => format!("the certificate expires on {date}, in {left} days"),
            _ => return None,
        };
        Some(Diagnostic {
            file: path.display().to_string(),
            line: 1,
            column: 1,
            severity: Severity::Warning,
            message,
            help: Some(
                "renew it and put the new one in its place; it is read anew when it has changed".into(),
            ),
            excerpt: None,
            source_line: None,
        })
    };
    files.into_iter().filter_map(|path| warning(path)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Made for tests, to hold until then.
    const PEM: &str = include_str!("../../../tls/src/sample/ec.pem");
    const KEY: &str = include_str!("../../../tls/src/sample/ec.key");
    const END: i64 = 4_949_306_778;

    fn warnings(now: i64) -> Vec<String> {
        let read = |path: &Path| Ok(if path.ends_with("a.key") { KEY } else { PEM }.to_owned());
        let listener = "tls: { certificate: a.pem, key: a.key } }";
        let upstream = "tls: { clientCertificate: b.pem, clientKey: a.key }";
        let text = format!(
            "listeners: [{{ address: 127.0.0.1:0, {listener}, {{ address: 127.0.0.2:0, {listener}]\n\
             upstreams: {{ b: {{ endpoints: [b:1], {upstream} }} }}\nroutes: []\n"
        );
        let (snapshot, diagnostics) = tidegate_config::parse("conf/tidegate.yaml", &text, &read);
        let snapshot = snapshot.unwrap_or_else(|| panic!("{diagnostics:#?}"));
        let found = check(&snapshot, now, &read);
        assert!(found.iter().all(|one| one.severity == Severity::Warning && one.help.is_some()));
        found.iter().map(|one| format!("{}: {}", one.file, one.message)).collect()
    }

    #[test]
    fn a_certificate_is_warned_about_before_and_after_its_end_and_once() {
        assert!(warnings(END - 8 * DAY).is_empty());
        let soon = warnings(END - 3 * DAY);
        assert_eq!(
            soon,
            ["a", "b"].map(|name| {
                format!("conf/{name}.pem: the certificate expires on 2126-11-02T15:26:18Z, in 3 days")
            })
        );
        let late = "conf/a.pem: the certificate has expired on 2126-11-02T15:26:18Z; it will be refused";
        assert_eq!(warnings(END + 1)[0], late);
    }
}
