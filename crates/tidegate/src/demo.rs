//! `tidegate up --demo`: a tour with nothing to configure.
//!
//! A Lua app that does real arithmetic is served by a fleet, and [`tour()`] sends it a day of demand,
//! with a spike in the evening, squeezed into about two minutes. Who watches sees demand, instances
//! and decisions on a terminal or as plain lines, and at the end what it came to.
//!
//! [`run()`] starts a gateway for it; the tour itself needs no more than the gateway's address and a look
//! at the control plane.

mod config;
mod day;
mod lines;
mod run;
mod scene;
mod screen;
mod summary;
mod tour;

pub(crate) use self::{
    config::source,
    run::run,
    summary::Summary,
    tour::{DURATION, Options, tour},
};
