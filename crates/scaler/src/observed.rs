//! What was seen of a fleet since the last step.
//!
//! Missing is not zero: a metric that could not be read is `None`, and the scaler never shrinks a
//! fleet on account of what it does not know.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// One reading of everything that decisions about a fleet rest on.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Observed {
    pub metrics: Metrics,
    pub instances: Instances,
    /// How long each instance that became ready since the last step took to start.
    pub started: Vec<Duration>,
}

/// Measured over the last second or so, whole fleet unless it says otherwise.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Metrics {
    /// Requests that arrived, per second.
    pub arrival_rate: Option<f64>,
    /// Requests in flight, queued ones included, mean over the time.
    pub concurrency: Option<f64>,
    /// Requests held because no instance could take them.
    pub queued: Option<f64>,
    /// Share of time that ready instances were busy, 0 to 1, mean over them.
    pub utilization: Option<f64>,
    /// Seconds. `None` also when nothing was answered.
    pub latency_p50: Option<f64>,
    /// Seconds. `None` also when nothing was answered.
    pub latency_p99: Option<f64>,
    /// Share of requests answered with 5xx or not at all, 0 to 1. `None` also when nothing was answered.
    pub error_rate: Option<f64>,
    /// Cores in use.
    pub cpu: Option<f64>,
    /// Bytes resident.
    pub memory: Option<f64>,
}

/// Instances by state.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Instances {
    pub starting: u32,
    pub ready: u32,
    pub draining: u32,
    /// Ended by themselves and wait to be started again.
    pub failed: u32,
}
