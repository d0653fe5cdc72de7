//! One immutable, validated configuration.
//!
//! A value of these types cannot be wrong by itself: names resolve, bounds are ordered, patterns
//! compile, scripts have been read. So the planes that use it need no error paths for it. The
//! `config` crate is the only one that makes a [`Snapshot`] out of text.

use std::{
    collections::BTreeMap,
    fmt,
    net::SocketAddr,
    num::NonZeroU32,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use ipnet::IpNet;
use regex::Regex;
use serde::{Deserialize, Serialize};

use crate::{
    FleetId, OwnerId, RouteId, SettingName, SourceId, UpstreamId,
    policy::{Mode, Policy},
};

mod answer;
mod listener;
mod lua;
mod source;
mod template;

pub use self::{
    answer::{FixedAnswer, LocalAnswer, StaticFiles},
    listener::{
        Address, CertificateFiles, ClientCertificates, ClientVerification, Listener, ServerTls, TlsVersion,
        TlsVersions, UpstreamTls,
    },
    lua::{Assignment, Budget, Hooks, LuaSettings, Script, SocketSettings, Unreadable, Value},
    source::{
        Http, Identity, Kafka, Login, Nats, Postgresql, Prometheus, Rabbitmq, Redis, RedisKey, Secret,
        Server, Source, System, Tls, Worker, WorkerSettings,
    },
    template::{Piece, Template},
};

/// Everything that one node serves. Swapped as a whole; requests in flight finish on the old one.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// Counts up with every accepted configuration, from 1.
    pub generation: u64,
    pub listeners: Vec<Listener>,
    pub admin: Admin,
    pub workers: Workers,
    /// `None`: requests are not logged.
    pub access_log: Option<AccessLog>,
    pub error_log: ErrorLog,
    pub answers: Answers,
    /// `None`: nothing is kept on disk.
    pub state: Option<StateFiles>,
    pub timeouts: Timeouts,
    pub limits: Limits,
    /// Whether things may be made to go wrong by the Admin API.
    pub chaos: bool,
    /// Peers whose `X-Forwarded-*` and `X-Request-Id` headers are believed and extended.
    pub trusted_proxies: Vec<IpNet>,
    pub lua: LuaSettings,
    /// Set for every request before its route's own.
    pub vars: Vec<Assignment>,
    /// Where work waits that no request tells of.
    pub sources: BTreeMap<SourceId, Source>,
    pub fleets: BTreeMap<FleetId, Fleet>,
    pub upstreams: BTreeMap<UpstreamId, Upstream>,
    /// In the order of the file.
    pub routes: Vec<Route>,
}

/// Where the Admin API, metrics and health pages are served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Admin {
    pub address: SocketAddr,
}

/// How many workers a node runs. Read at start only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Workers {
    /// One per processor.
    Auto,
    Fixed(NonZeroU32),
    /// As many as the fleet [`WORKERS`] is decided to have.
    Fleet {
        min: NonZeroU32,
        max: NonZeroU32,
    },
}

/// The name of the fleet that the workers of a node are, where their number changes.
pub const WORKERS: &str = "workers";

/// What is written of each request, and where to.
#[derive(Debug, Clone, PartialEq)]
pub struct AccessLog {
    /// Share of requests that are logged, above 0 and up to 1.
    pub sample: f64,
    pub output: LogOutput,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogOutput {
    Stdout,
    /// Appended to.
    File(PathBuf),
}

/// What is kept on disk of decisions and demand. Read at start only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateFiles {
    /// The folder.
    pub path: PathBuf,
    /// Most bytes of decisions.
    pub journal_bytes: u64,
}

impl StateFiles {
    /// Unless the file says otherwise.
    pub const JOURNAL_BYTES: u64 = 64 << 20;
}

/// How the node says what happens to it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ErrorLog {
    pub format: ErrorLogFormat,
    /// The least urgent that is written; `None`: what the environment says.
    pub level: Option<ErrorLevel>,
    /// Appended to; `None`: standard error.
    pub file: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ErrorLogFormat {
    /// One JSON object a line.
    #[default]
    Json,
    /// Lines as nginx writes them.
    Nginx,
}

/// The levels of nginx, from the most talkative.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ErrorLevel {
    Debug,
    Info,
    Notice,
    Warn,
    Error,
    Crit,
    Alert,
    Emerg,
}

/// What answers that are made here look like, unless Lua says otherwise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answers {
    /// The header `Server`; empty: none.
    pub server: String,
    pub errors: ErrorPages,
    /// Whether those about Lua say what went wrong and show code, for development.
    pub shows_lua_errors: bool,
    pub framing: AnswerFraming,
}

impl Default for Answers {
    fn default() -> Self {
        Self {
            server: "tidegate".into(),
            errors: ErrorPages::default(),
            shows_lua_errors: false,
            framing: AnswerFraming::default(),
        }
    }
}

/// How a client is told where an answer ends, and whether its connection stays.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum AnswerFraming {
    /// By a length wherever it is known, and with `Connection` where it is news.
    #[default]
    Short,
    /// As nginx does: what Lua writes comes in chunks unless Lua gives it a length, and `Connection: keep-alive` is said.
    Nginx,
}

/// How a client is told of an error.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ErrorPages {
    /// An object with status, message and the request's id.
    #[default]
    Json,
    /// A page as nginx makes it, also for redirections.
    Html,
}

/// The longest that each wait may take. Worker timers are coarse: a wait ends up to 200 ms late.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Timeouts {
    /// Until a client that is to speak TLS does so, scripts that choose its certificate included. Default 10 s.
    pub handshake: Duration,
    /// From the first byte of a request until its head is complete. Default 10 s.
    pub header: Duration,
    /// Between two parts of a request body. Default 30 s.
    pub body_idle: Duration,
    /// Until a client takes more of an answer. Default 30 s.
    pub send: Duration,
    /// Until a client connection without a request is closed. Default 75 s.
    pub keep_alive: Duration,
    /// Until an upstream connection stands. Default 3 s.
    pub connect: Duration,
    /// From the request's last byte until the answer's first. Default 60 s.
    pub first_byte: Duration,
    /// Between two parts of an answer's body, and until an upstream takes more of a request. Default 60 s.
    pub upstream_idle: Duration,
    /// Until an unused upstream connection is closed. Default 50 s.
    pub upstream_keep_alive: Duration,
    /// Until a tunnel (WebSocket) that carries nothing is closed. Default 10 min.
    pub tunnel_idle: Duration,
    /// Until a request that found no ready instance is refused. Default 10 s.
    pub queue: Duration,
    /// Until connections that are still busy are cut when the node stops. Default 30 s.
    pub drain: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            handshake: Duration::from_secs(10),
            header: Duration::from_secs(10),
            body_idle: Duration::from_secs(30),
            send: Duration::from_secs(30),
            keep_alive: Duration::from_secs(75),
            connect: Duration::from_secs(3),
            first_byte: Duration::from_mins(1),
            upstream_idle: Duration::from_mins(1),
            upstream_keep_alive: Duration::from_secs(50),
            tunnel_idle: Duration::from_mins(10),
            queue: Duration::from_secs(10),
            drain: Duration::from_secs(30),
        }
    }
}

/// The most of everything that a client or an upstream may make a node hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Limits {
    /// Bytes of a request head, request line included: 431 beyond. Default 32 KiB.
    pub header_bytes: usize,
    /// Header fields of a message: 431 beyond. 1 to 512; default 100.
    pub header_count: usize,
    /// Bytes of a request target: 414 beyond. Default 8 KiB.
    pub uri_bytes: usize,
    /// Bytes of a request body: 413 beyond. Default 64 MiB.
    pub body_bytes: u64,
    /// Bytes of an answer's head: 502 beyond. Default 64 KiB.
    pub response_header_bytes: usize,
    /// Bytes of a body that Lua reads or writes at once: 413 or an error beyond. Default 8 MiB.
    pub lua_body_bytes: usize,
    /// Bytes of a request body that is kept in memory for Lua; a longer one goes to a file. Default 1 MiB.
    pub client_body_buffer: usize,
    /// Client connections of the whole node; more wait in the kernel's queue. Default 65,536.
    pub connections: usize,
    /// Unused connections that each worker keeps to one endpoint. Default 256.
    pub upstream_idle_connections: usize,
    /// Requests that wait for an instance, for each upstream and worker: 503 beyond. Default 1,024.
    pub queue: usize,
    /// Bytes that these hold of what they will send: 503 beyond. Default 64 MiB.
    pub queue_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            header_bytes: 32 << 10,
            header_count: 100,
            uri_bytes: 8 << 10,
            body_bytes: 64 << 20,
            response_header_bytes: 64 << 10,
            lua_body_bytes: 8 << 20,
            client_body_buffer: 1 << 20,
            connections: 65_536,
            upstream_idle_connections: 256,
            queue: 1_024,
            queue_bytes: 64 << 20,
        }
    }
}

/// Requests of one kind, and what becomes of them.
#[derive(Debug, Clone)]
#[expect(clippy::struct_excessive_bools, reason = "independent settings")]
pub struct Route {
    /// Unique within the snapshot.
    pub name: RouteId,
    pub matcher: Match,
    /// At most one of this, `hooks.content` and `local` is set, and at least one.
    pub upstream: Option<UpstreamId>,
    /// What the gateway answers by itself.
    pub local: Option<LocalAnswer>,
    pub hooks: Hooks,
    /// Only subrequests and `ngx.exec` get here; to clients it is not there.
    pub internal: bool,
    /// In the order in which they are set, before the rewrite phase.
    pub vars: Vec<Assignment>,
    /// The request body is read before Lua runs.
    pub need_request_body: bool,
    /// A client that goes away ends the Lua that runs for it.
    pub check_client_abort: bool,
    /// `Content-Type` of answers that Lua makes and does not name one for; empty: none.
    pub default_type: String,
    /// Whether answers that Lua makes get the default type at all.
    pub use_default_type: bool,
    /// How it waits for an instance.
    pub queue: Waiting,
    /// Its scripts are not trusted.
    pub sandbox: bool,
    /// What the Lua of one request may use up: CPU time in all, and memory that it adds to its VM.
    pub budget: Budget,
}

/// How requests of a route wait for an instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    /// 0 to 9: the higher comes first, and the lowest makes room when there is none. Default 5.
    pub priority: u8,
    /// `None`: as long as others may.
    pub timeout: Option<Duration>,
}

impl Default for Waiting {
    fn default() -> Self {
        Self { priority: 5, timeout: None }
    }
}

impl Route {
    /// All scripts there are.
    pub fn scripts(&self) -> impl Iterator<Item = &Script> {
        self.hooks.scripts().chain(scripts_of(&self.vars))
    }

    /// A route for every request that does nothing yet.
    pub fn new(name: RouteId) -> Self {
        Self {
            name,
            matcher: Match::default(),
            upstream: None,
            local: None,
            hooks: Hooks::default(),
            internal: false,
            vars: Vec::new(),
            need_request_body: false,
            check_client_abort: false,
            default_type: "text/plain".into(),
            use_default_type: true,
            queue: Waiting::default(),
            sandbox: false,
            budget: Budget::NONE,
        }
    }
}

/// The scripts that compute variables.
pub fn scripts_of(vars: &[Assignment]) -> impl Iterator<Item = &Script> {
    vars.iter().filter_map(|var| match &var.value {
        Value::Lua { script, .. } => Some(script),
        Value::Text(_) => None,
    })
}

/// What a request must look like. Parts that are empty match anything.
#[derive(Debug, Clone, Default)]
pub struct Match {
    /// `@foo`: only `ngx.exec` goes there, by this name.
    pub name: Option<String>,
    pub hosts: Vec<HostMatch>,
    pub path: PathMatch,
    /// Upper case, as on the wire.
    pub methods: Vec<String>,
    pub headers: Vec<HeaderMatch>,
}

/// Host names are lower case and carry no port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HostMatch {
    Exact(String),
    /// `*.example.com`, kept as `.example.com`: any name that ends so and has more before it.
    Suffix(String),
}

#[derive(Debug, Clone)]
pub enum PathMatch {
    /// `/orders`: this path alone.
    Exact(String),
    /// `/orders/*`, kept as `/orders/`: every path that starts so, and `/orders` itself.
    Prefix(String),
    /// `~ ^/u/(\d+)$`: found anywhere in the path unless anchored.
    Regex(Regex),
}

impl Default for PathMatch {
    fn default() -> Self {
        Self::Prefix("/".into())
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeaderMatch {
    /// Lower case.
    pub name: String,
    /// `None`: the header must be there, whatever its value.
    pub value: Option<String>,
}

/// A group of endpoints that serve the same thing.
#[derive(Debug, Clone, PartialEq)]
pub struct Upstream {
    pub name: UpstreamId,
    pub target: UpstreamTarget,
    pub balance: Balance,
    pub retry: Retry,
    /// `None`: plain HTTP is spoken with it.
    pub tls: Option<UpstreamTls>,
}

#[derive(Debug, Clone, PartialEq)]
pub enum UpstreamTarget {
    Fleet(FleetId),
    /// Never empty.
    Endpoints(Vec<StaticEndpoint>),
}

/// A fixed address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StaticEndpoint {
    pub address: StaticAddress,
    pub weight: NonZeroU32,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum StaticAddress {
    /// A host name is resolved when it is used, and again every 30 s.
    Host { host: String, port: u16 },
    /// A Unix socket at this path.
    Unix(Arc<Path>),
}

impl fmt::Display for StaticAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Host { host, port } => write!(f, "{host}:{port}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Balance {
    /// In turn, by weight, spread evenly.
    #[default]
    RoundRobin,
    /// Fewest requests in flight in relation to the weight.
    LeastConnections,
}

/// How often a request may be tried again, alone and in relation to all others.
#[derive(Debug, Clone, PartialEq)]
pub struct Retry {
    /// Attempts of one request, the first included. 1 to 10; default 3.
    pub attempts: u32,
    /// Retries in relation to requests. 0 to 1; default 0.2.
    pub budget: f64,
    /// Retries per second that are allowed however few the requests are. Default 10.
    pub min_per_second: u32,
}

impl Default for Retry {
    fn default() -> Self {
        Self { attempts: 3, budget: 0.2, min_per_second: 10 }
    }
}

/// A set of interchangeable instances that grows and shrinks.
#[derive(Debug, Clone, PartialEq)]
pub struct Fleet {
    pub name: FleetId,
    pub run: Run,
    pub driver: Driver,
    pub ready: ReadyCheck,
    /// How long a draining instance may finish its requests before it is killed. Default 30 s.
    pub grace: Duration,
    /// How many requests an instance gets at a time; `None`: any number.
    pub concurrency: Option<NonZeroU32>,
    pub policy: Policy,
    /// Whether what the policy decides is done.
    pub mode: Mode,
    /// A second policy, whose decisions are recorded only.
    pub candidate: Option<Policy>,
    /// What an instance costs in an hour, in US dollars.
    pub price: Option<f64>,
}

/// What an instance executes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Run {
    /// The file that is executed for each request.
    Lua(Script),
    /// A file that is executed for each message of a source.
    Worker(Worker),
    /// A program and its arguments; `{port}` in an argument, and the variable `PORT`, is the port to serve.
    Command(Vec<String>),
    /// Whatever the user's commands start.
    Exec(Exec),
    /// The node itself: an instance is one of its workers.
    Node,
}

/// Commands that start, stop and list the instances of a fleet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exec {
    /// Program and arguments, never empty; so are the others.
    pub start: Vec<String>,
    pub stop: Vec<String>,
    pub list: Vec<String>,
    /// How often it is asked what there is. Default 5 s.
    pub interval: Duration,
    /// How long a command may take. Default 30 s.
    pub timeout: Duration,
    /// Commands that run at a time. Default 4.
    pub parallel: NonZeroU32,
    /// Whose instances these are; `None`: those of this host and this file.
    pub owner: Option<OwnerId>,
    /// Passed on to `start`.
    pub settings: BTreeMap<SettingName, String>,
    /// How long before its end an instance is said to be leaving. Default 10 s.
    pub notice: Duration,
    /// Whether instances stay when Tidegate ends.
    pub on_exit: OnExit,
}

/// What becomes of instances when Tidegate ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnExit {
    /// They serve on, and the next Tidegate finds them.
    #[default]
    Keep,
    Stop,
}

/// Who starts, watches and stops instances.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Driver {
    /// A child process of the control plane.
    #[default]
    Process,
    /// A thread of the node, with a Lua VM of its own.
    Thread,
    /// Something that the user's commands drive.
    Exec,
}

/// How it is found out that an instance can serve.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadyCheck {
    /// `GET` of this path must answer 2xx or 3xx; `None`: a TCP connection must stand.
    pub path: Option<String>,
    /// An instance that is not ready after this long has failed. Default 30 s.
    pub timeout: Duration,
}
