//! The triggers: rules that turn an observation into a recommended count.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Amount, Formula, Schedule, Signal, TargetMetric};
use crate::{Flaw, RouteId, SourceId};

/// The furthest that a forecast looks ahead, and the longest season of one.
const FURTHEST: Duration = Duration::from_hours(24 * 366);

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(clippy::large_enum_variant, reason = "a policy has a handful of them")]
pub enum Trigger {
    Target(Target),
    Threshold(Threshold),
    Schedule(Schedule),
    Forecast(Forecast),
    Backlog(Backlog),
    Formula(Formula),
    Headroom(Headroom),
}

impl Trigger {
    /// All that it looks at, but demand, which every fleet shows.
    pub fn signals(&self) -> Vec<Signal> {
        match self {
            Self::Target(target) => vec![target.signal()],
            Self::Threshold(threshold) => threshold.conditions.iter().map(|one| one.signal.clone()).collect(),
            Self::Backlog(backlog) => vec![backlog.signal.clone()],
            Self::Formula(formula) => {
                formula.variables.values().filter_map(|one| one.signal().cloned()).collect()
            }
            Self::Schedule(_) | Self::Forecast(_) | Self::Headroom(_) => Vec::new(),
        }
    }

    /// The routes that it looks at.
    pub fn routes(&self) -> Vec<&RouteId> {
        match self {
            Self::Target(target) => target.route.iter().collect(),
            Self::Threshold(threshold) => {
                threshold.conditions.iter().filter_map(|one| one.signal.route()).collect()
            }
            Self::Backlog(backlog) => backlog.signal.route().into_iter().collect(),
            Self::Formula(formula) => {
                formula.variables.values().filter_map(|one| one.signal()?.route()).collect()
            }
            Self::Schedule(_) | Self::Forecast(_) | Self::Headroom(_) => Vec::new(),
        }
    }

    /// The event sources that it looks at.
    pub fn sources(&self) -> Vec<&SourceId> {
        match self {
            Self::Threshold(threshold) => {
                threshold.conditions.iter().filter_map(|one| one.signal.source()).collect()
            }
            Self::Backlog(backlog) => backlog.signal.source().into_iter().collect(),
            Self::Formula(formula) => {
                formula.variables.values().filter_map(|one| one.signal()?.source()).collect()
            }
            Self::Target(_) | Self::Schedule(_) | Self::Forecast(_) | Self::Headroom(_) => Vec::new(),
        }
    }

    /// Whether what it looks ahead or back to are times that memory suffices for.
    pub(super) fn check(&self) -> Result<(), Flaw> {
        match self {
            Self::Threshold(threshold) => threshold.check().map_err(Flaw::of("threshold")),
            Self::Schedule(schedule) => Flaw::unless_short("schedule.lasts", schedule.lasts),
            Self::Forecast(forecast) => forecast.check().map_err(Flaw::of("forecast")),
            Self::Backlog(Backlog { pressure: Pressure::Drain { within, .. }, .. }) => {
                Flaw::unless_short("backlog.within", *within)
            }
            Self::Headroom(headroom) => Flaw::unless_short("headroom.wait", headroom.wait),
            Self::Target(_) | Self::Backlog(_) | Self::Formula(_) => Ok(()),
        }
    }

    /// What it is called in a configuration.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Target(_) => "target",
            Self::Threshold(_) => "threshold",
            Self::Schedule(_) => "schedule",
            Self::Forecast(_) => "forecast",
            Self::Backlog(_) => "backlog",
            Self::Formula(_) => "formula",
            Self::Headroom(_) => "headroom",
        }
    }
}

/// Keep a metric, per instance, at a value.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Target {
    pub metric: TargetMetric,
    /// Of this route alone; see [`super::Metric::of_routes`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub route: Option<RouteId>,
    /// In the metric's own unit, above zero.
    pub value: f64,
    /// No change while the metric is within this share of the value (0.1 is 10 %).
    pub tolerance: f64,
}

impl Target {
    pub fn signal(&self) -> Signal {
        match &self.route {
            Some(route) => Signal::Route(route.clone(), self.metric.whole()),
            None => Signal::Fleet(self.metric.whole()),
        }
    }
}

/// Add instances above one value and take them away below another.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Threshold {
    /// Never empty.
    pub conditions: Vec<Condition>,
    /// How many of them call for a step out. A step in always needs all.
    pub join: Join,
    /// The metrics must have been beyond their values for this long without a break.
    pub hold: Duration,
    pub step_out: Amount,
    pub step_in: Amount,
}

impl Threshold {
    fn check(&self) -> Result<(), Flaw> {
        Flaw::unless(!self.conditions.is_empty(), "conditions", || "there are none".to_owned())?;
        Flaw::unless_short("hold", self.hold)
    }
}

/// One metric and the values that it is compared with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Condition {
    pub signal: Signal,
    /// Calls for a step out while the signal is above; in its own unit.
    pub above: f64,
    /// Allows a step in while the signal is below; never over `above`. `None`: it only must not be above.
    pub below: Option<f64>,
}

/// How conditions are joined.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Join {
    All,
    Any,
}

/// Have what a forecast of demand calls for ready when it comes.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Forecast {
    /// How far ahead. `None`: the time that instances take to start.
    pub horizon: Option<Duration>,
    /// After how long demand may repeat itself. `None`: an hour, a day and a week are looked for.
    pub period: Option<Duration>,
    /// The quantile of demand to have capacity for, above 0 and below 1.
    pub quantile: f64,
}

impl Forecast {
    fn check(&self) -> Result<(), Flaw> {
        Flaw::unless_within("horizon", self.horizon.unwrap_or_default(), FURTHEST)?;
        Flaw::unless_within("period", self.period.unwrap_or_default(), FURTHEST)?;
        let quantile = self.quantile;
        Flaw::unless(quantile > 0.0 && quantile < 1.0, "quantile", || quantile.to_string())
    }
}

/// Work off what waits.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Backlog {
    pub signal: Signal,
    pub pressure: Pressure,
    /// Up to this many, nothing is asked for.
    pub activation: f64,
    /// What counts while it is not known how many wait.
    #[serde(default)]
    pub fallback: Fallback,
}

/// What counts while a backlog is not known. None of these ever shrinks a fleet.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Fallback {
    /// The count stays.
    #[default]
    Hold,
    /// What waited when it was known last.
    LastValue,
    /// At least so many instances.
    Instances(u32),
}

/// How a backlog becomes a count.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Pressure {
    /// So many may wait for each instance.
    PerInstance(f64),
    /// All of it is to be worked off within `within`, while new work keeps arriving.
    Drain {
        within: Duration,
        /// What one instance works off per second. `None`: as learned.
        rate: Option<f64>,
    },
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
