//! `resty.openssl`.

use crate::support::Host;

fn run(source: &str) -> String {
    Host::new().say(&format!("local hex = require('resty.string').to_hex {source}"))
}

#[test]
fn digests_and_keyed_digests_take_pieces() {
    assert_eq!(
        run("local d = require('resty.openssl.digest').new('SHA256')
            ngx.print(d:update('a', 'b'), hex(d:final('c')):sub(1, 8), d:reset(), hex(d:final('abc')):sub(1, 8))"),
        "trueba7816bftrueba7816bf"
    );
    assert_eq!(
        run("local h = require('resty.openssl.hmac').new('key', 'sha1')
            ngx.print(h:update('x'), #h:final('y'), h:reset(), #h:final())"),
        "true20true20"
    );
    assert_eq!(
        run(
            "ngx.print(require('resty.openssl.digest').new('none')) ngx.print(require('resty.openssl.hmac').new('k', 'none'))"
        ),
        r#"nildigest.new: invalid digest type "none"nilhmac.new: invalid digest type "none""#
    );
}

#[test]
fn keys_are_wrapped_as_rfc_3394_has_it() {
    assert_eq!(
        run("local cipher = require 'resty.openssl.cipher'
            local c = cipher.new('aes-128-wrap')
            local kek = ''
            for byte = 0, 15 do kek = kek .. string.char(byte) end
            local key = ''
            for byte = 0, 255, 17 do key = key .. string.char(byte) end
            local wrapped = c:encrypt(kek, nil, key)
            ngx.print(hex(wrapped), ' ', c:decrypt(kek, nil, wrapped) == key, ' ', cipher.istype(c), ' ',
                (c:decrypt(kek, nil, ('x'):rep(24))), ' ', (c:encrypt(kek, nil, 'short')), ' ', select(2, c:encrypt('k', nil, key)))"),
        "1fa68b0a8112b447aef34bd8fb5a7b829d3e862371d2cfe5 true true nil nil cipher:init: incorrect key size, expect 16"
    );
}

#[test]
fn ciphers_encrypt_with_and_without_a_tag() {
    assert_eq!(
        run("local c = require('resty.openssl.cipher').new('aes-256-gcm')
            local k, iv = ('k'):rep(32), ('i'):rep(12)
            local e = c:encrypt(k, iv, 'hello', false, 'aad') local tag = c:get_aead_tag()
            ngx.print(c:decrypt(k, iv, e, false, 'aad', tag), #tag, (c:decrypt(k, iv, e, false, 'x', tag)))"),
        "hello16nil"
    );
    assert_eq!(
        run("local c = require('resty.openssl.cipher').new('aes-128-cbc')
            local k, iv = ('k'):rep(16), ('i'):rep(16)
            c:init(k, iv, { is_encrypt = true })
            local e = c:update('hello ', 'wor') .. c:final('ld')
            ngx.print(#e, c:decrypt(k, iv, e))"),
        "16hello world"
    );
    assert_eq!(
        run("local cipher = require 'resty.openssl.cipher' local c = cipher.new('aes-128-cbc')
            ngx.print(cipher.new('none')) ngx.print(c:encrypt('short', ('i'):rep(16), 'x'))
            ngx.print(c:update('x'))"),
        r#"nilcipher.new: invalid cipher type "none"nilcipher:init: incorrect key size, expect 16nilcipher:update: cipher not initalized, call cipher:init first"#
    );
}

#[test]
fn keys_are_derived() {
    // RFC 5869, first case, and RFC 6070, second case.
    assert_eq!(
        run(r"local kdf = require 'resty.openssl.kdf'
            local ikm = ('\x0b'):rep(22) local salt = '\0\1\2\3\4\5\6\7\8\9\10\11\12'
            local info = '\xf0\xf1\xf2\xf3\xf4\xf5\xf6\xf7\xf8\xf9'
            local h = kdf.new('HKDF')
            ngx.print(hex(h:derive(42, { digest = 'sha256', key = ikm, salt = salt, info = info })):sub(1, 16), ' ')
            local prk = h:derive(32, { digest = 'sha256', mode = kdf.HKDEF_MODE_EXTRACT_ONLY, key = ikm, salt = salt })
            ngx.print(hex(h:derive(42, { digest = 'sha256', mode = kdf.HKDEF_MODE_EXPAND_ONLY, key = prk, info = info })):sub(1, 16), ' ')
            ngx.print(hex(kdf.derive { type = kdf.PBKDF2, outlen = 20, pass = 'password', salt = 'salt', md = 'sha1', pbkdf2_iter = 2 }))
            ngx.print(kdf.new('none')) ngx.print(kdf.derive {})"),
        r#"3cb25f25faacd57a 3cb25f25faacd57a ea6c014dc72d6f8ccd1ed92ace1d41f0d8de8957nilkdf.new: invalid kdf type "none"nilkdf.derive: "type" must be set"#
    );
    assert_eq!(
        run("local s = require('resty.openssl.kdf').new('scrypt')
            ngx.print(hex(s:derive(8, { pass = '', salt = '', n = 16, r = 1, p = 1 })))"),
        "77d6576238657b20"
    );
}

#[test]
fn keys_sign_and_verify() {
    let check = |make: &str, digest: &str, padding: &str| {
        run(&format!(
            "local pkey = require 'resty.openssl.pkey' local k = assert(pkey.new {make})
            local public = assert(pkey.new(k:to_PEM('public'))) local again = assert(pkey.new(k:to_PEM('private')))
            local s = assert(again:sign('text', {digest}, {padding}))
            ngx.print(public:verify(s, 'text', {digest}, {padding}), public:verify(s, 'other', {digest}, {padding}),
                public:is_private(), again:is_private())"
        ))
    };
    assert_eq!(check("{ type = 'RSA', bits = 2048 }", "'sha256'", "nil"), "truefalsefalsetrue");
    assert_eq!(
        check("{ type = 'RSA' }", "'sha512'", "pkey.PADDINGS.RSA_PKCS1_PSS_PADDING"),
        "truefalsefalsetrue"
    );
    assert_eq!(check("{ type = 'EC', curve = 'secp384r1' }", "'sha384'", "nil"), "truefalsefalsetrue");
    assert_eq!(check("{ type = 'Ed25519' }", "nil", "nil"), "truefalsefalsetrue");
}

#[test]
fn signatures_of_curves_can_be_raw_and_of_digests() {
    assert_eq!(
        run("local pkey, digest = require 'resty.openssl.pkey', require 'resty.openssl.digest'
            local k = pkey.new { type = 'EC' }
            local raw = { ecdsa_use_raw = true }
            for _ = 1, 20 do
                local s = k:sign('text', 'sha256', nil, raw)
                assert(#s == 64 and k:verify(s, 'text', 'sha256', nil, raw))
            end
            local d = digest.new('sha256') d:update('text')
            local s = k:sign(d)
            ngx.print(k:verify(s, 'text', 'sha256'), k:verify('short', 'text', 'sha256', nil, raw))"),
        "truefalsepkey:verify: invalid length of the signature"
    );
}

#[test]
fn keys_encrypt_and_agree() {
    assert_eq!(
        run("local pkey = require 'resty.openssl.pkey' local k = pkey.new()
            local padding = pkey.PADDINGS.RSA_PKCS1_OAEP_PADDING
            ngx.print(k:decrypt(k:encrypt('hello')), k:decrypt(k:encrypt('oaep', padding), padding), (k:decrypt('x')))
            local a, b = pkey.new { type = 'EC' }, pkey.new { type = 'EC' }
            local c, d = pkey.new { type = 'X25519' }, pkey.new { type = 'X25519' }
            ngx.print(#a:derive(b), a:derive(b) == b:derive(a), c:derive(d) == d:derive(c))"),
        "hellooaepnil32truetrue"
    );
}

#[test]
fn keys_are_read_from_and_written_to_jwk() {
    assert_eq!(
        run("local pkey = require 'resty.openssl.pkey'
            for _, make in ipairs { { type = 'RSA' }, { type = 'EC', curve = 'prime256v1' }, { type = 'Ed25519' } } do
                local k = pkey.new(make)
                local private, public = pkey.new(k:tostring('private', 'JWK')), pkey.new(k:tostring('public', 'JWK'), { format = 'JWK' })
                ngx.print(public:verify(private:sign('x'), 'x'), public:is_private())
            end
            ngx.print(pkey.new('{\"kty\":\"oct\"}'))"),
        "truefalsetruefalsetruefalsenilpkey.new: not yet supported jwk type \"oct\""
    );
}

#[test]
fn what_is_no_key_is_refused() {
    let said = run("local pkey = require 'resty.openssl.pkey'
        local k, why = pkey.new('no key') ngx.print(k, why:match('^pkey.new: ')) ngx.print(pkey.new(true))");
    assert_eq!(said, "nilpkey.new: nilpkey.new: unexpected type boolean at #1");
}

/// Self-signed for `example.test` and 127.0.0.1, with a key of P-256, until 2126.
const CERTIFICATE: &str = include_str!("openssl/certificate.pem");

#[test]
fn certificates_are_read() {
    let source = format!(
        "local x509 = require 'resty.openssl.x509' local c = assert(x509.new([[{CERTIFICATE}]]))
        local again = assert(x509.new(c:tostring('DER')))
        ngx.print(c:get_subject_name():all().CN.blob, ' ', tostring(c:get_issuer_name()), ' ', c:get_version(), ' ')
        ngx.print(tostring(c:get_subject_alt_name()), ' ', again:digest() == c:digest(), #c:digest('sha256'))
        ngx.print(c:get_not_after() > c:get_not_before(), c:check_host('example.test'), c:check_host('other.test'))
        ngx.print(c:verify(c:get_pubkey()), c:get_serial_number():to_hex(), ' ', c:get_signature_name())
        local why = select(2, x509.new('none')) ngx.print(why:match('^x509.new: '))"
    );
    assert_eq!(
        run(&source),
        "example.test O=Tidegate/CN=example.test 3 DNS=example.test/IP=127.0.0.1 true32truetruefalsetrue2A ecdsa-with-SHA256x509.new: "
    );
}

#[test]
fn chains_and_stores_hold_certificates() {
    let source = format!(
        "local x509 = require 'resty.openssl.x509' local c = x509.new([[{CERTIFICATE}]])
        local chain = require('resty.openssl.x509.chain').new() chain:add(c)
        local copy = require('resty.openssl.x509.chain').dup(chain.ctx)
        local store = require('resty.openssl.x509.store').new()
        ngx.print(#copy, copy[1]:digest() == c:digest(), ' ') ngx.print(store:verify(c)) store:add(c) ngx.print(' ', store:verify(c, chain))
        ngx.print(store:load_file('/nonexistent') , chain:add(1))"
    );
    let said = run(&source);
    assert!(said.starts_with("1true nilself"), "{said}");
    assert!(said.contains(" truefalsefalsex509.chain:add: expect a x509 instance at #1"), "{said}");
}

#[test]
fn numbers_of_any_size_are_reckoned_with() {
    assert_eq!(
        run("local bn = require 'resty.openssl.bn'
            local a, b = bn.new('123456789012345678901234567890', 10), bn.new('ff', 16)
            for _, n in ipairs { a + b, a * 2, a % b, a / b, -b, bn.new(7):mod_exp(128, 13), bn.new(12):gcd(18) } do
                ngx.print(tostring(n), ' ')
            end
            ngx.print(b:to_hex(), hex(b:to_binary()), #b:to_binary(4), b:to_number(), a > b, b == bn.new(255))
            ngx.print(bn.new(97):is_prime(), bn.new('x', 10))"),
        "123456789012345678901234568145 246913578024691357802469135780 240 484144270636649721181312030 -255 3 6 FFff4255truetruetruenilbn.new: error:03000077:bignum routines:OPENSSL_internal:INVALID_INPUT"
    );
}

#[test]
fn random_bytes_come_in_the_number_asked_for() {
    assert_eq!(
        run("local r = require('resty.openssl.rand') ngx.print(#r.bytes(12)) ngx.print(r.bytes('x'))
            local o = require 'resty.openssl' ngx.print(o.get_fips_mode(), o.pkey == require 'resty.openssl.pkey')"),
        "12nilrand.bytes: expect a number at #1falsetrue"
    );
}
