//! Forecasts of demand, online and with calibrated quantiles.
//!
//! A [`Forecaster`] is fed one value per step and says at every step what it expects at its
//! horizon: not one number but quantiles, because capacity is a bet on the high ones. It runs several
//! models side by side, believes those that were least wrong of late, and corrects the quantiles by
//! how often the truth lay beyond. A new series has no history, and a forecaster that does not know
//! how wrong it is says nothing. Whether it should be acted on is said by its [`Trust`].
//!
//! No clock, no randomness: the same values give the same forecasts, bit for bit.

pub mod forecaster;
pub mod model;
pub mod trust;

mod calibration;
mod candidate;
mod cycle;
mod harmonic;
mod packed;
mod pending;
mod persistence;
mod profile;
mod residuals;
mod season;

pub mod accuracy;

pub use crate::{
    accuracy::Accuracy,
    cycle::Season,
    forecaster::{Forecast, Forecaster, Settings},
    model::{History, Kind},
    trust::{Standing, Trust},
};
