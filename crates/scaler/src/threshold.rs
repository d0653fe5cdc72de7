//! The `threshold` trigger: a step out above one value, a step in below another.
//!
//! A step needs the metric beyond the value for the whole hold, counted from when it went beyond
//! or from when the count last changed, whichever is later: so a step is judged by its effect
//! before the next one is made. While ordered instances are not ready, the hold is at least as
//! long as they usually take to start.
//!
//! Between the two values the trigger asks for the present count, which is what hysteresis means.
//! Without a lower value it has nothing to ask for there, and other triggers may shrink the fleet.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tidegate_core::policy::{Metric, Threshold};

use crate::{
    observed::{Instances, Metrics},
    opinion::{Opinion, Wanted},
    words::{Words, instances, number, percent, span},
};

/// How long instances are given to start while it is not known how long they take.
const UNKNOWN_START_UP: Duration = Duration::from_secs(30);

/// Since when a metric has been beyond the values of its trigger, in lived time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Beyond {
    above: Option<Duration>,
    below: Option<Duration>,
}

/// What a threshold is held against.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sight<'a> {
    pub(crate) metrics: &'a Metrics,
    pub(crate) instances: Instances,
    /// The count desired so far, and since when.
    pub(crate) desired: u32,
    pub(crate) changed: Duration,
    pub(crate) start_up: Option<Duration>,
    pub(crate) now: Duration,
}

pub(crate) fn name(threshold: &Threshold) -> String {
    let (label, above) = (label(threshold.metric), value(threshold.metric, threshold.above));
    match threshold.below {
        Some(below) => format!("threshold {label} {} to {above}", value(threshold.metric, below)),
        None => format!("threshold {label} {above}"),
    }
}

impl Beyond {
    pub(crate) fn opinion(&mut self, threshold: &Threshold, sight: &Sight<'_>, words: Words) -> Opinion {
        let metric = threshold.metric;
        let Some(reading) = reading(metric, sight.metrics) else {
            // Not seen is no proof that the metric came back, nor that it stayed low.
            self.below = None;
            return Opinion::missing(words, || format!("{} is not known", label(metric)));
        };
        let below = threshold.below.filter(|&below| reading < below);
        self.above = since(self.above, reading > threshold.above, sight.now);
        self.below = since(self.below, below.is_some(), sight.now);
        let seen = || format!("{} is {}", label(metric), value(metric, reading));
        if let Some(above) = self.above {
            return step_out(threshold, sight, above, &seen, words);
        }
        match (self.below, threshold.below) {
            (Some(low), Some(value)) => step_in(threshold, sight, (low, value), &seen, words),
            (_, Some(below)) => Opinion {
                wanted: Wanted::Count(sight.desired),
                because: words.say(|| {
                    let (low, high) = (value(metric, below), value(metric, threshold.above));
                    format!("{}, between {low} and {high}", seen())
                }),
            },
            (_, None) => Opinion {
                wanted: Wanted::Nothing,
                because: words.say(|| format!("{}, not above {}", seen(), value(metric, threshold.above))),
            },
        }
    }
}

fn step_out(
    threshold: &Threshold,
    sight: &Sight<'_>,
    above: Duration,
    seen: &dyn Fn() -> String,
    words: Words,
) -> Opinion {
    let ordered = sight.desired > sight.instances.ready;
    let start_up = if ordered { sight.start_up.unwrap_or(UNKNOWN_START_UP) } else { Duration::ZERO };
    let hold = threshold.hold.max(start_up);
    let lasted = sight.now.saturating_sub(above.max(sight.changed));
    let seen = || format!("{}, above {}", seen(), value(threshold.metric, threshold.above));
    if lasted < hold {
        let why = if ordered && start_up > threshold.hold { " while instances start" } else { "" };
        let because = words.say(|| format!("{} for {} of {}{why}", seen(), span(lasted), span(hold)));
        return Opinion { wanted: Wanted::Count(sight.desired), because };
    }
    let step = threshold.step_out.of(sight.desired);
    let because = words.say(|| format!("{} for {}: {} more", seen(), span(lasted), instances(step)));
    Opinion { wanted: Wanted::Count(sight.desired.saturating_add(step)), because }
}

fn step_in(
    threshold: &Threshold,
    sight: &Sight<'_>,
    (low, below): (Duration, f64),
    seen: &dyn Fn() -> String,
    words: Words,
) -> Opinion {
    let lasted = sight.now.saturating_sub(low.max(sight.changed));
    let seen = || format!("{}, below {}", seen(), value(threshold.metric, below));
    if lasted < threshold.hold {
        let because = words.say(|| format!("{} for {} of {}", seen(), span(lasted), span(threshold.hold)));
        return Opinion { wanted: Wanted::Count(sight.desired), because };
    }
    let step = threshold.step_in.of(sight.desired);
    let because = words.say(|| format!("{} for {}: {} fewer", seen(), span(lasted), instances(step)));
    Opinion { wanted: Wanted::Count(sight.desired.saturating_sub(step)), because }
}

fn since(start: Option<Duration>, beyond: bool, now: Duration) -> Option<Duration> {
    beyond.then(|| start.unwrap_or(now))
}

fn reading(metric: Metric, metrics: &Metrics) -> Option<f64> {
    match metric {
        Metric::Utilization => metrics.utilization,
        Metric::Concurrency => metrics.concurrency,
        Metric::ArrivalRate => metrics.arrival_rate,
        Metric::Queued => metrics.queued,
        Metric::LatencyP50 => metrics.latency_p50.or_else(|| idle(metrics)),
        Metric::LatencyP99 => metrics.latency_p99.or_else(|| idle(metrics)),
        Metric::ErrorRate => metrics.error_rate.or_else(|| idle(metrics)),
        Metric::Cpu => metrics.cpu,
        Metric::Memory => metrics.memory,
    }
}

/// Where nothing arrives and nothing is in flight, nothing is slow and nothing fails: otherwise an
/// idle fleet, whose answers have no latency, could never shrink.
fn idle(metrics: &Metrics) -> Option<f64> {
    let nothing =
        [metrics.arrival_rate, metrics.concurrency].map(|metric| metric.is_some_and(|value| value <= 0.0));
    (nothing == [true, true]).then_some(0.0)
}

fn label(metric: Metric) -> &'static str {
    match metric {
        Metric::Utilization => "utilization",
        Metric::Concurrency => "concurrency",
        Metric::ArrivalRate => "arrival rate",
        Metric::Queued => "queue",
        Metric::LatencyP50 => "latency p50",
        Metric::LatencyP99 => "latency p99",
        Metric::ErrorRate => "error rate",
        Metric::Cpu => "cpu",
        Metric::Memory => "memory",
    }
}

fn value(metric: Metric, value: f64) -> String {
    match metric {
        Metric::Utilization | Metric::ErrorRate => percent(value),
        Metric::ArrivalRate => format!("{}/s", number(value)),
        Metric::LatencyP50 | Metric::LatencyP99 => {
            Duration::try_from_secs_f64(value).map_or_else(|_| number(value), span)
        }
        Metric::Cpu => format!("{} cores", number(value)),
        Metric::Memory => format!("{}MiB", number(value / f64::from(1 << 20))),
        Metric::Concurrency | Metric::Queued => number(value),
    }
}

#[cfg(test)]
#[path = "threshold/tests.rs"]
mod tests;
