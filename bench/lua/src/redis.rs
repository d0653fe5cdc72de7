//! A redis-server that has one key.

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    process::{Child, Command, Stdio},
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use bench_harness::pinned;
use tempfile::TempDir;
use tidegate_testkit::{component, eventually, unused_address};

pub(crate) struct Redis {
    child: Child,
    addr: SocketAddr,
    _dir: TempDir,
}

impl Redis {
    /// On the core of the load: what redis-server uses up is nobody's cost here.
    pub(crate) fn start(core: usize) -> Result<Self> {
        let binary = component("redis-server").context("scripts/install-test-deps installs redis-server")?;
        let (dir, addr) = (tempfile::tempdir()?, unused_address());
        let mut command = Command::new(binary);
        command.current_dir(dir.path()).stdin(Stdio::null()).stdout(Stdio::null());
        command.args(["--bind", "127.0.0.1", "--save", "", "--port", &addr.port().to_string()]);
        let redis = Self { child: pinned(core, || command.spawn())??, addr, _dir: dir };
        eventually(Duration::from_secs(10), "redis-server listens", || TcpStream::connect(addr).is_ok());
        let mut stream = TcpStream::connect(addr)?;
        stream.write_all(b"SET greeting \"hello from redis\"\r\n")?;
        let mut answer = [0; 5];
        stream.read_exact(&mut answer)?;
        ensure!(&answer == b"+OK\r\n", "redis-server does not keep a key");
        Ok(redis)
    }

    pub(crate) fn port(&self) -> u16 {
        self.addr.port()
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        // It may be gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
