//! The traffic of one fleet, from the counters of the upstreams that lead to it.

use std::{collections::BTreeMap, sync::Arc, time::Instant};

use tidegate_core::{
    FleetId, Snapshot, Telemetry, UpstreamId,
    histogram::Counts,
    snapshot::UpstreamTarget,
    telemetry::{Series, Totals},
};
use tidegate_scaler::observed::Metrics;

/// Totals become rates by what the last reading was.
#[derive(Debug)]
pub(super) struct Traffic {
    upstreams: BTreeMap<UpstreamId, Upstream>,
    /// When the last reading was taken.
    read_at: Instant,
    /// Requests in flight, summed over the samples since the last reading.
    in_flight: u64,
    samples: u32,
}

#[derive(Debug)]
struct Upstream {
    series: Arc<Series>,
    last: Totals,
}

impl Traffic {
    pub(super) const fn new(now: Instant) -> Self {
        Self { upstreams: BTreeMap::new(), read_at: now, in_flight: 0, samples: 0 }
    }

    pub(super) fn configure(&mut self, fleet: &FleetId, snapshot: &Snapshot, telemetry: &Telemetry) {
        let target = UpstreamTarget::Fleet(fleet.clone());
        let leads_here =
            |name: &UpstreamId| snapshot.upstreams.get(name).is_some_and(|one| one.target == target);
        self.upstreams.retain(|name, _| leads_here(name));
        for name in snapshot.upstreams.keys().filter(|name| leads_here(name)) {
            self.upstreams.entry(name.clone()).or_insert_with(|| {
                let series = telemetry.upstream(name);
                // What was counted before is none of this fleet's business.
                let last = series.totals();
                Upstream { series, last }
            });
        }
    }

    pub(super) fn sample(&mut self) {
        self.in_flight += self.upstreams.values().map(|one| one.series.totals().in_flight()).sum::<u64>();
        self.samples += 1;
    }

    /// What happened since the last reading; the metrics of instances are left out.
    pub(super) fn read(&mut self, now: Instant) -> Metrics {
        self.sample();
        let passed = now.saturating_duration_since(std::mem::replace(&mut self.read_at, now));
        let (in_flight, samples) = (std::mem::take(&mut self.in_flight), std::mem::take(&mut self.samples));
        let mut seen = Seen::default();
        for upstream in self.upstreams.values_mut() {
            let totals = upstream.series.totals();
            seen.add(&totals, &upstream.last);
            upstream.last = totals;
        }
        if self.upstreams.is_empty() || passed.is_zero() {
            return Metrics::default();
        }
        let quantile = |q| seen.latency.quantile(q).map(|latency| latency.as_secs_f64());
        Metrics {
            arrival_rate: Some(seen.arrived as f64 / passed.as_secs_f64()),
            concurrency: Some(in_flight as f64 / f64::from(samples)),
            queued: Some(seen.waiting as f64),
            latency_p50: quantile(0.5),
            latency_p99: quantile(0.99),
            error_rate: (seen.ended > 0).then(|| seen.errors as f64 / seen.ended as f64),
            ..Metrics::default()
        }
    }
}

/// What was counted between two readings, all upstreams together.
#[derive(Debug, Default)]
struct Seen {
    arrived: u64,
    ended: u64,
    errors: u64,
    /// Now, not between.
    waiting: u64,
    latency: Counts,
}

impl Seen {
    fn add(&mut self, now: &Totals, before: &Totals) {
        self.arrived += now.arrived.saturating_sub(before.arrived);
        self.ended += now.ended.saturating_sub(before.ended);
        self.errors += now.errors().saturating_sub(before.errors());
        self.waiting += now.waiting();
        self.latency += &now.latency.since(&before.latency);
    }
}

#[cfg(test)]
mod tests;
