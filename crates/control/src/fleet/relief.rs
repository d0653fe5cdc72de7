//! When whoever cannot be served now may be: what refused clients are told.

use std::time::{Duration, Instant};

use tidegate_scaler::observed::Metrics;

use super::{Fleet, Instance, State};

impl Fleet {
    /// In how long there may be room for a request: when the first instance is expected, or when those that wait have been worked
    /// off. `start_up` is how long an instance takes to start, where that was learned; otherwise it may take as long again as
    /// it has.
    pub(crate) fn relief(&self, start_up: Option<Duration>, metrics: &Metrics, now: Instant) -> Duration {
        let instances = self.instances();
        if instances.iter().any(Instance::serves) {
            let worked_off = metrics.queued.zip(metrics.served_rate).map(|(queued, rate)| queued / rate);
            return worked_off
                .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
                .unwrap_or_default();
        }
        let start = start_up.unwrap_or_default();
        let expected = instances.iter().filter_map(|instance| match instance.state {
            State::Starting => {
                let so_far = now.saturating_duration_since(instance.launched);
                Some(start_up.map_or(so_far, |start| start.saturating_sub(so_far)))
            }
            State::Failed { until } => Some(until.saturating_duration_since(now).saturating_add(start)),
            State::Ready { .. } | State::Leaving { .. } | State::Draining => None,
        });
        expected.min().unwrap_or(start)
    }
}
