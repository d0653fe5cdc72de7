//! What another policy would have decided on recorded observations.
//!
//! The observations are those of the fleet as it was, so this tells what a policy would have *asked
//! for*. What that would have come to is reckoned with the start-up time and the work per request
//! that were learned: instances are ready a start-up after they were asked for, and what arrives beyond
//! them found no capacity.
//!
//! Not here: queues and latencies, which depend on what would have been done.

use std::{collections::VecDeque, time::Duration};

use serde::Serialize;
use tidegate_core::{Timestamp, policy::Policy};

use crate::{
    decision::Decision,
    observed::Observed,
    scaler::{Scaler, State},
};

/// How long instances are taken to start while that is not known.
const UNKNOWN_START_UP: Duration = Duration::from_secs(30);
/// Longest gap between two steps that is reckoned with: beyond, nothing was recorded.
const LONGEST_GAP: Duration = Duration::from_mins(1);

/// A policy on its way through observations.
#[derive(Debug, Clone)]
pub struct Rehearsal {
    scaler: Scaler,
    reckoning: Reckoning,
}

/// Counts on their way through observations, whoever decided them.
#[derive(Debug, Clone)]
pub struct Reckoning {
    figures: Figures,
    last: Option<Timestamp>,
    desired: u32,
    /// Counts that are ready from then on, the youngest last.
    ordered: VecDeque<(Timestamp, u32)>,
    ready: u32,
    /// Instance-seconds of work that arrived, and those of them that found no capacity.
    demand: f64,
    short: f64,
}

/// What a policy came to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Figures {
    pub steps: u64,
    /// Decisions that changed the count.
    pub changes: u64,
    pub peak: u32,
    pub instance_hours: f64,
    /// Share of the work that found no capacity. `None`: the work per request was not known.
    pub overload: Option<f64>,
}

impl Rehearsal {
    /// `policy` goes on from `state`, which may be of another.
    pub fn new(policy: Policy, state: State) -> Self {
        let scaler = Scaler::restore(policy, state);
        Self { reckoning: Reckoning::new(scaler.desired()), scaler }
    }

    pub fn step(&mut self, at: Timestamp, observed: &Observed) -> Decision {
        let decision = self.scaler.step(at, observed);
        self.reckoning.step(at, observed, decision.desired, &self.scaler);
        decision
    }

    /// The count that was decided last.
    pub fn desired(&self) -> u32 {
        self.scaler.desired()
    }

    pub fn figures(&self) -> Figures {
        self.reckoning.figures()
    }
}

impl Reckoning {
    pub fn new(desired: u32) -> Self {
        Self {
            figures: Figures::default(),
            last: None,
            desired,
            ordered: VecDeque::new(),
            ready: desired,
            demand: 0.0,
            short: 0.0,
        }
    }

    /// From `at` on there should be `desired`. What is known of instances, `scaler` knows.
    pub fn step(&mut self, at: Timestamp, observed: &Observed, desired: u32, scaler: &Scaler) {
        let passed = self.last.replace(at).map_or(Duration::ZERO, |last| at.since(last));
        if passed <= LONGEST_GAP {
            self.charge(at, passed.as_secs_f64(), observed, scaler);
        }
        self.figures.steps += 1;
        self.figures.peak = self.figures.peak.max(desired);
        if desired != self.desired {
            self.figures.changes += 1;
            let start_up = scaler.start_up().unwrap_or(UNKNOWN_START_UP);
            // Fewer are fewer at once, also of those that were ordered.
            self.ready = self.ready.min(desired);
            self.ordered.retain(|&(_, count)| count <= desired);
            self.ordered.push_back((at + start_up, desired));
            self.desired = desired;
        }
    }

    /// The time since the last step, with the count that was decided then.
    fn charge(&mut self, at: Timestamp, seconds: f64, observed: &Observed, scaler: &Scaler) {
        while let Some(&(from, count)) = self.ordered.front()
            && from <= at
        {
            self.ready = count.min(self.desired);
            self.ordered.pop_front();
        }
        self.figures.instance_hours += f64::from(self.desired) * seconds / 3_600.0;
        let known = observed.metrics.arrival_rate.filter(|rate| rate.is_finite() && *rate >= 0.0);
        if let (Some(rate), Some(work)) = (known, scaler.learned().work) {
            let demand = rate * work * seconds;
            self.demand += demand;
            self.short += (demand - f64::from(self.ready) * seconds).max(0.0);
        }
    }

    pub fn figures(&self) -> Figures {
        Figures { overload: (self.demand > 0.0).then(|| self.short / self.demand), ..self.figures }
    }
}
