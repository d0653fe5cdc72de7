//! What a trigger remembers from step to step.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tidegate_core::{Flaw, policy::Trigger};

use crate::{
    ahead::Ahead, backlog::Growth, clock::SteadyClock, headroom::Rivalry, scaler::Outlook, threshold::Beyond,
};

/// The memory of one trigger, of the kind that the trigger needs.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Memory {
    #[default]
    Nothing,
    Threshold(Beyond),
    Forecast(Option<Box<Ahead>>),
    Backlog(Growth),
    Headroom(Box<Rivalry>),
}

impl Memory {
    /// Whether it can be what a trigger remembers.
    pub(crate) fn check(&self, clock: &SteadyClock) -> Result<(), Flaw> {
        match self {
            Self::Nothing | Self::Forecast(None) => Ok(()),
            Self::Threshold(beyond) => beyond.check(clock).map_err(Flaw::of("threshold")),
            Self::Forecast(Some(ahead)) => ahead.check(clock).map_err(Flaw::of("forecast")),
            Self::Backlog(growth) => growth.check(clock).map_err(Flaw::of("backlog")),
            Self::Headroom(rivalry) => rivalry.check(clock).map_err(Flaw::of("headroom")),
        }
    }

    /// Nothing was seen for `span`.
    pub(crate) fn absent(&mut self, span: Duration) {
        if let Self::Forecast(Some(ahead)) = self {
            ahead.absent(span);
        }
    }

    pub(crate) fn outlook(&self) -> Option<Outlook> {
        let Self::Forecast(Some(ahead)) = self else { return None };
        Some(ahead.outlook())
    }

    /// This memory where it suits `trigger`, or else a fresh one.
    pub(crate) fn suited_to(self, trigger: &Trigger) -> Self {
        match (trigger, self) {
            (Trigger::Target(_) | Trigger::Schedule(_) | Trigger::Formula(_), _) => Self::Nothing,
            (Trigger::Threshold(_), memory @ Self::Threshold(_))
            | (Trigger::Forecast(_), memory @ Self::Forecast(_))
            | (Trigger::Backlog(_), memory @ Self::Backlog(_)) => memory,
            (Trigger::Headroom(_), Self::Headroom(rivalry)) => {
                Self::Headroom(Box::new(rivalry.of_these_loops()))
            }
            (Trigger::Threshold(_), _) => Self::Threshold(Beyond::default()),
            (Trigger::Forecast(_), _) => Self::Forecast(None),
            (Trigger::Backlog(_), _) => Self::Backlog(Growth::default()),
            (Trigger::Headroom(_), _) => Self::Headroom(Box::default()),
        }
    }
}
