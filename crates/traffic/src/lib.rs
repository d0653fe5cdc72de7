//! Where a request goes: state machines without sockets.
//!
//! [`path`] reads a request path the one way that routes are matched against, [`router`] finds the
//! route, [`balance`] picks an endpoint, [`retry`] says whether one more attempt may be made.

pub mod balance;
pub mod path;
pub mod retry;
pub mod router;

pub use crate::{balance::Balancer, retry::RetryBudget, router::Router};
