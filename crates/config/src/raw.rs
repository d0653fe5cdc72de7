//! The file as it is written: one type for each mapping, one field for each key.
//!
//! This is the single model of the file. Decoder, JSON Schema and reference page come from it, so a field's
//! doc says what it means, and its type says unit and range.

use std::net::SocketAddr;

use ipnet::IpNet;
use schemars::{Schema, SchemaGenerator, json_schema};
use tidegate_core::{
    FleetId, SourceId, UpstreamId,
    policy::Mode,
    snapshot::{
        Address, AnswerFraming, ClientVerification, ErrorLevel, ErrorLogFormat, ErrorPages, TlsVersion,
    },
};

use crate::{
    decode::{Decode, Leaf, List, Located, Map, record},
    leaf::text,
    report::Report,
    units::{Count, GIB, HOUR, KIB, MIB, Number, Percent, SECOND, Size, Span},
    yaml::node::{Kind, Node},
};

pub(crate) mod bands;
pub(crate) mod fleet;
pub(crate) mod lua;
pub(crate) mod route;
pub(crate) mod scenario;
pub(crate) mod source;

pub(crate) use {
    fleet::Fleet,
    lua::{Lua, Vars},
    route::{Route, Upstream, UpstreamTls},
    source::Source,
};

record! {
    /// What one Tidegate serves and how far it scales.
    File {
        /// Addresses that requests are accepted on. At least one.
        listeners: List<Listener> = required("[{ address: 0.0.0.0:8000 }]"),
        /// Admin API, metrics and health pages.
        admin: Admin = default("{}"),
        /// Worker threads that serve requests: `auto` is one per processor; a mapping has their number follow what they
        /// do, as a fleet that is called `workers`. Their number, `min` and `max` are read at start only.
        workers: Workers = default("auto"),
        /// Whether `tidegate chaos` may make things go wrong here.
        chaos: Chaos = default("{}"),
        /// What is logged of each request, as JSON lines. `false`: nothing.
        access_log: AccessLog = default("false"),
        /// How the gateway, and Lua by `ngx.log`, say what happens.
        error_log: ErrorLog = default("{}"),
        /// What answers of the gateway itself look like.
        answers: Answers = default("{}"),
        /// What is kept on disk of what is decided, learned and demanded. `false`: nothing. Read at start only.
        state: State = default("{}"),
        /// The longest that each wait may take. A wait ends up to 200 ms late.
        timeouts: Timeouts = default("{}"),
        /// The most of everything that a client or an upstream may make a node hold.
        limits: Limits = default("{}"),
        /// Peers whose `X-Forwarded-*` and `X-Request-Id` headers are believed and extended.
        trusted_proxies: List<IpNet> = default("[]"),
        /// What every Lua VM is given.
        lua: Lua = default("{}"),
        /// Variables that every request gets, before its route's own.
        vars: Vars = default("{}"),
        /// Where work waits that no request tells of, by name: queues, streams, queries.
        sources: Map<SourceId, Source> = default("{}"),
        /// Sets of interchangeable instances that grow and shrink, by name.
        fleets: Map<FleetId, Fleet> = default("{}"),
        /// Groups of endpoints that serve the same thing, by name.
        upstreams: Map<UpstreamId, Upstream> = default("{}"),
        /// Requests of one kind and what becomes of them. An exact path wins over a regular expression,
        /// that over the longest prefix; then more conditions win, then the order here.
        routes: List<Route> = default("[]"),
    }
    later: ["plugins", "consumers"]
}

record! {
    /// An address that requests are accepted on.
    Listener {
        /// IP address and port; `0.0.0.0` and `[::]` are all addresses of the machine. Or `unix:PATH`, a Unix socket, relative
        /// to the folder of the configuration; everybody on the machine may connect to it who may go to its folder.
        address: Address = required("0.0.0.0:8000"),
        /// Clients speak TLS, and get one of these certificates: the one for the host that they ask for, or else the first. A
        /// single mapping is a list of one. Files are read anew when they have changed.
        tls: Certificates = optional,
        /// Versions of TLS that are spoken; `sslClientHello` may choose others for a client. Without it, both.
        tls_protocols: List<TlsVersion> = optional,
        /// Clients are asked for certificates of theirs.
        client_certificates: ClientCertificates = optional,
        /// What Lua does before there is a request.
        lua: ListenerLua = default("{}"),
    }
}

record! {
    /// A certificate of a server, and its key.
    KeyPair {
        /// File in PEM, relative to the folder of the configuration: the certificate, then those that vouch for it.
        certificate: text::File = required("tls/example.com.pem"),
        /// File of its private key in PEM, not encrypted. Nobody else should be able to read it.
        key: text::File = required("tls/example.com.key"),
        /// File of what its authority says of the certificate (OCSP), in DER, for clients that ask. It has to be renewed by
        /// whoever renews certificates, and is sent as it is.
        staple: text::File = optional,
    }
}

record! {
    /// Certificates that clients are asked for, and what becomes of clients without a good one.
    ClientCertificates {
        /// File of the certificates in PEM that theirs must be trusted by, relative to the folder of the configuration.
        trusted_certificate: text::File = required("tls/clients.pem"),
        /// `required`: 400 for clients without a certificate that is trusted; `optional`: 400 for those with one that is not;
        /// `optionalNoCa`: all are served, and `$ssl_client_verify` tells them apart.
        verify: ClientVerification = default("required"),
    }
}

record! {
    /// What Lua does before there is a request.
    ListenerLua {
        /// When a client has said what it wants: it may choose the versions of TLS (`ngx.ssl.clienthello`), wait, and turn
        /// clients away.
        ssl_client_hello: lua::Chunk = optional,
        /// After that, for a client that would go on with a session: it may give the session if it has been kept
        /// (`ngx.ssl.session`), and wait. With this or `sslSessionStore`, sessions are kept by scripts alone.
        ssl_session_fetch: lua::Chunk = optional,
        /// After that and before the TLS handshake: it may choose the certificate (`ngx.ssl`), wait, and turn clients
        /// away. With it, `tls` may be an empty list.
        ssl_certificate: lua::Chunk = optional,
        /// After a handshake that made a session: it may keep it for `sslSessionFetch` (`ngx.ssl.session`), also that of
        /// another node. What it keeps is a secret: whoever has it can read what is said with it.
        ssl_session_store: lua::Chunk = optional,
    }
}

/// Certificates, or a single one.
#[derive(Debug)]
pub(crate) struct Certificates(pub(crate) List<KeyPair>);

impl Decode for Certificates {
    fn decode(node: &Node, report: &mut Report<'_>) -> Option<Self> {
        match &node.kind {
            Kind::Map(_) => {
                let value = KeyPair::decode(node, report);
                Some(Self(List(vec![Located { value, place: node.place }])))
            }
            Kind::List(_) => List::decode(node, report).map(Self),
            Kind::Scalar(_) => {
                let message = format!("expected certificates with their keys, found {}", node.describe());
                report.error(node.visible(), message, "write `[{ certificate: FILE, key: FILE }]`");
                None
            }
        }
    }

    fn schema(generator: &mut SchemaGenerator) -> Schema {
        let (one, list) = (KeyPair::schema(generator), List::<KeyPair>::schema(generator));
        json_schema!({ "anyOf": [list, one] })
    }
}

record! {
    /// Where the Admin API, `/metrics` and the health pages are served.
    Admin {
        /// IP address and port. Whoever reaches it controls the gateway.
        address: SocketAddr = default("127.0.0.1:9000"),
    }
    later: ["tls"]
}

record! {
    /// Things that are made to go wrong, to see what becomes of requests.
    Chaos {
        /// Whether the Admin API does so when asked: kill, pause and slow down instances, delay drivers, drop metrics.
        enabled: bool = default("false"),
    }
}

type Timeout = Span<1, { 24 * HOUR }>;
pub(crate) type Patience = Span<0, { 24 * HOUR }>;

record! {
    /// The longest that each wait may take.
    Timeouts {
        /// Until a client that is to speak TLS does so, scripts that choose its certificate included.
        handshake: Timeout = default("10s"),
        /// From the first byte of a request until its head is complete.
        header: Timeout = default("10s"),
        /// Between two parts of a request body.
        body_idle: Timeout = default("30s"),
        /// Until a client takes more of an answer.
        send: Timeout = default("30s"),
        /// Until a client connection without a request is closed.
        keep_alive: Timeout = default("75s"),
        /// Until a connection to an upstream stands.
        connect: Timeout = default("3s"),
        /// From the request's last byte until the answer's first.
        first_byte: Timeout = default("60s"),
        /// Between two parts of an answer's body, and until an upstream takes more of a request.
        upstream_idle: Timeout = default("60s"),
        /// Until an unused connection to an upstream is closed.
        upstream_keep_alive: Timeout = default("50s"),
        /// Until a tunnel (WebSocket) that carries nothing is closed.
        tunnel_idle: Timeout = default("10m"),
        /// Until a request that found no ready instance is refused.
        queue: Patience = default("10s"),
        /// Until connections that are still busy are cut when the node stops.
        drain: Patience = default("30s"),
    }
}

record! {
    /// The most of everything that a client or an upstream may make a node hold.
    Limits {
        /// Head of a request, request line included: 431 beyond.
        header_bytes: Size<KIB, MIB> = default("32KiB"),
        /// Header fields of a message: 431 beyond.
        header_count: Count<1, 1024> = default("100"),
        /// Request target: 414 beyond.
        uri_bytes: Size<256, MIB> = default("8KiB"),
        /// Body of a request: 413 beyond.
        body_bytes: Size<0, { 1024 * GIB }> = default("64MiB"),
        /// Head of an answer: 502 beyond.
        response_header_bytes: Size<KIB, MIB> = default("64KiB"),
        /// Body that Lua reads or writes at once: 413 or an error beyond.
        lua_body_bytes: Size<0, GIB> = default("8MiB"),
        /// Request body that is kept in memory for Lua; a longer one goes to a file.
        client_body_buffer: Size<0, GIB> = default("1MiB"),
        /// Client connections of the whole node; more wait in the kernel's queue.
        connections: Count<1, 1_000_000> = default("65536"),
        /// Unused connections that each worker keeps to one endpoint.
        upstream_idle_connections: Count<0, 65_536> = default("256"),
        /// Requests that wait for an instance, for each upstream and worker: 503 beyond.
        queue: Count<0, 1_000_000> = default("1024"),
        /// Bytes that these hold of what they will send: 503 beyond.
        queue_bytes: Size<0, { 1024 * GIB }> = default("64MiB"),
    }
}

record! {
    /// What is logged of each request.
    AccessLogSettings {
        /// Share of requests that are logged.
        sample: Percent<1, 10_000> = default("100%"),
        /// File that lines are appended to, relative to the folder of the configuration. Without it: standard
        /// output.
        file: text::File = optional,
    }
}

record! {
    /// How the gateway, and Lua by `ngx.log`, say what happens. Read at start only.
    ErrorLog {
        /// `json`: one object a line; `nginx`: lines as nginx writes them.
        format: ErrorLogFormat = default("json"),
        /// The least urgent that is written. Without it: what the environment variable `TIDEGATE_LOG` says.
        level: ErrorLevel = optional,
        /// File that lines are appended to, relative to the folder of the configuration. Without it: standard
        /// error.
        file: text::File = optional,
    }
}

record! {
    /// What answers of the gateway itself look like.
    Answers {
        /// The header `Server` of what is answered here. Empty: none.
        server: text::Text = default("tidegate"),
        /// Errors as `json` objects, or as `html` pages like those of nginx, which redirections get as well.
        errors: ErrorPages = default("json"),
        /// Whether errors of Lua are told to clients with message, line of source and traceback. They show code: for
        /// development only.
        lua_errors: bool = default("false"),
        /// `short`: answers of Lua have a `Content-Length` where it is known when they leave. `nginx`: they come in chunks unless Lua
        /// says their length, and every answer says `Connection: keep-alive`, for clients that look for that.
        framing: AnswerFraming = default("short"),
    }
}

record! {
    /// Where, and how much, is kept on disk.
    StateSettings {
        /// Folder, relative to that of the configuration; made when it is missing. Without it: `.tidegate/NAME`, after
        /// the name of the configuration.
        path: text::Folder = optional,
        /// Most of the journal of decisions; the oldest go first.
        journal: Size<MIB, { 1024 * GIB }> = default("64MiB"),
    }
}

/// `false` or a mapping.
#[derive(Debug)]
pub(crate) enum State {
    Off,
    On(StateSettings),
}

impl Decode for State {
    fn decode(node: &Node, report: &mut Report<'_>) -> Option<Self> {
        match &node.kind {
            Kind::Scalar(scalar) if scalar.truth() == Some(false) => Some(Self::Off),
            Kind::Map(_) => StateSettings::decode(node, report).map(Self::On),
            _ => {
                let message = format!("expected `false` or a mapping, found {}", node.describe());
                report.error(node.visible(), message, "write `{ path: state }`, or `false` to keep nothing");
                None
            }
        }
    }

    fn schema(generator: &mut SchemaGenerator) -> Schema {
        let settings = StateSettings::schema(generator);
        json_schema!({ "anyOf": [{ "const": false }, settings] })
    }
}

/// `false` or a mapping.
#[derive(Debug)]
pub(crate) enum AccessLog {
    Off,
    On(AccessLogSettings),
}

impl Decode for AccessLog {
    fn decode(node: &Node, report: &mut Report<'_>) -> Option<Self> {
        match &node.kind {
            Kind::Scalar(scalar) if scalar.truth() == Some(false) => Some(Self::Off),
            Kind::Map(_) => AccessLogSettings::decode(node, report).map(Self::On),
            _ => {
                let message = format!("expected `false` or a mapping, found {}", node.describe());
                let help = "write `{ sample: 100% }` to log every request, or `{ file: access.log }` to do so in a file";
                report.error(node.visible(), message, help);
                None
            }
        }
    }

    fn schema(generator: &mut SchemaGenerator) -> Schema {
        let settings = AccessLogSettings::schema(generator);
        json_schema!({ "anyOf": [{ "const": false }, settings] })
    }
}

record! {
    /// How many workers there are, as a fleet.
    ScaledWorkers {
        /// Fewest workers.
        min: WorkerCount = default("1"),
        /// Most workers. Not below `min`.
        max: WorkerCount = required("8"),
        /// Each recommends a number of workers; the largest counts. Without this key, workers are kept 70 % busy.
        triggers: List<fleet::Trigger> = optional,
        /// How fast the number may change.
        behavior: fleet::Behavior = default("{}"),
        /// `act`: what is decided is done; `recommend`: it is recorded, and the number of workers stays.
        mode: Mode = default("act"),
        /// What a worker costs in an hour, in US dollars.
        price: Number = optional,
    }
}

/// `auto`, a number, or what it follows from.
#[derive(Debug)]
pub(crate) enum Workers {
    Auto,
    Fixed(WorkerCount),
    Scaled(Located<Box<ScaledWorkers>>),
}

pub(crate) type WorkerCount = Count<1, 1_024>;

impl Decode for Workers {
    fn decode(node: &Node, report: &mut Report<'_>) -> Option<Self> {
        match &node.kind {
            Kind::Scalar(scalar) if scalar.text == "auto" => Some(Self::Auto),
            Kind::Scalar(scalar) if scalar.is_number() => WorkerCount::decode(node, report).map(Self::Fixed),
            Kind::Map(_) => {
                let scaled = ScaledWorkers::decode(node, report)?;
                Some(Self::Scaled(Located { value: Box::new(scaled), place: node.owner() }))
            }
            _ => {
                let message = format!("expected `auto`, a number or a mapping, found {}", node.describe());
                report.error(node.visible(), message, "write `auto` for one per processor");
                None
            }
        }
    }

    fn schema(generator: &mut SchemaGenerator) -> Schema {
        let scaled = ScaledWorkers::schema(generator);
        json_schema!({ "anyOf": [{ "const": "auto" }, WorkerCount::form(), scaled] })
    }

    fn range() -> Option<String> {
        WorkerCount::bounds().map(|range| format!("`auto`, or {range}"))
    }
}

/// Up to an hour, for waits that only scaling knows.
pub(crate) type Hold = Span<0, HOUR>;

/// A second to an hour.
pub(crate) type Period = Span<SECOND, HOUR>;
