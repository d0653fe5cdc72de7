//! The Admin API over real connections, with a control plane behind it.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod world;

mod api;
mod limits;
mod metrics;
mod schema;
