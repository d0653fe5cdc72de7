//! How long requests are with an instance, learned by Little's law: as many are there at a time as come in that time.
//!
//! It matters where a fleet comes from zero. Requests that waited for the first instance are all with it at once, and so many at a
//! time say nothing about how many there will be a moment later. Until [`SETTLES`] after there was an instance again, they are
//! told apart by what was learned before: [`Service::of_late`].
//!
//! Nothing is learned meanwhile, nor while requests wait in the gateway, as their time there is not the instances'.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tidegate_core::Flaw;

use crate::{clock::SteadyClock, fading::Fading, observed::Metrics};

/// After this long, a reading weighs 37 % of a new one.
const MEMORY: Duration = Duration::from_mins(1);
/// Requests that must have been finished before the answer means anything.
const FEWEST_REQUESTS: f64 = 5.0;
/// What is known of an app that was replaced counts for no more than so many requests.
const HINT: f64 = 20.0;

/// For so long after there was an instance again, what is with the instances is what waited for them.
pub(crate) const SETTLES: Duration = Duration::from_secs(10);

/// Fading sums of the time that requests were with instances, and of requests.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Service {
    seconds: f64,
    requests: f64,
    /// Whether no instance was ready when it was last looked.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    empty: bool,
    /// When there was one again, in lived time.
    #[serde(skip_serializing_if = "Option::is_none")]
    woke: Option<Duration>,
    #[serde(skip)]
    fading: Fading,
}

impl Service {
    pub(crate) fn check(&self, clock: &SteadyClock) -> Result<(), Flaw> {
        self.woke.map_or(Ok(()), |woke| clock.check_past("woke", woke))
    }

    pub(crate) fn is_unknown(&self) -> bool {
        *self == Self::default()
    }

    /// Takes what was seen `passed` after it was last told, at `now`.
    pub(crate) fn learn(&mut self, (now, passed): (Duration, Duration), ready: u32, metrics: &Metrics) {
        if std::mem::replace(&mut self.empty, ready == 0) && ready > 0 {
            self.woke = Some(now);
        } else if self.woke.is_some_and(|woke| now.saturating_sub(woke) >= SETTLES) {
            self.woke = None;
        }
        if self.wakes() || metrics.queued.is_some_and(|queued| queued > 0.0) {
            return;
        }
        let Some((held, served)) = metrics.concurrency.zip(metrics.served_rate) else { return };
        let passed = passed.as_secs_f64();
        let kept = self.fading.kept(passed, MEMORY.as_secs_f64());
        let seconds = self.seconds * kept + held * passed;
        let requests = self.requests * kept + served * passed;
        // An absurd reading must not spoil the sums for good.
        if seconds.is_finite() && requests.is_finite() {
            (self.seconds, self.requests) = (seconds, requests);
        }
    }

    /// The app was replaced: what is known counts for no more than a few requests.
    pub(crate) fn doubt(&mut self) {
        if self.requests > HINT {
            self.seconds *= HINT / self.requests;
            self.requests = HINT;
        }
    }

    /// No instance is ready, or none was until a moment ago.
    const fn wakes(&self) -> bool {
        self.empty || self.woke.is_some()
    }

    /// Seconds that a request is with an instance, as known from before, while the fleet comes from zero.
    pub(crate) fn of_late(&self) -> Option<f64> {
        let known = self.wakes() && self.requests >= FEWEST_REQUESTS && self.seconds > 0.0;
        known.then(|| self.seconds / self.requests)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(concurrency: f64, served: f64, queued: f64) -> Metrics {
        Metrics {
            concurrency: Some(concurrency),
            served_rate: Some(served),
            queued: Some(queued),
            ..Metrics::default()
        }
    }

    #[test]
    fn it_is_known_where_it_matters_and_learned_where_it_is_true() {
        let mut service = Service::default();
        let mut second = 0;
        let mut live = |ready: u32, metrics: &Metrics| {
            second += 1;
            service.learn((Duration::from_secs(second), Duration::from_secs(1)), ready, metrics);
            service.of_late().map(|seconds| (seconds * 1e3).round())
        };
        for _ in 0..20 {
            assert_eq!(live(2, &seen(3.0, 60.0, 0.0)), None, "nobody has to guess");
        }
        assert_eq!(live(0, &seen(0.0, 0.0, 0.0)), Some(50.0));
        assert_eq!(live(0, &seen(180.0, 0.0, 180.0)), Some(50.0));
        for _ in 0..10 {
            assert_eq!(live(1, &seen(150.0, 40.0, 0.0)), Some(50.0), "what waited teaches nothing");
        }
        assert_eq!(live(1, &seen(3.0, 60.0, 0.0)), None);
    }
}
