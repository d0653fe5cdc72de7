//! Open-loop HTTP/1.1 load.
//!
//! Requests go out by a [`schedule`], whether or not earlier ones have been answered, and latency
//! counts from the moment a request was due. So a server that stalls shows up in full, where a
//! generator that waits for answers would stall with it and miss what its users would have felt
//! (coordinated omission).
//!
//! [`run()`] does all of it from a [`Plan`]; [`command`] is `tidegate load` around it.

pub mod args;
pub mod command;
pub mod plan;
pub mod run;

pub mod progress;
pub mod record;
pub mod report;
pub mod request;
pub mod schedule;
pub mod url;

mod connection;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
mod queue;
mod random;
mod response;
mod timer;
mod view;
mod worker;

pub use crate::{args::LoadArgs, command::execute, plan::Plan, progress::Progress, report::Report, run::run};
