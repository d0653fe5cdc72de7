//! Whether a server is who it should be, by OpenSSL's rules, which AWS-LC keeps.

use std::{
    ffi::{CStr, CString},
    net::IpAddr,
    path::Path,
    ptr,
    sync::{Arc, Mutex, PoisonError},
};

use aws_lc_sys as ssl;
use rustls::{
    CertificateError, DigitallySignedStruct, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    pki_types::{CertificateDer, ServerName, UnixTime},
};

use super::Failure;

/// Certificates that are trusted.
#[derive(Debug)]
pub(crate) struct Trust(ptr::NonNull<ssl::X509_STORE>);

// SAFETY: a store counts its references with atomics and locks its contents itself.
unsafe impl Send for Trust {}
// SAFETY: as above.
unsafe impl Sync for Trust {}

impl Drop for Trust {
    fn drop(&mut self) {
        // SAFETY: the reference is this one's own.
        unsafe { ssl::X509_STORE_free(self.0.as_ptr()) };
    }
}

impl Trust {
    /// Those of a file in PEM; `None` if it cannot be read or has none.
    pub(crate) fn from_file(path: &Path) -> Option<Self> {
        let path = CString::new(path.as_os_str().as_encoded_bytes()).ok()?;
        // SAFETY: a new store belongs to the caller, and the path is a C string for the call.
        unsafe {
            let store = Self(ptr::NonNull::new(ssl::X509_STORE_new())?);
            let loaded = ssl::X509_STORE_load_locations(store.0.as_ptr(), path.as_ptr(), ptr::null());
            ssl::ERR_clear_error();
            (loaded == 1).then_some(store)
        }
    }

    /// Those that the system trusts; none if it does not say.
    pub(crate) fn of_system() -> Option<Self> {
        let found = tidegate_tls::SYSTEM.iter().find_map(|path| Self::from_file(Path::new(path)));
        // SAFETY: as above.
        found.or_else(|| Some(Self(ptr::NonNull::new(unsafe { ssl::X509_STORE_new() })?)))
    }

    /// Those of a store that a script has made, by its address.
    pub(crate) fn at(store: usize) -> Option<Self> {
        let store = ptr::NonNull::new(store as *mut ssl::X509_STORE)?;
        // SAFETY: the prelude passes what a script has given it as a store, which the script keeps meanwhile; scripts
        // are trusted with pointers. The count of its references goes up by this one.
        unsafe { ssl::X509_STORE_up_ref(store.as_ptr()) };
        Some(Self(store))
    }

    /// Whether the first certificate can be trusted, with the help of the others: OpenSSL's number and text of why not.
    fn check(
        &self,
        first: &Certificate,
        others: &[CertificateDer<'_>],
        depth: u32,
    ) -> Result<(), (i32, String)> {
        let others: Vec<_> = others.iter().filter_map(|der| Certificate::read(der)).collect();
        // SAFETY: all pointers are of objects that outlive the context, which is freed here, as is the stack, which
        // owns none of its certificates. The text of an error is a constant.
        unsafe {
            let stack = ssl::OPENSSL_sk_new_null();
            for other in &others {
                ssl::OPENSSL_sk_push(stack, other.0.as_ptr().cast());
            }
            let context = ssl::X509_STORE_CTX_new();
            let mut code = ssl::X509_V_ERR_UNSPECIFIED;
            let mut good = false;
            if ssl::X509_STORE_CTX_init(context, self.0.as_ptr(), first.0.as_ptr(), stack.cast()) == 1 {
                ssl::X509_STORE_CTX_set_default(context, c"ssl_server".as_ptr());
                let parameters = ssl::X509_STORE_CTX_get0_param(context);
                ssl::X509_VERIFY_PARAM_set_depth(parameters, i32::try_from(depth).unwrap_or(i32::MAX));
                good = ssl::X509_verify_cert(context) == 1;
                code = ssl::X509_STORE_CTX_get_error(context);
            }
            ssl::X509_STORE_CTX_free(context);
            ssl::OPENSSL_sk_free(stack);
            ssl::ERR_clear_error();
            if good {
                return Ok(());
            }
            let text = CStr::from_ptr(ssl::X509_verify_cert_error_string(code.into()));
            Err((code, text.to_string_lossy().into_owned()))
        }
    }
}

struct Certificate(ptr::NonNull<ssl::X509>);

impl Certificate {
    fn read(der: &[u8]) -> Option<Self> {
        let mut at = der.as_ptr();
        // SAFETY: the bytes are there for the call, which makes an object of its own.
        let certificate =
            unsafe { ssl::d2i_X509(ptr::null_mut(), &raw mut at, i64::try_from(der.len()).ok()?) };
        ptr::NonNull::new(certificate).map(Self)
    }

    fn is_for(&self, name: &str) -> bool {
        let Ok(text) = CString::new(name) else { return false };
        // SAFETY: the certificate is alive, and the text is there for the call.
        unsafe {
            if name.parse::<IpAddr>().is_ok() {
                return ssl::X509_check_ip_asc(self.0.as_ptr(), text.as_ptr(), 0) == 1;
            }
            ssl::X509_check_host(self.0.as_ptr(), text.as_ptr(), name.len(), 0, ptr::null_mut()) == 1
        }
    }
}

impl Drop for Certificate {
    fn drop(&mut self) {
        // SAFETY: it is this one's own.
        unsafe { ssl::X509_free(self.0.as_ptr()) };
    }
}

/// Judges the server of one handshake, and remembers why it was refused.
#[derive(Debug)]
pub(crate) struct Verdict {
    trust: Option<Arc<Trust>>,
    depth: u32,
    name: Option<String>,
    refused: Mutex<Option<(String, String)>>,
}

impl Verdict {
    pub(crate) fn new(trust: Option<Arc<Trust>>, depth: u32, name: Option<String>) -> Self {
        Self { trust, depth, name, refused: Mutex::default() }
    }

    /// Why the server was refused.
    pub(super) fn failure(&self) -> Option<Failure> {
        let refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner).take();
        refused.map(|(text, log)| Failure { text, log })
    }

    fn judge(
        &self,
        first: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
    ) -> Result<(), (String, String)> {
        let Some(trust) = &self.trust else { return Ok(()) };
        let first = Certificate::read(first)
            .ok_or_else(|| ("handshake failed".into(), "the certificate cannot be read".into()))?;
        trust.check(&first, others, self.depth).map_err(|(code, why)| {
            (format!("{code}: {why}"), format!("lua ssl certificate verify error: ({code}: {why})"))
        })?;
        match &self.name {
            Some(name) if !first.is_for(name) => Err((
                "certificate host mismatch".into(),
                format!("lua ssl certificate does not match host \"{name}\""),
            )),
            _ => Ok(()),
        }
    }
}

impl ServerCertVerifier for Verdict {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        self.judge(end_entity, intermediates).map_err(|refused| {
            self.refused.lock().unwrap_or_else(PoisonError::into_inner).replace(refused);
            rustls::Error::InvalidCertificate(CertificateError::ApplicationVerificationFailure)
        })?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        tidegate_tls::verify_12(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        tidegate_tls::verify_13(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        tidegate_tls::schemes()
    }
}
