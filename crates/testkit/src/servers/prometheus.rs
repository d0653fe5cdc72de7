//! Prometheus, without anything to watch.

use std::{fs, net::TcpStream, process::Command};

use tempfile::TempDir;

use super::{Authority, Process, ready};
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
        Self::start_with(None)
    }

    /// One that speaks TLS, with clients that `authority` knows.
    pub fn start_secure(authority: &Authority) -> Option<Self> {
        Self::start_with(Some(authority))
    }

    fn start_with(authority: Option<&Authority>) -> Option<Self> {
        let program = component("prometheus")?;
        let (port, folder) = (free_port(), tempfile::tempdir().expect("a temporary directory can be made"));
        let config = folder.path().join("prometheus.yml");
        fs::write(&config, "global: {}\n").expect("a file can be written");
        let mut command = Command::new(program);
        command.arg(format!("--config.file={}", config.display()));
        command.arg(format!("--storage.tsdb.path={}", folder.path().join("data").display()));
        command.arg(format!("--web.listen-address=127.0.0.1:{port}"));
        if let Some(authority) = authority {
            let ((certificate, key), web) = (authority.server(), folder.path().join("web.yml"));
            let settings = serde_json::json!({ "tls_server_config": {
                "cert_file": certificate,
                "key_file": key,
                "client_auth_type": "RequireAndVerifyClientCert",
                "client_ca_file": authority.certificate(),
            }});
            fs::write(&web, settings.to_string()).expect("a file can be written");
            command.arg(format!("--web.config.file={}", web.display()));
        }
        let prometheus = Self { _process: Process::start(&mut command), port, _folder: folder };
        ready("prometheus", || TcpStream::connect(("127.0.0.1", port)).is_ok());
        Some(prometheus)
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Where it speaks TLS.
    pub fn secure_url(&self) -> String {
        format!("https://localhost:{}", self.port)
    }
}
