//! One fleet and those who look after it: its scaler, its observer, and what it shows.

use tidegate_core::{
    FleetId,
    policy::{Mode, Policy},
    snapshot,
};
use tidegate_scaler::{Observed, Record, Scaler, observed::Metrics};

use crate::{
    clock::Moment,
    fleet::{Fleet, Instance},
    observe::{self, Observer},
    template::Template,
    view::{DecisionView, FailureView, FleetView, InstanceView},
};

#[derive(Debug)]
pub(super) struct Member {
    pub(super) fleet: Fleet,
    pub(super) observer: Observer,
    scaler: Scaler,
    /// Whether what is decided is done.
    mode: Mode,
    metrics: Metrics,
    last_step: Option<DecisionView>,
    last_change: Option<DecisionView>,
    /// Decisions that changed the count.
    changes: u64,
}

impl Member {
    pub(super) fn new(name: &FleetId, fleet: &snapshot::Fleet, template: Template, now: Moment) -> Self {
        let scaler = Scaler::new(fleet.policy.clone());
        let desired = match fleet.mode {
            Mode::Act => scaler.desired(),
            Mode::Recommend => at_least_one(&fleet.policy),
        };
        Self {
            fleet: Fleet::new(name.clone(), template, desired),
            observer: Observer::new(now.instant),
            scaler,
            mode: fleet.mode,
            metrics: Metrics::default(),
            last_step: None,
            last_change: None,
            changes: 0,
        }
    }

    /// Takes what a reload made of the fleet.
    pub(super) fn configure(&mut self, fleet: &snapshot::Fleet, template: Template) {
        if *self.scaler.policy() != fleet.policy {
            self.scaler.set_policy(fleet.policy.clone());
        }
        self.fleet.configure(template);
        self.mode = fleet.mode;
        // Also of a fleet that left the configuration a moment ago and is back.
        self.fleet.desired = match self.mode {
            Mode::Act => self.scaler.desired(),
            Mode::Recommend => self.fleet.desired.min(fleet.policy.max).max(at_least_one(&fleet.policy)),
        };
    }

    /// Observes and decides.
    pub(super) fn step(&mut self, now: Moment) -> Record {
        let observed = self.observer.observe(&self.fleet, now.instant);
        self.metrics.clone_from(&observed.metrics);
        self.decide(now, observed)
    }

    /// Decides at once, if there is no instance and a request waits for one.
    pub(super) fn wake(&mut self, now: Moment) -> Option<Record> {
        let asleep = self.fleet.desired == 0 && !self.fleet.is_removed() && self.observer.waiting() > 0;
        asleep.then(|| self.decide(now, self.observer.glimpse(&self.fleet)))
    }

    fn decide(&mut self, now: Moment, observed: Observed) -> Record {
        let (policy, state_before) = (self.scaler.policy().clone(), self.scaler.state());
        let decision = self.scaler.step(now.time, &observed);
        if self.mode == Mode::Act {
            self.fleet.desired = decision.desired;
        }
        let record = Record { policy, state_before, at: now.time, observed, decision };
        if record.decision.changes() {
            self.changes += 1;
            self.last_change = Some(DecisionView::from(&record));
        }
        self.last_step = Some(DecisionView::from(&record));
        record
    }

    pub(super) fn view(&self, now: Moment) -> FleetView {
        let fleet = &self.fleet;
        FleetView {
            name: fleet.name.clone(),
            desired: fleet.desired,
            min: self.scaler.policy().min,
            max: self.scaler.policy().max,
            instances: fleet.instances().iter().map(|one| self.instance_view(one)).collect(),
            states: observe::count(fleet),
            last_decision: self.last_change.as_ref().or(self.last_step.as_ref()).cloned(),
            last_step: self.last_step.clone(),
            metrics: self.metrics.clone(),
            start_up_seconds: self.scaler.start_up().map(|span| span.as_secs_f64()),
            instance_seconds: fleet.instance_time(now.instant).as_secs_f64(),
            changes: self.changes,
            restarts: fleet.restarts,
            last_failure: fleet.last_failure.as_ref().map(|failure| FailureView {
                at: failure.at,
                instance: failure.id.clone(),
                reason: failure.reason.clone(),
            }),
        }
    }

    fn instance_view(&self, instance: &Instance) -> InstanceView {
        let figures = self.observer.figures(&instance.id);
        InstanceView {
            id: instance.id.clone(),
            state: instance.state.name(),
            started_at: instance.started_at,
            endpoint: instance.address,
            pid: instance.pid.filter(|_| instance.runs()),
            in_flight: instance.load.in_flight(),
            utilization: figures.utilization,
            cpu_cores: figures.cpu,
            memory_bytes: figures.memory,
            lua_bytes: figures.lua,
            reason: instance.reason.clone(),
        }
    }
}

/// The fewest instances of a fleet whose scaler only recommends: without one, requests would wait in vain.
fn at_least_one(policy: &Policy) -> u32 {
    policy.min.max(1).min(policy.max)
}
