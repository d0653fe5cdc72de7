//! The server of the `openssl` command, which speaks TLS as others do.

use std::{
    net::{SocketAddr, TcpStream},
    path::Path,
    process::Command,
};

use super::{Process, ready};
use crate::{port::unused_address, wait::component};

#[derive(Debug)]
pub struct Openssl {
    /// Ends with it.
    _process: Process,
    address: SocketAddr,
}

impl Openssl {
    /// Listens with a certificate and its key; `options` of `openssl s_server` say what it does, and name files as they are
    /// called beside the certificate. `None`: it is not installed.
    pub fn serve((certificate, key): (&Path, &Path), options: &[&str]) -> Option<Self> {
        let mut command = Command::new(component("openssl")?);
        let address = unused_address();
        command.args(["s_server", "-accept", &address.to_string()]).args(options);
        command.arg("-cert").arg(certificate).arg("-key").arg(key);
        command.current_dir(certificate.parent().expect("a file is in a folder"));
        let process = Process::start(&mut command);
        ready("openssl s_server", || TcpStream::connect(address).is_ok());
        Some(Self { _process: process, address })
    }

    /// Where it listens.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }
}
