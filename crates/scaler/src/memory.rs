//! What a trigger remembers from step to step.

use serde::{Deserialize, Serialize};
use tidegate_core::policy::Trigger;

use crate::{headroom::Rivalry, threshold::Beyond};

/// The memory of one trigger, of the kind that the trigger needs.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Memory {
    #[default]
    Nothing,
    Threshold(Beyond),
    Headroom(Box<Rivalry>),
}

impl Memory {
    /// This memory where it suits `trigger`, or else a fresh one.
    pub(crate) fn suited_to(self, trigger: &Trigger) -> Self {
        match (trigger, self) {
            (Trigger::Target(_), _) => Self::Nothing,
            (Trigger::Threshold(_), memory @ Self::Threshold(_))
            | (Trigger::Headroom(_), memory @ Self::Headroom(_)) => memory,
            (Trigger::Threshold(_), _) => Self::Threshold(Beyond::default()),
            (Trigger::Headroom(_), _) => Self::Headroom(Box::default()),
        }
    }
}
