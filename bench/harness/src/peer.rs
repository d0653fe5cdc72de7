//! The servers that are compared.

mod gateway;
mod nginx;

use std::net::SocketAddr;

pub use self::{gateway::gateway, nginx::nginx};

/// A server that runs.
pub trait Peer {
    fn name(&self) -> &'static str;
    fn version(&self) -> String;
    fn addr(&self) -> SocketAddr;
    /// Every process whose time counts.
    fn processes(&self) -> Vec<u32>;
    /// The one that serves, whose memory counts: what it shares with its parent would count twice.
    fn server(&self) -> u32;
}

/// Files beside the configuration: name and content.
pub type Files<'a> = &'a [(&'a str, &'a str)];
