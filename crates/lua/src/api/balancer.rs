//! What the balancer phase decides on. Outside of it there is no choice to be made, so calls find none.

use std::{
    net::{IpAddr, SocketAddr},
    str,
    time::Duration,
};

use crate::{
    Choice, KeepAlive, Phase,
    abi::{Export, HostPtr, Text},
    host::{Host, MISSING, NO_REQUEST, OK},
};

/// Codes beside the host's own.
const NOT_AN_ADDRESS: i32 = 1;
const NOT_A_PORT: i32 = 2;
const REDUCED: i32 = 3;
const NO_PEER: i32 = 4;
const NO_TLS: i32 = 5;

pub(super) fn exports() -> Vec<Export> {
    vec![
        Export::new("balancer_set_peer", set_peer as extern "C" fn(_, _, _, _) -> _),
        Export::new("balancer_add_tries", add_tries as extern "C" fn(_, _) -> _),
        Export::new("balancer_failure", failure as extern "C" fn(_) -> _),
        Export::new("balancer_set_timeouts", set_timeouts as extern "C" fn(_, _, _, _) -> _),
        Export::new("balancer_keep_alive", keep_alive as extern "C" fn(_, _, _) -> _),
        Export::new("balancer_recreate", recreate as extern "C" fn(_) -> _),
        Export::new("balancer_set_name", set_name as extern "C" fn(_, _, _) -> _),
        Export::new("balancer_set_local", set_local as extern "C" fn(_, _, _) -> _),
        Export::new("balancer_set_tls", set_tls as extern "C" fn(_, _) -> _),
    ]
}

/// [`NO_REQUEST`] without a request, [`MISSING`] in other phases.
fn choose(host: &Host, decide: impl FnOnce(&mut Choice) -> i32) -> i32 {
    let is_asked = host.block.phase.get() == Phase::Balancer as i32;
    let decided =
        host.with(|exchange| exchange.state().choice.as_deref_mut().filter(|_| is_asked).map(decide));
    decided.map_or(NO_REQUEST, |code| code.unwrap_or(MISSING))
}

extern "C" fn set_peer(host: HostPtr, address: Text, length: usize, port: f64) -> i32 {
    choose(host.get(), |choice| match peer(address.of(length), port) {
        Ok(peer) => {
            choice.peer = Some(peer);
            OK
        }
        Err(code) => code,
    })
}

extern "C" fn set_local(host: HostPtr, address: Text, length: usize) -> i32 {
    choose(host.get(), |choice| match read(address.of(length)) {
        Some((ip, port)) => {
            choice.local = Some(SocketAddr::new(ip, port.unwrap_or(0)));
            OK
        }
        None => NOT_AN_ADDRESS,
    })
}

/// A port in the text goes over the one beside it.
fn peer(text: &[u8], port: f64) -> Result<SocketAddr, i32> {
    match read(text).ok_or(NOT_AN_ADDRESS)? {
        (ip, Some(port)) => Ok(SocketAddr::new(ip, port)),
        (_, None) if port.fract() != 0.0 || !(1.0..=f64::from(u16::MAX)).contains(&port) => Err(NOT_A_PORT),
        (ip, None) => Ok(SocketAddr::new(ip, port as u16)),
    }
}

/// An address, with a port or without.
fn read(text: &[u8]) -> Option<(IpAddr, Option<u16>)> {
    let text = str::from_utf8(text).ok()?;
    if let Ok(address) = text.parse::<SocketAddr>() {
        return Some((address.ip(), Some(address.port())));
    }
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    Some((bare.parse().ok()?, None))
}

extern "C" fn add_tries(host: HostPtr, count: f64) -> i32 {
    // Casting saturates, and more than the bound is cut off anyway.
    choose(host.get(), |choice| if choice.add_tries(count as u32) { OK } else { REDUCED })
}

/// The status of the attempt that failed, or 0.
extern "C" fn failure(host: HostPtr) -> i32 {
    choose(host.get(), |choice| choice.failure.map_or(0, i32::from))
}

/// In seconds; what is not above zero stays as it is.
extern "C" fn set_timeouts(host: HostPtr, connect: f64, send: f64, read: f64) -> i32 {
    choose(host.get(), |choice| {
        let set = |timeout: &mut Option<Duration>, seconds: f64| {
            if seconds > 0.0 {
                *timeout = Some(span(seconds));
            }
        };
        set(&mut choice.connect_timeout, connect);
        set(&mut choice.send_timeout, send);
        set(&mut choice.read_timeout, read);
        OK
    })
}

extern "C" fn keep_alive(host: HostPtr, idle: f64, requests: f64) -> i32 {
    choose(host.get(), |choice| {
        if choice.peer.is_none() {
            return NO_PEER;
        }
        choice.keep_alive = Some(KeepAlive { idle: span(idle), requests: requests as u32 });
        OK
    })
}

fn span(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX)
}

extern "C" fn recreate(host: HostPtr) -> i32 {
    choose(host.get(), |choice| {
        choice.is_recreated = true;
        OK
    })
}

/// Who the peer that was chosen has to be.
extern "C" fn set_name(host: HostPtr, name: Text, length: usize) -> i32 {
    choose(host.get(), |choice| {
        let name = name.of(length);
        choice.server_name = (!name.is_empty()).then(|| String::from_utf8_lossy(name).into_owned());
        OK
    })
}

/// Whether TLS is spoken with the peer, in this attempt and those that follow.
extern "C" fn set_tls(host: HostPtr, on: i32) -> i32 {
    choose(host.get(), |choice| {
        if on != 0 && !choice.has_tls {
            return NO_TLS;
        }
        choice.is_plain = on == 0;
        OK
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn peers_are_addresses_with_ports() {
        let accepted = [
            (&b"127.0.0.1"[..], 80.0, "127.0.0.1:80"),
            (b"127.0.0.1:81", 80.0, "127.0.0.1:81"),
            (b"::1", 80.0, "[::1]:80"),
            (b"[::1]", 65_535.0, "[::1]:65535"),
        ];
        for (text, port, expected) in accepted {
            assert_eq!(peer(text, port), Ok(expected.parse().unwrap()));
        }
        for text in [&b"example.com"[..], b"", b"unix:/tmp/s", b"127.0.0.1:", b"\xff"] {
            assert_eq!(peer(text, 80.0), Err(NOT_AN_ADDRESS));
        }
        for port in [0.0, -1.0, 65_536.0, 0.5, f64::NAN] {
            assert_eq!(peer(b"127.0.0.1", port), Err(NOT_A_PORT));
        }
    }
}
