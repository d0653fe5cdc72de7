//! The words that every part of Tidegate shares.
//!
//! Plain values only: no clock, no randomness, no file, no socket. The control plane publishes a
//! [`Snapshot`] and a [`Roster`], the data plane serves them and fills [`Telemetry`]; neither side
//! knows the other, both know these types.

pub mod flame;
pub mod flaw;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
pub mod histogram;
pub mod name;
pub mod policy;
pub mod roster;
pub mod scenario;
pub mod snapshot;
pub mod telemetry;
pub mod time;
pub mod trace;
pub mod turns;

pub use crate::{
    flaw::Flaw,
    name::{DictName, FleetId, InstanceId, OwnerId, PoolId, RouteId, SettingName, SourceId, UpstreamId},
    roster::{Endpoint, Roster},
    scenario::Scenario,
    snapshot::Snapshot,
    telemetry::Telemetry,
    time::Timestamp,
    trace::Trace,
};
