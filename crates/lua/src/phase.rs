//! Where in a request's or a worker's life Lua runs, and how a run ends.
//!
//! Which function works in which phase is for the prelude to say, with masks of these bits. A function that
//! waits does so wherever the data plane can await; `strictContexts` narrows that to what OpenResty allows.

use std::{fmt, pin::Pin, time::Duration};

use crate::{ScriptError, Task};

/// A point in the life of a request, or of a worker, at which Lua can run.
///
/// Each is one bit, so that a function of the API can name the phases it works in as a mask. The bits are
/// OpenResty's (`ngx.get_raw_phase()` tells them); those it has no bit for come after its last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u32)]
pub enum Phase {
    /// Computes the value of a variable; may not wait.
    Set = 0x1,
    /// May change the request before anything is decided on.
    Rewrite = 0x2,
    /// Before an upstream is chosen; may answer the request itself.
    Access = 0x4,
    /// Makes the answer.
    Content = 0x8,
    /// The request is over; changes nothing.
    Log = 0x10,
    /// The head of the answer is known and can still be changed.
    HeaderFilter = 0x20,
    /// A piece of the answer's body passes and can be changed.
    BodyFilter = 0x40,
    /// A timer has expired; there is no request.
    Timer = 0x80,
    /// A worker has started; there is no request.
    InitWorker = 0x100,
    /// Chooses the endpoint of the upstream.
    Balancer = 0x200,
    /// Chooses the certificate for a TLS handshake.
    SslCertificate = 0x400,
    SslSessionStore = 0x800,
    SslSessionFetch = 0x1000,
    /// A worker is about to end; there is no request.
    ExitWorker = 0x2000,
    /// A TLS handshake begins.
    SslClientHello = 0x4000,
    /// Like `Rewrite`, before the route is known.
    ServerRewrite = 0x8000,
    ProxySslVerify = 0x1_0000,
    /// After access was granted, before the answer is made.
    Precontent = 0x2_0000,
    ProxySslCertificate = 0x4_0000,
    /// The VM has been made; there is no request, and nothing can wait.
    Init = 0x8_0000,
    /// A function runs on a thread of a pool; there is no request, and nothing can wait.
    WorkerThread = 0x10_0000,
}

impl Phase {
    pub(crate) const ALL: [Self; 21] = [
        Self::Set,
        Self::Rewrite,
        Self::Access,
        Self::Content,
        Self::Log,
        Self::HeaderFilter,
        Self::BodyFilter,
        Self::Timer,
        Self::InitWorker,
        Self::Balancer,
        Self::SslCertificate,
        Self::SslSessionStore,
        Self::SslSessionFetch,
        Self::ExitWorker,
        Self::SslClientHello,
        Self::ServerRewrite,
        Self::ProxySslVerify,
        Self::Precontent,
        Self::ProxySslCertificate,
        Self::Init,
        Self::WorkerThread,
    ];

    /// The phase whose bit that is.
    pub(crate) fn from_bit(bit: i32) -> Option<Self> {
        Self::ALL.into_iter().find(|&phase| phase as i32 == bit)
    }

    /// As `ngx.get_phase()` says it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Set => "set",
            Self::Rewrite => "rewrite",
            Self::Access => "access",
            Self::Content => "content",
            Self::Log => "log",
            Self::HeaderFilter => "header_filter",
            Self::BodyFilter => "body_filter",
            Self::Timer => "timer",
            Self::InitWorker => "init_worker",
            Self::Balancer => "balancer",
            Self::SslCertificate => "ssl_cert",
            Self::SslSessionStore => "ssl_session_store",
            Self::SslSessionFetch => "ssl_session_fetch",
            Self::ExitWorker => "exit_worker",
            Self::SslClientHello => "ssl_client_hello",
            Self::ServerRewrite => "server_rewrite",
            Self::ProxySslVerify => "proxy_ssl_verify",
            Self::Precontent => "precontent",
            Self::ProxySslCertificate => "proxy_ssl_cert",
            Self::Init => "init",
            Self::WorkerThread => "worker_thread",
        }
    }

    /// As errors call it: `API disabled in the context of access_by_lua*`.
    pub const fn context(self) -> &'static str {
        match self {
            Self::Set => "set_by_lua*",
            Self::Rewrite => "rewrite_by_lua*",
            Self::Access => "access_by_lua*",
            Self::Content => "content_by_lua*",
            Self::Log => "log_by_lua*",
            Self::HeaderFilter => "header_filter_by_lua*",
            Self::BodyFilter => "body_filter_by_lua*",
            Self::Timer => "ngx.timer",
            Self::InitWorker => "init_worker_by_lua*",
            Self::Balancer => "balancer_by_lua*",
            Self::SslCertificate => "ssl_certificate_by_lua*",
            Self::SslSessionStore => "ssl_session_store_by_lua*",
            Self::SslSessionFetch => "ssl_session_fetch_by_lua*",
            Self::ExitWorker => "exit_worker_by_lua*",
            Self::SslClientHello => "ssl_client_hello_by_lua*",
            Self::ServerRewrite => "server_rewrite_by_lua*",
            Self::ProxySslVerify => "proxy_ssl_verify_by_lua*",
            Self::Precontent => "precontent_by_lua*",
            Self::ProxySslCertificate => "proxy_ssl_certificate_by_lua*",
            Self::Init => "init_by_lua*",
            Self::WorkerThread => "ngx.run_worker_thread",
        }
    }
}

/// How a run of a handler came to a halt.
#[derive(Debug)]
pub enum Step {
    Done(Verdict),
    /// The run waits; [`Vm::resume`](crate::Vm::resume) takes it up again. What for, [`Task::order`] says.
    Wait(Task),
    Failed(ScriptError),
}

/// What a handler that ended wants to happen to the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It returned: the request goes on.
    Continue,
    /// `ngx.exit(status)` or `ngx.redirect`. 0 (`ngx.OK`): the phase is over and the request goes on.
    Exit(u16),
}

/// Which of the light threads of a run something is for. Threads that were spawned have one that no other thread of
/// the VM ever has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub(crate) u32);

impl Ticket {
    /// That of a run's first thread.
    pub const ENTRY: Self = Self(0);
}

/// What the driver of a run has to do.
#[derive(Debug)]
pub enum Order {
    /// Begin this, and resume the run with the ticket once it is done. A thread waits for one thing at a time.
    Begin(Ticket, Op),
    /// Whatever was begun with the ticket is not wanted any more.
    End(Ticket),
}

/// What a suspended light thread waits for.
pub enum Op {
    /// A zero duration lets others run first.
    Sleep(Duration),
    /// The whole request body, so that [`Exchange::body`](crate::Exchange::body) has it.
    ReadBody,
    /// What was written so far goes to the client; until there is room for more.
    Flush,
    /// The head of the answer goes to the client, and can no longer be changed.
    SendHead,
    /// The client's connection is lent to the script: for the body of the request, or whole if `raw`.
    Socket { raw: bool },
    /// All of the answer has been written and goes to the client.
    Eof,
    /// Something that runs by itself and needs neither the request nor the VM: a socket, a name being resolved, a
    /// subrequest. Values for Lua are left where the prelude fetches them once the reply has come.
    Detached(Detached),
}

/// Work that runs by itself. Dropping it ends it.
pub type Detached = Pin<Box<dyn Future<Output = Reply>>>;

impl fmt::Debug for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sleep(span) => f.debug_tuple("Sleep").field(span).finish(),
            Self::ReadBody => f.write_str("ReadBody"),
            Self::Flush => f.write_str("Flush"),
            Self::SendHead => f.write_str("SendHead"),
            Self::Eof => f.write_str("Eof"),
            Self::Socket { raw } => f.debug_struct("Socket").field("raw", raw).finish(),
            Self::Detached(_) => f.debug_tuple("Detached").finish_non_exhaustive(),
        }
    }
}

/// The outcome of an [`Op`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    Done,
    /// Why not, as the handler is told.
    Failed(String),
}
