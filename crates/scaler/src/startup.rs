//! How long instances take to start, learned from those that did.
//!
//! The last [`KEPT`] start-ups are remembered and a high one is the answer: whoever waits for new
//! capacity is hurt by the slow start, not by the mean.

use std::{collections::VecDeque, time::Duration};

use serde::{Deserialize, Serialize};
use tidegate_core::Flaw;

/// Start-ups remembered.
const KEPT: usize = 32;
/// The share of start-ups that took no longer than the answer, in percent.
const QUANTILE: usize = 95;

/// The latest start-up times, oldest first, in whole milliseconds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct StartUps {
    millis: VecDeque<u32>,
    /// The answer, kept because it is asked for far more often than it changes.
    high: Option<u32>,
}

impl StartUps {
    pub(crate) fn check(&self) -> Result<(), Flaw> {
        let kept = self.millis.len();
        Flaw::unless(kept <= KEPT, "millis", || format!("{kept} are more than {KEPT}"))
    }

    pub(crate) fn learn(&mut self, started: &[Duration]) {
        if started.is_empty() {
            return;
        }
        for &time in &started[started.len().saturating_sub(KEPT)..] {
            self.millis.push_back(u32::try_from(time.as_millis()).unwrap_or(u32::MAX));
        }
        while self.millis.len() > KEPT {
            self.millis.pop_front();
        }
        let mut sorted: Vec<u32> = self.millis.iter().copied().collect();
        sorted.sort_unstable();
        let rank = (sorted.len() * QUANTILE).div_ceil(100);
        self.high = sorted.get(rank.saturating_sub(1)).copied();
    }

    /// The app was replaced: the answer stays until one of the new has started, and counts no more then.
    pub(crate) fn doubt(&mut self) {
        self.millis.clear();
    }

    /// The 95th percentile; `None` before anything started.
    pub(crate) fn high(&self) -> Option<Duration> {
        self.high.map(|millis| Duration::from_millis(millis.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn high(seconds: impl IntoIterator<Item = u64>) -> Option<Duration> {
        let mut start_ups = StartUps::default();
        for second in seconds {
            start_ups.learn(&[Duration::from_secs(second)]);
        }
        start_ups.high()
    }

    #[test]
    fn a_slow_start_counts_and_a_single_freak_does_not() {
        assert_eq!(high([]), None);
        assert_eq!(high([7]), Some(Duration::from_secs(7)));
        assert_eq!(high(1..=20), Some(Duration::from_secs(19)));
    }

    #[test]
    fn old_starts_are_forgotten() {
        assert_eq!(high((0..100).map(|n| if n < 68 { 60 } else { 2 })), Some(Duration::from_secs(2)));
    }

    #[test]
    fn a_flood_of_starts_keeps_the_latest() {
        let mut start_ups = StartUps::default();
        let flood: Vec<_> = (0..1_000).map(Duration::from_secs).collect();
        start_ups.learn(&flood);
        assert_eq!((start_ups.millis.len(), start_ups.millis[0]), (KEPT, 968_000));
    }
}
