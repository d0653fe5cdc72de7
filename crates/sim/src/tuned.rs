//! The second baseline: a tuned loop.
//!
//! Every second it asks for what the largest five-second mean of the last `hold` seconds needs at
//! a target. It knows demand without lag, moves without limits, and its two knobs are chosen
//! for each trace in hindsight: an advantage that no live policy has.

use std::collections::VecDeque;

use crate::{
    CAPACITY,
    world::{Autoscaler, Seen},
};

/// Targets of the sweep.
pub const TARGETS: [f64; 6] = [0.5, 0.6, 0.7, 0.8, 0.9, 0.95];
/// Seconds of the sweep.
pub const HOLDS: [u32; 5] = [60, 300, 900, 1_800, 3_600];
/// Seconds that demand is averaged over.
const MEAN: usize = 5;

/// Every target with every hold.
pub fn settings() -> impl Iterator<Item = (f64, u32)> {
    TARGETS.into_iter().flat_map(|target| HOLDS.map(|hold| (target, hold)))
}

/// One setting of the loop.
#[derive(Debug, Clone)]
pub struct TunedLoop {
    target: f64,
    hold: usize,
    /// Arrivals of the last seconds, the newest last.
    latest: VecDeque<u32>,
    /// Five-second means that may still be the largest of the hold: oldest and largest first.
    largest: VecDeque<(usize, f64)>,
}

impl TunedLoop {
    pub fn new(target: f64, hold: u32) -> Self {
        Self { target, hold: hold as usize, latest: VecDeque::new(), largest: VecDeque::new() }
    }
}

impl Autoscaler for TunedLoop {
    fn target(&self) -> f64 {
        self.target
    }

    fn start(&mut self, _ready: u32) {}

    fn desired(&mut self, seen: &Seen) -> u32 {
        let Some(before) = seen.before else {
            return seen.ready;
        };
        self.latest.push_back(before.arrivals);
        if self.latest.len() > MEAN {
            self.latest.pop_front();
        }
        let sum: u64 = self.latest.iter().map(|&arrivals| u64::from(arrivals)).sum();
        let mean = sum as f64 / self.latest.len() as f64;
        while self.largest.back().is_some_and(|&(_, other)| other <= mean) {
            self.largest.pop_back();
        }
        self.largest.push_back((seen.second, mean));
        while self.largest.front().is_some_and(|&(at, _)| seen.second - at >= self.hold) {
            self.largest.pop_front();
        }
        let largest = self.largest.front().map_or(mean, |&(_, largest)| largest);
        (largest / (f64::from(CAPACITY) * self.target)).ceil() as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        demand::Demand,
        world::{Conditions, run_watched},
    };

    #[test]
    fn the_loop_follows_five_second_means_and_holds_the_largest() {
        let arrivals = [[400; 10].as_slice(), &[800; 10], &[400; 90]].concat();
        let mut counts = Vec::new();
        let conditions = Conditions { start_up: 0, buffer: 0 };
        run_watched(&Demand::new(arrivals), conditions, &mut TunedLoop::new(0.8, 60), |second, moment| {
            if counts.last().is_none_or(|&(_, count)| count != moment.launched) {
                counts.push((second, moment.launched));
            }
        });
        // 400/s are 5; each second of 800/s moves the mean by 80; the last mean of 800 is seen at
        // second 20, and 59 more see it as the largest of a minute.
        assert_eq!(counts[..6], [(0, 6), (1, 5), (11, 6), (12, 7), (13, 8), (14, 9)]);
        assert_eq!(counts[6..], [(15, 10), (80, 9), (81, 8), (82, 7), (83, 6), (84, 5)]);
    }
}
