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
    let files: BTreeSet<_> =
        files.flat_map(|tls| &tls.certificates).map(|files| &files.certificate).collect();
    let warning = |path: &Path| {
        let end = tidegate_tls::not_after(read(path).ok()?.as_bytes())?;
        let date = jiff::Timestamp::from_second(end).ok()?;
        let message = match (end - now).div_euclid(DAY) {
            ..0 => format!("the certificate has expired on {date}; clients will refuse it"),
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
