//! Both servers, with a location for each handler.

use std::{fmt::Write as _, net::SocketAddr, path::Path};

use anyhow::Result;
use bench_harness::peer::{self, Files, Peer};

const FILES: Files<'_> = &[
    ("hello.lua", include_str!("../lua/hello.lua")),
    ("json.lua", include_str!("../lua/json.lua")),
    ("headers.lua", include_str!("../lua/headers.lua")),
    ("counter.lua", include_str!("../lua/counter.lua")),
    ("match.lua", include_str!("../lua/match.lua")),
    ("gsub.lua", include_str!("../lua/gsub.lua")),
    ("redis.lua", include_str!("../lua/redis.lua")),
    ("subrequest.lua", include_str!("../lua/subrequest.lua")),
    ("token.lua", include_str!("../lua/token.lua")),
    ("jwt.lua", include_str!("../lua/jwt.lua")),
    ("inner.lua", include_str!("../lua/inner.lua")),
    ("header_filter.lua", include_str!("../lua/header_filter.lua")),
    ("body_filter.lua", include_str!("../lua/body_filter.lua")),
];

/// Handlers that make the answer: `/NAME` runs `NAME.lua`.
const CONTENT: [&str; 9] =
    ["hello", "json", "headers", "counter", "match", "gsub", "redis", "subrequest", "token"];

/// The files, with the port of the redis-server in its place.
pub(crate) fn files(redis: u16) -> Vec<(&'static str, String)> {
    FILES.iter().map(|&(name, text)| (name, text.replace("REDIS_PORT", &redis.to_string()))).collect()
}

pub(crate) fn tidegate(binary: &Path, files: &[(&str, String)], origin: SocketAddr) -> Result<Box<dyn Peer>> {
    let mut config = format!(
        "\
lua:
  packagePath: '$prefix/?.lua;;'
  sharedDicts: {{ counters: 1MiB }}
upstreams:
  origin: {{ endpoints: ['{origin}'] }}
routes:
  - match: {{ path: /65536 }}
    upstream: origin
    lua: {{ headerFilter: header_filter.lua, bodyFilter: body_filter.lua }}
  - match: {{ path: /inner }}
    internal: true
    lua: {{ content: inner.lua }}
"
    );
    for name in CONTENT {
        // Writing to a string cannot fail.
        let _ = writeln!(config, "  - match: {{ path: /{name} }}\n    lua: {{ content: {name}.lua }}");
    }
    peer::gateway(binary, &borrowed(files), &config)
}

pub(crate) fn nginx(binary: &Path, files: &[(&str, String)], origin: SocketAddr) -> Result<Box<dyn Peer>> {
    peer::nginx(binary, &borrowed(files), |dir, addr| {
        let dir = dir.display();
        let mut locations = String::new();
        for name in CONTENT {
            // Writing to a string cannot fail.
            let _ = writeln!(locations, "location = /{name} {{ content_by_lua_file {dir}/{name}.lua; }}");
        }
        format!(
            r#"
    lua_package_path "{dir}/?.lua;;";
    lua_shared_dict counters 1m;
    upstream origin {{
        server {origin};
        keepalive 1024;
        keepalive_requests 1000000000;
    }}
    server {{
        listen {addr} backlog=4096;
        {locations}
        location = /inner {{
            internal;
            content_by_lua_file {dir}/inner.lua;
        }}
        location = /65536 {{
            header_filter_by_lua_file {dir}/header_filter.lua;
            body_filter_by_lua_file {dir}/body_filter.lua;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            # The body never goes to disk.
            proxy_buffers 16 16k;
            proxy_max_temp_file_size 0;
            proxy_pass http://origin;
        }}
    }}"#
        )
    })
}

fn borrowed<'a>(files: &'a [(&'a str, String)]) -> Vec<(&'a str, &'a str)> {
    files.iter().map(|(name, text)| (*name, text.as_str())).collect()
}
