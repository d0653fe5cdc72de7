//! One step as the journal keeps it: enough to take it again.

use serde::{Deserialize, Serialize};
use tidegate_core::{Timestamp, policy::Policy};

use crate::{
    decision::Decision,
    observed::Observed,
    scaler::{Scaler, State},
};

/// A step with everything that went into it and what came out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Record {
    pub policy: Policy,
    pub state_before: State,
    pub at: Timestamp,
    pub observed: Observed,
    pub decision: Decision,
}

impl Record {
    /// Takes the step again. Equal to `decision`, bit for bit.
    pub fn replay(&self) -> Decision {
        self.replay_with(self.policy.clone())
    }

    /// What another policy would have decided in the same place.
    pub fn replay_with(&self, policy: Policy) -> Decision {
        Scaler::restore(policy, self.state_before.clone()).step(self.at, &self.observed)
    }
}

#[cfg(test)]
#[path = "record/tests.rs"]
mod tests;
