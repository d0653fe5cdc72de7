//! nginx with lua-nginx-module, one worker, set up to be fast.

use std::{
    fs::{self, File},
    net::SocketAddr,
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use anyhow::{Context as _, Result};
use tempfile::TempDir;
use tidegate_testkit::{
    eventually, http,
    process::{self, Signal},
    unused_address,
};

use super::{ACCESS, HEADER_FILTER, KEPT_CONNECTIONS, Peer};

pub(crate) struct Nginx {
    child: Child,
    addr: SocketAddr,
    version: String,
    /// Configuration, scripts, log and temporary files.
    _dir: TempDir,
}

impl Nginx {
    pub(crate) fn start(binary: &Path, origin: SocketAddr) -> Result<Self> {
        let dir = tempfile::tempdir()?;
        let addr = unused_address();
        fs::write(dir.path().join("access.lua"), ACCESS)?;
        fs::write(dir.path().join("header_filter.lua"), HEADER_FILTER)?;
        let config = dir.path().join("nginx.conf");
        fs::write(&config, configuration(dir.path(), addr, origin))?;

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
        let nginx = Self {
            child,
            addr,
            version: String::from_utf8_lossy(&version.stderr).trim().to_owned(),
            _dir: dir,
        };
        eventually(Duration::from_secs(10), "nginx answers (libnginx-mod-http-lua is needed)", || {
            http::try_get(addr, "/0").is_ok()
        });
        Ok(nginx)
    }
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

fn configuration(dir: &Path, addr: SocketAddr, origin: SocketAddr) -> String {
    let dir = dir.display();
    format!(
        r#"
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
    lua_shared_dict counters 1m;
    upstream origin {{
        server {origin};
        keepalive {KEPT_CONNECTIONS};
        keepalive_requests 1000000000;
        keepalive_timeout 50s;
    }}
    server {{
        listen {addr} backlog=4096;
        location / {{
            access_by_lua_file {dir}/access.lua;
            header_filter_by_lua_file {dir}/header_filter.lua;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_set_header Host $http_host;
            proxy_set_header Via "1.1 nginx";
            proxy_set_header X-Forwarded-For $remote_addr;
            proxy_set_header X-Forwarded-Proto $scheme;
            proxy_set_header X-Forwarded-Host $http_host;
            proxy_set_header X-Request-Id $request_id;
            # A body of 64 KiB never goes to disk.
            proxy_buffers 16 16k;
            proxy_max_temp_file_size 0;
            proxy_pass http://origin;
        }}
    }}
}}
"#
    )
}
