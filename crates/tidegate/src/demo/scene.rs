//! What there is to see: the load and the fleet at this moment, and how they came here.
//!
//! A [`Scene`] takes in what the load generator and the control plane show, and answers what screen,
//! lines and summary ask. It draws nothing.

use tidegate_control::View;
use tidegate_core::Timestamp;
use tidegate_load::Progress;

use super::config::FLEET;

/// The course of the day so far.
#[derive(Debug, Clone, Default)]
pub(crate) struct Scene {
    pub(crate) load: Progress,
    pub(crate) fleet: Fleet,
    /// The last decision that changed the number of instances, and when it was noticed.
    pub(crate) decision: Option<Decision>,
    samples: Vec<Sample>,
    peak_instances: u32,
    /// What the fleet had behind it when the day began.
    before: Past,
}

/// The instances of the demo's fleet.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Fleet {
    pub(crate) desired: u32,
    pub(crate) starting: u32,
    pub(crate) ready: u32,
    pub(crate) draining: u32,
    pub(crate) failed: u32,
    past: Past,
}

/// Sums since the control plane started.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Past {
    instance_seconds: f64,
    decisions: u64,
}

/// Why the number of instances is what it is.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Decision {
    pub(crate) at: Timestamp,
    /// When it was seen, as a share of the day.
    pub(crate) noticed: f64,
    pub(crate) from: u32,
    pub(crate) to: u32,
    /// Most important first.
    pub(crate) reasons: Vec<String>,
}

/// Demand and instances at one moment.
#[derive(Debug, Clone, Copy)]
struct Sample {
    /// Share of the day.
    moment: f64,
    /// Requests per second.
    demand: f64,
    ready: u32,
}

impl Scene {
    /// A day that is about to begin.
    pub(crate) fn new(view: &View) -> Self {
        let fleet = Fleet::of(view);
        Self { fleet, before: fleet.past, peak_instances: fleet.running(), ..Self::default() }
    }

    pub(crate) fn update(&mut self, load: Progress, view: &View) {
        self.load = load;
        self.look(view);
        let (demand, ready) = (self.load.offered_rate, self.fleet.ready);
        self.samples.push(Sample { moment: self.moment(), demand, ready });
    }

    /// Takes in the fleet alone.
    pub(crate) fn look(&mut self, view: &View) {
        self.fleet = Fleet::of(view);
        self.peak_instances = self.peak_instances.max(self.fleet.running());
        if let Some(decision) = Decision::of(view, self.moment())
            && self.fleet.past.decisions > self.before.decisions
            && self.decision.as_ref().is_none_or(|last| last.at != decision.at)
        {
            self.decision = Some(decision);
        }
    }

    /// Share of the day that is over.
    pub(crate) fn moment(&self) -> f64 {
        let Progress { elapsed, duration, .. } = self.load;
        (elapsed.as_secs_f64() / duration.as_secs_f64().max(1e-9)).min(1.0)
    }

    /// Requests per second over the day, in `columns` columns; those still to come are missing.
    pub(crate) fn demand(&self, columns: usize) -> Vec<u64> {
        self.columns(columns, |sample| sample.demand)
    }

    /// Ready instances over the day, as [`Scene::demand`].
    pub(crate) fn ready(&self, columns: usize) -> Vec<u64> {
        self.columns(columns, |sample| f64::from(sample.ready))
    }

    pub(crate) const fn peak_instances(&self) -> u32 {
        self.peak_instances
    }

    /// Time that instances have run since the day began, all together.
    pub(crate) fn instance_seconds(&self) -> f64 {
        self.fleet.past.instance_seconds - self.before.instance_seconds
    }

    /// Decisions that changed the number of instances since the day began.
    pub(crate) const fn decisions(&self) -> u64 {
        self.fleet.past.decisions.saturating_sub(self.before.decisions)
    }

    /// The mean of the samples that fall into each column, or the column before it where none do.
    fn columns(&self, columns: usize, value: impl Fn(&Sample) -> f64) -> Vec<u64> {
        let Some(last) = columns.checked_sub(1) else { return Vec::new() };
        let column_of = |sample: &Sample| ((sample.moment * columns as f64) as usize).min(last);
        let mut result: Vec<u64> = Vec::with_capacity(columns);
        for group in self.samples.chunk_by(|one, other| column_of(one) == column_of(other)) {
            let mean = (group.iter().map(&value).sum::<f64>() / group.len() as f64).round() as u64;
            let before = result.last().copied().unwrap_or(mean);
            result.resize(column_of(&group[0]), before);
            result.push(mean);
        }
        result
    }
}

impl Fleet {
    fn of(view: &View) -> Self {
        let Some(fleet) = view.fleets.iter().find(|fleet| fleet.name.as_str() == FLEET) else {
            return Self::default();
        };
        let states = fleet.states;
        Self {
            desired: fleet.desired,
            starting: states.starting,
            ready: states.ready,
            draining: states.draining,
            failed: states.failed,
            past: Past { instance_seconds: fleet.instance_seconds, decisions: fleet.changes },
        }
    }

    const fn running(&self) -> u32 {
        self.starting + self.ready
    }
}

impl Decision {
    fn of(view: &View, noticed: f64) -> Option<Self> {
        let fleet = view.fleets.iter().find(|fleet| fleet.name.as_str() == FLEET)?;
        let view = fleet.last_decision.as_ref().filter(|view| view.decision.changes())?;
        Some(Self {
            at: view.at,
            noticed,
            from: view.decision.previous,
            to: view.decision.desired,
            reasons: view.decision.reasons(),
        })
    }
}

#[cfg(test)]
pub(crate) mod tests;
