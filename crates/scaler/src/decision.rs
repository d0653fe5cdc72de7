//! What the scaler decided, and why.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::supply::Mix;

/// The count to act on, with everything that led to it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Decision {
    /// How many instances there should be.
    pub desired: u32,
    /// How many were desired before this step.
    pub previous: u32,
    /// What each trigger asked for, in the order of the policy.
    pub recommendations: Vec<Recommendation>,
    /// Which recommendation was the largest, as an index; `None` where none had an opinion or there are none.
    pub winner: Option<usize>,
    /// What changed the winner's count on its way to `desired`, in order.
    pub adjustments: Vec<Adjustment>,
    /// What would have been decided in other cases.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub otherwise: Vec<Otherwise>,
    /// Of which pools the instances are, where the policy has pools.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mix: Option<Mix>,
    /// What has to be known before a limit is reached.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warning: Option<String>,
}

/// The count to act on, of a step that does not explain itself.
#[derive(Debug, Clone, PartialEq)]
pub struct Unspoken {
    /// How many instances there should be.
    pub desired: u32,
    /// Of which pools they are, where the policy has pools.
    pub mix: Option<Mix>,
}

/// What one trigger asked for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Recommendation {
    /// The trigger in short: `target utilization 80%`.
    pub trigger: String,
    /// `None`: it has no opinion, because something it needs is missing or nothing calls for it.
    pub wanted: Option<u32>,
    /// One sentence with the numbers: `3 instances at 96% busy are 3.6 at 80%`.
    pub because: String,
}

/// A rule that moved the count.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Adjustment {
    /// `bounds`, `stabilization`, `pace`, `missing metric`, `schedule`, `activity`, `budget`.
    pub rule: Cow<'static, str>,
    pub from: u32,
    pub to: u32,
    pub because: String,
}

/// A count that was not decided, and in which case it would have been.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Otherwise {
    /// `without forecast 99%`, `without pace`, `HPA at 70%`.
    pub case: String,
    pub desired: u32,
}

impl Decision {
    /// Whether the count is another than before, or the pools that it is made of.
    pub fn changes(&self) -> bool {
        self.desired != self.previous || self.mix.as_ref().is_some_and(|mix| mix.moved)
    }

    /// The decision as short sentences, most important first.
    pub fn reasons(&self) -> Vec<String> {
        let winner = self.winner.map(|index| {
            let won = &self.recommendations[index];
            format!("{}: {}", won.trigger, won.because)
        });
        let adjustments = self
            .adjustments
            .iter()
            .map(|rule| format!("{}: {} instead of {}, {}", rule.rule, rule.to, rule.from, rule.because));
        let silent = self.recommendations.iter().filter(|one| one.wanted.is_none());
        let silent = silent.map(|one| format!("{}: {}", one.trigger, one.because));
        let mix = self.mix.iter().map(|mix| format!("pools: {}", mix.because));
        let warning = self.warning.iter().map(|warning| format!("budget: {warning}"));
        winner.into_iter().chain(adjustments).chain(mix).chain(warning).chain(silent).collect()
    }
}
