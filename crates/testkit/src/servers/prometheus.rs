//! Prometheus, without anything to watch.

use std::{fs, net::TcpStream, process::Command};

use tempfile::TempDir;

use super::{Process, ready};
use crate::{port::free_port, wait::component};

#[derive(Debug)]
pub struct Prometheus {
    _process: Process,
    port: u16,
    _folder: TempDir,
}

impl Prometheus {
    /// `None`: it is not installed.
    pub fn start() -> Option<Self> {
        let program = component("prometheus")?;
        let (port, folder) = (free_port(), tempfile::tempdir().expect("a temporary directory can be made"));
        let config = folder.path().join("prometheus.yml");
        fs::write(&config, "global: {}\n").expect("a file can be written");
        let mut command = Command::new(program);
        command.arg(format!("--config.file={}", config.display()));
        command.arg(format!("--storage.tsdb.path={}", folder.path().join("data").display()));
        command.arg(format!("--web.listen-address=127.0.0.1:{port}"));
        let prometheus = Self { _process: Process::start(&mut command), port, _folder: folder };
        ready("prometheus", || TcpStream::connect(("127.0.0.1", port)).is_ok());
        Some(prometheus)
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }
}
