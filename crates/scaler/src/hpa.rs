//! The rule of Kubernetes' HPA (autoscaling/v2) with its defaults, to hold our own against: in simulation and live.
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

/// The rule with one target, and what it remembers.
#[derive(Debug, Clone)]
pub struct Hpa {
    target: f64,
    /// Work that one instance does in a second.
    capacity: f64,
    desired: u32,
    /// Work done and ready instances of each second of window and lag, the newest last.
    seconds: VecDeque<(u64, u32)>,
    /// Recommendations that may still be the highest: oldest and highest first.
    recommended: VecDeque<(usize, u32)>,
}

impl Hpa {
    pub fn new(target: f64, capacity: f64) -> Self {
        Self { target, capacity, desired: 1, seconds: VecDeque::new(), recommended: VecDeque::new() }
    }

    pub const fn target(&self) -> f64 {
        self.target
    }

    /// There are so many to begin with.
    pub const fn start(&mut self, ready: u32) {
        self.desired = ready;
    }

    /// What a second was like.
    pub fn see(&mut self, work: u64, ready: u32) {
        self.seconds.push_back((work, ready));
        if self.seconds.len() > WINDOW + LAG {
            self.seconds.pop_front();
        }
    }

    /// How many there should be at this second.
    pub fn decide(&mut self, second: usize) -> u32 {
        if !second.is_multiple_of(SYNC) || self.seconds.len() < WINDOW + LAG {
            return self.desired;
        }
        let wanted = self.recommend();
        let highest = self.highest(second, wanted);
        let current = self.desired;
        let most = current.saturating_mul(2).max(current + LEAST_GROWTH);
        self.desired = if wanted < current { highest.min(current) } else { wanted.min(most) }.max(1);
        self.desired
    }

    /// What the metric asks for.
    fn recommend(&self) -> u32 {
        let window = self.seconds.iter().take(WINDOW);
        let (work, ready) = window.fold((0_u64, 0_u64), |(work, ready), &(more_work, more_ready)| {
            (work + more_work, ready + u64::from(more_ready))
        });
        let instances = ready as f64 / WINDOW as f64;
        let sum = work as f64 / self.capacity / WINDOW as f64;
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
