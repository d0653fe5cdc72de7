//! Event sources: how much waits in queues, streams and queries of other systems, and their messages.
//!
//! [`Poller`] asks every source of the configuration in its own time, on a thread of its own, and keeps the answers
//! for the control plane. [`Worker`] takes messages of one source, in an instance, and has them worked on.
//!
//! The clients are the smallest that do the work, on one [`transport`]: for protocols as plain as these a library is
//! larger than the protocol, and several bring a second TLS stack or a second runtime.
//!
//! Invariants: every question has a time limit; an answer is read within limits of size; a secret is read when a
//! connection is made, and is in no error.

mod error;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
mod poller;
mod secret;
mod system;
mod transport;
mod web;
mod worker;

pub use crate::{
    poller::Poller,
    worker::{Counter, Worker},
};
