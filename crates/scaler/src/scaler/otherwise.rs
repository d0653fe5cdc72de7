//! What would have been decided in other cases.
//!
//! The step is led through its rules again without one trigger or one rule at a time, from the same
//! memory. Nothing of that is remembered.

use tidegate_core::{Timestamp, policy::Trigger};

use super::{Course, Rule, Scaler, largest, name};
use crate::{
    decision::Otherwise,
    opinion::{Opinion, Wanted},
    stabilize::Stabilizer,
    words::Words,
};

/// What stabilization remembered before the step.
pub(super) type Holds = (Stabilizer, Stabilizer);

impl Scaler {
    pub(super) fn holds(&self) -> Holds {
        (self.state.smallest.clone(), self.state.largest.clone())
    }

    /// The counts without the winner, without each forecast, and without each rule that moved the count.
    pub(super) fn otherwise(
        &mut self,
        at: Timestamp,
        opinions: &[Opinion],
        course: &Course,
        before: &Holds,
    ) -> Vec<Otherwise> {
        let mut cases = Vec::new();
        let all = largest(opinions);
        for (index, (trigger, opinion)) in self.policy.triggers.iter().zip(opinions).enumerate() {
            let foresees = matches!((trigger, opinion.wanted), (Trigger::Forecast(_), Wanted::Count(_)));
            if (Some(index) == all.winner() || foresees) && opinions.len() > 1 {
                let others: Vec<_> =
                    opinions.iter().enumerate().filter(|&(other, _)| other != index).collect();
                let largest = largest(others.iter().map(|(_, opinion)| *opinion));
                cases.push((format!("without {}", name(trigger)), largest, None));
            }
        }
        for (text, rule) in [("stabilization", Rule::Stabilization), ("pace", Rule::Pace)] {
            if course.adjustments.iter().any(|adjustment| adjustment.rule == text) {
                cases.push((format!("without {text}"), all, Some(rule)));
            }
        }
        if cases.is_empty() {
            return Vec::new();
        }
        let after = self.holds();
        let decide = |(case, largest, without)| {
            (self.state.smallest, self.state.largest) = before.clone();
            let desired = self.moderate(at, largest, without, Words::Unspoken).count;
            Otherwise { case, desired }
        };
        let otherwise = cases.into_iter().map(decide).collect();
        (self.state.smallest, self.state.largest) = after;
        otherwise
    }
}
