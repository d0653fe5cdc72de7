//! The client's connection, lent to a script by `ngx.req.socket`.

use std::{
    cell::Cell,
    os::fd::OwnedFd,
    rc::Rc,
    sync::{Arc, Mutex},
};

use rustls::ServerConnection;

/// A second handle of the connection, and what has come over it already.
#[derive(Debug)]
pub struct Lent {
    /// A stream that does not block.
    pub stream: OwnedFd,
    pub received: Vec<u8>,
    /// How many more bytes are the script's to receive; it counts them down. `None`: all that come.
    pub left: Option<Rc<Cell<u64>>>,
    /// What is spoken over it, if that is TLS. Nobody else uses it while a script runs.
    pub tls: Option<Arc<Mutex<ServerConnection>>>,
}
