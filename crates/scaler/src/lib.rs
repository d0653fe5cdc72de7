//! Decides how many instances a fleet should have.

pub mod decision;
pub mod observed;

pub use crate::{decision::Decision, observed::Observed};
