//! nginx with lua-nginx-module, one worker, set up to be fast.

use std::{
    fs::{self, File},
    net::{SocketAddr, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use anyhow::{Context as _, Result};
use tempfile::TempDir;
use tidegate_testkit::{
    eventually,
    process::{self, Signal},
    unused_address,
};

use super::{Files, Peer};

struct Nginx {
    child: Child,
    addr: SocketAddr,
    version: String,
    /// Configuration, scripts, log and temporary files.
    _dir: TempDir,
}

/// Starts nginx with what `blocks` puts into its `http` block, given its folder and the address to listen on.
pub fn nginx(
    binary: &Path,
    files: Files<'_>,
    blocks: impl FnOnce(&Path, SocketAddr) -> String,
) -> Result<Box<dyn Peer>> {
    let dir = tempfile::tempdir()?;
    let addr = unused_address();
    for (name, content) in files {
        fs::write(dir.path().join(name), content)?;
    }
    let config = dir.path().join("nginx.conf");
    fs::write(&config, configuration(dir.path(), &blocks(dir.path(), addr)))?;

    let version = Command::new(binary).arg("-v").output().context("nginx -v")?;
    let log = File::create(dir.path().join("stderr"))?;
    let child = Command::new(binary)
        .arg("-p")
        .arg(dir.path())
        .arg("-c")
        .arg(&config)
        .stdin(Stdio::null())
        .stderr(log)
        .spawn()
        .context("nginx")?;
    // From here on it is stopped, whatever happens.
    let nginx =
        Nginx { child, addr, version: String::from_utf8_lossy(&version.stderr).trim().to_owned(), _dir: dir };
    eventually(Duration::from_secs(10), "nginx listens (libnginx-mod-http-lua is needed)", || {
        TcpStream::connect(addr).is_ok()
    });
    Ok(Box::new(nginx))
}

impl Peer for Nginx {
    fn name(&self) -> &'static str {
        "nginx"
    }

    fn version(&self) -> String {
        self.version.clone()
    }

    fn addr(&self) -> SocketAddr {
        self.addr
    }

    fn processes(&self) -> Vec<u32> {
        let master = self.child.id();
        [vec![master], process::children(master)].concat()
    }

    fn server(&self) -> u32 {
        let master = self.child.id();
        process::children(master).first().copied().unwrap_or(master)
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // The master ends its worker, which a kill of the master would leave behind.
        process::signal(self.child.id(), Signal::TERM);
        let _ = self.child.wait();
    }
}

fn configuration(dir: &Path, blocks: &str) -> String {
    let dir = dir.display();
    format!(
        "
load_module /usr/lib/nginx/modules/ndk_http_module.so;
load_module /usr/lib/nginx/modules/ngx_http_lua_module.so;
daemon off;
worker_processes 1;
pid {dir}/pid;
error_log {dir}/error.log warn;
events {{ worker_connections 8192; }}
http {{
    access_log off;
    default_type text/plain;
    tcp_nodelay on;
    keepalive_timeout 75s;
    keepalive_requests 1000000000;
    client_body_temp_path {dir}/body;
    proxy_temp_path {dir}/proxy;
    fastcgi_temp_path {dir}/fastcgi;
    uwsgi_temp_path {dir}/uwsgi;
    scgi_temp_path {dir}/scgi;
    {blocks}
}}
"
    )
}
