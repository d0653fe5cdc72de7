//! Simulated worlds for scaling policies.
//!
//! A [`Demand`](demand::Demand) comes from a trace and a seed, a [`world`] runs a fleet through it
//! second by second under an [`Autoscaler`](world::Autoscaler), and [`Figures`](figures::Figures)
//! say what that cost and whom it hurt. Contenders are two baselines, [`hpa`] and the [`tuned`] loop, and
//! the [`live`] scaler itself, whose step is the one that the control plane runs.
//!
//! Same demand, same seed, same figures. There is no clock, no file and no dice in here.

pub mod demand;
pub mod figures;
pub mod world;

pub mod hpa;
pub mod live;
pub mod tuned;

pub mod chart;
pub mod recorded;
pub mod report;
pub mod scenario;

mod fleet;
mod gate;
mod latency;
mod random;
mod supply;
mod weather;

pub use crate::{
    demand::Demand,
    figures::Figures,
    report::{Contender, Report, Run},
    supply::Bill,
    world::{Autoscaler, Conditions, World},
};

/// Requests per second that one instance serves.
pub const CAPACITY: u32 = 100;
