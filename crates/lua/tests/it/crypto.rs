//! Digests, ciphers and random bytes with lua-resty-string's interfaces.

use crate::support::Host;

fn run(source: &str) -> String {
    Host::new().say(&format!("local hex = require('resty.string').to_hex {source}"))
}

#[test]
fn strings_become_digits_and_numbers() {
    assert_eq!(run(r"ngx.print(hex('\0\255a'), hex(''), #hex(('x'):rep(3000)))"), "00ff616000");
    assert_eq!(run("local s = require 'resty.string' ngx.print(s.atoi('17'), s.atoi('x'))"), "17-1");
}

#[test]
fn digests_take_pieces_and_begin_anew() {
    let digest = |name: &str| {
        run(&format!(
            "local d = require('resty.{name}'):new() ngx.print(d:update('a'), d:update('bc'), ' ', hex(d:final()))
            ngx.print(d:reset(), d:update('abc'), #d:final())"
        ))
    };
    assert_eq!(digest("md5"), "truetrue 900150983cd24fb0d6963f7d28e17f72truetrue16");
    assert_eq!(digest("sha1"), "truetrue a9993e364706816aba3e25717850c26c9cd0d89dtruetrue20");
    assert_eq!(
        digest("sha224"),
        "truetrue 23097d223405d8228642a477bda255b32aadbce4bda0b3f7e36c9da7truetrue28"
    );
    assert_eq!(
        digest("sha256"),
        "truetrue ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015adtruetrue32"
    );
    assert!(digest("sha384").starts_with("truetrue cb00753f45a35e8b"));
    assert!(digest("sha512").starts_with("truetrue ddaf35a193617aba"));
    assert_eq!(
        run("local d = require('resty.md5'):new() d:update('abc', 1) ngx.print(hex(d:final()):sub(1, 8))"),
        "0cc175b9"
    );
}

#[test]
fn keyed_digests_are_made_of_pieces() {
    let expected = "f7bc83f430538424b13298e6aa6fb143ef4d59a14946175997479dbc2d1a3cd8";
    assert_eq!(
        run("local hmac = require 'resty.hmac'
            local h = hmac:new('key', hmac.ALGOS.SHA256)
            h:update('The quick brown fox ') ngx.print(h:final('jumps over the lazy dog', true), ' ')
            h:reset() ngx.print(hex(h:final('The quick brown fox jumps over the lazy dog')))"),
        format!("{expected} {expected}")
    );
}

#[test]
fn random_bytes_differ() {
    assert_eq!(
        run(
            "local r = require 'resty.random' ngx.print(#r.bytes(16), r.bytes(16, true) == r.bytes(16, true))"
        ),
        "16false"
    );
}

#[test]
fn aes_derives_keys_or_takes_them() {
    assert_eq!(
        run("local aes = require 'resty.aes'
            local a = aes:new('secret') local c = a:encrypt('hello')
            ngx.print(hex(c), a:decrypt(c))"),
        // As `openssl enc -aes-128-cbc -md md5 -k secret -nosalt` has it.
        "7b47a4dbb11e2cddb2f3740c9e3a552bhello"
    );
    assert_eq!(
        run("local aes = require 'resty.aes'
            local a = aes:new(('k'):rep(32), nil, aes.cipher(256, 'gcm'), { iv = ('i'):rep(12) })
            local r = a:encrypt('hello', 'aad')
            ngx.print(#r[1], #r[2], a:decrypt(r[1], r[2], 'aad')) ngx.print(a:decrypt(r[1], r[2], 'other'))"),
        "516hellonilEVP_DecryptFinal_ex failed"
    );
    assert_eq!(
        run("local aes = require 'resty.aes'
            for _, mode in ipairs { 'ecb', 'ctr', 'cfb8', 'cfb128', 'ofb' } do
                local a = aes:new('secret', '12345678', aes.cipher(192, mode), aes.hash.sha512, 5)
                ngx.print(a:decrypt(a:encrypt('hello')) == 'hello')
            end"),
        "true".repeat(5)
    );
}

#[test]
fn what_aes_cannot_use_it_refuses() {
    assert_eq!(
        run("local aes = require 'resty.aes'
            ngx.print(aes:new('x', '123')) ngx.print(aes:new('x', nil, nil, {})) ngx.print(aes:new('x', nil, nil, { iv = 'i' }))
            ngx.print(aes:new('x', nil, nil, { iv = ('i'):rep(17) })) ngx.print(aes.cipher(128, 'none'))"),
        "nilsalt must be 8 characters or nilniliv is needednilbad key lengthnilbad iv lengthnil"
    );
    assert_eq!(
        run("ngx.print(require('resty.aes'):new('secret'):decrypt('not a block'))"),
        "nilEVP_DecryptFinal_ex failed"
    );
}
