//! The data plane: accepts connections, runs Lua phases, forwards requests and brings back answers.
//!
//! A [`Node`] runs one [`worker`] per core. Each is a thread with a tokio runtime of its own, a socket
//! that shares the listener's address (`SO_REUSEPORT`), a LuaJIT VM and its own upstream connections.
//! Workers share three things: the published configuration, the counters, and how many requests each
//! endpoint is working on.
//!
//! A request goes through [`connection`] (reads it, finds its [`site::Route`]), [`respond`] (its phases), [`forward`]
//! (endpoint, retries, upload), [`receive`] (the answer) and [`relay`] (bodies). [`http`] is the one
//! strict reading of messages; [`wait`] and [`deadline`] bound every wait.
//!
//! Invariants: nothing is buffered whole unless Lua asks for it; every wait has a limit; a request is
//! repeated only where that cannot do it twice; a node without a control plane keeps serving.

mod access_log;
mod admission;
mod answer;
mod balancer;
mod berth;
mod buffer;
mod certificates;
mod chores;
mod clock;
mod complaints;
mod conditional;
mod connection;
mod crew;
mod deadline;
mod error;
mod excerpt;
mod exchange;
mod filter;
mod forward;
mod fresh;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
pub mod handover;
mod handshake;
mod hold;
mod http;
mod lane;
mod line;
mod link;
mod local;
mod lua;
mod node;
mod outage;
mod parting;
mod peer;
mod place;
mod plugin;
mod receive;
mod relay;
mod request_body;
mod request_id;
mod rescue;
mod respond;
mod script_log;
mod sealed;
mod seat;
mod secure;
mod sessions;
mod site;
mod socket;
mod spans;
mod subrequest;
mod tunnel;
mod upstream;
mod wait;
mod way;
mod worker;

pub use crate::{
    crew::{Crew, Worker},
    node::{Node, StartError},
};
