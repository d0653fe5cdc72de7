//! Where a request goes: state machines without sockets.
//!
//! [`path`] reads a request path the one way that routes are matched against, [`router`] finds the
//! route, [`balance`] picks an endpoint, [`retry`] says whether one more attempt may be made, [`queue`] who waits for
//! one and who has to go.

pub mod balance;
pub mod path;
pub mod queue;
pub mod retry;
pub mod router;
mod table;

pub use crate::{balance::Balancer, queue::Queue, retry::RetryBudget, router::Router};
