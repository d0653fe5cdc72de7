//! A fleet as a value: its instances, how many there should be, and what to do about the difference.
//!
//! [`Fleet::reconcile`] says which instances to start and which to drain; whoever does so reports
//! back with [`Fleet::ready`] and [`Fleet::exited`]. Time is an argument, so every path of a crash
//! loop or a replacement runs in a test without a process.
//!
//! Replacement: what a reload changed first has to prove itself with one instance beside the others.
//! Once that is ready, new instances replace old ones a quarter of the fleet at a time, and an old
//! one drains only when those that stay can carry the fleet. What never becomes ready never harms.
//!
//! What will be taken away counts no more at once, so that others are started in its place, and serves on until they
//! can, or until a quarter of the notice is left: that is for the requests that it has.
//!
//! An instance that drains is taken back when it is needed again before its end has begun.
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
mod relief;
mod trouble;

use std::{
    collections::BTreeMap,
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

/// How long a fleet that left the configuration still serves, for requests that were matched by
/// the configuration before.
const REMOVAL_DELAY: Duration = Duration::from_secs(1);

/// Share of a fleet that is replaced at a time: one in four.
const SURGE: u32 = 4;

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

    /// Drains everything, without delay.
    pub(crate) fn stop(&mut self) -> Vec<Action> {
        self.want(0, &[]);
        self.trial = None;
        let mut actions = self.surplus(0);
        let leaving = self.instances.iter_mut().filter(|one| one.is_leaving());
        actions.extend(leaving.map(Instance::drain));
        actions
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

    /// Decides what to start and what to drain. States change here and now; the caller publishes
    /// the roster and then acts.
    pub(crate) fn reconcile(
        &mut self,
        now: Moment,
        mut new_id: impl FnMut(&FleetId) -> InstanceId,
    ) -> Vec<Action> {
        if let Some(removed) = self.removed {
            let due = now.instant.saturating_duration_since(removed) >= REMOVAL_DELAY;
            return if due { self.stop() } else { Vec::new() };
        }
        if self.desired == 0
            && let Some(trial) = self.trial.take()
        {
            self.current = trial;
        }
        if self.unknown {
            return Vec::new();
        }
        let mut actions = self.surplus(self.desired);
        self.part(now.instant, &mut actions);
        self.take_back();
        self.try_out(now, &mut new_id, &mut actions);
        self.fill_up(now, &mut new_id, &mut actions);
        actions
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
    pub(crate) fn ready(
        &mut self,
        id: &InstanceId,
        address: std::net::SocketAddr,
        now: Instant,
    ) -> Option<Duration> {
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

    /// Who may get requests now.
    pub(crate) fn endpoints(&self) -> Arc<[Endpoint]> {
        let is_node = matches!(self.current.template.program, Program::Node);
        let ready = self.instances.iter().filter(|instance| instance.serves() && !is_node);
        let endpoint = |instance: &Instance| {
            Some(Endpoint {
                id: instance.id.clone(),
                address: instance.address?,
                weight: NonZeroU32::MIN,
                load: Arc::clone(&instance.load),
            })
        };
        ready.filter_map(endpoint).collect()
    }

    /// Time that instances ran, all together, from launch until gone.
    pub(crate) fn instance_time(&self, now: Instant) -> Duration {
        let running = self.instances.iter().filter(|instance| instance.runs());
        running.fold(self.past, |sum, instance| sum + now.saturating_duration_since(instance.launched))
    }

    /// Marks instances that are not needed: first those that could not serve anyway.
    fn surplus(&mut self, goal: u32) -> Vec<Action> {
        let (current, trial) = self.numbers();
        let is_old = |one: &Instance| one.revision != current && Some(one.revision) != trial;
        let mut actions = Vec::new();
        // What is not of use even if it becomes ready.
        self.instances.retain(|instance| !(is_old(instance) && instance.is_failed()));
        let of_no_use = |one: &Instance| is_old(one) && one.state == State::Starting && !one.found;
        for instance in self.instances.iter_mut().filter(|one| of_no_use(one)) {
            actions.push(instance.drain());
        }
        // What others can stand in for: the old before the new.
        while self.count(Instance::is_ready) > goal
            && let Some(index) = self.least_busy(|one| is_old(one) && one.is_ready())
        {
            actions.push(self.instances[index].drain());
        }
        while let Some(index) = self.dispensable(goal) {
            if self.instances[index].is_failed() {
                self.instances.remove(index);
            } else {
                actions.push(self.instances[index].drain());
            }
        }
        actions
    }

    /// One of the current revision that is too many: a failed or a starting one, the youngest first, or
    /// else the one that serves least.
    fn dispensable(&self, goal: u32) -> Option<usize> {
        let beyond = self.beyond_shares(self.current.number);
        let spare = |one: &Instance| beyond.is_empty() || beyond.get(&one.pool).is_some_and(|more| *more > 0);
        let is_current = |one: &Instance| one.revision == self.current.number;
        let is_own = |one: &Instance| is_current(one) && spare(one);
        let youngest = |which: &dyn Fn(&Instance) -> bool| {
            self.instances.iter().rposition(|one| is_own(one) && which(one))
        };
        let unready =
            || youngest(&Instance::is_failed).or_else(|| youngest(&|one| one.state == State::Starting));
        let (own, old) = self.own_and_old();
        // Of a pool that has too many, one goes when others are ready in its place.
        let may_go = beyond.is_empty() || self.count(|one| is_current(one) && one.is_ready()) > goal;
        if own > goal {
            let ready = || self.least_busy(|one| is_own(one) && one.is_ready());
            unready().or_else(|| may_go.then(ready).flatten())
        } else if own + old > goal + surge(goal, old) {
            unready()
        } else {
            None
        }
    }

    /// Lets those go that will be taken away, when enough others serve or it is time.
    fn part(&mut self, now: Instant, actions: &mut Vec<Action>) {
        // What is wanted in place of what was taken back is for the next decision to say.
        let undecided = !self.reclaimed.is_empty() && !self.shares.is_empty();
        let replaced = !undecided && self.count(Instance::is_ready) >= self.desired;
        for one in &mut self.instances {
            if let State::Leaving { until } = one.state
                && (replaced || until <= now)
            {
                actions.push(one.drain());
            }
        }
    }

    /// Starts the one instance that a new revision has to prove itself with.
    fn try_out(
        &mut self,
        now: Moment,
        new_id: &mut impl FnMut(&FleetId) -> InstanceId,
        actions: &mut Vec<Action>,
    ) {
        let Some(trial) = &self.trial else {
            return;
        };
        let number = trial.number;
        if Trouble::allows(trial.trouble.as_ref(), now.instant)
            && self.count(|one| one.revision == number && one.is_active() && !one.is_failed()) == 0
        {
            let failures = self.forget_failed(number, now.instant).unwrap_or_default();
            self.launch(number, failures, now, new_id, actions);
        }
    }

    /// Keeps instances that were leaving, where as many are wanted again.
    fn take_back(&mut self) {
        for index in 0..self.instances.len() {
            if !self.wants_more() {
                return;
            }
            let current = self.current.number;
            let beyond = self.beyond_shares(current);
            let one = &mut self.instances[index];
            let is_wanted = beyond.is_empty() || beyond.get(&one.pool).is_some_and(|more| *more < 0);
            _ = one.revision == current && is_wanted && one.take_back();
        }
    }

    /// Whether one more of the current revision may be there.
    fn wants_more(&self) -> bool {
        let (own, old) = self.own_and_old();
        let beyond = self.beyond_shares(self.current.number);
        // Those of the wrong pool are replaced before they go.
        let misplaced: i64 = beyond.values().filter(|more| **more > 0).sum();
        let goal = self.desired + u32::try_from(misplaced).unwrap_or_default();
        own < goal && own + old < goal + surge(self.desired, old)
    }

    /// Starts instances until there are as many of the current revision as there should be.
    fn fill_up(
        &mut self,
        now: Moment,
        new_id: &mut impl FnMut(&FleetId) -> InstanceId,
        actions: &mut Vec<Action>,
    ) {
        let current = self.current.number;
        loop {
            let starting = self.count(|one| one.revision == current && one.state == State::Starting);
            let held = starting > 0 && self.current.trouble.is_some();
            if held || !Trouble::allows(self.current.trouble.as_ref(), now.instant) {
                return;
            }
            if let Some(failures) = self.forget_failed(current, now.instant) {
                self.launch(current, failures, now, new_id, actions);
                continue;
            }
            if !self.wants_more() {
                return;
            }
            self.launch(current, 0, now, new_id, actions);
        }
    }

    /// Takes a failed instance that may be started again off the list, and returns how often it failed.
    fn forget_failed(&mut self, revision: u64, now: Instant) -> Option<u32> {
        let due = |one: &Instance| {
            one.revision == revision && matches!(one.state, State::Failed { until } if until <= now)
        };
        let index = self.instances.iter().position(due)?;
        self.restarts += 1;
        Some(self.instances.remove(index).failures)
    }

    fn launch(
        &mut self,
        revision: u64,
        failures: u32,
        now: Moment,
        new_id: &mut impl FnMut(&FleetId) -> InstanceId,
        actions: &mut Vec<Action>,
    ) {
        let (id, pool, load) = (new_id(&self.name), self.lacking(revision), self.new_load(revision));
        self.instances.push(Instance { pool, load, ..Instance::new(id.clone(), revision, failures, now) });
        actions.push(Action::Start(id));
    }

    /// The number of the current revision, and that of the one on trial.
    fn numbers(&self) -> (u64, Option<u64>) {
        (self.current.number, self.trial.as_ref().map(|trial| trial.number))
    }

    /// How many there are of the current revision, and how many it has yet to replace.
    fn own_and_old(&self) -> (u32, u32) {
        let (current, trial) = self.numbers();
        let own = self.count(|one| one.is_active() && one.revision == current);
        let not_old = |one: &Instance| one.revision == current || Some(one.revision) == trial;
        (own, self.count(|one| one.is_active() && !not_old(one)))
    }

    fn count(&self, which: impl Fn(&Instance) -> bool) -> u32 {
        u32::try_from(self.instances.iter().filter(|one| which(one)).count()).unwrap_or(u32::MAX)
    }

    /// Of those, the one with the fewest requests in flight; of equals the youngest.
    fn least_busy(&self, which: impl Fn(&Instance) -> bool) -> Option<usize> {
        let candidates = self.instances.iter().enumerate().rev().filter(|(_, one)| which(one));
        candidates.min_by_key(|(_, one)| one.load.in_flight()).map(|(index, _)| index)
    }
}

/// How much of a notice an instance may serve on for: the rest is for the requests that it has then.
fn usable(notice: Duration) -> Duration {
    notice / 4 * 3
}

/// How many there may be beyond the goal while `old` are being replaced.
const fn surge(goal: u32, old: u32) -> u32 {
    if old > 0 { goal.div_ceil(SURGE) } else { 0 }
}

#[cfg(test)]
mod tests;
