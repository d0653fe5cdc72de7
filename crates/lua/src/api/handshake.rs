//! `ngx.ssl`: what is known of a client that speaks TLS, and the certificate that it gets.

use std::net::IpAddr;

use tidegate_core::snapshot::TlsVersions;
use tidegate_tls::Error;

use crate::{
    Choosing, Hello, Phase, Session,
    abi::{Export, HostPtr, Text},
    host::{Host, MISSING, NO_REQUEST, OK},
};

/// Codes beside the host's own.
const NOT_TLS: i32 = 1;
const TOO_LATE: i32 = 2;
const MISMATCH: i32 = 3;
const BAD_KEY: i32 = 4;
const NO_STATUS_REQUEST: i32 = 5;
const NO_SESSION: i32 = 6;
const NOT_EXPORTED: i32 = 7;

/// Bytes of a key that may be exported; TLS 1.3 has fewer.
const MOST_EXPORTED: f64 = 65_536.0;

/// The port of a Unix socket.
const NO_PORT: f64 = -1.0;

/// The extension by which clients ask what the authority says.
const STATUS_REQUEST: u16 = 5;

pub(super) fn exports() -> Vec<Export> {
    vec![
        Export::new("hello_name", name as extern "C" fn(_) -> _),
        Export::new("hello_address", address as extern "C" fn(_, _) -> _),
        Export::new("hello_version", version as extern "C" fn(_) -> _),
        Export::new("hello_random", random as extern "C" fn(_) -> _),
        Export::new("choosing_clear", clear as extern "C" fn(_) -> _),
        Export::new("choosing_add", add as extern "C" fn(_, _, _, _) -> _),
        Export::new("choosing_set_key", set_key as extern "C" fn(_, _, _) -> _),
        Export::new("choosing_ask", ask as extern "C" fn(_) -> _),
        Export::new("choosing_trust", trust as extern "C" fn(_, _, _) -> _),
        Export::new("choosing_staple", staple as extern "C" fn(_, _, _) -> _),
        Export::new("choosing_versions", versions as extern "C" fn(_, _) -> _),
        Export::new("session_name", session_name as extern "C" fn(_) -> _),
        Export::new("session_content", session_content as extern "C" fn(_) -> _),
        Export::new("session_restore", session_restore as extern "C" fn(_, _, _) -> _),
        Export::new("export_key", export_key as extern "C" fn(_, _, _, _, _, _, _) -> _),
        Export::new("hello_extension", extension as extern "C" fn(_, _) -> _),
        Export::new("hello_extensions", extensions as extern "C" fn(_) -> _),
        Export::new("hello_ciphers", ciphers as extern "C" fn(_) -> _),
    ]
}

/// [`NOT_TLS`] where the client does not speak it.
fn with(host: &Host, f: impl FnOnce(&Hello) -> i32) -> i32 {
    let hello = host.with_state(|state| state.hello.clone());
    hello.map_or(NO_REQUEST, |hello| hello.map_or(NOT_TLS, |hello| f(&hello)))
}

/// [`TOO_LATE`] in phases in which hands have been shaken.
fn choose(host: &Host, f: impl FnOnce(&mut Choosing) -> i32) -> i32 {
    choose_in(host, Phase::SslCertificate, f)
}

fn choose_in(host: &Host, phase: Phase, f: impl FnOnce(&mut Choosing) -> i32) -> i32 {
    let is_asked = host.block.phase.get() == phase as i32;
    let chosen = host.with_state(|state| {
        let choosing = state.choosing.as_deref_mut().filter(|_| is_asked);
        choosing.map_or(if state.hello.is_some() { TOO_LATE } else { NOT_TLS }, f)
    });
    chosen.unwrap_or(NO_REQUEST)
}

extern "C" fn name(host: HostPtr) -> i32 {
    let host = host.get();
    with(host, |hello| match &hello.name {
        Some(name) => host.give_written(|text| text.extend_from_slice(name.as_bytes())),
        None => MISSING,
    })
}

/// The bytes of the client's address or of the one that it came to, with its port as the number. Of a Unix socket, the path.
extern "C" fn address(host: HostPtr, of_client: i32) -> i32 {
    let host = host.get();
    with(host, |hello| {
        if let Some(place) = &hello.place {
            host.block.number.set(NO_PORT);
            return host.give_written(|bytes| {
                if of_client == 0 {
                    bytes.extend_from_slice(place.trim_start_matches("unix:").as_bytes());
                }
            });
        }
        let address = if of_client == 0 { hello.local } else { hello.client };
        host.block.number.set(address.port().into());
        host.give_written(|bytes| match address.ip().to_canonical() {
            IpAddr::V4(ip) => bytes.extend_from_slice(&ip.octets()),
            IpAddr::V6(ip) => bytes.extend_from_slice(&ip.octets()),
        })
    })
}

extern "C" fn version(host: HostPtr) -> i32 {
    let host = host.get();
    with(host, |hello| {
        host.block.number.set(hello.version.into());
        OK
    })
}

extern "C" fn random(host: HostPtr) -> i32 {
    let host = host.get();
    with(host, |hello| match &hello.random {
        Some(random) => host.give_written(|bytes| bytes.extend_from_slice(random)),
        None => MISSING,
    })
}

extern "C" fn clear(host: HostPtr) -> i32 {
    choose(host.get(), |choosing| {
        choosing.clear();
        OK
    })
}

extern "C" fn add(host: HostPtr, certificate: Text, length: usize, is_first: i32) -> i32 {
    choose(host.get(), |choosing| {
        choosing.add(certificate.of(length), is_first != 0);
        OK
    })
}

extern "C" fn set_key(host: HostPtr, key: Text, length: usize) -> i32 {
    choose(host.get(), |choosing| match choosing.set_key(key.of(length)) {
        Ok(()) => OK,
        Err(Error::Mismatch) => MISMATCH,
        Err(_) => BAD_KEY,
    })
}

extern "C" fn ask(host: HostPtr) -> i32 {
    choose(host.get(), |choosing| {
        choosing.ask();
        OK
    })
}

extern "C" fn trust(host: HostPtr, certificate: Text, length: usize) -> i32 {
    choose(host.get(), |choosing| {
        choosing.trust(certificate.of(length));
        OK
    })
}

extern "C" fn staple(host: HostPtr, response: Text, length: usize) -> i32 {
    choose(host.get(), |choosing| {
        if choosing.said.extension(STATUS_REQUEST).is_none() {
            return NO_STATUS_REQUEST;
        }
        choosing.set_staple(response.of(length));
        OK
    })
}

/// [`MISSING`] where there is no session.
fn with_session(host: &Host, f: impl FnOnce(&mut Session) -> i32) -> i32 {
    let found = host.with_state(|state| {
        let choosing = state.choosing.as_deref_mut();
        choosing.and_then(|choosing| choosing.session.as_mut()).map_or(MISSING, f)
    });
    found.unwrap_or(NO_REQUEST)
}

extern "C" fn session_name(host: HostPtr) -> i32 {
    let host = host.get();
    with_session(host, |session| host.give_written(|bytes| bytes.extend_from_slice(&session.name)))
}

extern "C" fn session_content(host: HostPtr) -> i32 {
    let host = host.get();
    with_session(host, |session| match session.content {
        Some(_) => host.give_written(|bytes| session.write(bytes)),
        None => MISSING,
    })
}

extern "C" fn session_restore(host: HostPtr, kept: Text, length: usize) -> i32 {
    let host = host.get();
    let is_fetched = host.block.phase.get() == Phase::SslSessionFetch as i32;
    with_session(host, |session| match () {
        () if !is_fetched => MISSING,
        () if session.restore(kept.of(length)) => OK,
        () => NO_SESSION,
    })
}

extern "C" fn export_key(
    host: HostPtr,
    size: f64,
    label: Text,
    label_length: usize,
    context: Text,
    context_length: usize,
    has_context: i32,
) -> i32 {
    let host = host.get();
    if !(0.0..=MOST_EXPORTED).contains(&size) {
        return NOT_EXPORTED;
    }
    let (mut key, label, context) =
        (vec![0; size as usize], label.of(label_length), context.of(context_length));
    let context = (has_context != 0).then_some(context);
    match host.with(|exchange| exchange.export_key(&mut key, label, context)) {
        None => NO_REQUEST,
        Some(None) => NOT_TLS,
        Some(Some(false)) => NOT_EXPORTED,
        Some(Some(true)) => host.give_written(|bytes| bytes.extend_from_slice(&key)),
    }
}

/// Bits of the versions, as OpenResty numbers them.
const TLS_12: i32 = 0x20;
const TLS_13: i32 = 0x40;

extern "C" fn versions(host: HostPtr, bits: i32) -> i32 {
    choose_in(host.get(), Phase::SslClientHello, |choosing| {
        choosing.set_versions(TlsVersions { tls12: bits & TLS_12 != 0, tls13: bits & TLS_13 != 0 });
        OK
    })
}

extern "C" fn extension(host: HostPtr, kind: f64) -> i32 {
    let host = host.get();
    choose_in(host, Phase::SslClientHello, |choosing| {
        let is_one = (0.0..=f64::from(u16::MAX)).contains(&kind) && kind.fract() == 0.0;
        let wanted = is_one.then_some(kind as u16);
        match wanted.and_then(|kind| choosing.said.extension(kind)) {
            Some(content) => host.give_written(|bytes| bytes.extend_from_slice(content)),
            None => MISSING,
        }
    })
}

/// Two bytes for each.
extern "C" fn extensions(host: HostPtr) -> i32 {
    let host = host.get();
    choose_in(host, Phase::SslClientHello, |choosing| {
        host.give_written(|bytes| {
            choosing.said.extensions().for_each(|(kind, _)| bytes.extend_from_slice(&kind.to_be_bytes()));
        })
    })
}

extern "C" fn ciphers(host: HostPtr) -> i32 {
    let host = host.get();
    choose_in(host, Phase::SslClientHello, |choosing| {
        host.give_written(|bytes| bytes.extend_from_slice(choosing.said.ciphers()))
    })
}
