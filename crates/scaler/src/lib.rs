//! Decides how many instances a fleet should have.
//!
//! A pure function with a memory: [`Scaler::step`] takes the time and what was observed and returns
//! a [`Decision`] that explains itself. It reads no clock and rolls no dice, so the live loop, the
//! simulator and a replay of the journal run the very same code and come to the same counts.

pub mod decision;
pub mod observed;
pub mod scaler;

mod ahead;
mod backlog;
mod formula;
mod headroom;
mod memory;
mod opinion;
mod schedule;
mod sight;
mod target;
mod threshold;

mod pace;
mod stabilize;

pub mod mix;
pub mod supply;

mod capacity;
mod clock;
mod fading;
mod service;
mod startup;
mod work;

pub mod hpa;
pub mod panel;
pub mod record;
pub mod sizing;
mod words;

pub use crate::{
    capacity::PRIOR as SAFE_AT_FIRST,
    decision::{Decision, Unspoken},
    observed::Observed,
    panel::{Panel, Verdict},
    record::Record,
    scaler::{Learned, Outlook, Scaler, State},
    supply::{Mix, PoolShare},
};
