//! Picks ports for servers that must be told theirs.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr, TcpListener},
};

/// How often the kernel may name a port that is promised to somebody.
const TRIES: usize = 32;

/// A port of 127.0.0.1 that is free now and not among `taken`. Somebody may still be faster: the
/// instance then fails to start, and the next start gets another port.
pub(super) fn free(taken: &[SocketAddr]) -> io::Result<u16> {
    for _ in 0..TRIES {
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
        if !taken.iter().any(|address| address.port() == port) {
            return Ok(port);
        }
    }
    Err(io::Error::new(io::ErrorKind::AddrInUse, "no free port was found"))
}
