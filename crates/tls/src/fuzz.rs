//! What holds for any bytes that are given out as certificates and keys, or that a client says first; `fuzz/` looks for some for
//! which it does not.

use crate::{
    Details, Directory, Identity, Said,
    certificate::Facts,
    hello::{HANDSHAKE, message},
    not_after,
};

/// PEM or DER: what is taken has a certificate, says the same of itself each time, and can be chosen from.
pub fn certificate(input: &[u8]) {
    let facts = Facts::of(input);
    assert!(facts.names.iter().all(|name| !name.bytes().any(|byte| byte.is_ascii_uppercase())));
    if let Some(details) = Details::of(input) {
        assert!(
            details.not_after == facts.not_after
                && details.number.bytes().all(|digit| digit.is_ascii_hexdigit())
        );
    }
    let _ = not_after(input);
    let (certificates, key) = match input.iter().position(|&byte| byte == 0) {
        Some(at) => (&input[..at], &input[at + 1..]),
        None => (input, input),
    };
    let _ = Identity::from_der(&[certificates.to_vec()], key);
    let Ok(identity) = Identity::from_pem(certificates, key) else { return };
    assert!(!identity.key.cert.is_empty());
    Directory::new([identity.clone(), identity]);
}

/// What a client says first is the same in whatever records it comes, and what is in it is a part of it.
pub fn hello(input: &[u8]) {
    let whole = Said::read(input);
    assert!([0x0303, 0x0304].contains(&whole.version()) && (whole.random().is_none() || input.len() >= 43));
    let extensions: usize = whole.extensions().map(|(_, content)| 4 + content.len()).sum();
    assert!(extensions + whole.ciphers().len() <= input.len());
    let message = message(input);
    for size in [1, 7, 1 << 14] {
        let record =
            |part: &[u8]| [&[HANDSHAKE, 3, 1][..], &(part.len() as u16).to_be_bytes(), part].concat();
        let parted: Vec<u8> = message.chunks(size).flat_map(record).collect();
        assert_eq!(Said::read(&parted), whole, "in records of {size}");
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tidegate_testkit::mutated;

    use crate::identity::tests::EC;

    /// A client that speaks both versions, without most of what it offers.
    const HELLOS: &[&[u8]] = &[b"\x16\x03\x01\x00\x43\x01\x00\x00\x3f\x03\x03\
          0123456789abcdef0123456789abcdef\x00\x00\x04\x13\x01\xc0\x2b\x01\x00\
          \x00\x12\x00\x0b\x00\x02\x01\x00\x00\x2b\x00\x05\x04\x03\x04\x03\x03\x00\x17\x00\x00"];

    proptest! {
        #[test]
        fn hellos(input in mutated(HELLOS)) {
            super::hello(&input);
        }

        #[test]
        fn files(input in mutated(&[EC.0, EC.1])) {
            super::certificate(&input);
            super::certificate(&[&input, EC.1].join(&0));
            super::certificate(&[EC.0, &input].join(&0));
        }
    }

    #[test]
    fn what_is_whole_is_taken() {
        super::certificate(&[EC.0, EC.1].concat());
        super::certificate(&crate::identity::tests::sample());
    }
}
