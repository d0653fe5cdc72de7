//! What a process instance and its parent agree upon.
//!
//! The parent starts `PROGRAM instance`. A Lua instance then reads one line, an
//! [`InstanceSpec`](protocol::InstanceSpec), from its standard input and reports on its standard
//! output; a command is started as `PROGRAM instance --exec -- COMMAND…` and needs to know none of this.
//!
//! Invariant: an instance never outlives its parent. The kernel kills it when the parent dies
//! ([`bind_to_parent`]), and a Lua instance also leaves when its standard input ends; what it started is
//! ended by a [keeper](keep). Both ends of the
//! agreement live here; the program that runs as an instance calls [`receive`] and [`report`], or
//! [`exec`](exec::exec).

mod bind;
mod child;
pub mod exec;
pub mod keep;
pub mod lines;
pub mod protocol;

pub use self::{
    bind::{Orphaned, bind_to_parent},
    child::{ReceiveError, receive, report},
    protocol::{InstanceReport, InstanceSpec},
};
