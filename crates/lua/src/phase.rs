//! Where in a request's life Lua runs, and how a run ends.

use std::time::Duration;

use crate::{ScriptError, Task};

/// A point of a request's life at which Lua can run.
///
/// Each is one bit, so that a function of the API can name the phases it works in as a mask.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Phase {
    /// Before an upstream is chosen; may wait and may answer the request itself.
    Access = 1,
    /// Makes the answer; may wait.
    Content = 2,
    /// The head of the answer is known and can still be changed; may not wait.
    HeaderFilter = 4,
    /// The request is over; may not wait and changes nothing.
    Log = 8,
}

impl Phase {
    /// As `ngx.get_phase()` says it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Access => "access",
            Self::Content => "content",
            Self::HeaderFilter => "header_filter",
            Self::Log => "log",
        }
    }
}

/// How a run of a handler came to a halt.
#[derive(Debug)]
pub enum Step {
    Done(Verdict),
    /// The handler waits; [`Vm::resume`](crate::Vm::resume) takes it up again.
    Wait(Task, Op),
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

/// What a suspended handler waits for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Op {
    /// A zero duration lets others run first.
    Sleep(Duration),
    /// The whole request body, so that [`Exchange::body`](crate::Exchange::body) has it.
    ReadBody,
    /// What was written so far goes to the client; until there is room for more.
    Flush,
}

/// The outcome of an [`Op`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    Done,
    /// Why not, as the handler is told.
    Failed(String),
}
