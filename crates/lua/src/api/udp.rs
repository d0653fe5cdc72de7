//! `ngx.socket.udp`.

use std::time::Duration;

use crate::{
    abi::{Export, HostPtr, Text},
    api::socket::{CLOSED, adopt, failed, parse_address, refuse_others, wait},
    host::{Host, NO_REQUEST, OK},
    socket::{connect::Target, tcp::Outcome, udp::Udp},
};

pub(super) fn exports() -> Vec<Export> {
    vec![
        Export::new("udp_new", udp_new as extern "C" fn(_) -> _),
        Export::new("udp_connect", udp_connect as extern "C" fn(_, _, _, _, _) -> _),
        Export::new("udp_bind", udp_bind as extern "C" fn(_, _, _, _) -> _),
        Export::new("udp_settimeout", udp_settimeout as extern "C" fn(_, _, _) -> _),
        Export::new("udp_send", udp_send as extern "C" fn(_, _, _, _) -> _),
        Export::new("udp_receive", udp_receive as extern "C" fn(_, _, _) -> _),
        Export::new("udp_peer", udp_peer as extern "C" fn(_, _) -> _),
        Export::new("udp_close", udp_close as extern "C" fn(_, _) -> _),
    ]
}

/// Answers the number of a new socket.
extern "C" fn udp_new(host: HostPtr) -> i32 {
    host.get().sockets.new_udp().unwrap_or(NO_REQUEST)
}

/// Why nothing may be done with it now.
fn refuse(host: &Host, udp: &Udp) -> Option<i32> {
    let others = refuse_others(host, udp.request.get());
    others.or_else(|| udp.check_busy().err().map(|cause| failed(host, cause)))
}

extern "C" fn udp_connect(host: HostPtr, number: u32, name: Text, length: usize, port: u32) -> i32 {
    let host = host.get();
    let Some(udp) = host.sockets.udp(number) else { return CLOSED };
    if let Some(refused) = refuse(host, &udp) {
        return refused;
    }
    if !adopt(host, &udp) {
        return NO_REQUEST;
    }
    let target = Target::parse(name.of(length), u16::try_from(port).unwrap_or_default());
    done(host, udp.connect(target, &host.sockets.resolver))
}

fn done(host: &Host, outcome: Outcome<()>) -> i32 {
    match outcome {
        Outcome::Ready(()) => OK,
        Outcome::Wait(waiting) => wait(host, waiting),
        Outcome::Failed(cause) => failed(host, cause),
    }
}

extern "C" fn udp_bind(host: HostPtr, number: u32, address: Text, length: usize) -> i32 {
    let Some(udp) = host.get().sockets.udp(number) else { return CLOSED };
    let Some(address) = parse_address(address.of(length)) else { return CLOSED };
    udp.from.set(Some(address));
    OK
}

/// In milliseconds; 0 and less are the default.
extern "C" fn udp_settimeout(host: HostPtr, number: u32, milliseconds: f64) -> i32 {
    let host = host.get();
    let Some(udp) = host.sockets.udp(number) else { return CLOSED };
    let default = host.sockets.defaults.borrow().timeouts.receive;
    udp.timeout.set(if milliseconds > 0.0 { Duration::from_millis(milliseconds as u64) } else { default });
    OK
}

extern "C" fn udp_send(host: HostPtr, number: u32, bytes: Text, length: usize) -> i32 {
    let host = host.get();
    let Some(udp) = host.sockets.udp(number).filter(|udp| udp.is_open()) else { return CLOSED };
    if let Some(refused) = refuse_others(host, udp.request.get()) {
        return refused;
    }
    match udp.send(bytes.of(length)) {
        Ok(()) => OK,
        Err(cause) => failed(host, cause),
    }
}

extern "C" fn udp_receive(host: HostPtr, number: u32, size: f64) -> i32 {
    let host = host.get();
    let Some(udp) = host.sockets.udp(number).filter(|udp| udp.is_open()) else { return CLOSED };
    if let Some(refused) = refuse(host, &udp) {
        return refused;
    }
    match udp.receive(size as usize) {
        Outcome::Ready(bytes) => host.give_written(|out| out.extend_from_slice(&bytes)),
        Outcome::Wait(waiting) => wait(host, waiting),
        Outcome::Failed(cause) => failed(host, cause),
    }
}

/// The peer, for log lines.
extern "C" fn udp_peer(host: HostPtr, number: u32) -> i32 {
    let host = host.get();
    let peer = host.sockets.udp(number).map(|udp| udp.peer()).unwrap_or_default();
    host.give_written(|out| out.extend_from_slice(peer.as_bytes()))
}

extern "C" fn udp_close(host: HostPtr, number: u32) -> i32 {
    let host = host.get();
    let Some(udp) = host.sockets.udp(number).filter(|udp| udp.is_open()) else { return CLOSED };
    if let Some(refused) = refuse(host, &udp) {
        return refused;
    }
    udp.close();
    OK
}
