//! Who somebody is to those that speak TLS with him, and whom he believes.
//!
//! An [`Identity`] is a certificate with those that vouch for it, and the key that fits. A [`Directory`] has several and
//! gives each client the one for the name that it asks for. A [`Trust`] has certificates that others are judged by,
//! [`Asking`] asks clients for theirs, and [`Details`] are what one says. All are values: files are read by the caller.
//!
//! Deliberately absent: sockets and handshakes.

mod asking;
mod certificate;
mod client;
mod details;
mod directory;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
mod hello;
mod identity;
mod signature;
mod trust;

pub use self::{
    asking::Asking,
    client::{client, is_server_name},
    details::{Details, fingerprint},
    directory::Directory,
    hello::{HANDSHAKE, Said},
    identity::{Error, Identity, not_after, provider, versions},
    signature::{schemes, verify_12, verify_13},
    trust::{SYSTEM, Trust},
};
