//! The live scaler as a policy of the simulated world.
//!
//! It runs the very step that the control plane runs, on the observations that the gateway would
//! make. Left out are latencies, error causes, memory: the modelled instances have none, so a
//! trigger on them is blind here as it would be in a fleet that does not report them.

use std::time::Duration;

use tidegate_core::{
    Timestamp,
    policy::{Policy, TargetMetric, Trigger},
};
use tidegate_scaler::{
    Observed, Scaler,
    observed::{Instances, Metrics},
};

use crate::{
    CAPACITY,
    world::{Autoscaler, Before, Seen},
};

/// When simulated worlds begin: a Monday, at midnight in UTC.
const BEGIN: Timestamp = Timestamp::from_secs(1_767_571_200);
/// What a policy without a utilization target is taken to aim at.
const USUAL_TARGET: f64 = 0.8;

/// A scaler under simulation.
#[derive(Debug, Clone)]
pub struct Live {
    scaler: Scaler,
    start_up: Duration,
}

impl Live {
    /// `start_up` is what the fleet reports of its instances, in seconds.
    pub fn new(policy: Policy, start_up: u32) -> Self {
        Self { scaler: Scaler::new(policy), start_up: Duration::from_secs(start_up.into()) }
    }

    fn observed(&self, seen: &Seen) -> Observed {
        let metrics = seen.before.as_ref().map(metrics).unwrap_or_default();
        let instances = Instances { starting: seen.starting, ready: seen.ready, ..Instances::default() };
        let started = vec![self.start_up; seen.became_ready as usize];
        Observed { metrics, instances, started, generation: 0 }
    }
}

impl Autoscaler for Live {
    fn target(&self) -> f64 {
        let aim = |trigger: &Trigger| match trigger {
            Trigger::Target(target) => match target.metric {
                TargetMetric::Utilization => Some(target.value),
                TargetMetric::ArrivalRate => Some(target.value / f64::from(CAPACITY)),
                _ => None,
            },
            _ => None,
        };
        self.scaler.policy().triggers.iter().find_map(aim).unwrap_or(USUAL_TARGET)
    }

    fn start(&mut self, ready: u32) {
        self.scaler = Scaler::starting_at(self.scaler.policy().clone(), ready);
    }

    fn desired(&mut self, seen: &Seen) -> u32 {
        let now = BEGIN + Duration::from_secs(seen.second as u64);
        let observed = self.observed(seen);
        self.scaler.step_unspoken(now, &observed).desired
    }
}

/// What the gateway would have measured.
fn metrics(before: &Before) -> Metrics {
    let busy = f64::from(before.served) / f64::from(CAPACITY);
    let queued = before.queued as f64;
    let arrivals = f64::from(before.arrivals);
    Metrics {
        arrival_rate: Some(arrivals),
        // An instance works on one request at a time; those that wait are in flight too.
        concurrency: Some(busy + queued),
        queued: Some(queued),
        utilization: (before.ready > 0).then(|| before.utilization()),
        error_rate: (before.arrivals > 0).then(|| (f64::from(before.violated) / arrivals).min(1.0)),
        cpu: Some(busy),
        ..Metrics::default()
    }
}

#[cfg(test)]
mod tests {
    use tidegate_core::policy::{DEFAULT_IDLE, Pace, Slo, Target};

    use super::*;
    use crate::{
        demand::Demand,
        world::{Conditions, run, run_watched},
    };

    fn policy(stabilization: u64) -> Policy {
        let target = Target { metric: TargetMetric::Utilization, route: None, value: 0.8, tolerance: 0.1 };
        Policy {
            idle: DEFAULT_IDLE,
            min: 1,
            max: 100,
            slo: Slo::default(),
            triggers: vec![Trigger::Target(target)],
            scale_out: Pace { stabilization: Duration::ZERO, limits: Vec::new() },
            scale_in: Pace { stabilization: Duration::from_secs(stabilization), limits: Vec::new() },
        }
    }

    #[test]
    fn a_step_in_demand_is_met_by_the_live_arithmetic() {
        let arrivals = [[200; 300].as_slice(), &[2_000; 300], &[200; 300]].concat();
        let mut changes: Vec<(usize, u32)> = Vec::new();
        let conditions = Conditions { start_up: 30, buffer: 0 };
        run_watched(&Demand::new(arrivals), conditions, &mut Live::new(policy(60), 30), |second, moment| {
            if changes.last().is_none_or(|&(_, count)| count != moment.launched) {
                changes.push((second, moment.launched));
            }
        });
        // Seen one second after it happened: 20 busy are 25 at 80 %. The last such second is 599,
        // seen at 600, and it holds for a minute.
        assert_eq!(changes, [(0, 3), (301, 25), (661, 3)]);
    }

    #[test]
    fn the_same_demand_gives_the_same_figures() {
        let demand = Demand::new((0..2_000_u32).map(|second| 500 + 300 * (second / 100 % 7)).collect());
        let figures = || run(&demand, Conditions { start_up: 5, buffer: 0 }, &mut Live::new(policy(60), 5));
        assert_eq!(figures(), figures());
        assert!(figures().violated_requests > 0.0);
    }
}
