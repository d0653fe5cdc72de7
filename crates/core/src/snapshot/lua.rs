//! What Lua is given: settings of every VM, scripts, and the phases they run in.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};

use crate::{
    DictName, FleetId,
    snapshot::{Template, TlsVersions},
};

/// What every Lua VM of the node is given.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(clippy::struct_excessive_bools, reason = "independent settings")]
pub struct LuaSettings {
    /// `package.path`, `;;` being LuaJIT's own; empty: LuaJIT's own.
    pub package_path: String,
    /// `package.cpath`, likewise.
    pub package_cpath: String,
    /// Folder of the configuration, with a slash at its end: `ngx.config.prefix()`. Empty: where the process runs.
    pub prefix: String,
    /// `ngx.shared.NAME`, with the bytes that each may hold.
    pub shared_dicts: BTreeMap<DictName, u64>,
    /// Threads of each pool of `ngx.run_worker_thread`, in each worker.
    pub thread_pools: BTreeMap<DictName, u32>,
    /// Whether code is kept from one request to the next.
    pub code_cache: bool,
    /// Runs when a VM is made, before anything is served.
    pub init: Option<Script>,
    /// Runs in each worker before it serves.
    pub init_worker: Option<Script>,
    /// Runs in each worker when it leaves.
    pub exit_worker: Option<Script>,
    /// Runs for each request before its route is looked for.
    pub server_rewrite: Option<Script>,
    /// Environment variables that `os.getenv` sees, as `NAME` or `NAME=value`; `None`: all of the process.
    pub env: Option<Vec<String>>,
    /// Whether functions that wait are refused where OpenResty refuses them.
    pub strict_contexts: bool,
    /// Timers that wait; one more is refused. Default 100,000.
    pub max_pending_timers: usize,
    /// Timers whose functions run at once; one more does not run. Default 10,000.
    pub max_running_timers: usize,
    /// Whether an answer to HTTP/1.0 is held back until its length is known.
    pub http10_buffering: bool,
    /// Whether `ngx.header.a_b` is the header `a-b`.
    pub transform_underscores: bool,
    /// Compiled regular expressions that each VM keeps for the option `o`. Default 1,024.
    pub regex_cache_entries: usize,
    /// PCRE2's match limit; 0: its own.
    pub regex_match_limit: u32,
    /// Recent lines of the log that each worker keeps for `ngx.errlog.get_logs`, in bytes; 0: none.
    pub captured_log_bytes: usize,
    /// Whether scripts that are of no route, but run for requests, are sandboxed.
    pub sandbox: bool,
    /// The fleet that the VM is an instance of, if it is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fleet: Option<FleetId>,
    pub sockets: SocketSettings,
    pub budget: Budget,
}

/// What a run of Lua, or all Lua of a request, may use up before it is ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Budget {
    /// CPU time between two waits; zero: no bound. Default 1 s.
    pub cpu: Duration,
    /// Memory of a VM that a run may not go on with; 0: no bound. Default 1 GiB.
    pub memory_bytes: u64,
}

impl Budget {
    /// Bounds nothing.
    pub const NONE: Self = Self { cpu: Duration::ZERO, memory_bytes: 0 };
}

impl Default for Budget {
    fn default() -> Self {
        Self { cpu: Duration::from_secs(1), memory_bytes: 1 << 30 }
    }
}

impl Default for LuaSettings {
    fn default() -> Self {
        Self {
            package_path: String::new(),
            package_cpath: String::new(),
            prefix: String::new(),
            shared_dicts: BTreeMap::new(),
            thread_pools: BTreeMap::new(),
            code_cache: true,
            init: None,
            init_worker: None,
            exit_worker: None,
            server_rewrite: None,
            env: None,
            strict_contexts: false,
            max_pending_timers: 100_000,
            max_running_timers: 10_000,
            http10_buffering: true,
            transform_underscores: true,
            regex_cache_entries: 1_024,
            regex_match_limit: 0,
            captured_log_bytes: 0,
            sandbox: false,
            fleet: None,
            sockets: SocketSettings::default(),
            budget: Budget::default(),
        }
    }
}

/// What `ngx.socket` does unless a script says otherwise.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SocketSettings {
    /// Default 60 s, as the next two.
    pub connect_timeout: Duration,
    pub send_timeout: Duration,
    pub read_timeout: Duration,
    /// How long an unused connection is kept. Default 60 s.
    pub keep_alive_timeout: Duration,
    /// Unused connections that are kept for one peer. Default 30.
    pub pool_size: usize,
    /// Bytes that are read at once. Default 4 KiB.
    pub buffer_bytes: usize,
    /// Whether failures are logged besides being returned.
    pub log_errors: bool,
    /// File of the certificates in PEM that servers must be trusted by; empty: those of the system.
    pub trusted_certificate: String,
    /// How many certificates may stand between a server's and one that is trusted. Default 1.
    pub verify_depth: u32,
    pub tls_versions: TlsVersions,
    /// Name servers, as `IP` or `IP:port`; empty: those of `/etc/resolv.conf`.
    pub resolver: Vec<String>,
    /// Until a name must have been resolved. Default 30 s.
    pub resolver_timeout: Duration,
}

impl Default for SocketSettings {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_mins(1),
            send_timeout: Duration::from_mins(1),
            read_timeout: Duration::from_mins(1),
            keep_alive_timeout: Duration::from_mins(1),
            pool_size: 30,
            buffer_bytes: 4 << 10,
            log_errors: true,
            trusted_certificate: String::new(),
            verify_depth: 1,
            tls_versions: TlsVersions::default(),
            resolver: Vec::new(),
            resolver_timeout: Duration::from_secs(30),
        }
    }
}

/// A piece of Lua, read when the configuration was.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Script {
    /// The chunk name. Without Lua's `@` or `=` in front: a file's path; for inline code the path of the
    /// configuration, whose source then starts with so many empty lines that Lua's line numbers are the
    /// configuration's own.
    pub name: Arc<str>,
    pub source: Arc<str>,
    /// It is a file that could not be read; whatever needs it fails when it is to run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unreadable: Option<Unreadable>,
}

/// Why a script is not there.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Unreadable {
    pub why: Arc<str>,
    /// There is no such file, rather than one that may not be read.
    pub is_missing: bool,
}

impl Script {
    pub fn new(name: impl Into<Arc<str>>, source: impl Into<Arc<str>>) -> Self {
        Self { name: name.into(), source: source.into(), unreadable: None }
    }

    /// Whether it stands in a file of its own.
    pub fn is_file(&self) -> bool {
        self.name.ends_with(".lua") && !self.name.starts_with('=')
    }

    /// What it is called to people: its path from the folder of the configuration, with its line where it is a part of that.
    pub fn label(&self, folder: &str) -> String {
        let name = self.name.strip_prefix(['@', '=']).unwrap_or(&self.name);
        let name = name.strip_prefix(folder).unwrap_or(name);
        let above = self.source.bytes().take_while(|&byte| byte == b'\n').count();
        if self.is_file() || self.name.starts_with(['@', '=']) {
            name.to_owned()
        } else {
            format!("{name}:{}", above + 1)
        }
    }
}

/// The Lua of one route, by phase.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Hooks {
    pub rewrite: Option<Script>,
    pub access: Option<Script>,
    pub precontent: Option<Script>,
    /// Chooses where each attempt to reach the upstream goes.
    pub balancer: Option<Script>,
    /// Makes the answer itself; the route then has no upstream.
    pub content: Option<Script>,
    pub header_filter: Option<Script>,
    pub body_filter: Option<Script>,
    pub log: Option<Script>,
}

impl Hooks {
    /// All scripts there are.
    pub fn scripts(&self) -> impl Iterator<Item = &Script> {
        let Self { rewrite, access, precontent, balancer, content, header_filter, body_filter, log } = self;
        [rewrite, access, precontent, balancer, content, header_filter, body_filter, log]
            .into_iter()
            .flatten()
    }

    pub fn scripts_mut(&mut self) -> impl Iterator<Item = &mut Script> {
        let Self { rewrite, access, precontent, balancer, content, header_filter, body_filter, log } = self;
        [rewrite, access, precontent, balancer, content, header_filter, body_filter, log]
            .into_iter()
            .flatten()
    }
}

/// A variable that a request gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assignment {
    /// Lower case, without `$`.
    pub name: String,
    pub value: Value,
}

/// What a variable is set to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    Text(Template),
    /// What a script returns; the texts are its `ngx.arg`.
    Lua {
        script: Script,
        args: Vec<Template>,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_is_called_by_where_it_stands() {
        let label = |name: &str, source: &str| Script::new(name, source).label("/etc/tidegate/");
        assert_eq!(label("/etc/tidegate/hooks/auth.lua", "\n\nreturn"), "hooks/auth.lua");
        assert_eq!(label("/opt/auth.lua", ""), "/opt/auth.lua");
        assert_eq!(label("/etc/tidegate/tidegate.yaml", "\n\n\nngx.exit(403)"), "tidegate.yaml:4");
        assert_eq!(label("tidegate.yaml", "ngx.exit(403)"), "tidegate.yaml:1");
        assert_eq!(label("=access_by_lua", "\nx"), "access_by_lua");
    }
}
