//! One fleet and those who look after it: those who decide, its observer, and what it shows.

use std::{
    collections::BTreeMap,
    hash::{DefaultHasher, Hash as _, Hasher as _},
    sync::Arc,
    time::Duration,
};

use tidegate_core::{
    FleetId, RouteId, SourceId, Timestamp,
    policy::{Mode, Policy, Pool, PoolKind},
    snapshot,
};
use tidegate_scaler::{
    Decision, Observed, Panel, Record, Scaler, Verdict,
    hpa::Hpa,
    observed::Metrics,
    record::{Account, Charge, Outcome},
};

use crate::{
    clock::Moment,
    fleet::{Fleet, Instance},
    journal::{Page, Standing, recover::Recall},
    observe::{self, Observer},
    template::Template,
    view::{BudgetView, CandidateView, DecisionView, FailureView, FleetView, InstanceView, PoolView},
};

/// A process that ended so recently left a fleet whose counts are still right.
const RECENTLY: Duration = Duration::from_mins(5);

/// Steps between two checkpoints, less where there are many fleets.
const CHECKPOINT_EVERY: u64 = 600;
const CHECKPOINT_AT_MOST_EVERY: u64 = 60;

/// Steps that a journal of all fleets may have between two checkpoints.
const STEPS_BETWEEN: u64 = 60_000;

/// How far numbers of records are apart that do not follow each other: those of a process from those of the one before, and
/// one from the next while another process writes. What either has written must not look like the next step of the other.
const APART: u64 = 1 << 20;

#[derive(Debug)]
pub(super) struct Member {
    pub(super) fleet: Fleet,
    pub(super) observer: Observer,
    /// Those that lead to the fleet.
    pub(super) routes: Vec<RouteId>,
    panel: Panel,
    /// Whether what is decided is done.
    mode: Mode,
    /// US dollars for an hour of an instance.
    price: Option<f64>,
    metrics: Metrics,
    /// Requests that arrive in a second.
    arrives: f64,
    last_step: Option<DecisionView>,
    last_change: Option<DecisionView>,
    candidate_step: Option<DecisionView>,
    /// Decisions that changed the count, and those of the candidate.
    changes: u64,
    candidate_changes: u64,
    journaling: Journaling,
    account: Account,
    /// Whether an alarm of the budget was said, and if so whether that all is spent.
    alarmed: Option<bool>,
    /// Instance time up to the last step.
    accounted: Duration,
    last: Option<Moment>,
    /// Decides instead of the policy.
    rival: Option<Rival>,
    /// What is shown of it. `None`: something of that has changed.
    shown: Option<Arc<FleetView>>,
}

/// HPA's rule, fed with what is observed.
#[derive(Debug)]
struct Rival {
    hpa: Hpa,
    second: usize,
}

/// What an instance that is always busy works in a second, in microseconds.
const RIVAL_WORK: f64 = 1_000_000.0;

impl Rival {
    /// A second has passed. Without a metric there is no recommendation, and the count stays.
    fn decide(&mut self, observed: &Observed) -> u32 {
        self.second += 1;
        let ready = observed.instances.ready;
        if let Some(utilization) = observed.metrics.utilization {
            self.hpa.see((utilization * f64::from(ready) * RIVAL_WORK) as u64, ready);
        }
        self.hpa.decide(self.second)
    }
}

/// What decides when policies and memories are written again.
#[derive(Debug)]
struct Journaling {
    /// The number of the last record.
    number: u64,
    due: bool,
    checkpoint_at: u64,
    gaps: u64,
    /// Tells fleets apart, so that not all write at the same step.
    phase: u64,
    /// Steps by which the next comes sooner for that.
    early: u64,
}

/// What a step leaves behind.
pub(super) struct Step {
    pub(super) record: Record,
    pub(super) page: Page,
}

impl Member {
    pub(super) fn new(
        name: &FleetId,
        fleet: &snapshot::Fleet,
        template: Template,
        now: Moment,
        recall: Option<Recall>,
    ) -> Self {
        let (policy, candidate) = (&fleet.policy, &fleet.candidate);
        let fresh = Account { since: now.time, ..Account::default() };
        let (panel, number, account) = match recall {
            Some(Recall { panel, at, number, account }) => {
                let away = now.time.since(at);
                let mut panel = panel.resumed(away, away <= RECENTLY);
                if !panel.is_of(policy, candidate.as_ref()) {
                    panel.set_policies(policy.clone(), candidate.clone());
                }
                let known = account.since > Timestamp::default();
                // A gap in the numbers: what went on meanwhile is not known.
                (panel, number.wrapping_add(APART), if known { account } else { fresh })
            }
            None => (Panel::new(policy.clone(), candidate.clone(), policy.min), 0, fresh),
        };
        let desired = panel.acting().desired().min(policy.max).max(policy.min);
        let mut instances = Fleet::new(name.clone(), template, desired);
        if fleet.mode == Mode::Act {
            instances.want(desired, &panel.acting().shares());
        } else {
            instances.want(at_least_one(policy), &[]);
        }
        Self {
            fleet: instances,
            observer: Observer::new(now.instant),
            routes: Vec::new(),
            panel,
            mode: fleet.mode,
            price: fleet.price,
            metrics: Metrics::default(),
            arrives: 0.0,
            last_step: None,
            last_change: None,
            candidate_step: None,
            changes: 0,
            candidate_changes: 0,
            journaling: Journaling::new(number, name),
            account,
            alarmed: None,
            accounted: Duration::ZERO,
            last: None,
            rival: None,
            shown: None,
        }
    }

    /// Takes what a reload made of the fleet.
    pub(super) fn configure(&mut self, fleet: &snapshot::Fleet, template: Template) {
        if !self.panel.is_of(&fleet.policy, fleet.candidate.as_ref()) {
            self.panel.set_policies(fleet.policy.clone(), fleet.candidate.clone());
            self.journaling.due = true;
        }
        if fleet.candidate.is_none() {
            (self.candidate_step, self.candidate_changes) = (None, 0);
        }
        self.fleet.configure(template);
        let mode = if self.rival.is_some() { Mode::Recommend } else { fleet.mode };
        (self.mode, self.price) = (mode, fleet.price);
        // Also of a fleet that left the configuration a moment ago and is back.
        let least = if self.mode == Mode::Act { fleet.policy.min } else { at_least_one(&fleet.policy) };
        let wanted = if self.mode == Mode::Act { self.panel.acting().desired() } else { self.fleet.desired };
        let (wanted, shares) = (wanted.min(fleet.policy.max).max(least), self.panel.acting().shares());
        // Where the pools are others now, the next step chooses, and until then all stays.
        if self.mode != Mode::Act || fleet.policy.supply.pools.is_empty() {
            self.fleet.want(wanted, &[]);
        } else if !shares.is_empty() {
            self.fleet.want(wanted, &shares);
        }
    }

    /// HPA's rule decides from now on.
    pub(super) fn follow_hpa(&mut self, target: f64) {
        let mut hpa = Hpa::new(target, RIVAL_WORK);
        self.mode = Mode::Recommend;
        self.fleet.desired = at_least_one(self.scaler().policy());
        hpa.start(self.fleet.desired);
        self.rival = Some(Rival { hpa, second: 0 });
    }

    fn scaler(&self) -> &Scaler {
        self.panel.acting()
    }

    /// Observes and decides. `fleets` is how many there are, `journal` how its writing goes.
    pub(super) fn step(
        &mut self,
        now: Moment,
        waiting: &BTreeMap<SourceId, f64>,
        blind: bool,
        fleets: usize,
        journal: Standing,
    ) -> Step {
        let mut observed = self.observer.observe(&self.fleet, waiting, now.instant);
        // What is hidden from decisions is paid for all the same.
        self.arrives = observed.metrics.arrival_rate.unwrap_or_default();
        if blind {
            observed.metrics = Metrics::default();
        }
        self.metrics.clone_from(&observed.metrics);
        let hpa = self.rival.as_mut().map(|rival| rival.decide(&observed));
        let step = self.decide(now, observed, fleets, journal);
        if let Some(desired) = hpa {
            let policy = self.scaler().policy();
            self.fleet.desired = desired.min(policy.max).max(at_least_one(policy));
        }
        step
    }

    /// Decides at once, if there is no instance and something waits for one.
    pub(super) fn wake(
        &mut self,
        now: Moment,
        waiting: &BTreeMap<SourceId, f64>,
        fleets: usize,
        journal: Standing,
    ) -> Option<Step> {
        let asleep = self.fleet.desired == 0 && !self.fleet.is_removed();
        let wanted = asleep && (self.observer.waiting() > 0 || self.observer.has_backlog(waiting));
        wanted.then(|| self.decide(now, self.observer.glimpse(&self.fleet, waiting), fleets, journal))
    }

    fn decide(&mut self, now: Moment, mut observed: Observed, fleets: usize, journal: Standing) -> Step {
        self.settle_account(now);
        self.see_supply(now.time, &mut observed);
        let checkpoint = self.journaling.next(fleets, journal).then(|| Box::new(self.panel.checkpoint()));
        let Verdict { acting, candidate } = self.panel.step(now.time, &observed);
        let (acting, candidate) = (Arc::new(acting), candidate.map(Arc::new));
        let start_up = self.panel.acting().start_up();
        self.observer.expect(self.fleet.relief(start_up, &observed.metrics, now.instant));
        if self.mode == Mode::Act {
            let shares = acting.mix.as_ref().map_or(&[][..], |mix| &mix.shares);
            self.fleet.want(acting.desired, shares);
        }
        let notable = checkpoint.is_some() || acting.changes();
        let record = Record {
            number: self.journaling.number,
            at: now.time,
            checkpoint,
            mode: self.mode,
            observed: observed.clone(),
            outcome: Outcome::of(&acting),
            candidate: candidate.as_deref().map(Outcome::of),
            account: notable.then_some(self.account),
        };
        self.remember(now.time, &acting, candidate.as_ref());
        let (mode, account) = (self.mode, self.account);
        Step { record, page: Page { at: now.time, mode, decision: acting, candidate, observed, account } }
    }

    fn remember(&mut self, at: Timestamp, acting: &Arc<Decision>, candidate: Option<&Arc<Decision>>) {
        let view = |decision: &Arc<Decision>| DecisionView { at, decision: Arc::clone(decision) };
        self.sound_alarm(at, acting.warning.as_deref());
        if acting.changes() {
            self.changes += 1;
            self.last_change = Some(view(acting));
        }
        self.last_step = Some(view(acting));
        if let Some(candidate) = candidate {
            self.candidate_changes += u64::from(candidate.changes());
            self.candidate_step = Some(view(candidate));
        }
    }

    /// Charges the time since the last step.
    fn settle_account(&mut self, now: Moment) {
        let total = self.fleet.instance_time(now.instant);
        let ran = total.saturating_sub(std::mem::replace(&mut self.accounted, total)).as_secs_f64();
        let last = self.last.replace(now).map_or(now.instant, |last| last.instant);
        let passed = now.instant.saturating_duration_since(last).as_secs_f64();
        let charge = self.charge(ran, passed);
        let account = &mut self.account;
        account.instance_seconds += ran;
        account.seconds += passed;
        account.requests += self.arrives * passed;
        account.peak = account.peak.max(self.panel.acting().desired());
        if let Some(charge) = charge {
            account.charge(now.time, charge);
        }
        account.hpa_instance_seconds += f64::from(self.panel.hpa_desired()) * passed;
        // What workers on messages need depends on what waits, however busy they are.
        let tells = self.metrics.utilization.is_some() || self.fleet.serving().next().is_none();
        account.hpa_seconds += if tells && self.observer.messages().is_none() { passed } else { 0.0 };
        if let Some(candidate) = self.panel.candidate() {
            let count = f64::from(candidate.desired());
            *account.candidate_instance_seconds.get_or_insert(0.0) += count * passed;
        }
        self.settle_dry_runs(passed);
    }

    /// What that time would have cost by the decisions that are not acted upon.
    fn settle_dry_runs(&mut self, passed: f64) {
        let (hours, price) = (passed / 3_600.0, self.price);
        let usd = |step: Option<&DecisionView>| {
            let decision = &step?.decision;
            let of_one_price = price.map(|price| price * f64::from(decision.desired));
            Some(decision.mix.as_ref().map(|mix| mix.usd_per_hour).or(of_one_price)? * hours)
        };
        let candidate = self.panel.candidate().and(self.candidate_step.as_ref());
        let recommended =
            self.last_step.as_ref().filter(|_| self.mode == Mode::Recommend && self.rival.is_none());
        let (candidate, recommended) = (usd(candidate), usd(recommended));
        for (sum, usd) in
            [(&mut self.account.candidate_usd, candidate), (&mut self.account.recommended_usd, recommended)]
        {
            if let Some(usd) = usd {
                *sum.get_or_insert(0.0) += usd;
            }
        }
    }

    /// What the time since the last step costs; `None` where nobody says what an instance does.
    fn charge(&self, ran: f64, passed: f64) -> Option<Charge> {
        let (scaler, hours) = (self.panel.acting(), passed / 3_600.0);
        if let Some(price) = self.price {
            let usd = ran / 3_600.0 * price;
            return Some(Charge { usd, on_demand_usd: usd, on_demand_price: price });
        }
        let supply = &scaler.policy().supply;
        let on_demand_price = supply.on_demand_price()?;
        let running = self.fleet.running();
        let of = |pool: &Pool| match pool.kind {
            PoolKind::Reserved => f64::from(pool.max) * pool.price,
            _ => f64::from(running.get(&Some(&pool.name)).copied().unwrap_or_default()) * pool.price,
        };
        // With `mode: recommend` instances are of no pool.
        let of_none = f64::from(running.get(&None).copied().unwrap_or_default()) * on_demand_price;
        let usd = (supply.pools.iter().map(of).sum::<f64>() + of_none) * hours;
        let on_demand_usd = f64::from(scaler.desired()) * on_demand_price * hours;
        Some(Charge { usd, on_demand_usd, on_demand_price })
    }

    /// What there is of each pool, and what was spent, where the policy looks at that.
    fn see_supply(&mut self, at: Timestamp, observed: &mut Observed) {
        let supply = &self.panel.acting().policy().supply;
        let candidate = self.panel.candidate().map(|candidate| &candidate.policy().supply);
        let has_pools = !supply.pools.is_empty() || candidate.is_some_and(|supply| !supply.pools.is_empty());
        observed.spent = supply.budget.map(|_| self.account.spent(at));
        if has_pools {
            observed.pools = self.fleet.see_pools();
        }
    }

    /// Has the next record stand for itself, as it may be the last.
    pub(super) fn will_end(&mut self) {
        self.journaling.due = true;
    }

    /// Whether the roster lists it.
    pub(super) fn is_listed(&self) -> bool {
        !self.fleet.is_removed() || self.fleet.serving().next().is_some()
    }

    /// What is shown of it is out of date.
    pub(super) fn touch(&mut self) {
        self.shown = None;
    }

    /// What is to be shown of it: made anew where it is out of date.
    pub(super) fn shown(&mut self, now: Moment) -> Arc<FleetView> {
        let shown = self.shown.take().unwrap_or_else(|| Arc::new(self.view(now)));
        Arc::clone(self.shown.insert(shown))
    }

    pub(super) fn view(&self, now: Moment) -> FleetView {
        let (fleet, scaler) = (&self.fleet, self.scaler());
        FleetView {
            name: fleet.name.clone(),
            mode: self.mode,
            desired: fleet.desired,
            recommended: scaler.desired(),
            min: scaler.policy().min,
            max: scaler.policy().max,
            concurrency: fleet.concurrency(),
            instances: fleet.instances().iter().map(|one| self.instance_view(one)).collect(),
            states: observe::count(fleet),
            last_decision: self.last_change.as_ref().or(self.last_step.as_ref()).cloned(),
            last_step: self.last_step.clone(),
            metrics: self.metrics.clone(),
            learned: scaler.learned(),
            forecasts: scaler.outlooks(),
            candidate: self.panel.candidate().map(|candidate| self.candidate_view(candidate)),
            cost: self.account.into(),
            routes: self.routes.clone(),
            pools: self.pool_views(),
            budget: self.budget_view(now.time),
            start_up_seconds: scaler.start_up().map(|span| span.as_secs_f64()),
            instance_seconds: fleet.instance_time(now.instant).as_secs_f64(),
            changes: self.changes,
            messages: self.observer.messages(),
            restarts: fleet.restarts,
            last_failure: fleet.last_failure.as_ref().map(|failure| FailureView {
                at: failure.at,
                instance: failure.id.clone(),
                reason: failure.reason.clone(),
            }),
        }
    }

    fn pool_views(&self) -> Vec<PoolView> {
        let (shares, seen) = (self.scaler().shares(), self.fleet.pools_seen());
        let view = |(at, pool): (usize, &Pool)| {
            let seen = seen.get(&pool.name).copied().unwrap_or_default();
            PoolView {
                name: pool.name.clone(),
                kind: pool.kind.word(),
                price: pool.price,
                desired: shares.get(at).map_or(0, |share| share.count),
                starting: seen.starting,
                ready: seen.ready,
            }
        };
        self.scaler().policy().supply.pools.iter().enumerate().map(view).collect()
    }

    /// Says once that a budget will bind, and once that it does.
    fn sound_alarm(&mut self, at: Timestamp, warning: Option<&str>) {
        let alarm = warning.zip(self.budget_view(at)).map(|(warning, budget)| (warning, budget.spent));
        if let Some((warning, spent)) = alarm
            && self.alarmed.is_none_or(|before| spent && !before)
        {
            tracing::warn!(fleet = %self.fleet.name, %warning, "budget");
        }
        self.alarmed = alarm.map(|(_, spent)| spent);
    }

    fn budget_view(&self, at: Timestamp) -> Option<BudgetView> {
        let budget = self.scaler().policy().supply.budget?;
        let spent_usd = self.account.spent(at);
        let alarm = spent_usd >= budget.monthly * budget.alarm;
        let spent = spent_usd >= budget.monthly;
        Some(BudgetView { monthly_usd: budget.monthly, spent_usd, alarm, spent })
    }

    fn candidate_view(&self, candidate: &Scaler) -> CandidateView {
        CandidateView {
            desired: candidate.desired(),
            min: candidate.policy().min,
            max: candidate.policy().max,
            last_step: self.candidate_step.clone(),
            changes: self.candidate_changes,
        }
    }

    fn instance_view(&self, instance: &Instance) -> InstanceView {
        let figures = self.observer.figures(&instance.id);
        InstanceView {
            id: instance.id.clone(),
            pool: instance.pool.clone(),
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

impl Journaling {
    fn new(number: u64, name: &FleetId) -> Self {
        let mut phase = DefaultHasher::new();
        name.as_str().hash(&mut phase);
        Self { number, due: true, checkpoint_at: number, gaps: 0, phase: phase.finish(), early: 0 }
    }

    /// Goes on to the next record, and says whether it needs a checkpoint.
    fn next(&mut self, fleets: usize, journal: Standing) -> bool {
        self.number = self.number.wrapping_add(if journal.waits { APART } else { 1 });
        let every = STEPS_BETWEEN.checked_div(fleets as u64).unwrap_or(CHECKPOINT_EVERY);
        let every = every.clamp(CHECKPOINT_AT_MOST_EVERY, CHECKPOINT_EVERY);
        let passed = self.number.saturating_sub(self.checkpoint_at);
        // While a disk is full everything is lost, and checkpoints are what fills it most.
        let gap = journal.gaps != self.gaps && passed >= CHECKPOINT_AT_MOST_EVERY / 2;
        let at_once = self.due || journal.waits || gap;
        let due = at_once || passed.saturating_add(self.early) >= every;
        if due {
            // What comes with the process or with a reload comes for all fleets.
            self.early = if at_once { self.phase % every } else { 0 };
            (self.due, self.checkpoint_at, self.gaps) = (false, self.number, journal.gaps);
        }
        due
    }
}

/// The fewest instances of a fleet whose scaler only recommends: without one, requests would wait in vain.
fn at_least_one(policy: &Policy) -> u32 {
    policy.min.max(1).min(policy.max)
}

#[cfg(test)]
mod tests;
