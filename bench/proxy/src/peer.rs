//! The proxies that are compared.
//!
//! Both execute the very same Lua files, add the same forwarding headers and keep their connections
//! to the origin.

pub(crate) mod gateway;
mod nginx;

use std::net::SocketAddr;

use anyhow::{Result, ensure};
pub(crate) use nginx::Nginx;
use tidegate_testkit::http::{self, Response};

pub(crate) const ACCESS: &str = include_str!("../lua/access.lua");
pub(crate) const HEADER_FILTER: &str = include_str!("../lua/header_filter.lua");

/// More than the most connections of any cell, so that none is ever closed for lack of room.
const KEPT_CONNECTIONS: usize = 1_024;

/// A proxy that runs.
pub(crate) trait Peer {
    fn name(&self) -> &'static str;
    fn version(&self) -> String;
    fn addr(&self) -> SocketAddr;
    /// Every process whose time counts.
    fn processes(&self) -> Vec<u32>;
    /// The one that serves, whose memory counts: what it shares with its parent would count twice.
    fn server(&self) -> u32;
}

/// Sees to it that a peer does the work that is measured.
pub(crate) fn check(peer: &dyn Peer, bodies: &[usize]) -> Result<()> {
    for &body in bodies {
        let path = format!("/{body}");
        let Response { status, headers, body: bytes, .. } =
            http::request(peer.addr(), "GET", &path, &[("X-Tenant", "acme")], b"");
        let served_by = headers.one("x-served-by");
        ensure!(
            status == 200 && served_by == Some("bench") && bytes == vec![b'x'; body],
            "{} answers {path} with {status}, X-Served-By {served_by:?} and {} bytes",
            peer.name(),
            bytes.len(),
        );
    }
    Ok(())
}
