//! How a fleet may be scaled, as checked configuration.
//!
//! The scaler turns a [`Policy`] and what was observed into a decision; nothing here decides.

use std::{num::NonZeroU32, time::Duration};

use serde::{Deserialize, Serialize};

use crate::{Flaw, RouteId};

/// A day of the calendar, wherever it is one.
pub use jiff::civil::Date;

mod formula;
mod metric;
mod pool;
mod schedule;
mod trigger;

pub use self::{
    formula::{BadExpression, Expression, Formula, Variable},
    metric::{Metric, Signal, TargetMetric},
    pool::{Budget, Pool, PoolKind, Supply, WhenSpent},
    schedule::{BadCron, Cron, Schedule, UnknownZone, Zone},
    trigger::{Backlog, Condition, Fallback, Forecast, Headroom, Join, Pressure, Target, Threshold, Trigger},
};

/// The scaling rules of one fleet.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Policy {
    /// Fewest instances. Never above `max`. Zero: none while nobody asks.
    pub min: u32,
    /// Most instances.
    pub max: u32,
    /// Where `min` is zero: how long nobody must have asked before the last instance goes.
    #[serde(default = "default_idle")]
    pub idle: Duration,
    #[serde(default)]
    pub slo: Slo,
    /// Empty: the count stays where the bounds put it.
    pub triggers: Vec<Trigger>,
    pub scale_out: Pace,
    pub scale_in: Pace,
    #[serde(default)]
    pub supply: Supply,
}

/// What the fleet owes those who send it requests.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Slo {
    /// Share of requests that may find no capacity, above 0 and below 1. Default 0.1 %.
    pub overload: f64,
    /// How long a request may wait before it has found none. Default: not at all.
    pub wait: Duration,
    /// 99 of 100 answers are complete within this.
    pub latency_p99: Option<Duration>,
}

impl Default for Slo {
    fn default() -> Self {
        Self { overload: 0.001, wait: Duration::ZERO, latency_p99: None }
    }
}

/// Whether what a policy decides is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Mode {
    #[default]
    Act,
    /// Decisions are recorded, and the count stays what it is.
    Recommend,
}

/// As KEDA's `cooldownPeriod`.
pub const DEFAULT_IDLE: Duration = Duration::from_mins(5);

/// For policies that were recorded before there was such a thing.
const fn default_idle() -> Duration {
    DEFAULT_IDLE
}

impl Policy {
    /// Whether it is one that can be followed, wherever it comes from. What a file says is held to narrower limits.
    pub fn check(&self) -> Result<(), Flaw> {
        Flaw::unless_short("idle", self.idle)?;
        Flaw::unless_short("slo.wait", self.slo.wait)?;
        Flaw::unless_short("slo.latencyP99", self.slo.latency_p99.unwrap_or_default())?;
        for (field, pace) in [("scaleOut", &self.scale_out), ("scaleIn", &self.scale_in)] {
            pace.check().map_err(Flaw::of(field))?;
        }
        self.triggers.iter().try_for_each(Trigger::check).map_err(Flaw::of("triggers"))?;
        let start_ups = self.supply.pools.iter().filter_map(|pool| pool.start_up);
        start_ups.into_iter().try_for_each(|time| Flaw::unless_short("supply.pools.startUp", time))
    }

    /// The routes that triggers look at.
    pub fn routes(&self) -> impl Iterator<Item = &RouteId> {
        self.triggers.iter().flat_map(Trigger::routes)
    }

    /// Bounds and an objective and nothing else: the policy that needs no tuning.
    pub fn keeping(min: u32, max: u32, headroom: Headroom) -> Self {
        let free = Pace { stabilization: Duration::ZERO, limits: Vec::new() };
        let Headroom { overload, wait } = headroom;
        Self {
            min,
            max,
            idle: DEFAULT_IDLE,
            slo: Slo { overload, wait, latency_p99: None },
            triggers: vec![Trigger::Headroom(headroom)],
            scale_out: free.clone(),
            scale_in: free,
            supply: Supply::default(),
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

impl Pace {
    fn check(&self) -> Result<(), Flaw> {
        Flaw::unless_short("stabilization", self.stabilization)?;
        self.limits.iter().try_for_each(|limit| Flaw::unless_short("limits.period", limit.period))
    }
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
