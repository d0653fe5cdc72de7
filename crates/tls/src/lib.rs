//! Who a server is to its clients: certificates and keys, read from PEM, checked, and chosen by the name a client asks for.
//!
//! An [`Identity`] is a certificate with those that vouch for it, and the key that fits. A [`Directory`] has several and
//! gives each client the one for the name that it asks for. Both are values: files are read by the caller, and
//! whether a certificate has expired is asked with the time as an argument.
//!
//! Deliberately absent: sockets and handshakes, and the judging of others' certificates.

mod certificate;
mod directory;
mod identity;

pub use self::{
    directory::Directory,
    identity::{Error, Identity, not_after, provider},
};
