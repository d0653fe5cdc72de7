//! A fleet as a value: its instances, how many there should be, and what to do about the difference.
//!
//! [`Fleet::reconcile`] says which instances to start and which to drain; whoever does so reports
//! back with [`Fleet::ready`] and [`Fleet::exited`]. Time is an argument, so every path of a crash
//! loop or a replacement runs in a test without a process.
//!
//! Back-off: an instance that was ready is started again at once, the next time at the earliest
//! 100 ms after the last start, then 200 ms, and so on to 30 s, until one has served long enough to have been worth its
//! start. So what breaks with its first request is tried seldom, and what others kill is back at once, however often they
//! do. While none of a revision becomes ready, one at a time is tried, as seldom.
//!
//! Not here: processes (see [`crate::process`]), the count (the scaler's), and who may get requests
//! (the roster is read off the states).

mod instance;
mod places;
mod pools;
mod reconcile;
mod relief;
mod trouble;

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    num::NonZeroU32,
    sync::Arc,
    time::{Duration, Instant},
};

use tidegate_core::{Endpoint, FleetId, InstanceId, PoolId, Timestamp, turns::Turns};

pub(crate) use self::instance::{Instance, State};
use self::trouble::{Trouble, back_off};
use crate::{
    clock::Moment,
    driver::exec::Listed,
    template::{Program, Template},
};

/// An instance that served for so long, and so many times as long as it took to start, was worth that: its failure counts as
/// its first. Waiting would cost capacity then, and starting it again at once costs little beside what it does.
const WORTH_A_START: Duration = Duration::from_secs(1);
const TIMES_ITS_START: u32 = 5;

/// What has to be done. In the order given, after the roster has been published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Action {
    Start(InstanceId),
    Drain(InstanceId),
}

/// Something that ended without having been asked to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) at: Timestamp,
    pub(crate) id: InstanceId,
    pub(crate) reason: String,
}

#[derive(Debug)]
pub(crate) struct Fleet {
    pub(crate) name: FleetId,
    /// How many instances there should be.
    pub(crate) desired: u32,
    /// How many of each pool, where that matters.
    shares: BTreeMap<PoolId, u32>,
    /// Instances that pools took back, since that was last asked.
    reclaimed: BTreeMap<PoolId, u32>,
    current: Revision,
    /// Has yet to prove that it starts.
    trial: Option<Revision>,
    revisions: u64,
    /// In the order of their start.
    instances: Vec<Instance>,
    /// Requests that wait for a place at one of them.
    turns: Arc<Turns>,
    removed: Option<Instant>,
    /// Nothing is started before it is known what there is.
    unknown: bool,
    pub(crate) restarts: u64,
    pub(crate) last_failure: Option<Failure>,
    /// Time that instances ran which are gone now.
    past: Duration,
}

/// One template, and how its starts go.
#[derive(Debug)]
struct Revision {
    number: u64,
    template: Arc<Template>,
    /// None of it has become ready since its last start failed.
    trouble: Option<Trouble>,
}

impl Fleet {
    pub(crate) fn new(name: FleetId, template: Template, desired: u32) -> Self {
        Self {
            name,
            desired,
            shares: BTreeMap::new(),
            reclaimed: BTreeMap::new(),
            current: Revision { number: 1, template: Arc::new(template), trouble: None },
            trial: None,
            revisions: 1,
            instances: Vec::new(),
            turns: Arc::default(),
            removed: None,
            unknown: false,
            restarts: 0,
            last_failure: None,
            past: Duration::ZERO,
        }
    }

    /// Takes what a reload made of this fleet.
    pub(crate) fn configure(&mut self, template: Template) {
        self.removed = None;
        self.take(template);
        self.set_limits();
    }

    fn take(&mut self, template: Template) {
        if template.program.is_same(&self.current.template.program) {
            self.trial = None;
            self.current.template = Arc::new(template);
            return;
        }
        let newest = self.trial.as_mut().filter(|trial| trial.template.program.is_same(&template.program));
        if let Some(trial) = newest {
            trial.template = Arc::new(template);
            return;
        }
        self.revisions += 1;
        self.trial = Some(Revision { number: self.revisions, template: Arc::new(template), trouble: None });
    }

    /// Counts up whenever what most instances run was replaced. Zero for the first.
    pub(crate) const fn generation(&self) -> u64 {
        self.current.number - 1
    }

    /// The fleet left the configuration: it drains a little later, then it is [`gone`](Self::gone).
    pub(crate) fn remove(&mut self, now: Instant) {
        self.removed.get_or_insert(now);
    }

    /// Whether commands of the user drive its instances.
    pub(crate) fn is_driven(&self) -> bool {
        matches!(self.current.template.program, Program::Exec(_))
    }

    pub(crate) fn is_removed(&self) -> bool {
        self.removed.is_some()
    }

    /// Whether nothing is left of a fleet that was removed.
    pub(crate) fn gone(&self) -> bool {
        self.removed.is_some() && self.instances.is_empty()
    }

    /// Instances may be there that this process did not start: they have to be listed first.
    pub(crate) const fn await_list(&mut self) {
        self.unknown = true;
    }

    /// The instance will be taken away after `notice`, and another takes its place.
    pub(crate) fn announce(&mut self, id: &InstanceId, notice: Duration, now: Instant) -> Option<Action> {
        let instance = self.instance_mut(id).filter(|instance| !instance.doomed)?;
        let pool = instance.pool.clone();
        let action = instance.doom(now + usable(notice));
        self.note_reclaim(pool);
        action
    }

    /// What there is is known, or need not be.
    pub(crate) const fn need_no_list(&mut self) {
        self.unknown = false;
    }

    /// Nobody could say what there is.
    pub(crate) fn failed_to_list(&mut self, reason: String, now: Moment) {
        let id = InstanceId::new(self.name.as_str()).expect("what names a fleet names an instance");
        self.last_failure = Some(Failure { at: now.time, id, reason });
    }

    /// Takes what a list shows: those are returned that were not known, and are members from now on. `revision` is what
    /// instances of the current revision say they are of.
    pub(crate) fn listed(
        &mut self,
        listed: Vec<Listed>,
        revision: &str,
        now: Moment,
    ) -> (Vec<Listed>, Vec<Action>) {
        self.unknown = false;
        let (mut found, mut actions, mut taken_back) = (Vec::new(), Vec::new(), Vec::new());
        let notice = match &self.current.template.program {
            Program::Exec(exec) => exec.notice,
            _ => Duration::ZERO,
        };
        for one in listed {
            let known = self.instances.iter_mut().find(|instance| instance.id == one.id);
            match known {
                Some(instance) if one.leaving => {
                    if !instance.doomed {
                        taken_back.push(instance.pool.clone());
                    }
                    actions.extend(instance.doom(now.instant + usable(notice)));
                }
                Some(_) => {}
                None => {
                    let current = one.revision.as_deref().is_none_or(|of| of == revision);
                    let number = if current { self.current.number } else { 0 };
                    let mut instance = Instance::new(one.id.clone(), number, 0, now);
                    instance.found = true;
                    instance.load = self.new_load(number);
                    instance.pool = one.pool.as_deref().and_then(|pool| PoolId::new(pool).ok());
                    self.instances.push(instance);
                    found.push(one);
                }
            }
        }
        for pool in taken_back {
            self.note_reclaim(pool);
        }
        (found, actions)
    }

    /// The instance passed its check. Returns how long it took, or `None` if it was not awaited.
    pub(crate) fn ready(&mut self, id: &InstanceId, address: SocketAddr, now: Instant) -> Option<Duration> {
        let instance = self.instances.iter_mut().find(|instance| instance.id == *id)?;
        if instance.state != State::Starting {
            return None;
        }
        instance.state = State::Ready { since: now };
        instance.served = Some(now);
        instance.address = Some(address);
        let (revision, launched) = (instance.revision, instance.launched);
        if self.trial.as_ref().is_some_and(|trial| trial.number == revision)
            && let Some(trial) = self.trial.take()
        {
            self.current = trial;
        }
        if self.current.number == revision {
            self.current.trouble = None;
        }
        Some(now.saturating_duration_since(launched))
    }

    /// The instance's process has ended, or could not be started at all.
    pub(crate) fn exited(&mut self, id: &InstanceId, reason: String, now: Moment) {
        let Some(index) = self.instances.iter().position(|instance| instance.id == *id) else {
            return;
        };
        let instance = &mut self.instances[index];
        self.past += now.instant.saturating_duration_since(instance.launched);
        let launched = instance.launched;
        let (until, failures) = match instance.state {
            State::Leaving { .. } | State::Draining => {
                self.instances.remove(index);
                return;
            }
            State::Failed { .. } => return,
            State::Ready { since } => {
                let took = since.saturating_duration_since(launched);
                let served = now.instant.saturating_duration_since(since);
                let was_worth_it = served >= WORTH_A_START.max(took * TIMES_ITS_START);
                let failures = if was_worth_it { 0 } else { instance.failures };
                (launched + back_off(failures), failures + 1)
            }
            State::Starting => {
                let revision = instance.revision;
                let failures = instance.failures + 1;
                let newest = self.trial.as_mut().filter(|trial| trial.number == revision);
                let trouble = &mut newest.unwrap_or(&mut self.current).trouble;
                (Trouble::note(trouble, launched, now.instant), failures)
            }
        };
        let instance = &mut self.instances[index];
        instance.state = State::Failed { until };
        instance.failures = failures;
        instance.reason = Some(reason.clone());
        self.last_failure = Some(Failure { at: now.time, id: id.clone(), reason });
    }

    pub(crate) fn instances(&self) -> &[Instance] {
        &self.instances
    }

    pub(crate) fn instance(&self, id: &InstanceId) -> Option<&Instance> {
        self.instances.iter().find(|instance| instance.id == *id)
    }

    pub(crate) fn instance_mut(&mut self, id: &InstanceId) -> Option<&mut Instance> {
        self.instances.iter_mut().find(|instance| instance.id == *id)
    }

    /// What an instance of this fleet is started from.
    pub(crate) fn template(&self, instance: &Instance) -> Arc<Template> {
        Arc::clone(self.template_of(instance.revision))
    }

    fn template_of(&self, revision: u64) -> &Arc<Template> {
        let trial = self.trial.as_ref().filter(|trial| trial.number == revision);
        &trial.unwrap_or(&self.current).template
    }

    /// Who may get requests now, and where.
    pub(crate) fn serving(&self) -> impl Iterator<Item = (&Instance, SocketAddr)> {
        let is_node = matches!(self.current.template.program, Program::Node);
        let ready = self.instances.iter().filter(move |instance| instance.serves() && !is_node);
        ready.filter_map(|instance| Some((instance, instance.address?)))
    }

    /// The same, for the roster.
    pub(crate) fn endpoints(&self) -> Arc<[Endpoint]> {
        let endpoint = |(instance, address): (&Instance, SocketAddr)| Endpoint {
            id: instance.id.clone(),
            address: address.into(),
            host: None,
            weight: NonZeroU32::MIN,
            load: Arc::clone(&instance.load),
        };
        self.serving().map(endpoint).collect()
    }

    /// Time that instances ran, all together, from launch until gone.
    pub(crate) fn instance_time(&self, now: Instant) -> Duration {
        let running = self.instances.iter().filter(|instance| instance.runs());
        running.fold(self.past, |sum, instance| sum + now.saturating_duration_since(instance.launched))
    }

    fn count(&self, which: impl Fn(&Instance) -> bool) -> u32 {
        u32::try_from(self.instances.iter().filter(|one| which(one)).count()).unwrap_or(u32::MAX)
    }
}

/// How much of a notice an instance may serve on for: the rest is for the requests that it has then.
fn usable(notice: Duration) -> Duration {
    notice / 4 * 3
}

#[cfg(test)]
mod tests;
