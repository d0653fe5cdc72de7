//! How much work a request is, learned from what instances finished while they were busy.
//!
//! Busy time over requests that were finished in it (the utilization law). What arrives does not come into it: while a
//! load rises most of it still waits, and instances that fall behind answer less than arrives. So what is learned is true
//! from the first requests on, whether instances are idle, saturated, or just started.
//!
//! Both sums fade with [`MEMORY`], so a change of the application is learned within a minute or two of serving it, and
//! sooner while instances are saturated: it is then that a wrong figure hurts.
//!
//! A request that has begun and not ended has been worked on without being counted. Instances that work on one after
//! another have one such each; those that work on many at once have more while a load rises, and requests look
//! heavier for so long, never lighter.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{fading::Fading, observed::Worked};

/// After this long, a reading weighs 37 % of a new one.
const MEMORY: Duration = Duration::from_mins(1);
/// The same while instances are saturated.
const SATURATED_MEMORY: Duration = Duration::from_secs(10);
/// From this utilization on they are.
const SATURATED: f64 = 0.9;
/// Requests that must have been finished before the answer means anything.
const FEWEST_REQUESTS: f64 = 5.0;
/// What is known of an app that was replaced counts for no more than so many requests.
const HINT: f64 = 20.0;

/// Fading sums of busy seconds and of requests.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Work {
    busy_seconds: f64,
    requests: f64,
    #[serde(skip)]
    fading: Fading,
}

impl Work {
    /// Takes what instances at `utilization` did since it was last told, `passed` ago.
    pub(crate) fn learn(&mut self, passed: Duration, utilization: Option<f64>, worked: Worked) {
        let saturated = utilization.is_some_and(|share| share >= SATURATED);
        let memory = if saturated { SATURATED_MEMORY } else { MEMORY };
        let kept = self.fading.kept(passed.as_secs_f64(), memory.as_secs_f64());
        let next = Self {
            busy_seconds: self.busy_seconds * kept + worked.busy_seconds,
            requests: self.requests * kept + worked.requests,
            fading: self.fading,
        };
        // An absurd reading must not spoil the sums for good.
        if next.busy_seconds.is_finite() && next.requests.is_finite() {
            *self = next;
        }
    }

    /// The app was replaced: what is known counts for no more than a few requests.
    pub(crate) fn doubt(&mut self) {
        if self.requests > HINT {
            self.busy_seconds *= HINT / self.requests;
            self.requests = HINT;
        }
    }

    /// Busy seconds that one request takes.
    pub(crate) fn per_request(&self) -> Option<f64> {
        let known = self.requests >= FEWEST_REQUESTS && self.busy_seconds > 0.0;
        known.then(|| self.busy_seconds / self.requests)
    }
}

#[cfg(test)]
#[path = "work/tests.rs"]
mod tests;
