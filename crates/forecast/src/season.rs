//! The last season of a series, as a ring.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

/// One value for each step of the season, the oldest first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Season {
    length: usize,
    values: VecDeque<f64>,
}

impl Season {
    /// A season of no length never has values.
    pub(crate) fn new(length: usize) -> Self {
        Self { length, values: VecDeque::new() }
    }

    /// The value of the next step. A series begins with its first known value.
    pub(crate) fn push(&mut self, value: Option<f64>) {
        let Some(value) = value.filter(|_| self.length > 0) else {
            return;
        };
        // One more than a season, so that the same moment one season ago is still there.
        if self.values.len() > self.length {
            self.values.pop_front();
        }
        self.values.push_back(value);
    }

    /// What the value `steps` after now was one season earlier, or as many seasons as it takes.
    pub(crate) fn ago(&self, steps: usize) -> Option<f64> {
        if self.values.len() <= self.length {
            return None;
        }
        let phase = if steps == 0 { 0 } else { (steps - 1) % self.length + 1 };
        self.values.get(phase).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_season_is_complete_when_now_was_seen_before() {
        let mut season = Season::new(3);
        for value in 0..3 {
            season.push(Some(f64::from(value)));
            assert_eq!(season.ago(1), None);
        }
        season.push(Some(3.0));
        let ago = [0, 1, 2, 3, 4, 6, 7].map(|steps| season.ago(steps).map(|value| value as u32));
        assert_eq!(ago, [0, 1, 2, 3, 1, 3, 1].map(Some));
        season.push(Some(4.0));
        assert_eq!(season.ago(0), Some(1.0));
    }

    #[test]
    fn without_a_season_nothing_repeats() {
        let mut season = Season::new(0);
        season.push(Some(1.0));
        assert_eq!(season.ago(0), None);
    }
}
