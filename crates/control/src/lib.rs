//! The control plane: configuration, fleets of processes and threads, the loop around the scaler, and its journal.
//!
//! ```text
//! observe (1 s) → step(now, observed) → decision → journal → drivers → roster
//! ```
//!
//! [`Control::load`] reads the configuration, [`Control::run`] drives everything from one thread, and a
//! [`Handle`] shows it to others. What is decided is values (fleets, the scaler); what touches the world
//! is thin around them.
//!
//! Invariants: no instance outlives this process; an instance leaves the roster before it is drained; a
//! configuration that cannot be used changes nothing; whatever the disk does, decisions go on.
//!
//! Deliberately absent: requests (they are the data plane's) and HTTP (the Admin API's).

pub mod chaos;
mod clock;
mod control;
mod departure;
mod driver;
mod fleet;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
mod handle;
pub mod instance;
pub mod journal;
mod observe;
pub mod recorders;
mod source;
pub mod sources;
mod template;
pub mod usage;
pub mod view;

pub use crate::{
    control::{Control, LoadError, Options},
    driver::{
        thread::{ThreadHost, ThreadInstance},
        worker::{NodeWorker, WorkerHost},
    },
    handle::Handle,
    instance::{InstanceReport, InstanceSpec, bind_to_parent},
    journal::Page,
    source::ConfigSource,
    sources::{NoSources, Sources},
    view::View,
};
