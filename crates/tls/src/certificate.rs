//! What a certificate says of itself: for which names it is, and until when.
//!
//! No more of it is read than that. What does not look as it should has no names and no end, so whatever the bytes
//! are, nothing goes wrong; whether the certificate is any good is for others to judge.

/// Tags of DER.
const INTEGER: u8 = 0x02;
const BITS: u8 = 0x03;
const OCTETS: u8 = 0x04;
pub(crate) const OBJECT: u8 = 0x06;
const UTC_TIME: u8 = 0x17;
const LONG_TIME: u8 = 0x18;
pub(crate) const SEQUENCE: u8 = 0x30;
const VERSION: u8 = 0xa0;
const EXTENSIONS: u8 = 0xa3;
const DNS_NAME: u8 = 0x82;

/// `subjectAltName`.
const ALTERNATIVE_NAMES: &[u8] = &[0x55, 0x1d, 0x11];

/// What is said.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Facts {
    /// Names of hosts, in lower case; `*.example.com` among them.
    pub(crate) names: Vec<String>,
    /// The last second in which it holds, since the Unix epoch.
    pub(crate) not_after: Option<i64>,
}

impl Facts {
    pub(crate) fn of(certificate: &[u8]) -> Self {
        read(certificate).unwrap_or_default()
    }
}

fn read(certificate: &[u8]) -> Option<Facts> {
    let Body { not_after, rest, .. } = Body::read(certificate)?;
    let mut rest = Der(rest);
    let names = std::iter::from_fn(|| rest.any())
        .find(|&(tag, _)| tag == EXTENSIONS)
        .and_then(|(_, extensions)| alternative_names(extensions))
        .unwrap_or_default();
    Some(Facts { names, not_after })
}

/// The parts of a certificate, as far as they are told apart.
pub(crate) struct Body<'a> {
    pub(crate) number: &'a [u8],
    pub(crate) issuer: &'a [u8],
    pub(crate) not_before: Option<i64>,
    pub(crate) not_after: Option<i64>,
    pub(crate) subject: &'a [u8],
    /// Whether it is of the first version, which has no extensions.
    pub(crate) is_old: bool,
    /// With tag and length.
    pub(crate) key: &'a [u8],
    /// What comes after the key.
    rest: &'a [u8],
}

/// A key, and what it is for.
pub(crate) struct KeyParts<'a> {
    pub(crate) algorithm: &'a [u8],
    pub(crate) bits: &'a [u8],
}

impl<'a> Body<'a> {
    pub(crate) fn read(certificate: &'a [u8]) -> Option<Self> {
        let mut whole = Der(Der(certificate).take(SEQUENCE)?);
        let mut body = Der(whole.take(SEQUENCE)?);
        let is_old = body.0.first() != Some(&VERSION);
        body.skip(VERSION);
        let number = body.take(INTEGER)?;
        body.take(SEQUENCE)?; // How it is signed.
        let issuer = body.take(SEQUENCE)?;
        let mut validity = Der(body.take(SEQUENCE)?);
        let mut moment = || validity.any().map(|(tag, text)| time(tag, text));
        let (not_before, not_after) = (moment()?, moment()?);
        let subject = body.take(SEQUENCE)?;
        let from_key = body.0;
        body.take(SEQUENCE)?;
        let key = &from_key[..from_key.len() - body.0.len()];
        Some(Self { number, issuer, not_before, not_after, subject, is_old, key, rest: body.0 })
    }

    pub(crate) fn key_parts(&self) -> Option<KeyParts<'a>> {
        let mut key = Der(Der(self.key).take(SEQUENCE)?);
        let algorithm = key.take(SEQUENCE)?;
        // The first byte says how many bits of the last do not count: none.
        let bits = key.take(BITS)?.strip_prefix(&[0])?;
        Some(KeyParts { algorithm, bits })
    }
}

fn alternative_names(extensions: &[u8]) -> Option<Vec<String>> {
    let mut extensions = Der(Der(extensions).take(SEQUENCE)?);
    while let Some(extension) = extensions.take(SEQUENCE) {
        let mut extension = Der(extension);
        if extension.take(OBJECT)? != ALTERNATIVE_NAMES {
            continue;
        }
        let (_, value) = std::iter::from_fn(|| extension.any()).find(|&(tag, _)| tag == OCTETS)?;
        let mut names = Der(Der(value).take(SEQUENCE)?);
        let hosts = std::iter::from_fn(|| names.any()).filter(|&(tag, _)| tag == DNS_NAME);
        let text = |(_, name): (u8, &[u8])| String::from_utf8(name.to_ascii_lowercase()).ok();
        return Some(hosts.filter_map(text).collect());
    }
    None
}

/// What follows in a row of values.
pub(crate) struct Der<'a>(pub(crate) &'a [u8]);

impl<'a> Der<'a> {
    /// The next value with its tag.
    pub(crate) fn any(&mut self) -> Option<(u8, &'a [u8])> {
        let (&tag, rest) = self.0.split_first()?;
        let (&first, rest) = rest.split_first()?;
        let (length, rest) = match first {
            0..=0x7f => (usize::from(first), rest),
            // More than four bytes of length are more than there can be.
            0x81..=0x84 => {
                let (digits, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
                (digits.iter().fold(0, |length, &digit| length << 8 | usize::from(digit)), rest)
            }
            _ => return None,
        };
        let (value, rest) = rest.split_at_checked(length)?;
        self.0 = rest;
        Some((tag, value))
    }

    pub(crate) fn take(&mut self, tag: u8) -> Option<&'a [u8]> {
        self.any().filter(|&(found, _)| found == tag).map(|(_, value)| value)
    }

    /// Passes over the next value if it has this tag.
    fn skip(&mut self, tag: u8) {
        if self.0.first() == Some(&tag) {
            self.any();
        }
    }
}

/// `YYMMDDhhmmssZ` or `YYYYMMDDhhmmssZ`.
fn time(tag: u8, text: &[u8]) -> Option<i64> {
    let digits = text.strip_suffix(b"Z")?;
    if !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let number = |digits: &[u8]| digits.iter().fold(0, |number, digit| number * 10 + i64::from(digit - b'0'));
    let (year, rest) = match (tag, digits.len()) {
        (UTC_TIME, 12) => {
            let year = number(&digits[..2]);
            (if year < 50 { 2000 + year } else { 1900 + year }, &digits[2..])
        }
        (LONG_TIME, 14) => (number(&digits[..4]), &digits[4..]),
        _ => return None,
    };
    let part = |at: usize| number(&rest[at..at + 2]);
    let (month, day, hour, minute, second) = (part(0), part(2), part(4), part(6), part(8));
    if !(1..=12).contains(&month) {
        return None;
    }
    Some(((days(year, month, day) * 24 + hour) * 60 + minute) * 60 + second)
}

/// Days from the Unix epoch to a date. Years are counted from March, so that a leap day is the last of its year.
const fn days(year: i64, month: i64, day: i64) -> i64 {
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let in_year = (153 * month + 2) / 5 + day - 1;
    year * 365 + year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400) + in_year - 719_468
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn times_are_seconds_since_the_epoch() {
        assert_eq!(time(UTC_TIME, b"700101000000Z"), Some(0));
        assert_eq!(time(UTC_TIME, b"491231235959Z"), Some(2_524_607_999));
        assert_eq!(time(UTC_TIME, b"500101000000Z"), Some(-631_152_000));
        assert_eq!(time(LONG_TIME, b"20240229120000Z"), Some(1_709_208_000));
        assert_eq!(time(LONG_TIME, b"20501231235959Z"), Some(2_556_143_999));
        for broken in [&b"20240229120000"[..], b"240229120000Z", b"20241329120000Z", b"2024022912000-Z", b""]
        {
            assert_eq!(time(LONG_TIME, broken), None);
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_to_an_end(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            Facts::of(&bytes);
        }

        #[test]
        fn values_that_are_cut_off_or_spoilt_are_read_to_an_end(
            at in 0_usize..1000, spoilt in any::<u8>(), length in 0_usize..1000,
        ) {
            let mut bytes = crate::identity::tests::sample();
            let at = at % bytes.len();
            bytes[at] = spoilt;
            bytes.truncate(length.max(1));
            Facts::of(&bytes);
        }
    }
}
