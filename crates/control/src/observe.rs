//! What is seen of a fleet: its traffic as the data plane counts it, and its instances.
//!
//! An [`Observer`] keeps what the last reading was, so that totals become rates. Whatever could not be
//! read is `None`, never zero: a fleet that no upstream leads to has no arrival rate, an instance whose
//! last report is old has no utilisation.

mod meter;
mod traffic;

use std::{
    collections::BTreeMap,
    mem,
    time::{Duration, Instant},
};

use tidegate_core::{FleetId, InstanceId, Snapshot, Telemetry};
use tidegate_scaler::{
    Observed,
    observed::{Instances, Metrics},
};

use self::{
    meter::{Figures, Meter},
    traffic::Traffic,
};
use crate::{
    fleet::{Fleet, Instance, State},
    instance::protocol::Status,
};

/// Reads one fleet, again and again.
#[derive(Debug)]
pub(crate) struct Observer {
    traffic: Traffic,
    meters: BTreeMap<InstanceId, Meter>,
    /// How long those took to start that became ready since the last reading.
    started: Vec<Duration>,
}

impl Observer {
    pub(crate) fn new(now: Instant) -> Self {
        Self { traffic: Traffic::new(now), meters: BTreeMap::new(), started: Vec::new() }
    }

    /// Takes the upstreams that lead to the fleet from a configuration.
    pub(crate) fn configure(&mut self, fleet: &FleetId, snapshot: &Snapshot, telemetry: &Telemetry) {
        self.traffic.configure(fleet, snapshot, telemetry);
    }

    /// Reads what is in flight. To be called several times between two observations.
    pub(crate) fn sample(&mut self) {
        self.traffic.sample();
    }

    /// An instance became ready, this long after its launch.
    pub(crate) fn started(&mut self, took: Duration) {
        self.started.push(took);
    }

    pub(crate) fn reported(&mut self, id: &InstanceId, status: Status, now: Instant) {
        self.meters.entry(id.clone()).or_default().report(status, now);
    }

    /// What was last read of an instance.
    pub(crate) fn figures(&self, id: &InstanceId) -> Figures {
        self.meters.get(id).map(Meter::last).unwrap_or_default()
    }

    /// How many requests wait, at this moment.
    pub(crate) fn waiting(&self) -> u64 {
        self.traffic.waiting()
    }

    /// Nothing but what waits and who is there, without ending the time over which the rest is measured.
    pub(crate) fn glimpse(&self, fleet: &Fleet) -> Observed {
        let metrics = Metrics { queued: Some(self.waiting() as f64), ..Metrics::default() };
        Observed { metrics, instances: count(fleet), generation: fleet.generation(), started: Vec::new() }
    }

    pub(crate) fn observe(&mut self, fleet: &Fleet, now: Instant) -> Observed {
        let traffic = self.traffic.read(now);
        self.meters.retain(|id, _| fleet.instance(id).is_some_and(Instance::runs));
        let mut busy = Mean::default();
        let (mut cpu, mut memory, mut lua_memory) = (Sum::default(), Sum::default(), Sum::default());
        for instance in fleet.instances().iter().filter(|instance| instance.runs()) {
            let meter = self.meters.entry(instance.id.clone()).or_default();
            let figures = meter.read(instance, now);
            cpu.add(figures.cpu);
            memory.add(figures.memory.map(|bytes| bytes as f64));
            lua_memory.add(figures.lua.map(|bytes| bytes as f64));
            if instance.is_ready() {
                busy.add(figures.utilization);
            }
        }
        let metrics = Metrics {
            utilization: busy.mean(),
            cpu: cpu.sum(),
            memory: memory.sum(),
            lua_memory: lua_memory.sum(),
            ..traffic
        };
        let (instances, started) = (count(fleet), mem::take(&mut self.started));
        Observed { metrics, instances, started, generation: fleet.generation() }
    }
}

/// Its instances by state.
pub(crate) fn count(fleet: &Fleet) -> Instances {
    let mut count = Instances::default();
    for instance in fleet.instances() {
        *match instance.state {
            State::Starting => &mut count.starting,
            State::Ready { .. } => &mut count.ready,
            State::Draining => &mut count.draining,
            State::Failed { .. } => &mut count.failed,
        } += 1;
    }
    count
}

/// The mean of what is known; unknown while nothing is.
#[derive(Debug, Default)]
struct Mean {
    sum: f64,
    count: u32,
}

impl Mean {
    fn add(&mut self, value: Option<f64>) {
        if let Some(value) = value {
            self.sum += value;
            self.count += 1;
        }
    }

    fn mean(&self) -> Option<f64> {
        (self.count > 0).then(|| self.sum / f64::from(self.count))
    }
}

/// The sum of what is known; unknown while nothing is.
#[derive(Debug, Default)]
struct Sum(Option<f64>);

impl Sum {
    fn add(&mut self, value: Option<f64>) {
        if let Some(value) = value {
            *self.0.get_or_insert(0.0) += value;
        }
    }

    const fn sum(&self) -> Option<f64> {
        self.0
    }
}
