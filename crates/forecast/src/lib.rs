//! Forecasts of demand, online and with calibrated quantiles.
//!
//! A [`Forecaster`] is fed one value per step and says at every step what it expects at its horizon:
//! not one number but quantiles, because capacity is a bet on the high ones. It runs several models side
//! by side, believes the one that was least wrong of late, and corrects the quantiles by how often
//! the truth lay beyond. A new series has no history, and a forecaster that does not know how
//! wrong it is says nothing.

pub mod forecaster;
pub mod model;

mod calibration;
mod candidate;
mod residuals;
mod season;

pub mod accuracy;

pub use crate::{
    accuracy::Accuracy,
    forecaster::{Forecast, Forecaster, Settings},
    model::Kind,
};
