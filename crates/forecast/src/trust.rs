//! Whether a forecaster has earned to be acted on.
//!
//! It has when enough of what it said was held against the truth, when it loses no more by it than
//! "it stays as it is" would have lost, and when the truth lay beyond its high quantile about as often as
//! it said. All of that fades, so trust is lost again where demand changes its ways.

use serde::{Deserialize, Serialize};
use tidegate_core::Flaw;

use crate::model::unless_counted;

/// How much one judgement moves the record.
const MEMORY: f64 = 0.005;
/// Fewest judgements, and so many more for each step of the horizon: neighbours tell the same story.
const FEWEST: u64 = 60;
const PER_STEP: u64 = 3;
/// It may lose this much more than the last value would have.
const WORSE: f64 = 1.02;
/// The truth may lie beyond this many times as often as was said, and this share more.
const TIMES_BEYOND: f64 = 1.5;
const MORE_BEYOND: f64 = 0.02;

/// What a forecaster is worth, with the figures that say so.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "trust")]
pub enum Trust {
    /// Too little was judged: a new series has no history.
    #[serde(rename_all = "camelCase")]
    NoHistory { judged: u64, needed: u64 },
    /// Better than the last value, and as sure as it says.
    Earned(Standing),
    /// Not so, of late.
    Lost(Standing),
}

/// How a forecaster did of late.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Standing {
    /// Pinball loss relative to that of the last value: below 1 is better.
    pub relative_loss: f64,
    /// Share of truths beyond the quantile at `level`, which should be one minus the level.
    pub beyond: f64,
    pub level: f64,
}

impl Trust {
    pub const fn is_earned(self) -> bool {
        matches!(self, Self::Earned(_))
    }
}

/// The record that trust rests on.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Record {
    judged: u64,
    loss: f64,
    naive_loss: f64,
    beyond: f64,
}

impl Record {
    pub(crate) fn check(&self) -> Result<(), Flaw> {
        unless_counted("judged", self.judged)
    }

    /// A forecast lost `loss` where the last value, as a forecast, lost `naive`.
    pub(crate) fn judge(&mut self, loss: f64, naive: f64, beyond: bool) {
        self.judged += 1;
        let memory = MEMORY.max(1.0 / self.judged as f64);
        self.loss += memory * (loss - self.loss);
        self.naive_loss += memory * (naive - self.naive_loss);
        self.beyond += memory * (f64::from(u8::from(beyond)) - self.beyond);
    }

    pub(crate) fn trust(&self, horizon: usize, level: f64) -> Trust {
        let needed = FEWEST + PER_STEP * horizon as u64;
        if self.judged < needed {
            return Trust::NoHistory { judged: self.judged, needed };
        }
        let relative_loss = if self.naive_loss > 0.0 { self.loss / self.naive_loss } else { 1.0 };
        let standing = Standing { relative_loss, beyond: self.beyond, level };
        let honest = self.beyond <= (1.0 - level) * TIMES_BEYOND + MORE_BEYOND;
        if relative_loss <= WORSE && honest { Trust::Earned(standing) } else { Trust::Lost(standing) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(judgements: usize, loss: f64, beyond_every: usize) -> Trust {
        let mut record = Record::default();
        for step in 0..judgements {
            record.judge(loss, 1.0, step % beyond_every == 0);
        }
        record.trust(5, 0.9)
    }

    #[test]
    fn trust_has_to_be_earned() {
        assert_eq!(record(74, 0.5, 10), Trust::NoHistory { judged: 74, needed: 75 });
        assert!(record(75, 0.5, 10).is_earned());
        assert!(matches!(record(500, 1.1, 10), Trust::Lost(_)), "the last value was better");
        assert!(matches!(record(500, 0.5, 4), Trust::Lost(_)), "it is surer than it should be");
    }

    #[test]
    fn trust_can_be_lost_and_earned_again() {
        let mut record = Record::default();
        let mut judge = |times: usize, loss: f64| {
            (0..times).for_each(|step| record.judge(loss, 1.0, step % 10 == 0));
            record.trust(1, 0.9).is_earned()
        };
        assert!(judge(1_000, 0.8));
        assert!(!judge(300, 2.0));
        assert!(judge(1_000, 0.8));
    }
}
