//! `lua` and `vars`: what Lua is given, and the phases it runs in.

use schemars::{Schema, SchemaGenerator, json_schema};
use tidegate_core::{DictName, snapshot::TlsVersion};

use crate::{
    decode::{Decode, Leaf, List, Map, record},
    leaf::{
        address::NameServer,
        lua::{ChunkName, EnvironmentName, Source, VariableName},
        text,
    },
    report::Report,
    units::{Count, GIB, HOUR, KIB, MIB, Size, Span},
    yaml::node::{Kind, Node},
};

record! {
    /// What every Lua VM is given, and the phases that routes without a script of their own get. A script is code,
    /// or one line that ends in `.lua` and is a file relative to the folder of the configuration.
    Lua {
        /// `package.path`. `$prefix` is the folder of the configuration, `;;` LuaJIT's own path. Empty: LuaJIT's own.
        package_path: text::Text = default("''"),
        /// `package.cpath`, likewise.
        package_cpath: text::Text = default("''"),
        /// `ngx.shared.NAME`, shared by all workers, with the bytes that each may hold.
        shared_dicts: Map<DictName, Size<{ 4 * KIB }, { 64 * GIB }>> = default("{}"),
        /// Pools of threads for `ngx.run_worker_thread`, with the most threads that each may start in each worker.
        thread_pools: Map<DictName, Count<1, 1_024>> = default("{}"),
        /// Whether code is kept. `false`, for development: every request gets a VM of its own, and loads all code anew.
        code_cache: bool = default("true"),
        /// When a VM is made, before it serves.
        init: Chunk = optional,
        /// In each worker, before it serves.
        init_worker: Chunk = optional,
        /// In each worker, when it leaves.
        exit_worker: Chunk = optional,
        /// For every request, before its route is looked for.
        server_rewrite: Chunk = optional,
        /// As `rewrite` of a route, for routes that have none.
        rewrite: Chunk = optional,
        /// As `access` of a route, for routes that have none.
        access: Chunk = optional,
        /// As `precontent` of a route, for routes that have none.
        precontent: Chunk = optional,
        /// As `headerFilter` of a route, for routes that have none.
        header_filter: Chunk = optional,
        /// As `bodyFilter` of a route, for routes that have none.
        body_filter: Chunk = optional,
        /// As `log` of a route, for routes that have none.
        log: Chunk = optional,
        /// Environment variables that `os.getenv` sees: `NAME`, or `NAME=value`. Without it: all.
        env: List<EnvironmentName> = optional,
        /// The request body is read before Lua runs; a route may say otherwise.
        need_request_body: bool = default("false"),
        /// A client that goes away ends the Lua that runs for it and waits; a route may say otherwise.
        check_client_abort: bool = default("false"),
        /// `Content-Type` of answers that Lua makes and names none for; a route may say otherwise.
        default_type: text::Text = default("text/plain"),
        /// Whether answers that Lua makes get the default type; a route may say otherwise.
        use_default_type: bool = default("true"),
        /// Whether functions that wait are refused where OpenResty refuses them.
        strict_contexts: bool = default("false"),
        /// Timers that wait, for each worker; one more is refused.
        max_pending_timers: Count<0, 10_000_000> = default("100000"),
        /// Timers whose functions run at once, for each worker; one more does not run.
        max_running_timers: Count<1, 1_000_000> = default("10000"),
        /// Whether an answer to HTTP/1.0 is held back until its length is known.
        http10_buffering: bool = default("true"),
        /// Whether `ngx.header.a_b` is the header `a-b`.
        transform_underscores_in_response_headers: bool = default("true"),
        /// Compiled regular expressions that each VM keeps for the option `o`.
        regex_cache_max_entries: Count<0, 1_000_000> = default("1024"),
        /// PCRE2's match limit; 0 is its own.
        regex_match_limit: Count<0, 1_000_000_000> = default("0"),
        /// Recent lines of the log that each worker keeps for `ngx.errlog.get_logs`. Without it: none.
        capture_error_log: Size<{ 4 * KIB }, GIB> = optional,
        /// Whether scripts of routes, `serverRewrite` and `vars` are kept from files, processes, FFI, the debug library,
        /// bytecode and each other; a route may say otherwise.
        sandbox: bool = default("false"),
        /// What `ngx.socket` does unless a script says otherwise.
        sockets: Sockets = default("{}"),
        /// What a run may use up before it is ended with an error.
        budget: Budget = default("{}"),
    }
}

record! {
    /// What a run may use up before it is ended with an error.
    Budget {
        /// CPU time between two waits. 0s: no bound.
        cpu: Span<0, HOUR> = default("1s"),
        /// Memory of a worker's VM, at which the run that goes on is ended. 0B: no bound.
        memory: Size<0, { 64 * GIB }> = default("1GiB"),
    }
}

record! {
    /// What the Lua of one request may use up, beside `lua.budget`, before it is ended with an error.
    RouteBudget {
        /// CPU time, all phases together. 0s: no bound.
        cpu: Span<0, HOUR> = default("0s"),
        /// Memory that it holds more at its end than at its beginning, or in between. 0B: no bound.
        memory: Size<0, { 64 * GIB }> = default("0B"),
    }
}

type Wait = Span<0, { 24 * HOUR }>;

record! {
    /// What `ngx.socket` does unless a script says otherwise.
    Sockets {
        /// Until a connection stands.
        connect_timeout: Wait = default("60s"),
        /// Until a peer takes more.
        send_timeout: Wait = default("60s"),
        /// Between two parts of what a peer sends.
        read_timeout: Wait = default("60s"),
        /// Until an unused connection is closed.
        keep_alive_timeout: Wait = default("60s"),
        /// Unused connections that are kept for one peer.
        pool_size: Count<1, 65_536> = default("30"),
        /// What is asked of a peer at once, at first; more as more comes.
        buffer_size: Size<1, MIB> = default("4KiB"),
        /// Whether failures are logged besides being returned.
        log_errors: bool = default("true"),
        /// File of certificates in PEM that servers must be trusted by when `sslhandshake` verifies them. `$prefix` is the
        /// folder of the configuration. Empty: those that the system trusts.
        trusted_certificate: text::Text = default("''"),
        /// Certificates that may stand between a server's and one that is trusted.
        verify_depth: Count<0, 100> = default("1"),
        /// Versions of TLS that are spoken. Without it, both.
        tls_protocols: List<TlsVersion> = optional,
        /// Name servers, by IP address. Empty: those of `/etc/resolv.conf`.
        resolver: List<NameServer> = default("[]"),
        /// Until a name must have been resolved.
        resolver_timeout: Wait = default("30s"),
    }
}

/// A script: code, a file, or code with a chunk name of its own.
#[derive(Debug)]
pub(crate) enum Chunk {
    Plain(text::Code),
    Named(NamedChunk),
}

record! {
    /// Code with the name that errors show.
    NamedChunk {
        /// The code.
        source: Source = required("ngx.exit(403)"),
        /// The name in Lua's notation: after `=` it is shown as it is, after `@` it is a file. Lines count from the
        /// code's first.
        name: ChunkName = required("'=access'"),
    }
}

impl Decode for Chunk {
    fn decode(node: &Node, report: &mut Report<'_>) -> Option<Self> {
        match &node.kind {
            Kind::Map(_) => NamedChunk::decode(node, report).map(Self::Named),
            _ => text::Code::decode(node, report).map(Self::Plain),
        }
    }

    fn schema(generator: &mut SchemaGenerator) -> Schema {
        json_schema!({ "anyOf": [text::Code::form(), NamedChunk::schema(generator)] })
    }
}

/// Variables in the order in which they are set.
pub(crate) type Vars = Map<VariableName, Var>;

/// Text with `$variables` in it, or Lua.
#[derive(Debug)]
pub(crate) enum Var {
    Text(text::Text),
    Computed(Computed),
}

record! {
    /// A variable that Lua computes: what the code returns.
    Computed {
        /// The code; it cannot wait.
        lua: Chunk = required("return ngx.arg[1] + 1"),
        /// `ngx.arg`: texts that may have `$variables`.
        args: List<text::Text> = default("[]"),
    }
}

impl Decode for Var {
    fn decode(node: &Node, report: &mut Report<'_>) -> Option<Self> {
        match &node.kind {
            Kind::Map(_) => Computed::decode(node, report).map(Self::Computed),
            _ => text::Text::decode(node, report).map(Self::Text),
        }
    }

    fn schema(generator: &mut SchemaGenerator) -> Schema {
        json_schema!({ "anyOf": [text::Text::form(), Computed::schema(generator)] })
    }
}
