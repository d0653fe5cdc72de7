//! The live scaler as a policy of the simulated world.
//!
//! It runs the very step that the control plane runs, on the observations that the gateway would
//! make. Latency is [modelled](crate::latency) for the policies that look at it. Left out are error
//! causes, memory, network and single routes: the modelled instances have none, so a trigger on them
//! is blind here as it would be in a fleet that does not report them.
//!
//! A policy that does not look at latency is not shown any, because the instances of the benchmark either have
//! capacity for a request or have not, and how busy they may be would be learned from it.

use std::{collections::BTreeMap, time::Duration};

use tidegate_core::{
    PoolId, Timestamp,
    policy::{Formula, Metric, Policy, Signal, TargetMetric, Trigger, Variable},
};
use tidegate_scaler::{
    Learned, Observed, PoolShare, Scaler,
    observed::{Instances, Metrics, PoolSeen, Worked},
};

use crate::{
    CAPACITY,
    latency::{self, Load},
    world::{Autoscaler, Before, Seen},
};

/// When simulated worlds begin: a Monday, at midnight in UTC.
const BEGIN_SECONDS: u64 = 1_767_571_200;
/// What a policy without a utilization target is taken to aim at.
const USUAL_TARGET: f64 = 0.8;

/// A scaler under simulation.
#[derive(Debug, Clone)]
pub struct Live {
    scaler: Scaler,
    looks_at_latency: bool,
    /// What was seen of each pool, and what was chosen.
    pools: BTreeMap<PoolId, PoolSeen>,
    shares: Vec<PoolShare>,
}

impl Live {
    pub fn new(policy: Policy) -> Self {
        Self {
            looks_at_latency: looks_at_latency(&policy),
            scaler: Scaler::new(policy),
            pools: BTreeMap::new(),
            shares: Vec::new(),
        }
    }

    /// What the scaler knows of its instances.
    pub fn learned(&self) -> Learned {
        self.scaler.learned()
    }

    fn observed(&self, seen: &Seen) -> Observed {
        let before = seen.before.as_ref().filter(|_| !seen.lost);
        let mut metrics = before.map(metrics).unwrap_or_default();
        if let Some(before) = before.filter(|_| self.looks_at_latency) {
            metrics.latency_p50 = answered_within(before, 0.5);
            metrics.latency_p99 = answered_within(before, 0.99);
        }
        let instances = Instances { starting: seen.starting, ready: seen.ready, ..Instances::default() };
        let took = Duration::from_secs(seen.started.took.into());
        let started = vec![took; seen.started.count as usize];
        let pools = self.pools.clone();
        Observed { metrics, instances, started, generation: seen.generation, pools, spent: None }
    }
}

/// Whether `policy` decides on latency.
fn looks_at_latency(policy: &Policy) -> bool {
    let latency = |signal: &Signal| matches!(signal, Signal::Fleet(Metric::LatencyP50 | Metric::LatencyP99));
    let looks = |trigger: &Trigger| match trigger {
        Trigger::Threshold(threshold) => threshold.conditions.iter().any(|one| latency(&one.signal)),
        Trigger::Formula(Formula { variables, .. }) => {
            variables.values().filter_map(Variable::signal).any(latency)
        }
        _ => false,
    };
    policy.slo.latency_p99.is_some() || policy.triggers.iter().any(looks)
}

/// As a gateway would measure it; where nothing was answered there is nothing to measure.
fn answered_within(before: &Before, share: f64) -> Option<f64> {
    let Before { ready, capacity, queued: held, .. } = *before;
    let load = Load { ready, capacity, utilization: before.utilization(), held };
    latency::quantile(load, share).filter(|_| before.served > 0)
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
        let lived = BEGIN_SECONDS + seen.second as u64;
        let now = Timestamp::from_secs(lived.saturating_add_signed(seen.clock));
        let observed = self.observed(seen);
        let decision = self.scaler.step_unspoken(now, &observed);
        self.shares = decision.mix.map(|mix| mix.shares).unwrap_or_default();
        decision.desired
    }

    fn see(&mut self, pools: &[PoolSeen]) {
        let names = self.scaler.policy().supply.pools.iter().map(|pool| pool.name.clone());
        self.pools = names.zip(pools.iter().copied()).collect();
    }

    fn shares(&self) -> &[PoolShare] {
        &self.shares
    }
}

/// What the gateway would have measured.
fn metrics(before: &Before) -> Metrics {
    let busy = before.busy();
    let queued = before.queued as f64;
    let arrivals = f64::from(before.arrivals);
    Metrics {
        arrival_rate: Some(arrivals),
        served_rate: Some(f64::from(before.served)),
        worked: Some(Worked { busy_seconds: busy, requests: f64::from(before.served) }),
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
    use tidegate_core::policy::{DEFAULT_IDLE, Pace, Slo, Supply, Target};

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
            supply: Supply::default(),
        }
    }

    #[test]
    fn a_step_in_demand_is_met_by_the_live_arithmetic() {
        let arrivals = [[200; 300].as_slice(), &[2_000; 300], &[200; 300]].concat();
        let mut changes: Vec<(usize, u32)> = Vec::new();
        let conditions = Conditions { start_up: 30, buffer: 0 };
        run_watched(&Demand::new(arrivals), conditions, &mut Live::new(policy(60)), |second, moment| {
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
        let figures = || run(&demand, Conditions { start_up: 5, buffer: 0 }, &mut Live::new(policy(60)));
        assert_eq!(figures(), figures());
        assert!(figures().violated_requests > 0.0);
    }
}
