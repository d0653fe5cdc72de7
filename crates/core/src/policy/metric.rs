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
    /// 99th percentile of the same, in seconds.
    LatencyP99,
    /// Share of requests answered with 5xx or not at all, 0 to 1.
    ErrorRate,
    /// Processor time used per second, whole fleet: 1 is one core.
    Cpu,
    /// Resident memory of all instances, in bytes.
    Memory,
    /// Bytes of bodies per second, both directions, whole fleet.
    Network,
    /// Bytes in use by the Lua VMs of all instances.
    LuaMemory,
}

impl Metric {
    pub const ALL: [Self; 11] = [
        Self::Utilization,
        Self::Concurrency,
        Self::ArrivalRate,
        Self::Queued,
        Self::LatencyP50,
        Self::LatencyP99,
        Self::ErrorRate,
        Self::Cpu,
        Self::Memory,
        Self::Network,
        Self::LuaMemory,
    ];

    /// As it is written in a configuration.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Utilization => "utilization",
            Self::Concurrency => "concurrency",
            Self::ArrivalRate => "arrivalRate",
            Self::Queued => "queued",
            Self::LatencyP50 => "latencyP50",
            Self::LatencyP99 => "latencyP99",
            Self::ErrorRate => "errorRate",
            Self::Cpu => "cpu",
            Self::Memory => "memory",
            Self::Network => "network",
            Self::LuaMemory => "luaMemory",
        }
    }

    /// Whether it is known of a route: what is counted at the gateway, not in instances.
    pub const fn of_routes(self) -> bool {
        match self {
            Self::Concurrency
            | Self::ArrivalRate
            | Self::LatencyP50
            | Self::LatencyP99
            | Self::ErrorRate
            | Self::Network => true,
            Self::Utilization | Self::Queued | Self::Cpu | Self::Memory | Self::LuaMemory => false,
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
