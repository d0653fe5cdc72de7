//! Ports that nobody else will take.
//!
//! A port that was free a moment ago may be somebody else's when a child binds it; with
//! `SO_REUSEPORT` two servers would even share it without an error. So a port is chosen below the
//! kernel's ephemeral range (no outgoing connection takes it) and reserved for the life of this test
//! process by an abstract socket of that name, which all tests on the machine see and which goes
//! when the process does.

use std::{
    net::{Ipv4Addr, SocketAddr, TcpListener},
    os::{
        linux::net::SocketAddrExt as _,
        unix::net::{SocketAddr as UnixAddr, UnixListener},
    },
    process,
    sync::{Mutex, PoisonError},
};

const FIRST: u16 = 20_000;
const COUNT: u16 = 12_000;

static RESERVED: Mutex<Reserved> = Mutex::new(Reserved { next: None, held: Vec::new() });

struct Reserved {
    next: Option<u16>,
    held: Vec<UnixListener>,
}

/// A TCP port on which nothing listens, kept from other tests until this process ends.
pub fn free_port() -> u16 {
    let mut reserved = RESERVED.lock().unwrap_or_else(PoisonError::into_inner);
    for _ in 0..COUNT {
        // Processes begin far apart, so that they rarely meet.
        let offset =
            reserved.next.unwrap_or_else(|| (process::id().wrapping_mul(7919) % u32::from(COUNT)) as u16);
        reserved.next = Some((offset + 1) % COUNT);
        let port = FIRST + offset;
        if let Some(reservation) = reserve(port) {
            reserved.held.push(reservation);
            return port;
        }
    }
    panic!("no free port from {FIRST} on");
}

/// `127.0.0.1` with a [`free_port`].
pub fn unused_address() -> SocketAddr {
    (Ipv4Addr::LOCALHOST, free_port()).into()
}

fn reserve(port: u16) -> Option<UnixListener> {
    let name = UnixAddr::from_abstract_name(format!("tidegate-test-port-{port}")).ok()?;
    let reservation = UnixListener::bind_addr(&name).ok()?;
    // Nobody may listen on it, whatever the address.
    TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).ok()?;
    Some(reservation)
}
