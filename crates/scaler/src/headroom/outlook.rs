//! Where demand is going: its mean of late, and where its trend would take it.

use std::{collections::VecDeque, time::Duration};

use serde::{Deserialize, Serialize};

/// How far back the trend is read.
const TREND: Duration = Duration::from_secs(20);
/// Readings that the mean is taken over, and fewest that a trend is read from.
const MEAN: usize = 5;
const FEWEST: usize = 10;
/// Most readings that are kept, however fast they come.
const MOST: usize = 64;

/// The demand of the last seconds, in instances.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Outlook {
    /// Lived time and demand, the newest last.
    latest: VecDeque<(Duration, f64)>,
}

impl Outlook {
    pub(crate) fn observe(&mut self, now: Duration, demand: f64) {
        self.latest.push_back((now, demand));
        let old = |&(at, _): &(Duration, f64)| now.saturating_sub(at) >= TREND;
        while self.latest.len() > MOST || self.latest.front().is_some_and(old) {
            self.latest.pop_front();
        }
    }

    /// The mean of the last readings.
    pub(crate) fn level(&self) -> f64 {
        let count = self.latest.len().min(MEAN);
        self.latest.iter().rev().take(MEAN).map(|&(_, demand)| demand).sum::<f64>() / (count as f64).max(1.0)
    }

    /// Where demand will be after `ahead` if it goes on rising. Never below the level.
    pub(crate) fn rising(&self, ahead: Duration) -> f64 {
        // The level is the mean of some readings and lies half of them back.
        let lag = MEAN as f64 / 2.0;
        self.level() + self.slope().max(0.0) * (ahead.as_secs_f64() + lag)
    }

    /// Instances per second, by least squares.
    fn slope(&self) -> f64 {
        if self.latest.len() < FEWEST {
            return 0.0;
        }
        let count = self.latest.len() as f64;
        let first = self.latest[0].0;
        let seconds = |at: Duration| at.saturating_sub(first).as_secs_f64();
        let middle = self.latest.iter().map(|&(at, _)| seconds(at)).sum::<f64>() / count;
        let (mut along, mut spread) = (0.0, 0.0);
        for &(at, demand) in &self.latest {
            let distance = seconds(at) - middle;
            along += distance * demand;
            spread += distance * distance;
        }
        if spread > 0.0 { along / spread } else { 0.0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outlook(demand: impl Fn(u64) -> f64) -> Outlook {
        let mut outlook = Outlook::default();
        for second in 0..60 {
            outlook.observe(Duration::from_secs(second), demand(second));
        }
        outlook
    }

    #[test]
    fn a_ramp_is_expected_to_go_on() {
        let outlook = outlook(|second| 10.0 + second as f64);
        assert!((outlook.level() - 67.0).abs() < 1e-9);
        let rising = outlook.rising(Duration::from_secs(30));
        assert!((rising - 99.5).abs() < 1e-6, "{rising}");
    }

    #[test]
    fn falling_demand_is_not_expected_to_fall_on() {
        let outlook = outlook(|second| 100.0 - second as f64);
        assert!((outlook.rising(Duration::from_secs(30)) - outlook.level()).abs() < 1e-9);
    }

    #[test]
    fn readings_at_one_moment_have_no_trend() {
        let mut outlook = Outlook::default();
        for _ in 0..100 {
            outlook.observe(Duration::ZERO, 3.0);
        }
        assert!((outlook.rising(Duration::from_secs(30)) - 3.0).abs() < 1e-9);
        assert!(outlook.latest.len() <= MOST);
    }
}
