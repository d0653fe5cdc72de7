//! The Admin API: health, metrics, fleets and why they are as large as they are.
//!
//! A [`Server`] has a thread of its own, so that it answers however busy the data plane and the control
//! plane are; all it reads are counters and the last [`View`](tidegate_control::View).
//!
//! Invariants: it only reads; what it holds is bounded (connections, heads, waits); every answer but
//! metrics and health is JSON, errors included.

mod api;
mod health;
mod metrics;
mod server;
mod state;

pub use crate::{
    metrics::{Kind, Metric},
    server::Server,
};
