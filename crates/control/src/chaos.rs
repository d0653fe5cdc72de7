//! Things that are made to go wrong, to see what becomes of requests: for tests and rehearsals, and only where the
//! configuration allows it.
//!
//! A [`Disturbance`] is done at once or for a while; whatever it lasts, it ends by itself. Who picks them is outside: this is
//! what can be done, not what is.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tidegate_core::{FleetId, InstanceId, PoolId};

/// Longest disturbance.
pub const LONGEST: Duration = Duration::from_mins(10);

/// Disturbances that may wait to be done.
pub(crate) const WAITING: usize = 64;

/// What goes wrong.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "action", rename_all = "camelCase", rename_all_fields = "camelCase", deny_unknown_fields)]
pub enum Disturbance {
    /// The instance ends without a word.
    Kill { instance: InstanceId },
    /// It does nothing for a while.
    Pause { instance: InstanceId, seconds: f64 },
    /// It does nothing half of the time.
    Slow { instance: InstanceId, seconds: f64 },
    /// It is announced to go, and after `seconds` it is taken away.
    Reclaim { instance: InstanceId, seconds: f64 },
    /// The same for every instance of a pool at once.
    ReclaimPool { fleet: FleetId, pool: PoolId, seconds: f64 },
    /// For a while, whatever is started is started so much later.
    DelayDrivers { by: f64, seconds: f64 },
    /// For a while, no metric is seen.
    DropMetrics { seconds: f64 },
}

/// Why it was not done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    #[error("chaos is not allowed here")]
    Disabled,
    #[error("there is no instance {0} that runs")]
    NoInstance(InstanceId),
    #[error("nothing of pool {pool} runs in fleet {fleet}")]
    NothingOfPool { fleet: FleetId, pool: PoolId },
    #[error("instance {0} has no process of its own")]
    NoProcess(InstanceId),
    #[error("{0} seconds are not between 0 and 600")]
    Seconds(String),
    #[error("too much waits to be done, or the gateway ends")]
    Busy,
}

impl Disturbance {
    /// Whether its times are such.
    pub(crate) fn check(&self) -> Result<(), Refused> {
        let times = match self {
            Self::Kill { .. } => [0.0, 0.0],
            Self::Pause { seconds, .. }
            | Self::Slow { seconds, .. }
            | Self::Reclaim { seconds, .. }
            | Self::ReclaimPool { seconds, .. }
            | Self::DropMetrics { seconds } => [*seconds, 0.0],
            Self::DelayDrivers { by, seconds } => [*by, *seconds],
        };
        let wrong = times.into_iter().find(|time| !(0.0..=LONGEST.as_secs_f64()).contains(time));
        wrong.map_or(Ok(()), |wrong| Err(Refused::Seconds(wrong.to_string())))
    }
}
