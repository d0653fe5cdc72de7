//! The live scaler as a policy of the simulated world.
//!
//! It runs the very step that the control plane runs, on the observations that the gateway would
//! make. Latency is [modelled](crate::latency) for the policies that look at it. Left out are error
//! causes, memory, network, Lua and single routes: the modelled instances have none, so a trigger on them
//! is blind here as it would be in a fleet that does not report them.
//!
//! A policy that does not look at latency is not shown any, because the instances of the benchmark either have
//! capacity for a request or have not, and how busy they may be would be learned from it. A gateway does show it, so of
//! a fleet it has to be [said](Known::safe) how busy its instances may be, for a simulation to cost what the fleet will.

use std::{collections::BTreeSet, time::Duration};

use tidegate_core::{
    Timestamp,
    policy::{Formula, Metric, Policy, Signal, TargetMetric, Trigger},
};
use tidegate_scaler::{
    Learned, Observed, PoolShare, Scaler, Unspoken,
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
pub const USUAL_TARGET: f64 = 0.8;

/// A scaler under simulation.
#[derive(Debug, Clone)]
pub struct Live {
    scaler: Scaler,
    /// The quantiles of latency that the policy looks at.
    quantiles: Vec<Metric>,
    /// What is observed in a second, kept for its room.
    observed: Observed,
    /// What was chosen of each pool.
    shares: Vec<PoolShare>,
    known: Known,
}

/// What a scaler knows of its instances when a run begins. Nothing, as the benchmark has it, unless it is said.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Known {
    /// How long those took to start that are there: in a fleet that runs, it started them. Otherwise it learns that from
    /// those that it starts.
    pub start_up: Option<Duration>,
    /// The share of time that they may be busy, where the policy is shown no latency. Otherwise that is all the time.
    pub safe: Option<f64>,
}

impl Live {
    pub fn new(policy: Policy) -> Self {
        Self {
            quantiles: quantiles(&policy),
            scaler: Scaler::new(policy),
            observed: Observed::default(),
            shares: Vec::new(),
            known: Known::default(),
        }
    }

    #[must_use]
    pub fn knowing(mut self, known: Known) -> Self {
        self.known = known;
        self
    }

    /// What the scaler knows of its instances.
    pub fn learned(&self) -> Learned {
        self.scaler.learned()
    }

    fn observe(&mut self, seen: &Seen) {
        let before = seen.before.as_ref().filter(|_| !seen.lost);
        let Observed { metrics, instances, started, generation, .. } = &mut self.observed;
        measure(metrics, before);
        for metric in &self.quantiles {
            let latency = metric.quantile().zip(before).and_then(|(share, on)| answered_within(on, share));
            *match metric {
                Metric::LatencyP50 => &mut metrics.latency_p50,
                Metric::LatencyP90 => &mut metrics.latency_p90,
                Metric::LatencyP95 => &mut metrics.latency_p95,
                Metric::LatencyP999 => &mut metrics.latency_p999,
                _ => &mut metrics.latency_p99,
            } = latency;
        }
        *instances = Instances { starting: seen.starting, ready: seen.ready, ..Instances::default() };
        started.clear();
        if seen.started.count > 0 {
            started.resize(seen.started.count as usize, Duration::from_secs(seen.started.took.into()));
        }
        if let Some(known) = self.known.start_up.take() {
            started.push(known);
        }
        *generation = seen.generation;
    }
}

/// The quantiles of latency that `policy` decides on.
fn quantiles(policy: &Policy) -> Vec<Metric> {
    let mut all: Vec<Metric> = policy.slo.latency_p99.map(|_| Metric::LatencyP99).into_iter().collect();
    for signal in policy.triggers.iter().flat_map(Trigger::signals) {
        if let Signal::Fleet(metric) = signal
            && metric.quantile().is_some()
            && !all.contains(&metric)
        {
            all.push(metric);
        }
    }
    all
}

/// Whether `policy` is shown the latency that it learns from how busy instances may be.
pub fn learns_how_busy(policy: &Policy) -> bool {
    quantiles(policy).contains(&Metric::LatencyP99)
}

/// What `policy` looks at and a simulated fleet does not have, as a configuration names it. Where it is blind, a
/// fleet never shrinks.
pub fn blind_spots(policy: &Policy) -> BTreeSet<String> {
    let needs = |trigger: &Trigger| match trigger {
        // A name with a default is never blind.
        Trigger::Formula(Formula { variables, default, .. }) => {
            let needed = variables.iter().filter(|(name, _)| !default.contains_key(*name));
            needed.filter_map(|(_, variable)| variable.signal().cloned()).collect()
        }
        other => other.signals(),
    };
    let missing = |signal: Signal| match signal {
        Signal::Fleet(metric) => (!is_simulated(metric)).then(|| format!("`{}`", metric.name())),
        Signal::Route(route, _) => Some(format!("route `{route}`")),
        Signal::Source(source) => Some(format!("source `{source}`")),
    };
    policy.triggers.iter().flat_map(needs).filter_map(missing).collect()
}

const fn is_simulated(metric: Metric) -> bool {
    match metric {
        Metric::Utilization
        | Metric::Concurrency
        | Metric::ArrivalRate
        | Metric::Queued
        | Metric::ErrorRate
        | Metric::Cpu
        | Metric::LatencyP50
        | Metric::LatencyP90
        | Metric::LatencyP95
        | Metric::LatencyP99
        | Metric::LatencyP999 => true,
        Metric::Memory
        | Metric::Network
        | Metric::LuaMemory
        | Metric::LuaCoroutines
        | Metric::LuaCollecting
        | Metric::LuaAllocation
        | Metric::LuaDicts => false,
    }
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
        let scaler = Scaler::starting_at(self.scaler.policy().clone(), ready);
        self.scaler = if let Some(safe) = self.known.safe { scaler.assuming(safe) } else { scaler };
    }

    fn desired(&mut self, seen: &Seen) -> u32 {
        let lived = BEGIN_SECONDS + seen.second as u64;
        let now = Timestamp::from_secs(lived.saturating_add_signed(seen.clock));
        self.observe(seen);
        let Unspoken { desired, mix } = self.scaler.step_unspoken(now, &self.observed);
        if let Some(mix) = mix {
            self.shares = mix.shares;
        }
        desired
    }

    fn see(&mut self, pools: &[PoolSeen]) {
        let names = self.scaler.policy().supply.pools.iter().map(|pool| pool.name.clone());
        self.observed.pools = names.zip(pools.iter().copied()).collect();
    }

    fn shares(&self) -> &[PoolShare] {
        &self.shares
    }
}

/// What the gateway would have measured; nothing where no metric can be read.
fn measure(metrics: &mut Metrics, before: Option<&Before>) {
    let served = before.map(|before| f64::from(before.served));
    let busy = before.map(Before::busy);
    let queued = before.map(|before| before.queued as f64);
    metrics.arrival_rate = before.map(|before| f64::from(before.arrivals));
    metrics.served_rate = served;
    metrics.worked = busy.zip(served).map(|(busy, served)| Worked { busy_seconds: busy, requests: served });
    // An instance works on one request at a time; those that wait are in flight too.
    metrics.concurrency = busy.zip(queued).map(|(busy, queued)| busy + queued);
    metrics.queued = queued;
    metrics.utilization = before.filter(|before| before.ready > 0).map(Before::utilization);
    metrics.error_rate = before
        .filter(|before| before.arrivals > 0)
        .map(|before| (f64::from(before.violated) / f64::from(before.arrivals)).min(1.0));
    metrics.cpu = busy;
}

#[cfg(test)]
mod tests {
    use tidegate_core::{
        RouteId,
        policy::{DEFAULT_IDLE, Headroom, Pace, Slo, Supply, Target, Variable},
    };

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
    fn what_is_not_simulated_is_named() {
        let of = |metric| Trigger::Target(Target { metric, route: None, value: 1.0, tolerance: 0.1 });
        let route = Target {
            metric: TargetMetric::ArrivalRate,
            route: Some(RouteId::new("search").unwrap()),
            value: 1.0,
            tolerance: 0.1,
        };
        let formula = |default: &[(&str, f64)]| {
            let signal = |metric| Variable::Signal(Signal::Fleet(metric));
            Trigger::Formula(Formula {
                expression: "dicts + slow".parse().unwrap(),
                variables: [
                    ("dicts".to_owned(), signal(Metric::LuaDicts)),
                    ("slow".to_owned(), signal(Metric::LatencyP95)),
                ]
                .into(),
                default: default.iter().map(|&(name, value)| (name.to_owned(), value)).collect(),
            })
        };
        let spots = |triggers| {
            let spots = blind_spots(&Policy { triggers, ..policy(60) });
            spots.into_iter().collect::<Vec<_>>().join(", ")
        };
        assert_eq!(spots(vec![of(TargetMetric::Utilization), of(TargetMetric::Cpu)]), "");
        assert_eq!(
            spots(vec![of(TargetMetric::LuaMemory), Trigger::Target(route)]),
            "`luaMemory`, route `search`"
        );
        assert_eq!(spots(vec![formula(&[])]), "`luaDicts`");
        assert_eq!(spots(vec![formula(&[("dicts", 0.5)])]), "");
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
    fn instances_are_as_busy_as_it_is_said_that_they_may_be() {
        let headroom = Headroom { overload: 0.001, wait: Duration::ZERO };
        let count = |safe| {
            let (mut last, demand) = (0, Demand::new(vec![1_690; 7_200]));
            let mut live =
                Live::new(Policy::keeping(1, 100, headroom.clone())).knowing(Known { start_up: None, safe });
            run_watched(&demand, Conditions { start_up: 5, buffer: 0 }, &mut live, |_, moment| {
                last = moment.launched;
            });
            last
        };
        assert_eq!([None, Some(1.0), Some(0.85), Some(0.5)].map(count), [17, 17, 20, 34]);
    }

    #[test]
    fn the_same_demand_gives_the_same_figures() {
        let demand = Demand::new((0..2_000_u32).map(|second| 500 + 300 * (second / 100 % 7)).collect());
        let figures = || run(&demand, Conditions { start_up: 5, buffer: 0 }, &mut Live::new(policy(60)));
        assert_eq!(figures(), figures());
        assert!(figures().violated_requests > 0.0);
    }
}
