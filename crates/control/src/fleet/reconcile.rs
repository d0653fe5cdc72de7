//! What to start and what to drain, given what there is and how many there should be.
//!
//! Replacement: what a reload changed first has to prove itself with one instance beside the others.
//! Once that is ready, new instances replace old ones a quarter of the fleet at a time, and an old
//! one drains only when those that stay can carry the fleet. What never becomes ready never harms.
//!
//! What will be taken away counts no more at once, so that others are started in its place, and serves on until they
//! can, or until a quarter of the notice is left: that is for the requests that it has.
//!
//! An instance that drains is taken back when it is needed again before its end has begun.

use std::time::{Duration, Instant};

use tidegate_core::{FleetId, InstanceId};

use super::{Action, Fleet, Instance, State, trouble::Trouble};
use crate::clock::Moment;

/// How long a fleet that left the configuration still serves, for requests that were matched by
/// the configuration before.
pub(super) const REMOVAL_DELAY: Duration = Duration::from_secs(1);

/// Share of a fleet that is replaced at a time: one in four.
pub(super) const SURGE: u32 = 4;

impl Fleet {
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

    /// Drains everything, without delay.
    pub(crate) fn stop(&mut self) -> Vec<Action> {
        self.want(0, &[]);
        self.trial = None;
        let mut actions = self.surplus(0);
        let leaving = self.instances.iter_mut().filter(|one| one.is_leaving());
        actions.extend(leaving.map(Instance::drain));
        actions
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

    /// Of those, the one with the fewest requests in flight; of equals the youngest.
    fn least_busy(&self, which: impl Fn(&Instance) -> bool) -> Option<usize> {
        let candidates = self.instances.iter().enumerate().rev().filter(|(_, one)| which(one));
        candidates.min_by_key(|(_, one)| one.load.in_flight()).map(|(index, _)| index)
    }
}

/// How many there may be beyond the goal while `old` are being replaced.
const fn surge(goal: u32, old: u32) -> u32 {
    if old > 0 { goal.div_ceil(SURGE) } else { 0 }
}
