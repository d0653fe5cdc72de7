//! Where instances come from, what they cost there, and how much all of them may cost.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::PoolId;

/// What a fleet is made of and may spend. Empty: instances are all alike and nothing limits what they cost.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Supply {
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pools: Vec<Pool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget: Option<Budget>,
}

/// A source of instances.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Pool {
    pub name: PoolId,
    pub kind: PoolKind,
    /// US dollars for an hour of an instance.
    pub price: f64,
    /// What an instance serves, as a share of a usual one. Above zero.
    pub capacity: f64,
    /// How long an instance takes to start. `None`: as long as was learned.
    pub start_up: Option<Duration>,
    /// The share of instances that is taken back within an hour.
    pub interruption: f64,
    /// Most instances.
    pub max: u32,
}

/// On what terms.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum PoolKind {
    /// Whenever they are wanted, as long as they are wanted.
    OnDemand,
    /// Until they are taken back.
    Spot,
    /// All of `max` are paid for, whether they run or not.
    Reserved,
}

impl PoolKind {
    pub const fn word(self) -> &'static str {
        match self {
            Self::OnDemand => "onDemand",
            Self::Spot => "spot",
            Self::Reserved => "reserved",
        }
    }
}

impl Supply {
    /// What an hour of an instance costs that is always to be had: the dearest, where there are several.
    pub fn on_demand_price(&self) -> Option<f64> {
        let of = |kind| self.pools.iter().filter(move |pool| pool.kind == kind).map(|pool| pool.price);
        of(PoolKind::OnDemand)
            .reduce(f64::max)
            .or_else(|| self.pools.iter().map(|pool| pool.price).reduce(f64::max))
    }
}

/// What a fleet may cost in a calendar month, in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Budget {
    /// US dollars.
    pub monthly: f64,
    /// Share of it from which on there is an alarm.
    pub alarm: f64,
    pub when_spent: WhenSpent,
}

/// What happens when the budget is spent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum WhenSpent {
    /// The fleet grows no more, and shrinks as it otherwise would, until the month is over.
    Hold,
    /// The fleet has the fewest instances of its policy until the month is over.
    Min,
    /// Nothing but the alarm.
    Alarm,
}
