//! What was seen of a fleet since the last step.
//!
//! Missing is not zero: a metric that could not be read is `None`, and the scaler never shrinks a
//! fleet on account of what it does not know.

use std::{borrow::Cow, collections::BTreeMap, time::Duration};

use serde::{Deserialize, Serialize};
use tidegate_core::{
    PoolId, RouteId, SourceId,
    policy::{Metric, Signal},
};

/// One reading of everything that decisions about a fleet rest on.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Observed {
    pub metrics: Metrics,
    pub instances: Instances,
    /// How long each instance that became ready since the last step took to start.
    pub started: Vec<Duration>,
    /// Counts up when what the instances run is replaced: what was learned of the old is a hint only.
    #[serde(default)]
    pub generation: u64,
    /// Of each pool that the fleet has instances of, or lost some.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub pools: BTreeMap<PoolId, PoolSeen>,
    /// US dollars that the fleet has cost in this calendar month, where it has a budget.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spent: Option<f64>,
}

/// Instances of one pool.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PoolSeen {
    pub starting: u32,
    pub ready: u32,
    /// Those of which it was learned since the last step that they are taken back. They count no more.
    #[serde(skip_serializing_if = "none")]
    pub reclaimed: u32,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "as serde calls it")]
fn none(count: &u32) -> bool {
    *count == 0
}

/// Measured over the last second or so, whole fleet unless it says otherwise.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Metrics {
    /// Requests that arrived, per second.
    pub arrival_rate: Option<f64>,
    /// Requests that instances answered, per second.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub served_rate: Option<f64>,
    /// What instances did since the last step. Also `None` when none has said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub worked: Option<Worked>,
    /// Requests in flight, queued ones included, mean over the time.
    pub concurrency: Option<f64>,
    /// Requests held because no instance could take them.
    pub queued: Option<f64>,
    /// Share of time that ready instances were busy, 0 to 1, mean over them.
    pub utilization: Option<f64>,
    /// Seconds. `None` also when nothing was answered.
    pub latency_p50: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latency_p90: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latency_p95: Option<f64>,
    pub latency_p99: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latency_p999: Option<f64>,
    /// Share of requests answered with 5xx or not at all, 0 to 1. `None` also when nothing was answered.
    pub error_rate: Option<f64>,
    /// Cores in use.
    pub cpu: Option<f64>,
    /// Bytes resident.
    pub memory: Option<f64>,
    /// Bytes of bodies per second, both directions.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub network: Option<f64>,
    /// Bytes in use by the Lua VMs of the instances.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lua_memory: Option<f64>,
    /// Runs of Lua that wait in the instances, and their light threads.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lua_coroutines: Option<f64>,
    /// Share of time that the Lua VM of an instance collects garbage, 0 to 1, mean over them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lua_collecting: Option<f64>,
    /// Bytes that Lua asks for in the instances, per second.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lua_allocation: Option<f64>,
    /// Share of its capacity that the fullest shared dictionary of any instance has in use, 0 to 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lua_dicts: Option<f64>,
    /// Of the routes that the policy looks at.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub routes: BTreeMap<RouteId, RouteMetrics>,
    /// Of event sources. One that could not be asked is not here.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub sources: BTreeMap<SourceId, f64>,
}

/// How long instances were busy and what they finished, both of the same instances in the same time. So it is known
/// what a request takes, whatever else arrives or waits meanwhile, and however late a reading is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Worked {
    /// Of all instances together.
    pub busy_seconds: f64,
    pub requests: f64,
}

impl Worked {
    fn is_sound(&self) -> bool {
        [self.busy_seconds, self.requests].into_iter().all(|value| sound(Some(value)).is_some())
    }
}

/// What is counted of one route at the gateway, as in [`Metrics`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RouteMetrics {
    pub arrival_rate: Option<f64>,
    pub concurrency: Option<f64>,
    /// Requests of it that wait for an instance.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub queued: Option<f64>,
    pub latency_p50: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latency_p90: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latency_p95: Option<f64>,
    pub latency_p99: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latency_p999: Option<f64>,
    pub error_rate: Option<f64>,
    /// Cores in use by its Lua.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu: Option<f64>,
    pub network: Option<f64>,
    /// Bytes that its Lua in the gateway asks for, per second.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lua_allocation: Option<f64>,
}

impl Metrics {
    /// Whether anybody asks for anything: requests come, are in flight, or wait.
    pub(crate) fn is_active(&self) -> bool {
        let some = |reading: Option<f64>| reading.is_some_and(|reading| reading > 0.0);
        some(self.arrival_rate) || some(self.concurrency) || some(self.queued)
    }

    /// The reading of `signal`; `None` where it is not known.
    pub fn read(&self, signal: &Signal) -> Option<f64> {
        match signal {
            Signal::Fleet(metric) => self.of_fleet(*metric),
            Signal::Route(route, metric) => self.routes.get(route)?.read(*metric),
            Signal::Source(source) => self.sources.get(source).copied(),
        }
    }

    fn of_fleet(&self, metric: Metric) -> Option<f64> {
        let quiet = || idle(self.arrival_rate, self.concurrency);
        match metric {
            Metric::Utilization => self.utilization,
            Metric::Concurrency => self.concurrency,
            Metric::ArrivalRate => self.arrival_rate,
            Metric::Queued => self.queued,
            Metric::LatencyP50 => self.latency_p50.or_else(quiet),
            Metric::LatencyP90 => self.latency_p90.or_else(quiet),
            Metric::LatencyP95 => self.latency_p95.or_else(quiet),
            Metric::LatencyP99 => self.latency_p99.or_else(quiet),
            Metric::LatencyP999 => self.latency_p999.or_else(quiet),
            Metric::ErrorRate => self.error_rate.or_else(quiet),
            Metric::Cpu => self.cpu,
            Metric::Memory => self.memory,
            Metric::Network => self.network,
            Metric::LuaMemory => self.lua_memory,
            Metric::LuaCoroutines => self.lua_coroutines,
            Metric::LuaCollecting => self.lua_collecting,
            Metric::LuaAllocation => self.lua_allocation,
            Metric::LuaDicts => self.lua_dicts,
        }
    }

    /// The readings that can be true: what is not a number, endless or below zero is missing.
    pub(crate) fn credible(&self) -> Cow<'_, Self> {
        if self.is_credible() { Cow::Borrowed(self) } else { Cow::Owned(self.sifted()) }
    }

    /// Those that can be true.
    #[cold]
    fn sifted(&self) -> Self {
        Self {
            arrival_rate: sound(self.arrival_rate),
            served_rate: sound(self.served_rate),
            worked: self.worked.filter(Worked::is_sound),
            concurrency: sound(self.concurrency),
            queued: sound(self.queued),
            utilization: sound(self.utilization).map(|share| share.min(1.0)),
            latency_p50: sound(self.latency_p50),
            latency_p90: sound(self.latency_p90),
            latency_p95: sound(self.latency_p95),
            latency_p99: sound(self.latency_p99),
            latency_p999: sound(self.latency_p999),
            error_rate: sound(self.error_rate),
            cpu: sound(self.cpu),
            memory: sound(self.memory),
            network: sound(self.network),
            lua_memory: sound(self.lua_memory),
            lua_coroutines: sound(self.lua_coroutines),
            lua_collecting: sound(self.lua_collecting),
            lua_allocation: sound(self.lua_allocation),
            lua_dicts: sound(self.lua_dicts),
            routes: of_some(&self.routes, |route| Some(route.credible())),
            sources: of_some(&self.sources, |&value| sound(Some(value))),
        }
    }

    /// Whether every reading can be true, as nearly always. Not inlined: amid a step there are no registers left for it.
    #[inline(never)]
    fn is_credible(&self) -> bool {
        let sound = |reading: Option<f64>| reading.is_none_or(is_surely_sound);
        sound(self.arrival_rate)
            && sound(self.served_rate)
            && sound(self.concurrency)
            && sound(self.queued)
            && sound(self.latency_p50)
            && sound(self.latency_p90)
            && sound(self.latency_p95)
            && sound(self.latency_p99)
            && sound(self.latency_p999)
            && sound(self.error_rate)
            && sound(self.cpu)
            && sound(self.memory)
            && sound(self.network)
            && sound(self.lua_memory)
            && sound(self.lua_coroutines)
            && sound(self.lua_collecting)
            && sound(self.lua_allocation)
            && sound(self.lua_dicts)
            && self.utilization.is_none_or(|share| share.to_bits() <= 1.0_f64.to_bits())
            && self.worked.is_none_or(|Worked { busy_seconds, requests }| {
                is_surely_sound(busy_seconds) && is_surely_sound(requests)
            })
            && self.routes.is_empty()
            && (self.sources.is_empty() || self.sources.values().copied().all(is_surely_sound))
    }
}

impl RouteMetrics {
    fn read(&self, metric: Metric) -> Option<f64> {
        let quiet = || idle(self.arrival_rate, self.concurrency);
        match metric {
            Metric::Concurrency => self.concurrency,
            Metric::ArrivalRate => self.arrival_rate,
            Metric::Queued => self.queued,
            Metric::LatencyP50 => self.latency_p50.or_else(quiet),
            Metric::LatencyP90 => self.latency_p90.or_else(quiet),
            Metric::LatencyP95 => self.latency_p95.or_else(quiet),
            Metric::LatencyP99 => self.latency_p99.or_else(quiet),
            Metric::LatencyP999 => self.latency_p999.or_else(quiet),
            Metric::ErrorRate => self.error_rate.or_else(quiet),
            Metric::Cpu => self.cpu,
            Metric::Network => self.network,
            Metric::LuaAllocation => self.lua_allocation,
            Metric::Utilization
            | Metric::Memory
            | Metric::LuaMemory
            | Metric::LuaCoroutines
            | Metric::LuaCollecting
            | Metric::LuaDicts => None,
        }
    }

    fn credible(&self) -> Self {
        Self {
            arrival_rate: sound(self.arrival_rate),
            concurrency: sound(self.concurrency),
            queued: sound(self.queued),
            latency_p50: sound(self.latency_p50),
            latency_p90: sound(self.latency_p90),
            latency_p95: sound(self.latency_p95),
            latency_p99: sound(self.latency_p99),
            latency_p999: sound(self.latency_p999),
            error_rate: sound(self.error_rate),
            cpu: sound(self.cpu),
            network: sound(self.network),
            lua_allocation: sound(self.lua_allocation),
        }
    }
}

/// Those that something comes of. Most fleets have none.
fn of_some<K: Clone + Ord, V>(all: &BTreeMap<K, V>, of: impl Fn(&V) -> Option<V>) -> BTreeMap<K, V> {
    if all.is_empty() {
        return BTreeMap::new();
    }
    all.iter().filter_map(|(name, value)| Some((name.clone(), of(value)?))).collect()
}

fn sound(reading: Option<f64>) -> Option<f64> {
    reading.filter(|value| (0.0..f64::INFINITY).contains(value))
}

/// Told from the bits: those of what is below zero or not a number are above those of what is endless. Not of the zero below
/// zero.
fn is_surely_sound(value: f64) -> bool {
    value.to_bits() < f64::INFINITY.to_bits()
}

/// Where nothing arrives and nothing is in flight, nothing is slow and nothing fails: otherwise an
/// idle fleet, whose answers have no latency, could never shrink.
fn idle(arrival_rate: Option<f64>, concurrency: Option<f64>) -> Option<f64> {
    let nothing = [arrival_rate, concurrency].map(|metric| metric.is_some_and(|value| value <= 0.0));
    (nothing == [true, true]).then_some(0.0)
}

/// Instances by state.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Instances {
    pub starting: u32,
    pub ready: u32,
    pub draining: u32,
    /// Ended by themselves and wait to be started again.
    pub failed: u32,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn any_reading() -> impl Strategy<Value = Option<f64>> {
        let odd =
            prop::sample::select(vec![f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -0.0, -1.0, f64::MAX]);
        prop::option::of(prop_oneof![40 => 0.0..1.0_f64, 1 => odd])
    }

    proptest! {
        #[test]
        fn what_is_taken_as_it_is_can_all_be_true(readings in prop::array::uniform23(any_reading())) {
            let mut readings = readings.into_iter();
            let mut next = || readings.next().flatten();
            let metrics = Metrics {
                arrival_rate: next(),
                served_rate: next(),
                worked: next().zip(next()).map(|(busy_seconds, requests)| Worked { busy_seconds, requests }),
                concurrency: next(),
                queued: next(),
                utilization: next(),
                latency_p50: next(),
                latency_p90: next(),
                latency_p95: next(),
                latency_p99: next(),
                latency_p999: next(),
                error_rate: next(),
                cpu: next(),
                memory: next(),
                network: next(),
                lua_memory: next(),
                lua_coroutines: next(),
                lua_collecting: next(),
                lua_allocation: next(),
                lua_dicts: next(),
                routes: BTreeMap::new(),
                sources: next().map(|waiting| (SourceId::new("jobs").unwrap(), waiting)).into_iter().collect(),
            };
            prop_assert_eq!(metrics.credible().into_owned(), metrics.sifted());
        }
    }
}
