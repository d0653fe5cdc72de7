//! The variables that a request has because its client has shown a certificate, as nginx calls them.

use std::fmt::Write as _;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use tidegate_tls::{Details, fingerprint};

use crate::http::fields::is_value;

/// Characters of a line of PEM.
const LINE: usize = 64;

const DAY: i64 = 24 * 60 * 60;

/// What follows `ssl_client_`; `None`: there is no such variable, or nothing in it.
pub(super) fn read(der: &[u8], name: &[u8]) -> Option<String> {
    match name {
        b"raw_cert" => return Some(pem(der)),
        // Fit for a header, of old.
        b"cert" => return Some(pem(der).trim_end().replace('\n', "\n\t")),
        b"escaped_cert" => return Some(escaped(&pem(der))),
        b"fingerprint" => return Some(fingerprint(der)),
        _ => {}
    }
    let details = Details::of(der)?;
    let text = match name {
        b"s_dn" => details.subject,
        b"i_dn" => details.issuer,
        b"s_dn_legacy" => details.subject_legacy,
        b"i_dn_legacy" => details.issuer_legacy,
        b"serial" => details.number,
        b"v_start" => date(details.not_before?)?,
        b"v_end" => date(details.not_after?)?,
        b"v_remain" => {
            let left = details.not_after? - jiff::Timestamp::now().as_second();
            (left / DAY).max(0).to_string()
        }
        _ => return None,
    };
    Some(text).filter(|text| is_value(text.as_bytes()))
}

/// `Nov  6 08:49:37 2026 GMT`.
fn date(seconds: i64) -> Option<String> {
    let time = jiff::Timestamp::from_second(seconds).ok()?;
    Some(time.strftime("%b %e %H:%M:%S %Y GMT").to_string())
}

fn pem(der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let lines = text.as_bytes().chunks(LINE).map(String::from_utf8_lossy);
    let mut pem = String::from("-----BEGIN CERTIFICATE-----\n");
    lines.for_each(|line| {
        let _ = writeln!(pem, "{line}");
    });
    pem.push_str("-----END CERTIFICATE-----\n");
    pem
}

/// With all that a URI could not have.
fn escaped(text: &str) -> String {
    text.bytes().fold(String::new(), |mut escaped, byte| {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            escaped.push(char::from(byte));
        } else {
            let _ = write!(escaped, "%{byte:02X}");
        }
        escaped
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn certificates_are_told_in_forms_that_fit_headers() {
        let der = [0xff; 60];
        let plain = pem(&der);
        assert_eq!(plain.lines().map(str::len).collect::<Vec<_>>(), [27, 64, 16, 25]);
        assert!(plain.ends_with("-----END CERTIFICATE-----\n"));
        assert!(read(&der, b"cert").unwrap().starts_with("-----BEGIN CERTIFICATE-----\n\t////"));
        assert!(read(&der, b"escaped_cert").unwrap().starts_with("-----BEGIN%20CERTIFICATE-----%0A%2F"));
        assert_eq!(read(&der, b"s_dn"), None);
        assert_eq!(date(784_111_777).unwrap(), "Nov  6 08:49:37 1994 GMT");
    }
}
