//! The LuaJIT host: OpenResty's `ngx.*` API over the requests of the data plane.
//!
//! A worker thread owns one [`Vm`]. It loads scripts into [`Handler`]s and starts them with a
//! request that implements [`Exchange`], or without one; a run that must wait comes back as a [`Task`], which says in
//! [`Order`]s what its light threads wait for, and is resumed whenever one of these [`Op`]s is done. Many runs are
//! suspended at once in one VM, and each sees only its own exchange.
//!
//! How a call crosses: Lua code of [`prelude`] checks arguments and calls `extern "C"` functions of
//! [`api`] through LuaJIT's FFI, so traces stay compiled. Those functions reach the request through
//! [`host::Host`], which knows the one exchange that runs right now. They never call back into
//! Lua, never fail by panicking (a panic there aborts), and never raise Lua errors: they return
//! codes, and the prelude turns these into errors that name the user's line.
//!
//! Scripts are trusted with all that the process may, or not: then each has a sandbox of its own, see `prelude/sandbox.lua`.
//!
//! Deliberately absent: clocks (the time comes from the worker).

#![warn(clippy::undocumented_unsafe_blocks)]

#[expect(unsafe_code, reason = "the border to LuaJIT")]
mod abi;
#[expect(unsafe_code, reason = "the border to mimalloc")]
mod allocator;
mod api;
mod arguments;
#[expect(unsafe_code, reason = "a system call that libc has no function for")]
mod background;
#[expect(unsafe_code, reason = "signals, and LuaJIT's hooks")]
mod budget;
mod choice;
mod crew;
mod date;
pub mod dict;
mod error;
mod exchange;
pub mod flame;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
mod handshake;
mod header;
#[expect(unsafe_code, reason = "the border to LuaJIT")]
mod host;
mod jobs;
#[expect(unsafe_code, reason = "works on the Lua stack")]
mod json;
#[expect(unsafe_code, reason = "LuaJIT's allocator")]
mod ledger;
mod level;
mod library;
mod log_ring;
mod now;
mod phase;
mod prelude;
#[expect(unsafe_code, reason = "the border to PCRE2")]
mod regex;
mod semaphore;
mod socket;
mod subrequest;
#[expect(unsafe_code, reason = "functions that C calls, and the border to AWS-LC")]
mod symbols;
mod task;
#[cfg_attr(target_arch = "x86_64", expect(unsafe_code, reason = "an instruction of the processor"))]
mod ticks;
mod timer;
mod uri;
mod usage;
#[expect(unsafe_code, reason = "the border to LuaJIT")]
mod vm;

pub use crate::{
    allocator::{Allocator, grow_in_small_pages},
    arguments::Arguments,
    background::{Yielding, give_way},
    budget::Onlooker,
    choice::{Choice, KeepAlive},
    dict::Dicts,
    error::{Error, ScriptError, Unloaded, place},
    exchange::{AnswerEnd, BodyState, Exchange, InvalidHeader, Jump},
    handshake::{Choosing, Chosen, Hello, Session},
    header::{is_token, is_token_byte},
    host::WorkerIdentity,
    level::{Level, Line, Log},
    log_ring::LogRing,
    phase::{Detached, Op, Order, Phase, Reply, Step, Ticket, Verdict},
    socket::lent::Lent,
    subrequest::{Captured, Capturing, Sharing, Subrequest, SubrequestBody},
    symbols::Statistics,
    task::{Handler, Heritage, RequestState, Task},
    ticks::tell_clock_source,
    timer::{RunningTimer, Timer, TimerId},
    uri::escaped_path,
    usage::{Long, Usage},
    vm::{Collection, Module, Purpose, Trust, Vm, give_back},
};
