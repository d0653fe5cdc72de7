//! What triggers look at.

use serde::{Deserialize, Serialize};

use crate::{RouteId, SourceId};

/// What can be kept at a value: metrics that fall in proportion when instances are added.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum TargetMetric {
    /// Share of time that the instances were busy, 0 to 1, mean over ready instances.
    Utilization,
    /// Requests in flight and queued, per instance.
    Concurrency,
    /// Requests that arrive per second, per instance.
    ArrivalRate,
    /// Cores in use, per instance.
    Cpu,
    /// Bytes resident, per instance.
    Memory,
    /// Bytes of bodies per second, both directions, per instance.
    Network,
    /// Bytes in use by Lua VMs, per instance.
    LuaMemory,
    /// Coroutines of Lua in flight, per instance.
    LuaCoroutines,
}

impl TargetMetric {
    /// The same metric of a whole fleet. Utilization is a mean over instances either way.
    pub const fn whole(self) -> Metric {
        match self {
            Self::Utilization => Metric::Utilization,
            Self::Concurrency => Metric::Concurrency,
            Self::ArrivalRate => Metric::ArrivalRate,
            Self::Cpu => Metric::Cpu,
            Self::Memory => Metric::Memory,
            Self::Network => Metric::Network,
            Self::LuaMemory => Metric::LuaMemory,
            Self::LuaCoroutines => Metric::LuaCoroutines,
        }
    }
}

/// What can be observed of a fleet, in the unit that thresholds compare with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Metric {
    /// Share of time that the instances were busy, 0 to 1, mean over ready instances.
    Utilization,
    /// Requests in flight, whole fleet.
    Concurrency,
    /// Requests that arrive per second, whole fleet.
    ArrivalRate,
    /// Requests held at the gateway because no instance could take them.
    Queued,
    /// Median time until the answer is complete, in seconds.
    LatencyP50,
    /// 90th, 95th, 99th percentile and 999th permille of the same, in seconds.
    LatencyP90,
    LatencyP95,
    LatencyP99,
    LatencyP999,
    /// Share of requests answered with 5xx or not at all, 0 to 1.
    ErrorRate,
    /// Processor time used per second, whole fleet: 1 is one core. Of a route, that of its Lua in the gateway.
    Cpu,
    /// Resident memory of all instances, in bytes.
    Memory,
    /// Bytes of bodies per second, both directions, whole fleet.
    Network,
    /// Bytes in use by the Lua VMs of all instances.
    LuaMemory,
    /// Runs of Lua that wait, and their light threads, in all instances.
    LuaCoroutines,
    /// Share of time that Lua VMs collect garbage, 0 to 1, mean over ready instances.
    LuaCollecting,
    /// Bytes that Lua asks for per second, in all instances. Of a route, what its Lua in the gateway asks for.
    LuaAllocation,
    /// Share of its capacity that a shared dictionary of Lua has in use, 0 to 1; of the fullest one.
    LuaDicts,
}

impl Metric {
    pub const ALL: [Self; 18] = [
        Self::Utilization,
        Self::Concurrency,
        Self::ArrivalRate,
        Self::Queued,
        Self::LatencyP50,
        Self::LatencyP90,
        Self::LatencyP95,
        Self::LatencyP99,
        Self::LatencyP999,
        Self::ErrorRate,
        Self::Cpu,
        Self::Memory,
        Self::Network,
        Self::LuaMemory,
        Self::LuaCoroutines,
        Self::LuaCollecting,
        Self::LuaAllocation,
        Self::LuaDicts,
    ];

    /// As it is written in a configuration.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Utilization => "utilization",
            Self::Concurrency => "concurrency",
            Self::ArrivalRate => "arrivalRate",
            Self::Queued => "queued",
            Self::LatencyP50 => "latencyP50",
            Self::LatencyP90 => "latencyP90",
            Self::LatencyP95 => "latencyP95",
            Self::LatencyP99 => "latencyP99",
            Self::LatencyP999 => "latencyP999",
            Self::ErrorRate => "errorRate",
            Self::Cpu => "cpu",
            Self::Memory => "memory",
            Self::Network => "network",
            Self::LuaMemory => "luaMemory",
            Self::LuaCoroutines => "luaCoroutines",
            Self::LuaCollecting => "luaCollecting",
            Self::LuaAllocation => "luaAllocation",
            Self::LuaDicts => "luaDicts",
        }
    }

    /// The share of requests that were answered within it, where it is a quantile of latency.
    pub const fn quantile(self) -> Option<f64> {
        match self {
            Self::LatencyP50 => Some(0.5),
            Self::LatencyP90 => Some(0.9),
            Self::LatencyP95 => Some(0.95),
            Self::LatencyP99 => Some(0.99),
            Self::LatencyP999 => Some(0.999),
            _ => None,
        }
    }

    /// Whether it is known of a route: what is counted at the gateway, not in instances.
    pub const fn of_routes(self) -> bool {
        match self {
            Self::Concurrency
            | Self::ArrivalRate
            | Self::Queued
            | Self::LatencyP50
            | Self::LatencyP90
            | Self::LatencyP95
            | Self::LatencyP99
            | Self::LatencyP999
            | Self::ErrorRate
            | Self::Cpu
            | Self::Network
            | Self::LuaAllocation => true,
            Self::Utilization
            | Self::Memory
            | Self::LuaMemory
            | Self::LuaCoroutines
            | Self::LuaCollecting
            | Self::LuaDicts => false,
        }
    }
}

/// One series of readings.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Signal {
    /// Of the fleet itself.
    Fleet(Metric),
    /// Of one route, whoever serves it; see [`Metric::of_routes`].
    Route(RouteId, Metric),
    /// The value of an event source.
    Source(SourceId),
}

impl Signal {
    pub fn route(&self) -> Option<&RouteId> {
        match self {
            Self::Route(route, _) => Some(route),
            Self::Fleet(_) | Self::Source(_) => None,
        }
    }

    pub const fn source(&self) -> Option<&SourceId> {
        match self {
            Self::Source(source) => Some(source),
            Self::Fleet(_) | Self::Route(..) => None,
        }
    }
}
