//! Modules of the host that are compiled only when a script requires them, by name.
//!
//! They come before what `packagePath` finds. Each is called with the prelude's kit.

macro_rules! modules {
    ($($name:literal: $file:literal,)*) => {
        /// Names and sources.
        static MODULES: &[(&str, &str)] = &[$(($name, include_str!(concat!("library/", $file, ".lua")))),*];
    };
}

modules! {
    "ngx.balancer": "balancer",
    "ngx.errlog": "errlog",
    "ngx.ocsp": "ocsp",
    "ngx.pipe": "pipe",
    "ngx.process": "process",
    "ngx.ssl": "ssl",
    "ngx.ssl.clienthello": "client_hello",
    "ngx.ssl.proxysslcert": "ssl_missing",
    "ngx.ssl.session": "session",
    "resty.aes": "aes",
    "resty.core": "core/part",
    "resty.core.base": "core/base",
    "resty.core.base64": "core/part",
    "resty.core.coroutine": "core/part",
    "resty.core.ctx": "core/part",
    "resty.core.exit": "core/part",
    "resty.core.hash": "core/part",
    "resty.core.misc": "core/part",
    "resty.core.ndk": "core/part",
    "resty.core.param": "core/part",
    "resty.core.phase": "core/part",
    "resty.core.regex": "core/part",
    "resty.core.request": "core/part",
    "resty.core.response": "core/part",
    "resty.core.shdict": "core/part",
    "resty.core.socket": "core/part",
    "resty.core.time": "core/part",
    "resty.core.uri": "core/part",
    "resty.core.utils": "core/part",
    "resty.core.var": "core/part",
    "resty.core.worker": "core/part",
    "resty.hmac": "hmac",
    "resty.md5": "digest",
    "resty.openssl": "openssl/all",
    "resty.openssl.bn": "openssl/bn",
    "resty.openssl.cipher": "openssl/cipher",
    "resty.openssl.digest": "openssl/digest",
    "resty.openssl.hmac": "openssl/hmac",
    "resty.openssl.kdf": "openssl/kdf",
    "resty.openssl.pkey": "openssl/pkey",
    "resty.openssl.rand": "openssl/rand",
    "resty.openssl.x509": "openssl/x509",
    "resty.openssl.x509.altname": "openssl/altname",
    "resty.openssl.x509.chain": "openssl/chain",
    "resty.openssl.x509.name": "openssl/name",
    "resty.openssl.x509.store": "openssl/store",
    "resty.random": "random",
    "resty.sha": "sha",
    "resty.sha1": "digest",
    "resty.sha224": "digest",
    "resty.sha256": "digest",
    "resty.sha384": "digest",
    "resty.sha512": "digest",
    "resty.string": "string",
    "tablepool": "tablepool",
    "tidegate.idempotency": "idempotency",
    "tidegate.message": "message",
    "tidegate.openssl": "openssl/base",
    "tidegate.openssl.jwk": "openssl/jwk",
}

/// The source of a module, or `None`.
pub(crate) fn source(name: &[u8]) -> Option<&'static str> {
    MODULES.binary_search_by(|(own, _)| own.as_bytes().cmp(name)).ok().map(|at| MODULES[at].1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modules_are_in_order() {
        assert!(MODULES.is_sorted_by(|one, other| one.0 < other.0));
        assert_eq!(source(b"resty.sha"), Some(include_str!("library/sha.lua")));
        assert_eq!(source(b"resty.none"), None);
    }
}
