//! Ports that nobody else will take.
//!
//! A port that was free a moment ago may be somebody else's when a child binds it; with
//! `SO_REUSEPORT` two servers would even share it without an error. So a port is chosen below the
//! kernel's ephemeral range (no outgoing connection takes it) and reserved for the life of this test
//! process by an abstract socket of that name, which all tests on the machine see and which goes
//! when the process does.

use std::{
    net::{Ipv4Addr, SocketAddr},
    os::{
        linux::net::SocketAddrExt as _,
        unix::net::{SocketAddr as UnixAddr, UnixListener},
    },
    process,
    sync::{Mutex, PoisonError},
};

use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, socket_with, sockopt::set_socket_reuseaddr};

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
    is_free((Ipv4Addr::UNSPECIFIED, port).into()).then_some(reservation)
}

/// Whether nobody listens there. The address is bound for a moment and not listened on: a child that another thread starts in
/// that moment has the socket until it becomes another program, and whoever looks for a server would find it there.
pub fn is_free(address: SocketAddr) -> bool {
    let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let bind = || {
        let socket = socket_with(family, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
        // What a server left that has ended keeps nobody from listening.
        set_socket_reuseaddr(&socket, true)?;
        bind(&socket, &address)
    };
    bind().is_ok()
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::*;

    #[test]
    fn where_somebody_listens_it_is_not_free_and_to_ask_is_not_to_listen() {
        let address = unused_address();
        assert!(is_free(address));
        assert!(TcpStream::connect(address).is_err());
        let listener = TcpListener::bind(address).unwrap();
        assert!(!is_free(address));
        let everywhere = (Ipv4Addr::UNSPECIFIED, address.port()).into();
        assert!(!is_free(everywhere), "an address among all");
        drop(listener);
    }
}
