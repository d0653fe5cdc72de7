//! What triggers are shown.

use std::time::Duration;

use tidegate_core::Timestamp;

use crate::observed::{Instances, Metrics};

/// Everything that a trigger may look at in one step.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sight<'a> {
    pub(crate) metrics: &'a Metrics,
    pub(crate) instances: Instances,
    /// Ready instances that were ready in the step before too: the utilization is surely theirs.
    pub(crate) settled: u32,
    /// The count desired so far, and since when, in lived time.
    pub(crate) desired: u32,
    pub(crate) changed: Duration,
    /// The bounds of the policy.
    pub(crate) bounds: (u32, u32),
    /// Now by the wall clock, which may jump, and in lived time, which does not.
    pub(crate) at: Timestamp,
    pub(crate) now: Duration,
    /// How long a slow instance takes to start, where learned.
    pub(crate) start_up: Option<Duration>,
    /// Busy seconds per request, where learned.
    pub(crate) work: Option<f64>,
    /// Seconds that a request is with an instance, where that is known from before and the fleet comes from zero.
    pub(crate) service: Option<f64>,
    /// The share of time that instances may be busy while answers stay quick, above 0 and up to 1.
    pub(crate) safe: f64,
}

#[cfg(test)]
impl<'a> Sight<'a> {
    /// A fleet of `count` ready instances of which nothing but `metrics` is known.
    pub(crate) fn of(metrics: &'a Metrics, count: u32) -> Self {
        Self {
            metrics,
            instances: Instances { ready: count, ..Instances::default() },
            settled: count,
            desired: count,
            changed: Duration::ZERO,
            bounds: (1, 100),
            at: Timestamp::default(),
            now: Duration::ZERO,
            start_up: None,
            work: None,
            service: None,
            safe: 1.0,
        }
    }
}
