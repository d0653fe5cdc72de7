//! The traffic of one fleet, from the counters of the upstreams that lead to it (where the node's own workers are the fleet,
//! of all routes), and that of routes:
//! those of the fleet, whose bodies are counted, and those that its policy looks at.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::{Duration, Instant},
};

use tidegate_core::{
    FleetId, RouteId, Snapshot, Telemetry, UpstreamId,
    histogram::Counts,
    policy::{Metric, Policy},
    snapshot::{self, Run, UpstreamTarget},
    telemetry::{Series, Totals},
};
use tidegate_scaler::observed::{Metrics, RouteMetrics};

use super::policies;

/// Totals become rates by what the last reading was.
#[derive(Debug)]
pub(super) struct Traffic {
    entrances: BTreeMap<Entrance, Counted>,
    routes: BTreeMap<RouteId, Route>,
    /// When the last reading was taken.
    read_at: Instant,
    /// Requests in flight, summed over the samples since the last reading.
    in_flight: u64,
    samples: u32,
    /// Requests that instances answered between the last two readings. `None`: nobody counts them.
    finished: Option<u64>,
}

/// What requests come to the fleet by.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Entrance {
    /// To its instances.
    Upstream(UpstreamId),
    /// To the workers of the node itself.
    Route(RouteId),
}

impl Entrance {
    /// What waits for an instance of this fleet. Nothing waits for a worker: those of a route wait for others.
    fn waiting(&self, series: &Series) -> u64 {
        match self {
            Self::Upstream(_) => series.waiting(),
            Self::Route(_) => 0,
        }
    }
}

#[derive(Debug)]
struct Counted {
    series: Arc<Series>,
    last: Totals,
}

impl Counted {
    /// What was counted before is none of this fleet's business.
    fn from_now(series: Arc<Series>) -> Self {
        let last = series.totals();
        Self { series, last }
    }
}

#[derive(Debug)]
struct Route {
    series: Arc<Series>,
    /// Its requests go to the fleet.
    leads_here: bool,
    /// Bytes that it had moved at the last reading.
    moved: u64,
    /// Where the policy looks at it.
    watched: Option<Watched>,
}

#[derive(Debug)]
struct Watched {
    last: Totals,
    /// Requests in flight, summed over the samples since the last reading.
    in_flight: u64,
}

impl Traffic {
    pub(super) const fn new(now: Instant) -> Self {
        Self {
            entrances: BTreeMap::new(),
            routes: BTreeMap::new(),
            read_at: now,
            in_flight: 0,
            samples: 0,
            finished: None,
        }
    }

    pub(super) fn configure(&mut self, fleet: &FleetId, snapshot: &Snapshot, telemetry: &Telemetry) {
        if snapshot.fleets.get(fleet).is_some_and(|fleet| fleet.run == Run::Node) {
            // Workers of the node serve every route.
            let all = snapshot.routes.iter().map(|route| Entrance::Route(route.name.clone()));
            self.configure_entrances(all, telemetry);
            return self.configure_routes(fleet, snapshot, telemetry, |_| true);
        }
        let target = UpstreamTarget::Fleet(fleet.clone());
        let leads_here =
            |name: &UpstreamId| snapshot.upstreams.get(name).is_some_and(|one| one.target == target);
        let upstreams = snapshot.upstreams.keys().filter(|name| leads_here(name));
        self.configure_entrances(upstreams.cloned().map(Entrance::Upstream), telemetry);
        self.configure_routes(fleet, snapshot, telemetry, |route| {
            route.upstream.as_ref().is_some_and(leads_here)
        });
    }

    fn configure_entrances(&mut self, all: impl Iterator<Item = Entrance>, telemetry: &Telemetry) {
        let mut old = std::mem::take(&mut self.entrances);
        let counted = |entrance: Entrance| {
            let kept = old.remove(&entrance);
            let counted = kept.unwrap_or_else(|| {
                Counted::from_now(match &entrance {
                    Entrance::Upstream(name) => telemetry.upstream(name),
                    Entrance::Route(name) => telemetry.route(name),
                })
            });
            (entrance, counted)
        };
        self.entrances = all.map(counted).collect();
    }

    fn configure_routes(
        &mut self,
        fleet: &FleetId,
        snapshot: &Snapshot,
        telemetry: &Telemetry,
        leads_here: impl Fn(&snapshot::Route) -> bool,
    ) {
        let watched: BTreeSet<&RouteId> = policies(fleet, snapshot).flat_map(Policy::routes).collect();
        let mut old = std::mem::take(&mut self.routes);
        for route in &snapshot.routes {
            let leads_here = leads_here(route);
            let watched = watched.contains(&route.name);
            if !leads_here && !watched {
                continue;
            }
            let mut kept = old.remove(&route.name).unwrap_or_else(|| {
                let series = telemetry.route(&route.name);
                let moved = series.transferred();
                Route { series, leads_here, moved, watched: None }
            });
            let before = kept.watched.filter(|_| watched);
            let from_now = || Watched { last: kept.series.totals(), in_flight: 0 };
            kept.watched = watched.then(|| before.unwrap_or_else(from_now));
            self.routes.insert(route.name.clone(), Route { leads_here, ..kept });
        }
    }

    pub(super) fn sample(&mut self) {
        self.in_flight += self.entrances.values().map(|one| one.series.in_flight()).sum::<u64>();
        for route in self.routes.values_mut() {
            if let Some(watched) = &mut route.watched {
                watched.in_flight += route.series.in_flight();
            }
        }
        self.samples += 1;
    }

    /// How many requests wait for an instance, at this moment.
    pub(super) fn waiting(&self) -> u64 {
        let waiting = |(entrance, one): (&Entrance, &Counted)| entrance.waiting(&one.series);
        self.entrances.iter().map(waiting).sum()
    }

    /// Whoever is refused from now on may find an instance in `wait`.
    pub(super) fn expect(&self, wait: Duration) {
        for (entrance, one) in &self.entrances {
            if matches!(entrance, Entrance::Upstream(_)) {
                one.series.retry_after.expect(wait);
            }
        }
    }

    /// How many requests instances answered between the last two readings.
    pub(super) const fn finished(&self) -> Option<u64> {
        self.finished
    }

    /// What happened since the last reading; the metrics of instances are left out.
    pub(super) fn read(&mut self, now: Instant) -> Metrics {
        self.sample();
        let passed = now.saturating_duration_since(std::mem::replace(&mut self.read_at, now));
        let (in_flight, samples) = (std::mem::take(&mut self.in_flight), std::mem::take(&mut self.samples));
        let (mut seen, mut waiting) = (Seen::default(), 0);
        for (entrance, counted) in &mut self.entrances {
            let totals = counted.series.totals();
            seen.add(&totals, &counted.last);
            waiting += entrance.waiting(&counted.series);
            counted.last = totals;
        }
        let finished = seen.ended.saturating_sub(seen.shed);
        self.finished = (!self.entrances.is_empty()).then_some(finished);
        let seconds = passed.as_secs_f64();
        let (network, routes) = self.read_routes(seconds, samples);
        if passed.is_zero() {
            return Metrics::default();
        }
        if self.entrances.is_empty() {
            return Metrics { routes, ..Metrics::default() };
        }
        let RouteMetrics {
            arrival_rate,
            latency_p50,
            latency_p90,
            latency_p95,
            latency_p99,
            latency_p999,
            error_rate,
            ..
        } = seen.figures(seconds);
        Metrics {
            arrival_rate,
            served_rate: Some(finished as f64 / seconds),
            concurrency: Some(in_flight as f64 / f64::from(samples)),
            queued: Some(waiting as f64),
            latency_p50,
            latency_p90,
            latency_p95,
            latency_p99,
            latency_p999,
            error_rate,
            network,
            routes,
            ..Metrics::default()
        }
    }

    /// Bytes per second over the routes of the fleet, and the figures of those that are watched.
    fn read_routes(&mut self, seconds: f64, samples: u32) -> (Option<f64>, BTreeMap<RouteId, RouteMetrics>) {
        let (mut network, mut metrics) = (None, BTreeMap::new());
        for (name, route) in &mut self.routes {
            let moved = route.series.transferred();
            let bytes = moved.saturating_sub(std::mem::replace(&mut route.moved, moved)) as f64 / seconds;
            if route.leads_here {
                *network.get_or_insert(0.0) += bytes;
            }
            let Some(watched) = &mut route.watched else { continue };
            let totals = route.series.totals();
            let (mut seen, in_flight) = (Seen::default(), std::mem::take(&mut watched.in_flight));
            seen.add(&totals, &watched.last);
            let waiting = totals.waiting();
            watched.last = totals;
            if seconds <= 0.0 {
                continue;
            }
            let figures = RouteMetrics {
                concurrency: Some(in_flight as f64 / f64::from(samples)),
                queued: Some(waiting as f64),
                network: Some(bytes),
                ..seen.figures(seconds)
            };
            metrics.insert(name.clone(), figures);
        }
        (network, metrics)
    }
}

/// What was counted between two readings, all entrances together.
#[derive(Debug, Default)]
struct Seen {
    arrived: u64,
    ended: u64,
    errors: u64,
    /// Of those that ended, never given to an instance.
    shed: u64,
    /// Time that Lua ran for in the gateway, and bytes that it asked for.
    lua_cpu: Duration,
    lua_allocated: u64,
    latency: Counts,
}

impl Seen {
    fn add(&mut self, now: &Totals, before: &Totals) {
        self.arrived += now.arrived.saturating_sub(before.arrived);
        self.ended += now.ended.saturating_sub(before.ended);
        self.shed += now.shed.saturating_sub(before.shed);
        self.errors += now.errors().saturating_sub(before.errors());
        self.lua_cpu += now.lua.cpu().saturating_sub(before.lua.cpu());
        self.lua_allocated += now.lua.allocated_bytes.saturating_sub(before.lua.allocated_bytes);
        self.latency += &now.latency.since(&before.latency);
    }

    /// What can be told from counts alone, of `seconds` above zero.
    fn figures(&self, seconds: f64) -> RouteMetrics {
        let latency =
            |metric: Metric| self.latency.quantile(metric.quantile()?).map(|time| time.as_secs_f64());
        RouteMetrics {
            arrival_rate: Some(self.arrived as f64 / seconds),
            latency_p50: latency(Metric::LatencyP50),
            latency_p90: latency(Metric::LatencyP90),
            latency_p95: latency(Metric::LatencyP95),
            latency_p99: latency(Metric::LatencyP99),
            latency_p999: latency(Metric::LatencyP999),
            error_rate: (self.ended > 0).then(|| self.errors as f64 / self.ended as f64),
            cpu: Some(self.lua_cpu.as_secs_f64() / seconds),
            lua_allocation: Some(self.lua_allocated as f64 / seconds),
            ..RouteMetrics::default()
        }
    }
}

#[cfg(test)]
mod tests;
