//! The first baseline: Kubernetes' HPA (autoscaling/v2) with its defaults.
//!
//! Every 15 s it looks at the 15 s that ended 30 s ago: the kubelet, the metrics server and the
//! loop itself each add their part of that lag. The instances that were ready then sum up to a
//! utilization, saturating at one each, and the sum over the target is what it wants. Instances
//! that were not ready are in neither sum nor count, so on the way up they count as idle; a
//! recommendation never goes against the direction that the utilization points to.
//!
//! Up it goes at most by the larger of 100 % and 4 instances per 15 s, down to the highest
//! recommendation of the last 300 s.

use std::collections::VecDeque;

use crate::{
    CAPACITY,
    world::{Autoscaler, Seen},
};

/// Targets of the sweep.
pub const TARGETS: [f64; 7] = [0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9];

/// Seconds between two decisions.
const SYNC: usize = 15;
/// Seconds that a metric is averaged over.
const WINDOW: usize = 15;
/// Seconds that a metric is old.
const LAG: usize = 30;
/// Seconds that the highest recommendation holds.
const STABILIZATION: usize = 300;
const TOLERANCE: f64 = 0.1;
/// Instances that may be added per sync, however few there are.
const LEAST_GROWTH: u32 = 4;
/// Less than this of an instance is rounding, not demand.
const ROUNDING: f64 = 1e-9;

/// One target of the baseline.
#[derive(Debug, Clone)]
pub struct Hpa {
    target: f64,
    desired: u32,
    /// Served requests and ready instances of each second of window and lag, the newest last.
    seconds: VecDeque<(u32, u32)>,
    /// Recommendations that may still be the highest: oldest and highest first.
    recommended: VecDeque<(usize, u32)>,
}

impl Hpa {
    pub fn new(target: f64) -> Self {
        Self { target, desired: 1, seconds: VecDeque::new(), recommended: VecDeque::new() }
    }

    /// What the metric asks for.
    fn recommend(&self) -> u32 {
        let window = self.seconds.iter().take(WINDOW);
        let (served, ready) = window.fold((0_u64, 0_u64), |(served, ready), &(more_served, more_ready)| {
            (served + u64::from(more_served), ready + u64::from(more_ready))
        });
        let instances = ready as f64 / WINDOW as f64;
        let sum = served as f64 / f64::from(CAPACITY) / WINDOW as f64;
        let wanted = sum / self.target;
        let ratio = wanted / instances.max(f64::MIN_POSITIVE);
        let count = (wanted - ROUNDING).ceil() as u32;
        if (ratio - 1.0).abs() <= TOLERANCE {
            self.desired
        } else if ratio > 1.0 {
            count.max(self.desired)
        } else {
            count.min(self.desired)
        }
    }

    /// The highest recommendation that is young enough.
    fn highest(&mut self, second: usize, wanted: u32) -> u32 {
        while self.recommended.back().is_some_and(|&(_, other)| other <= wanted) {
            self.recommended.pop_back();
        }
        self.recommended.push_back((second, wanted));
        while self.recommended.front().is_some_and(|&(at, _)| second - at >= STABILIZATION) {
            self.recommended.pop_front();
        }
        self.recommended.front().map_or(wanted, |&(_, highest)| highest)
    }
}

impl Autoscaler for Hpa {
    fn target(&self) -> f64 {
        self.target
    }

    fn start(&mut self, ready: u32) {
        self.desired = ready;
    }

    fn desired(&mut self, seen: &Seen) -> u32 {
        if let Some(before) = seen.before {
            self.seconds.push_back((before.served, before.ready));
            if self.seconds.len() > WINDOW + LAG {
                self.seconds.pop_front();
            }
        }
        if !seen.second.is_multiple_of(SYNC) || self.seconds.len() < WINDOW + LAG {
            return self.desired;
        }
        let wanted = self.recommend();
        let highest = self.highest(seen.second, wanted);
        let current = self.desired;
        let most = current.saturating_mul(2).max(current + LEAST_GROWTH);
        self.desired = if wanted < current { highest.min(current) } else { wanted.min(most) }.max(1);
        self.desired
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        demand::Demand,
        world::{Conditions, run_watched},
    };

    /// The second and the count of every change.
    fn changes(arrivals: &[(u32, usize)], target: f64, start_up: u32) -> Vec<(usize, u32)> {
        let demand = Demand::new(arrivals.iter().flat_map(|&(rate, seconds)| vec![rate; seconds]).collect());
        let mut changes: Vec<(usize, u32)> = Vec::new();
        run_watched(&demand, Conditions { start_up, buffer: 0 }, &mut Hpa::new(target), |second, moment| {
            if changes.last().is_none_or(|&(_, count)| count != moment.launched) {
                changes.push((second, moment.launched));
            }
        });
        changes
    }

    #[test]
    fn a_step_from_200_to_2000_is_followed_as_worked_out_by_hand() {
        // 200/s at 80 % are 2.5: three instances. The step at 300 is in the metric of 345, where
        // three saturated instances are 3.75 at 80 %. What is ordered then is ready at 375, and the
        // first window of its own ends at 390 and is seen at 420. So every 75 s the count grows by a
        // quarter, rounded up, until 24 instances are 83 % busy, which is within the tolerance.
        let grown = [(345, 4), (420, 5), (495, 7), (570, 9), (645, 12), (720, 15), (795, 19), (870, 24)];
        let expected = [[(0, 3)].as_slice(), &grown].concat();
        assert_eq!(changes(&[(200, 300), (2_000, 1_200)], 0.8, 30), expected);
    }

    #[test]
    fn growth_is_limited_and_shrinking_waits_for_five_minutes() {
        // A target of 10 % makes 30 of the three that are there: 4 more, then twice as many.
        // From 4000/s down to 10/s at second 600: the window of 645 is the first to see it, and 600 to
        // 630 still ask for the whole, so at 930 the last of them is out.
        let changes = changes(&[(25, 60), (250, 540), (5, 600)], 0.1, 0);
        assert_eq!(changes[..5], [(0, 3), (105, 7), (120, 14), (135, 25), (930, 1)]);
    }
}
