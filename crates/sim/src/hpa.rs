//! The first baseline: Kubernetes' HPA, by [its rule](tidegate_scaler::hpa).

use tidegate_scaler::hpa;

use crate::{
    CAPACITY,
    world::{Autoscaler, Seen},
};

/// Targets of the sweep.
pub const TARGETS: [f64; 7] = [0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9];

/// One target of the baseline.
#[derive(Debug, Clone)]
pub struct Hpa(hpa::Hpa);

impl Hpa {
    pub fn new(target: f64) -> Self {
        Self(hpa::Hpa::new(target, f64::from(CAPACITY)))
    }
}

impl Autoscaler for Hpa {
    fn target(&self) -> f64 {
        self.0.target()
    }

    fn start(&mut self, ready: u32) {
        self.0.start(ready);
    }

    fn desired(&mut self, seen: &Seen) -> u32 {
        if let Some(before) = seen.before {
            self.0.see(u64::from(before.served), before.ready);
        }
        self.0.decide(seen.second)
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
