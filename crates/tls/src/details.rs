//! What a certificate says of whom it is for, in the words in which OpenSSL and nginx tell it.

use std::fmt::Write as _;

use sha1::{Digest as _, Sha1};

use crate::certificate::{Body, Der, OBJECT, SEQUENCE};

const SET: u8 = 0x31;
const UTF8: u8 = 0x0c;
const PRINTABLE: u8 = 0x13;
const TELETEX: u8 = 0x14;
const IA5: u8 = 0x16;
const BMP: u8 = 0x1e;

/// Attributes by their object, as DER has it, and what OpenSSL calls them.
const ATTRIBUTES: [(&[u8], &str); 20] = [
    (&[0x55, 4, 3], "CN"),
    (&[0x55, 4, 4], "SN"),
    (&[0x55, 4, 5], "serialNumber"),
    (&[0x55, 4, 6], "C"),
    (&[0x55, 4, 7], "L"),
    (&[0x55, 4, 8], "ST"),
    (&[0x55, 4, 9], "street"),
    (&[0x55, 4, 10], "O"),
    (&[0x55, 4, 11], "OU"),
    (&[0x55, 4, 12], "title"),
    (&[0x55, 4, 13], "description"),
    (&[0x55, 4, 17], "postalCode"),
    (&[0x55, 4, 41], "name"),
    (&[0x55, 4, 42], "GN"),
    (&[0x55, 4, 43], "initials"),
    (&[0x55, 4, 46], "dnQualifier"),
    (&[0x55, 4, 65], "pseudonym"),
    (&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 9, 1], "emailAddress"),
    (&[0x09, 0x92, 0x26, 0x89, 0x93, 0xf2, 0x2c, 0x64, 1, 1], "UID"),
    (&[0x09, 0x92, 0x26, 0x89, 0x93, 0xf2, 0x2c, 0x64, 1, 25], "DC"),
];

/// Whose certificate it is, by whom, and when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Details {
    /// As RFC 2253 writes names: `CN=a,O=b`.
    pub subject: String,
    pub issuer: String,
    /// As OpenSSL wrote them before: `/O=b/CN=a`.
    pub subject_legacy: String,
    pub issuer_legacy: String,
    /// In hexadecimal digits.
    pub number: String,
    /// Its first and its last second, since the Unix epoch.
    pub not_before: Option<i64>,
    pub not_after: Option<i64>,
}

impl Details {
    /// Of a certificate in DER; `None` if it is none.
    pub fn of(certificate: &[u8]) -> Option<Self> {
        let Body { number, issuer, not_before, not_after, subject, .. } = Body::read(certificate)?;
        // A zero in front only says that it is not negative.
        let number = if number.len() > 1 { number.strip_prefix(&[0]).unwrap_or(number) } else { number };
        Some(Self {
            subject: name(subject)?,
            issuer: name(issuer)?,
            subject_legacy: legacy(subject)?,
            issuer_legacy: legacy(issuer)?,
            number: hexadecimal(number),
            not_before,
            not_after,
        })
    }
}

/// The SHA-1 of a certificate, which many know it by.
pub fn fingerprint(certificate: &[u8]) -> String {
    hexadecimal(&Sha1::digest(certificate)).to_ascii_lowercase()
}

/// The parts of a name: sets of attributes, each with its object, the tag of its value, and that.
fn parts(name: &[u8]) -> Option<Vec<Vec<Attribute<'_>>>> {
    let mut sets = Der(name);
    let mut parts = Vec::new();
    while let Some((tag, set)) = sets.any() {
        let mut set = Der(Some(set).filter(|_| tag == SET)?);
        let mut part = Vec::new();
        while let Some(pair) = set.take(SEQUENCE) {
            let mut pair = Der(pair);
            let object = pair.take(OBJECT)?;
            let whole = pair.0;
            let (tag, value) = pair.any()?;
            part.push(Attribute { object, tag, value, whole });
        }
        parts.push(part);
    }
    Some(parts)
}

struct Attribute<'a> {
    object: &'a [u8],
    tag: u8,
    value: &'a [u8],
    /// With tag and length.
    whole: &'a [u8],
}

impl Attribute<'_> {
    fn known(&self) -> Option<&'static str> {
        ATTRIBUTES.iter().find(|(object, _)| *object == self.object).map(|&(_, name)| name)
    }

    /// `None`: it is no text.
    fn text(&self) -> Option<String> {
        match self.tag {
            UTF8 | PRINTABLE | IA5 => Some(String::from_utf8_lossy(self.value).into_owned()),
            TELETEX => Some(self.value.iter().copied().map(char::from).collect()),
            BMP => {
                let units = self.value.chunks_exact(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]]));
                Some(
                    char::decode_utf16(units)
                        .map(|unit| unit.unwrap_or(char::REPLACEMENT_CHARACTER))
                        .collect(),
                )
            }
            _ => None,
        }
    }
}

/// The last part comes first.
fn name(name: &[u8]) -> Option<String> {
    let mut text = String::new();
    for (index, part) in parts(name)?.iter().rev().enumerate() {
        if index > 0 {
            text.push(',');
        }
        for (index, attribute) in part.iter().enumerate() {
            if index > 0 {
                text.push('+');
            }
            match (attribute.known(), attribute.text()) {
                (Some(known), Some(value)) => {
                    let _ = write!(text, "{known}=");
                    escape(&value, &mut text);
                }
                (known, _) => {
                    let object = known.map_or_else(|| dotted(attribute.object), str::to_owned);
                    let _ = write!(text, "{object}=#{}", hexadecimal(attribute.whole));
                }
            }
        }
    }
    Some(text)
}

fn escape(value: &str, text: &mut String) {
    let last = value.chars().count().saturating_sub(1);
    for (index, char) in value.chars().enumerate() {
        let marks = matches!(char, ',' | '+' | '"' | '\\' | '<' | '>' | ';')
            || (char == '#' && index == 0)
            || (char == ' ' && (index == 0 || index == last));
        if char.is_ascii_control() {
            let _ = write!(text, "\\{:02X}", u32::from(char));
        } else {
            if marks {
                text.push('\\');
            }
            text.push(char);
        }
    }
}

fn legacy(name: &[u8]) -> Option<String> {
    let mut text = String::new();
    for attribute in parts(name)?.iter().flatten() {
        let object = attribute.known().map_or_else(|| dotted(attribute.object), str::to_owned);
        let _ = write!(text, "/{object}=");
        for &byte in attribute.value {
            if (b' '..=b'~').contains(&byte) {
                text.push(char::from(byte));
            } else {
                let _ = write!(text, "\\x{byte:02X}");
            }
        }
    }
    Some(text)
}

/// `1.2.840`.
fn dotted(object: &[u8]) -> String {
    let (mut text, mut arc, mut is_first) = (String::new(), 0_u64, true);
    for &byte in object {
        arc = arc.wrapping_shl(7) | u64::from(byte & 0x7f);
        if byte & 0x80 != 0 {
            continue;
        }
        if is_first {
            let first = (arc / 40).min(2);
            let _ = write!(text, "{first}.{}", arc - first * 40);
            is_first = false;
        } else {
            let _ = write!(text, ".{arc}");
        }
        arc = 0;
    }
    text
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02X}");
        text
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::identity::tests::sample;

    /// A name with one attribute for each of these: the last byte of its object, a tag, a value.
    fn named(attributes: &[(u8, u8, &[u8])]) -> Vec<u8> {
        let wrap = |tag: u8, content: Vec<u8>| [vec![tag, content.len() as u8], content].concat();
        let attribute = |&(object, tag, value): &(u8, u8, &[u8])| {
            let pair = [wrap(OBJECT, vec![0x55, 4, object]), wrap(tag, value.to_vec())].concat();
            wrap(SET, wrap(SEQUENCE, pair))
        };
        attributes.iter().flat_map(attribute).collect()
    }

    #[test]
    fn names_are_written_as_openssl_does() {
        let plain = named(&[(6, PRINTABLE, b"DE"), (10, UTF8, b"a, b"), (3, UTF8, b"x")]);
        assert_eq!(name(&plain).unwrap(), r"CN=x,O=a\, b,C=DE");
        assert_eq!(legacy(&plain).unwrap(), "/C=DE/O=a, b/CN=x");
        let odd = named(&[(3, UTF8, "# \u{e9}\n ".as_bytes()), (11, TELETEX, b"\xe9"), (99, UTF8, b"?")]);
        assert_eq!(name(&odd).unwrap(), "2.5.4.99=#0C013F,OU=\u{e9},CN=\\# \u{e9}\\0A\\ ");
        assert_eq!(legacy(&odd).unwrap(), r"/CN=# \xC3\xA9\x0A /OU=\xE9/2.5.4.99=?");
        assert_eq!(name(&named(&[(3, BMP, b"\0a\0b")])).unwrap(), "CN=ab");
        assert_eq!(name(&named(&[(3, 2, b"\x01")])).unwrap(), "CN=#020101");
        assert_eq!(name(b"").unwrap(), "");
        assert!(name(b"\x30\x00").is_none());
    }

    #[test]
    fn objects_are_written_with_dots() {
        assert_eq!(dotted(&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d]), "1.2.840.113549");
        assert_eq!(dotted(&[0x88, 0x37, 3]), "2.999.3");
    }

    #[test]
    fn a_certificate_says_whose_it_is() {
        let details = Details::of(&sample()).unwrap();
        assert!(details.subject.starts_with("CN="), "{details:?}");
        assert_eq!(details.subject, details.issuer);
        assert!(details.not_before.unwrap() < details.not_after.unwrap());
        assert!(details.number.len().is_multiple_of(2) && !details.number.is_empty());
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_to_an_end(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            Details::of(&bytes);
            name(&bytes);
            dotted(&bytes);
        }

        #[test]
        fn what_is_spoilt_is_read_to_an_end(at in 0_usize..1000, spoilt in any::<u8>()) {
            let mut bytes = sample();
            let at = at % bytes.len();
            bytes[at] = spoilt;
            Details::of(&bytes);
        }
    }
}
