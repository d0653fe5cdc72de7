//! `ngx.ssl`: what is known of a client that speaks TLS, and the certificate that it gets.

use std::net::IpAddr;

use tidegate_tls::Error;

use crate::{
    Choosing, Hello, Phase,
    abi::{Export, HostPtr, Text},
    host::{Host, MISSING, NO_REQUEST, OK},
};

/// Codes beside the host's own.
const NOT_TLS: i32 = 1;
const TOO_LATE: i32 = 2;
const MISMATCH: i32 = 3;
const BAD_KEY: i32 = 4;

pub(super) fn exports() -> Vec<Export> {
    vec![
        Export::new("hello_name", name as extern "C" fn(_) -> _),
        Export::new("hello_address", address as extern "C" fn(_, _) -> _),
        Export::new("hello_version", version as extern "C" fn(_) -> _),
        Export::new("hello_random", random as extern "C" fn(_) -> _),
        Export::new("choosing_clear", clear as extern "C" fn(_) -> _),
        Export::new("choosing_add", add as extern "C" fn(_, _, _, _) -> _),
        Export::new("choosing_set_key", set_key as extern "C" fn(_, _, _) -> _),
    ]
}

/// [`NOT_TLS`] where the client does not speak it.
fn with(host: &Host, f: impl FnOnce(&Hello) -> i32) -> i32 {
    let hello = host.with_state(|state| state.hello.clone());
    hello.map_or(NO_REQUEST, |hello| hello.map_or(NOT_TLS, |hello| f(&hello)))
}

/// [`TOO_LATE`] in phases in which hands have been shaken.
fn choose(host: &Host, f: impl FnOnce(&mut Choosing) -> i32) -> i32 {
    let is_asked = host.block.phase.get() == Phase::SslCertificate as i32;
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

/// The bytes of the client's address or of the one that it came to, with its port as the number.
extern "C" fn address(host: HostPtr, of_client: i32) -> i32 {
    let host = host.get();
    with(host, |hello| {
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
