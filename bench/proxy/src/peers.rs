//! Both proxies, set up for the same work.

use std::{net::SocketAddr, path::Path};

use anyhow::{Result, ensure};
use bench_harness::peer::{self, Files, Peer};
use tidegate_testkit::http::{self, Response};

const FILES: Files<'_> = &[
    ("access.lua", include_str!("../lua/access.lua")),
    ("header_filter.lua", include_str!("../lua/header_filter.lua")),
];

/// More than the most connections of any cell, so that none is ever closed for lack of room.
const KEPT_CONNECTIONS: usize = 8_192;

pub(crate) fn tidegate(binary: &Path, origin: SocketAddr) -> Result<Box<dyn Peer>> {
    let config = format!(
        "\
limits: {{ upstreamIdleConnections: {KEPT_CONNECTIONS} }}
lua: {{ sharedDicts: {{ counters: 1MiB }} }}
upstreams:
  origin: {{ endpoints: ['{origin}'] }}
routes:
  - name: bench
    match: {{ path: /* }}
    upstream: origin
    lua: {{ access: access.lua, headerFilter: header_filter.lua }}
"
    );
    peer::gateway(binary, FILES, &config)
}

pub(crate) fn nginx(binary: &Path, origin: SocketAddr) -> Result<Box<dyn Peer>> {
    peer::nginx(binary, FILES, |dir, addr| {
        let dir = dir.display();
        format!(
            r#"
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
    }}"#
        )
    })
}

/// Sees to it that a peer does the work that is measured.
pub(crate) fn check(peer: &dyn Peer, bodies: &[usize]) -> Result<()> {
    for &body in bodies {
        let path = format!("/{body}");
        let Response { status, headers, body: bytes, .. } =
            http::request(peer.addr(), "GET", &path, &[("X-Tenant", "acme")], b"");
        let served_by = headers.one("x-served-by");
        ensure!(
            status == 200 && served_by == Some("bench") && bytes == vec![b'x'; body],
            "{} answers {path} with {status}, X-Served-By {served_by:?} and {} bytes",
            peer.name(),
            bytes.len(),
        );
    }
    Ok(())
}
