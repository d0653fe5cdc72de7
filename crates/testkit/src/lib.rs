//! Real processes, sockets and scripted upstreams for tests.
//!
//! [`Tidegate`] runs the binary itself, [`Upstream`] is a server that behaves as well or as badly as
//! a test wants, [`http`] speaks to both with a strict reading of every answer. Blocking, on plain
//! threads: a test reads from top to bottom.
//!
//! A function here panics where a test could only give up, and names what it saw. Nothing sleeps to
//! let something happen: [`eventually`] polls until a deadline that only a failure ever reaches.

pub mod http;
mod message;
mod mutated;
mod port;
pub mod process;
pub mod servers;
mod tidegate;
pub mod upstream;
mod wait;

pub use crate::{
    message::Fields,
    mutated::{Input, mutated},
    port::{free_port, is_free, unused_address},
    tidegate::{Setup, Tidegate},
    upstream::{Answer, Upstream},
    wait::{component, eventually},
};
