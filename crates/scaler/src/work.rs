//! How much work a request is, learned from how busy its instances are.
//!
//! Busy time per request is utilization times instances over arrivals (the utilization law). It is
//! what demand can be told from when the instances are saturated and can no longer show it: they
//! are busy all the time whether a little or ten times too much is asked of them, but the gateway
//! still counts what arrives.
//!
//! Both sums fade with [`MEMORY`], so a change of the application is learned within a minute or two
//! of serving it. Saturated instances serve less than arrives, so for them it is what they answered that
//! counts, and it counts sooner: it is then that a wrong figure hurts. Where that is not known their reading
//! is too low, but where even that is more than what was learned, requests have become heavier and it counts.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// After this long, a reading weighs 37 % of a new one.
const MEMORY: Duration = Duration::from_mins(1);
/// The same while instances are saturated and it is known what they answer.
const SATURATED_MEMORY: Duration = Duration::from_secs(10);
/// Requests that must have been seen before the answer means anything.
const FEWEST_REQUESTS: f64 = 20.0;
/// Above this utilization, instances may be falling behind what arrives.
const KEEPS_UP: f64 = 0.9;

/// Fading sums of busy seconds and of requests.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Work {
    busy_seconds: f64,
    requests: f64,
}

impl Work {
    /// `busy` instances (all their shares together) met `rate` requests/s for `passed`, and answered `served` of them.
    pub(crate) fn learn(
        &mut self,
        passed: Duration,
        utilization: f64,
        busy: f64,
        rate: f64,
        served: Option<f64>,
    ) {
        let seconds = passed.as_secs_f64();
        let heavier = self.per_request().is_some_and(|work| busy > rate * work);
        let (rate, memory) = match served {
            Some(served) if utilization > KEEPS_UP && served > 0.0 => (served, SATURATED_MEMORY),
            _ if utilization > KEEPS_UP && !heavier => return,
            _ => (rate, MEMORY),
        };
        if seconds <= 0.0 {
            return;
        }
        let kept = (-seconds / memory.as_secs_f64()).exp();
        let next = Self {
            busy_seconds: self.busy_seconds * kept + busy * seconds,
            requests: self.requests * kept + rate * seconds,
        };
        // An absurd reading must not spoil the sums for good.
        if next.busy_seconds.is_finite() && next.requests.is_finite() {
            *self = next;
        }
    }

    /// The app was replaced: what is known counts for no more than a few requests.
    pub(crate) fn doubt(&mut self) {
        if self.requests > FEWEST_REQUESTS {
            self.busy_seconds *= FEWEST_REQUESTS / self.requests;
            self.requests = FEWEST_REQUESTS;
        }
    }

    /// Busy seconds that one request takes.
    pub(crate) fn per_request(&self) -> Option<f64> {
        let known = self.requests >= FEWEST_REQUESTS && self.busy_seconds > 0.0;
        known.then(|| self.busy_seconds / self.requests)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn learned(readings: impl IntoIterator<Item = (f64, f64)>) -> Option<f64> {
        let mut work = Work::default();
        for (utilization, rate) in readings {
            work.learn(SECOND, utilization, utilization * 4.0, rate, None);
        }
        work.per_request()
    }

    #[test]
    fn work_is_busy_time_over_requests() {
        let work = learned([(0.25, 100.0), (0.5, 200.0)]).unwrap();
        assert!((work - 0.01).abs() < 1e-12, "{work}");
    }

    #[test]
    fn saturated_instances_teach_nothing() {
        assert_eq!(learned([(0.95, 1_000.0); 10]), None);
    }

    #[test]
    fn saturation_teaches_that_requests_became_heavier() {
        // 30 ms instead of 10: four saturated instances would need twelve for 400/s, and show one third.
        let work = learned([(0.5, 200.0)].repeat(300).into_iter().chain([(1.0, 400.0); 120])).unwrap();
        assert!((0.0099..0.0101).contains(&work), "no proof of anything yet: {work}");
        let work = learned([(0.5, 200.0)].repeat(300).into_iter().chain([(1.0, 200.0); 120])).unwrap();
        assert!((0.018..=0.02).contains(&work), "at least twice as heavy: {work}");
    }

    #[test]
    fn what_saturated_instances_answer_tells_what_they_can() {
        let mut work = Work::default();
        for _ in 0..300 {
            work.learn(SECOND, 0.5, 2.0, 200.0, Some(200.0));
        }
        // They can do 280/s, 400/s arrive.
        for _ in 0..60 {
            work.learn(SECOND, 1.0, 4.0, 400.0, Some(280.0));
        }
        let work = work.per_request().unwrap();
        assert!((0.0141..0.0144).contains(&work), "{work}");
    }

    #[test]
    fn a_handful_of_requests_teaches_nothing() {
        assert_eq!(learned([(0.1, 5.0)]), None);
    }

    #[test]
    fn a_heavier_application_is_learned_within_two_minutes() {
        let readings = [(0.4, 160.0)].repeat(600).into_iter().chain([(0.6, 160.0)].repeat(120));
        let work = learned(readings).unwrap();
        assert!((0.0142..=0.015).contains(&work), "{work}");
    }

    #[test]
    fn a_new_app_is_learned_within_seconds() {
        let mut work = Work::default();
        for _ in 0..600 {
            work.learn(SECOND, 0.5, 2.0, 200.0, None);
        }
        work.doubt();
        assert!(work.per_request().is_some_and(|work| (0.0099..0.0101).contains(&work)), "a hint at first");
        for _ in 0..5 {
            work.learn(SECOND, 0.25, 1.0, 200.0, None);
        }
        assert!(work.per_request().is_some_and(|work| (0.005..0.0052).contains(&work)), "{work:?}");
    }

    #[test]
    fn an_absurd_reading_is_survived() {
        let work = learned([(0.5, 100.0), (0.5, f64::MAX), (0.5, f64::MAX), (0.5, 100.0)]);
        assert!(work.is_some());
    }
}
