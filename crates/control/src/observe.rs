//! What is seen of a fleet: its traffic as the data plane counts it, and its instances.
//!
//! An [`Observer`] keeps what the last reading was, so that totals become rates. Whatever could not be
//! read is `None`, never zero: a fleet that no upstream leads to has no arrival rate, an instance whose
//! last report is old has no utilisation.

mod meter;
mod traffic;

use std::{
    collections::{BTreeMap, BTreeSet},
    iter, mem,
    time::{Duration, Instant},
};

use tidegate_core::{FleetId, InstanceId, Snapshot, SourceId, Telemetry, policy::Policy};
use tidegate_scaler::{
    Observed,
    observed::{Instances, Metrics, Worked},
};

use self::{
    meter::{Figures, Meter},
    traffic::Traffic,
};
use crate::{
    fleet::{Fleet, Instance, State},
    instance::protocol::{MessageCounts, Status},
};

/// Reads one fleet, again and again.
#[derive(Debug)]
pub(crate) struct Observer {
    traffic: Traffic,
    meters: BTreeMap<InstanceId, Meter>,
    /// How long those took to start that became ready since the last reading.
    started: Vec<Duration>,
    /// The event sources that the policies look at.
    sources: BTreeSet<SourceId>,
    /// What became of messages, of all instances that there were.
    messages: Option<MessageCounts>,
}

impl Observer {
    pub(crate) fn new(now: Instant) -> Self {
        Self {
            traffic: Traffic::new(now),
            meters: BTreeMap::new(),
            started: Vec::new(),
            sources: BTreeSet::new(),
            messages: None,
        }
    }

    /// Takes the upstreams that lead to the fleet from a configuration.
    pub(crate) fn configure(&mut self, fleet: &FleetId, snapshot: &Snapshot, telemetry: &Telemetry) {
        self.traffic.configure(fleet, snapshot, telemetry);
        let triggers = policies(fleet, snapshot).flat_map(|policy| &policy.triggers);
        self.sources = triggers.flat_map(|trigger| trigger.sources()).cloned().collect();
    }

    /// Reads what is in flight. To be called several times between two observations.
    pub(crate) fn sample(&mut self, fleet: &Fleet) {
        self.traffic.sample();
        for instance in fleet.instances().iter().filter(|instance| instance.serves()) {
            if let Some(meter) = self.meters.get_mut(&instance.id) {
                meter.look(&instance.load);
            }
        }
    }

    /// An instance became ready, this long after its launch.
    pub(crate) fn started(&mut self, took: Duration) {
        self.started.push(took);
    }

    pub(crate) fn reported(&mut self, id: &InstanceId, status: Status, now: Instant) {
        let meter = self.meters.entry(id.clone()).or_default();
        if let Some(new) = status.messages {
            let old = meter.latest().and_then(|status| status.messages).unwrap_or_default();
            let all = self.messages.get_or_insert_default();
            let pairs = [
                (&mut all.done, new.done, old.done),
                (&mut all.failed, new.failed, old.failed),
                (&mut all.dead, new.dead, old.dead),
                (&mut all.lost, new.lost, old.lost),
            ];
            for (sum, new, old) in pairs {
                *sum = sum.saturating_add(new.saturating_sub(old));
            }
        }
        meter.report(status, now);
    }

    /// What became of messages so far, of a fleet that works on some.
    pub(crate) const fn messages(&self) -> Option<MessageCounts> {
        self.messages
    }

    /// What was last read of an instance.
    pub(crate) fn figures(&self, id: &InstanceId) -> Figures {
        self.meters.get(id).map(Meter::last).unwrap_or_default()
    }

    /// How many requests wait, at this moment.
    pub(crate) fn waiting(&self) -> u64 {
        self.traffic.waiting()
    }

    /// Whoever is refused from now on may find an instance in `wait`.
    pub(crate) fn expect(&self, wait: Duration) {
        self.traffic.expect(wait);
    }

    /// Whether anything waits in a source that the policies look at.
    pub(crate) fn has_backlog(&self, waiting: &BTreeMap<SourceId, f64>) -> bool {
        self.sources.iter().any(|source| waiting.get(source).is_some_and(|&count| count > 0.0))
    }

    fn backlogs(&self, waiting: &BTreeMap<SourceId, f64>) -> BTreeMap<SourceId, f64> {
        let known = |source: &SourceId| Some((source.clone(), *waiting.get(source)?));
        self.sources.iter().filter_map(known).collect()
    }

    /// Nothing but what waits and who is there, without ending the time over which the rest is measured.
    pub(crate) fn glimpse(&self, fleet: &Fleet, waiting: &BTreeMap<SourceId, f64>) -> Observed {
        let (queued, sources) = (Some(self.waiting() as f64), self.backlogs(waiting));
        let metrics = Metrics { queued, sources, ..Metrics::default() };
        let (instances, generation) = (count(fleet), fleet.generation());
        Observed { metrics, instances, generation, ..Observed::default() }
    }

    pub(crate) fn observe(
        &mut self,
        fleet: &Fleet,
        waiting: &BTreeMap<SourceId, f64>,
        now: Instant,
    ) -> Observed {
        let traffic = self.traffic.read(now);
        let mut pace = Mean::default();
        self.meters.retain(|id, meter| {
            let runs = fleet.instance(id).is_some_and(Instance::runs);
            if !runs {
                // What others end tells what it could do all the same; those that follow it have not reported yet.
                pace.add(meter.served(now));
            }
            runs
        });
        let (mut busy, mut collecting) = (Mean::default(), Mean::default());
        let (mut cpu, mut memory, mut lua_memory) = (Sum::default(), Sum::default(), Sum::default());
        let (mut busy_seconds, mut finished, mut serving) = (Sum::default(), Sum::default(), 0_u32);
        let (mut coroutines, mut allocation, mut lua_dicts) = (Sum::default(), Sum::default(), None);
        for instance in fleet.instances().iter().filter(|instance| instance.runs()) {
            let meter = self.meters.entry(instance.id.clone()).or_default();
            let figures = meter.read(instance, now);
            cpu.add(figures.cpu);
            memory.add(figures.memory.map(|bytes| bytes as f64));
            lua_memory.add(figures.lua.map(|bytes| bytes as f64));
            if instance.state != State::Starting {
                busy_seconds.add(figures.busy.map(|time| time.as_secs_f64()));
                finished.add(figures.finished.map(|count| count as f64));
            }
            coroutines.add(figures.coroutines.map(|count| count as f64));
            allocation.add(figures.allocation);
            lua_dicts = figures.dicts.into_iter().chain(lua_dicts).reduce(f64::max);
            if instance.serves() {
                serving += 1;
                busy.add(figures.utilization);
                pace.add(figures.served);
                collecting.add(figures.collecting);
            }
        }
        // Of commands it is only known here what they answered.
        let requests = finished.sum().or_else(|| Some(self.traffic.finished()? as f64));
        let worked = busy_seconds.sum().zip(requests);
        let metrics = Metrics {
            worked: worked.map(|(busy_seconds, requests)| Worked { busy_seconds, requests }),
            utilization: busy.mean(),
            cpu: cpu.sum(),
            memory: memory.sum(),
            lua_memory: lua_memory.sum(),
            lua_coroutines: coroutines.sum(),
            lua_collecting: collecting.mean(),
            lua_allocation: allocation.sum(),
            lua_dicts,
            // Of those that no request comes to through here: workers count for themselves.
            served_rate: traffic.served_rate.or_else(|| Some(pace.mean()? * f64::from(serving))),
            sources: self.backlogs(waiting),
            ..traffic
        };
        let (instances, started) = (count(fleet), mem::take(&mut self.started));
        Observed { metrics, instances, started, generation: fleet.generation(), ..Observed::default() }
    }
}

/// What decides about the fleet, and what is tried beside it.
fn policies<'a>(fleet: &FleetId, snapshot: &'a Snapshot) -> impl Iterator<Item = &'a Policy> {
    let fleet = snapshot.fleets.get(fleet).into_iter();
    fleet.flat_map(|fleet| iter::once(&fleet.policy).chain(&fleet.candidate))
}

/// Its instances by state.
pub(crate) fn count(fleet: &Fleet) -> Instances {
    let mut count = Instances::default();
    for instance in fleet.instances() {
        *match instance.state {
            State::Starting => &mut count.starting,
            State::Ready { .. } | State::Leaving { .. } => &mut count.ready,
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
