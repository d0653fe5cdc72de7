//! Digests and base64: `ngx.md5`, `ngx.sha1_bin`, `ngx.hmac_sha1`, `ngx.crc32_long`, `ngx.encode_base64`.

use base64::{
    Engine,
    alphabet::STANDARD,
    encoded_len,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use hmac::{Hmac, KeyInit, Mac};
use md5::{Digest, Md5};
use sha1::Sha1;

use crate::{
    abi::{Export, HostPtr, Text},
    host::MISSING,
};

/// Takes text with padding and without, as nginx does, and bits that belong to no byte.
const LENIENT: GeneralPurposeConfig = GeneralPurposeConfig::new()
    .with_decode_padding_mode(DecodePaddingMode::Indifferent)
    .with_decode_allow_trailing_bits(true);
const PADDED: GeneralPurpose = GeneralPurpose::new(&STANDARD, LENIENT);
const UNPADDED: GeneralPurpose = GeneralPurpose::new(&STANDARD, LENIENT.with_encode_padding(false));

pub(super) fn exports() -> Vec<Export> {
    vec![
        Export::new("digest_md5", digest_md5 as extern "C" fn(_, _, _) -> _),
        Export::new("digest_sha1", digest_sha1 as extern "C" fn(_, _, _) -> _),
        Export::new("digest_hmac_sha1", digest_hmac_sha1 as extern "C" fn(_, _, _, _, _) -> _),
        Export::new("digest_crc32", digest_crc32 as extern "C" fn(_, _, _) -> _),
        Export::new("base64_encode", base64_encode as extern "C" fn(_, _, _, _) -> _),
        Export::new("base64_decode", base64_decode as extern "C" fn(_, _, _) -> _),
    ]
}

extern "C" fn digest_md5(host: HostPtr, text: Text, length: usize) -> i32 {
    host.get().give_written(|out| out.extend_from_slice(&Md5::digest(text.of(length))))
}

extern "C" fn digest_sha1(host: HostPtr, text: Text, length: usize) -> i32 {
    host.get().give_written(|out| out.extend_from_slice(&Sha1::digest(text.of(length))))
}

extern "C" fn digest_hmac_sha1(
    host: HostPtr,
    key: Text,
    key_length: usize,
    text: Text,
    text_length: usize,
) -> i32 {
    // A key may have any length.
    let Ok(mut mac) = Hmac::<Sha1>::new_from_slice(key.of(key_length)) else { return MISSING };
    mac.update(text.of(text_length));
    host.get().give_written(|out| out.extend_from_slice(&mac.finalize().into_bytes()))
}

extern "C" fn digest_crc32(_: HostPtr, text: Text, length: usize) -> u32 {
    crc32fast::hash(text.of(length))
}

extern "C" fn base64_encode(host: HostPtr, text: Text, length: usize, padded: i32) -> i32 {
    let engine = if padded == 0 { &UNPADDED } else { &PADDED };
    host.get().give_written(|out| {
        out.resize(encoded_len(length, padded != 0).unwrap_or_default(), 0);
        // It is as large as it has to be.
        let written = engine.encode_slice(text.of(length), out).unwrap_or_default();
        out.truncate(written);
    })
}

extern "C" fn base64_decode(host: HostPtr, text: Text, length: usize) -> i32 {
    // As in nginx, padding is the end, whatever comes behind it.
    let text = text.of(length).split(|&byte| byte == b'=').next().unwrap_or_default();
    let mut decoded = Ok(());
    let code = host.get().give_written(|out| decoded = PADDED.decode_vec(text, out));
    if decoded.is_ok() { code } else { MISSING }
}
