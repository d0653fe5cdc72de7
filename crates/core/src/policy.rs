//! How a fleet may be scaled, as checked configuration.
//!
//! The scaler turns a [`Policy`] and what was observed into a decision; nothing here decides.

use std::{num::NonZeroU32, time::Duration};

use serde::{Deserialize, Serialize};

/// The scaling rules of one fleet.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Policy {
    /// Fewest instances. Never above `max`.
    pub min: u32,
    /// Most instances.
    pub max: u32,
    /// Empty: the count stays where the bounds put it.
    pub triggers: Vec<Trigger>,
    pub scale_out: Pace,
    pub scale_in: Pace,
}

impl Policy {
    /// Bounds and an objective and nothing else: the policy that needs no tuning.
    pub fn keeping(min: u32, max: u32, headroom: Headroom) -> Self {
        let free = Pace { stabilization: Duration::ZERO, limits: Vec::new() };
        Self {
            min,
            max,
            triggers: vec![Trigger::Headroom(headroom)],
            scale_out: free.clone(),
            scale_in: free,
        }
    }
}

/// How fast, and after how long, the count may move in one direction.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Pace {
    /// Only what every recommendation of this span agrees on is acted upon.
    pub stabilization: Duration,
    /// The most permissive of these holds; empty: no limit.
    pub limits: Vec<PaceLimit>,
}

/// At most `amount` more (or fewer) instances within `period`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PaceLimit {
    pub amount: Amount,
    pub period: Duration,
}

/// A number of instances, plain or as a share of the present count.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Amount {
    Instances(NonZeroU32),
    /// 1.0 is 100 %; above zero.
    Share(f64),
}

impl Amount {
    /// How many instances this is where there are `count`: at least one, a part of one is a whole.
    pub fn of(self, count: u32) -> u32 {
        match self {
            Self::Instances(instances) => instances.get(),
            Self::Share(share) => (share * f64::from(count)).ceil().max(1.0) as u32,
        }
    }
}

/// A rule that turns an observation into a recommended count.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Trigger {
    Target(Target),
    Threshold(Threshold),
    Headroom(Headroom),
}

/// Keep a metric, per instance, at a value.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Target {
    pub metric: TargetMetric,
    /// In the metric's own unit, above zero.
    pub value: f64,
    /// No change while the metric is within this share of the value (0.1 is 10 %).
    pub tolerance: f64,
}

/// Add instances above one value and take them away below another.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Threshold {
    pub metric: Metric,
    /// Step out while the metric is above; in the metric's own unit.
    pub above: f64,
    /// Step in while the metric is below; never over `above`. `None`: this trigger never steps in.
    pub below: Option<f64>,
    /// The metric must have been beyond the value for this long without a break.
    pub hold: Duration,
    pub step_out: Amount,
    pub step_in: Amount,
}

/// Keep so much more than demand needs that hardly any request finds no capacity, and no more.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Headroom {
    /// Share of requests that may find no capacity, above 0 and below 1.
    pub overload: f64,
    /// How long a request may wait before it has found none.
    pub wait: Duration,
}

/// What can be kept at a value: metrics that fall in proportion when instances are added.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum TargetMetric {
    /// Share of time that the instances were busy, 0 to 1, mean over ready instances.
    Utilization,
    /// Requests in flight and queued, per instance.
    Concurrency,
    /// Requests that arrive per second, per instance.
    ArrivalRate,
}

/// What can be observed of a fleet, in the unit that thresholds compare with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Metric {
    /// Share of time that the instances were busy, 0 to 1, mean over ready instances.
    Utilization,
    /// Requests in flight, whole fleet.
    Concurrency,
    /// Requests that arrive per second, whole fleet.
    ArrivalRate,
    /// Requests held at the gateway because no instance could take them.
    Queued,
    /// Median time until the answer is complete, in seconds.
    LatencyP50,
    /// 99th percentile of the same, in seconds.
    LatencyP99,
    /// Share of requests answered with 5xx or not at all, 0 to 1.
    ErrorRate,
    /// Processor time used per second, whole fleet: 1 is one core.
    Cpu,
    /// Resident memory of all instances, in bytes.
    Memory,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_amount_is_at_least_one_instance() {
        let three = NonZeroU32::new(3).map(Amount::Instances).unwrap();
        assert_eq!([0, 1, 100].map(|count| three.of(count)), [3, 3, 3]);
        assert_eq!([0, 1, 5, 100].map(|count| Amount::Share(0.25).of(count)), [1, 1, 2, 25]);
        assert_eq!(Amount::Share(f64::NAN).of(7), 1);
        assert_eq!(Amount::Share(f64::INFINITY).of(7), u32::MAX);
    }
}
