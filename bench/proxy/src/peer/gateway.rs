//! Tidegate with one worker, as `tidegate up` runs it: metrics, limits and timeouts on.

use std::{net::SocketAddr, path::Path, process::Command};

use tidegate_testkit::Tidegate;

use super::{ACCESS, HEADER_FILTER, KEPT_CONNECTIONS, Peer};

pub(crate) struct Gateway {
    tidegate: Tidegate,
    version: String,
}

pub(crate) fn start(binary: &Path, origin: SocketAddr) -> Gateway {
    let config = format!(
        "\
listeners: [{{ address: '{{listen}}' }}]
admin: {{ address: '{{admin}}' }}
workers: 1
accessLog: false
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
    let version = Command::new(binary).arg("--version").output();
    let version = version.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
    let tidegate = Tidegate::setup(binary)
        .file("access.lua", ACCESS)
        .file("header_filter.lua", HEADER_FILTER)
        .start(&config);
    Gateway { tidegate, version: version.unwrap_or_default() }
}

impl Peer for Gateway {
    fn name(&self) -> &'static str {
        "tidegate"
    }

    fn version(&self) -> String {
        self.version.clone()
    }

    fn addr(&self) -> SocketAddr {
        self.tidegate.addr()
    }

    fn processes(&self) -> Vec<u32> {
        vec![self.tidegate.pid()]
    }

    fn server(&self) -> u32 {
        self.tidegate.pid()
    }
}
