//! The step: one observation in, one decision out.
//!
//! Each trigger of the policy gives its opinion and the largest wins. The winner then passes, in
//! this order, the rule for missing metrics, the bounds and the ceilings of schedules, stabilization
//! and pace; whatever moves it is written into the decision. The bounds have the last word too, so a
//! narrowed policy acts at once.
//!
//! Invariants: `desired` is within the bounds of the policy; a step in which a trigger could not
//! see never shrinks the fleet, unless the bounds demand it; the decision depends on the policy,
//! the [`State`], the time and the observation, and on nothing else.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tidegate_core::{
    Flaw, Timestamp,
    policy::{Policy, Trigger},
};
use tidegate_forecast::Trust;

use self::ask::{Among, Largest, largest};
use crate::{
    ahead, backlog,
    capacity::{Capacity, Reading},
    clock::SteadyClock,
    decision::{Adjustment, Decision, Unspoken},
    formula, headroom,
    memory::Memory,
    observed::{Metrics, Observed},
    opinion::Opinion,
    pace::History,
    schedule,
    service::Service,
    sight::Sight,
    stabilize::{Holds, Stabilizer},
    startup::StartUps,
    supply::{self, Mix, PoolShare, Pools},
    target, threshold,
    words::{Words, instances, instances_were, span},
    work::Work,
};

/// Decides, step by step, how many instances one fleet should have.
#[derive(Debug, Clone, PartialEq)]
pub struct Scaler {
    policy: Policy,
    among: Among,
    state: State,
}

/// Everything that a step depends on besides its arguments and the policy. Bounded: a few KiB.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct State {
    desired: u32,
    /// When `desired` last changed, in lived time.
    changed: Duration,
    /// When somebody last asked for anything, in lived time. `None`: nobody ever has.
    #[serde(default)]
    active: Option<Duration>,
    clock: SteadyClock,
    /// Instances that were ready in the step before. `None` before the first.
    ready: Option<u32>,
    start_ups: StartUps,
    work: Work,
    #[serde(default, skip_serializing_if = "Service::is_unknown")]
    service: Service,
    #[serde(default)]
    capacity: Capacity,
    /// Of what the instances run.
    #[serde(default)]
    generation: u64,
    /// One for each trigger of the policy, in its order.
    memories: Vec<Memory>,
    /// What growth waits for.
    smallest: Stabilizer,
    /// What shrinking waits for.
    largest: Stabilizer,
    history: History,
    #[serde(default, skip_serializing_if = "Pools::is_empty")]
    pools: Pools,
    /// As last observed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    spent: Option<f64>,
}

/// What is known of the instances of a fleet.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Learned {
    /// Busy seconds that a request takes.
    pub work: Option<f64>,
    /// The share of time that an instance may be busy while answers stay quick.
    pub safe_utilization: f64,
    /// Requests per second that one instance serves so.
    pub rate: Option<f64>,
}

/// How far a forecast looks ahead, and whether it is believed.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Outlook {
    pub horizon_seconds: f64,
    pub trust: Trust,
}

impl State {
    fn new(desired: u32) -> Self {
        Self {
            desired,
            changed: Duration::ZERO,
            active: None,
            clock: SteadyClock::default(),
            ready: None,
            start_ups: StartUps::default(),
            work: Work::default(),
            service: Service::default(),
            capacity: Capacity::default(),
            generation: 0,
            memories: Vec::new(),
            smallest: Stabilizer::new(Holds::Smallest, desired),
            largest: Stabilizer::new(Holds::Largest, desired),
            history: History::new(desired),
            pools: Pools::default(),
            spent: None,
        }
    }
}

impl State {
    /// Whether this is something that a scaler can have become. One that was read back and is not may panic, or hold its
    /// count for good.
    pub fn check(&self) -> Result<(), Flaw> {
        let clock = &self.clock;
        clock.check().map_err(Flaw::of("clock"))?;
        clock.check_past("changed", self.changed)?;
        clock.check_past("active", self.active.unwrap_or_default())?;
        self.start_ups.check().map_err(Flaw::of("startUps"))?;
        self.service.check(clock).map_err(Flaw::of("service"))?;
        self.capacity.check(clock).map_err(Flaw::of("capacity"))?;
        self.memories.iter().try_for_each(|memory| memory.check(clock)).map_err(Flaw::of("memories"))?;
        self.smallest.check(Holds::Smallest, clock.lived()).map_err(Flaw::of("smallest"))?;
        self.largest.check(Holds::Largest, clock.lived()).map_err(Flaw::of("largest"))?;
        self.history.check(clock).map_err(Flaw::of("history"))?;
        self.pools.check(clock).map_err(Flaw::of("pools"))
    }
}

impl State {
    /// The process started anew: for `away` there were no steps and nothing was seen, and the instances
    /// are of the first generation again. With `desired`, that is taken for what was decided last.
    #[must_use]
    pub fn resumed(mut self, away: Duration, desired: Option<u32>) -> Self {
        self.memories.iter_mut().for_each(|memory| memory.absent(away));
        (self.generation, self.ready) = (0, None);
        if let Some(desired) = desired {
            let fresh = Self::new(desired);
            (self.desired, self.history) = (fresh.desired, fresh.history);
            (self.smallest, self.largest) = (fresh.smallest, fresh.largest);
        }
        self
    }
}

impl Scaler {
    /// A scaler that starts at the fewest instances.
    pub fn new(policy: Policy) -> Self {
        let desired = policy.min;
        Self::starting_at(policy, desired)
    }

    /// A scaler for a fleet that has `desired` instances already.
    pub fn starting_at(policy: Policy, desired: u32) -> Self {
        Self::restore(policy, State::new(desired))
    }

    /// Where no latency is measured, instances may be busy for this share of time.
    #[must_use]
    pub fn assuming(mut self, safe: f64) -> Self {
        self.state.capacity.assume(safe);
        self
    }

    /// A scaler that goes on from `state`, also with another policy than the one it comes from.
    pub fn restore(policy: Policy, mut state: State) -> Self {
        let mut memories = std::mem::take(&mut state.memories).into_iter();
        let memory = |trigger: &Trigger| memories.next().unwrap_or_default().suited_to(trigger);
        state.memories = policy.triggers.iter().map(memory).collect();
        Self { among: Among::of(&policy), policy, state }
    }

    /// A reload: keeps what was learned. A trigger that was there before keeps its hold.
    pub fn set_policy(&mut self, policy: Policy) {
        let old = |trigger: &Trigger| self.policy.triggers.iter().position(|other| other == trigger);
        let memory = |trigger: &Trigger| {
            let memory = old(trigger).and_then(|index| self.state.memories.get(index)).cloned();
            memory.unwrap_or_default().suited_to(trigger)
        };
        self.state.memories = policy.triggers.iter().map(memory).collect();
        let names =
            |policy: &Policy| policy.supply.pools.iter().map(|pool| pool.name.clone()).collect::<Vec<_>>();
        if names(&policy) != names(&self.policy) {
            self.state.pools = Pools::default();
        }
        (self.among, self.policy) = (Among::of(&policy), policy);
    }

    /// How many instances of each pool were chosen last. Empty where pools do not matter or nothing was chosen yet.
    pub fn shares(&self) -> Vec<PoolShare> {
        self.state.pools.shares(&self.policy.supply.pools)
    }

    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    pub fn state(&self) -> State {
        self.state.clone()
    }

    /// The count that was decided last.
    pub fn desired(&self) -> u32 {
        self.state.desired
    }

    /// How long instances take to start, a slow one rather than a usual one. `None` before any did.
    pub fn start_up(&self) -> Option<Duration> {
        self.state.start_ups.high()
    }

    /// What is known of an instance, from load against busy time and latency.
    pub fn learned(&self) -> Learned {
        let safe = self.state.capacity.safe(self.policy.slo.latency_p99);
        let work = self.state.work.per_request();
        Learned { work, safe_utilization: safe, rate: work.map(|work| safe / work) }
    }

    /// Whether forecasts have earned trust, for each `forecast` trigger that has seen something.
    pub fn outlooks(&self) -> Vec<Outlook> {
        self.state.memories.iter().filter_map(Memory::outlook).collect()
    }

    /// Decides how many instances there should be from `now` on.
    pub fn step(&mut self, now: Timestamp, observed: &Observed) -> Decision {
        let (previous, words) = (self.state.desired, Words::Spoken);
        let mut opinions = Vec::with_capacity(self.policy.triggers.len());
        self.consider(now, observed, words, |opinion| opinions.push(opinion));
        let largest = largest(&opinions);
        let holds = self.holds();
        let course = self.moderate(now, largest, None, words);
        let otherwise = self.otherwise(now, &opinions, &course, &holds);
        let mix = self.settle(course.count, observed, words);
        let budget = self.policy.supply.budget;
        let named = self.policy.triggers.iter().zip(opinions);
        Decision {
            desired: course.count,
            previous,
            recommendations: named.map(|(trigger, opinion)| opinion.recommendation(name(trigger))).collect(),
            winner: largest.winner(),
            adjustments: course.adjustments,
            otherwise,
            mix,
            warning: budget.and_then(|budget| supply::warning(&budget, observed.spent)),
        }
    }

    /// The same step without a word of why, for simulations that take millions of them.
    pub fn step_unspoken(&mut self, now: Timestamp, observed: &Observed) -> Unspoken {
        let mut largest = Largest::default();
        self.consider(now, observed, Words::Unspoken, |opinion| largest.take(opinion.wanted));
        let desired = self.moderate(now, largest, None, Words::Unspoken).count;
        Unspoken { desired, mix: self.settle(desired, observed, Words::Unspoken) }
    }

    /// Learns from what was observed and hands what each trigger says of it to `take`, in the order of the policy.
    fn consider(&mut self, at: Timestamp, observed: &Observed, words: Words, take: impl FnMut(Opinion)) {
        let metrics = observed.metrics.credible();
        let metrics: &Metrics = &metrics;
        let ready = observed.instances.ready;
        let settled = self.state.ready.replace(ready).map_or(ready, |before| before.min(ready));
        self.learn(at, metrics, observed, settled);
        // What cannot be seen does not count as quiet.
        let backlogs = self.backlogs(metrics);
        let requests = metrics.arrival_rate.is_some() || metrics.queued.is_some();
        let unseen = if backlogs == Backlogs::None { !requests } else { backlogs == Backlogs::Unknown };
        if metrics.is_active() || backlogs == Backlogs::Waiting || (unseen && self.state.desired > 0) {
            self.state.active = Some(self.state.clock.lived());
        }
        let sight = Sight {
            metrics,
            instances: observed.instances,
            settled,
            desired: self.state.desired,
            changed: self.state.changed,
            bounds: (self.policy.min, self.policy.max),
            at,
            now: self.state.clock.lived(),
            start_up: self.start_up(),
            work: self.state.work.per_request(),
            service: self.state.service.of_late(),
            safe: self.state.capacity.safe(self.policy.slo.latency_p99),
        };
        self.ask(&sight, words, take);
        self.state.spent = observed.spent;
    }

    /// Leads what the triggers want through all rules but `without`.
    fn moderate(&mut self, at: Timestamp, largest: Largest, without: Option<Rule>, words: Words) -> Course {
        let previous = self.state.desired;
        let kept = if self.policy.triggers.is_empty() && self.rests() { 0 } else { previous };
        let mut course = Course { count: largest.wanted().unwrap_or(kept), adjustments: Vec::new(), words };
        if largest.blind && course.count < previous {
            let because = || "a metric is missing and what cannot be seen never shrinks a fleet".to_owned();
            course.adjust("missing metric", previous, because);
        }
        self.bound(at, &mut course);
        if without != Some(Rule::Stabilization) {
            self.stabilize(&mut course);
        }
        if without != Some(Rule::Pace) {
            self.limit_pace(&mut course);
        }
        self.bound(at, &mut course);
        course
    }

    /// What the event sources that the policy looks at say.
    fn backlogs(&self, metrics: &Metrics) -> Backlogs {
        let mut all = Backlogs::None;
        if !self.among.sources {
            return all;
        }
        for trigger in &self.policy.triggers {
            let least = if let Trigger::Backlog(backlog) = trigger { backlog.activation } else { 0.0 };
            for source in trigger.sources() {
                all = all.max(match metrics.sources.get(source) {
                    Some(&waiting) if waiting > least => Backlogs::Waiting,
                    Some(_) => Backlogs::Empty,
                    None => Backlogs::Unknown,
                });
            }
        }
        all
    }

    fn learn(&mut self, at: Timestamp, metrics: &Metrics, observed: &Observed, settled: u32) {
        let passed = self.state.clock.tick(at);
        if observed.generation != self.state.generation {
            self.state.generation = observed.generation;
            self.state.start_ups.doubt();
            self.state.work.doubt();
            self.state.service.doubt();
            self.state.capacity.doubt();
        }
        self.state.start_ups.learn(&observed.started);
        if let Some(worked) = metrics.worked {
            self.state.work.learn(passed, metrics.utilization, worked);
        }
        let now = self.state.clock.lived();
        self.state.service.learn((now, passed), observed.instances.ready, metrics);
        let queues = metrics.queued.is_some_and(|queued| queued > 0.0);
        if let Some(utilization) = if queues { Some(1.0) } else { metrics.utilization } {
            self.state.capacity.note(now, passed, utilization);
        }
        if let (Some(rate), Some(latency)) = (metrics.arrival_rate, metrics.latency_p99)
            && metrics.utilization.is_some()
            && settled == observed.instances.ready
        {
            self.state.capacity.learn(Reading { now, passed, rate, latency });
        }
    }

    #[inline]
    fn bound(&self, at: Timestamp, course: &mut Course) {
        let Policy { min, max, .. } = self.policy;
        // Mostly nothing but these is in its way, and it is within them.
        if self.among.ceilings || course.count == 0 || course.count < min || course.count > max {
            self.bound_by_all(at, course);
        }
    }

    fn bound_by_all(&self, at: Timestamp, course: &mut Course) {
        let Policy { min, max, .. } = self.policy;
        if let Some((ceiling, end)) = schedule::ceiling(&self.policy, at) {
            let because = || format!("at most {} until {}", instances(ceiling), schedule::minute(end));
            course.adjust("schedule", course.count.min(ceiling), because);
        }
        if let Some(budget) = self.policy.supply.budget
            && let Some((most, because)) = supply::ceiling(&budget, self.state.spent, self.state.desired, min)
        {
            course.adjust("budget", course.count.min(most), || because);
        }
        // Not `clamp`, which panics where a policy contradicts itself.
        let count = course.count.min(max).max(min);
        course.adjust("bounds", count, || format!("the policy allows {min} to {}", instances(max)));
        if count == 0 && max > 0 {
            self.keep_the_last(course);
        }
    }

    /// Whether there is one instance or none is not for load to say: one is there as soon as somebody asks, and
    /// until nobody has for a while.
    fn keep_the_last(&self, course: &mut Course) {
        let Some(active) = self.state.active else {
            return;
        };
        let (quiet, idle) = (self.state.clock.lived().saturating_sub(active), self.policy.idle);
        if quiet.is_zero() {
            course.adjust("activity", 1, || "somebody asks, and there must be one to answer".to_owned());
        } else if self.state.desired > 0 && quiet < idle {
            course.adjust("activity", 1, || {
                format!("the last goes when nobody has asked for {}, so far {}", span(idle), span(quiet))
            });
        }
    }

    /// Whether nobody has asked for so long that a fleet which may be empty should be.
    fn rests(&self) -> bool {
        let quiet = |active| self.state.clock.lived().saturating_sub(active);
        self.policy.min == 0 && self.state.active.is_none_or(|active| quiet(active) >= self.policy.idle)
    }

    fn stabilize(&mut self, course: &mut Course) {
        let now = self.state.clock.lived();
        let (out, back) = (self.policy.scale_out.stabilization, self.policy.scale_in.stabilization);
        let smallest = self.state.smallest.hold(now, out, course.count);
        let largest = self.state.largest.hold(now, back, course.count);
        let desired = self.state.desired;
        if course.count > desired {
            course.adjust("stabilization", smallest.max(desired).min(course.count), || {
                format!("{} enough within the last {}", instances_were(smallest), span(out))
            });
        } else if course.count < desired {
            course.adjust("stabilization", largest.min(desired).max(course.count), || {
                format!("{} wanted within the last {}", instances_were(largest), span(back))
            });
        }
    }

    fn limit_pace(&self, course: &mut Course) {
        let (now, desired) = (self.state.clock.lived(), self.state.desired);
        let history = &self.state.history;
        if course.count > desired {
            if let Some(allowed) = history.highest(now, &self.policy.scale_out.limits) {
                course.adjust("pace", course.count.min(allowed.count.max(desired)), || allowed.because());
            }
        } else if course.count < desired
            && let Some(allowed) = history.lowest(now, &self.policy.scale_in.limits)
        {
            course.adjust("pace", course.count.max(allowed.count.min(desired)), || allowed.because());
        }
    }

    /// Takes `count` for decided, and says of which pools it is.
    fn settle(&mut self, count: u32, observed: &Observed, words: Words) -> Option<Mix> {
        let now = self.state.clock.lived();
        if count != self.state.desired {
            let limits = self.policy.scale_out.limits.iter().chain(&self.policy.scale_in.limits);
            let longest = limits.map(|limit| limit.period).max().unwrap_or_default();
            self.state.history.changed(now, longest, count);
            (self.state.desired, self.state.changed) = (count, now);
        }
        let supply = &self.policy.supply;
        if supply.pools.is_empty() {
            return None;
        }
        let start_up = self.state.start_ups.high();
        Some(self.state.pools.choose(supply, count, &observed.pools, (now, start_up), words))
    }
}

/// What event sources say, all together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Backlogs {
    /// There are none.
    None,
    Empty,
    Unknown,
    Waiting,
}

/// A rule that may be left out, to see what it does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rule {
    Stabilization,
    Pace,
}

/// A count on its way through the rules.
struct Course {
    count: u32,
    /// What moved it. Nobody asks in a step without words.
    adjustments: Vec<Adjustment>,
    words: Words,
}

impl Course {
    #[inline]
    fn adjust(&mut self, rule: &'static str, to: u32, because: impl FnOnce() -> String) {
        if to != self.count {
            self.moved(rule, to, because);
        }
    }

    #[cold]
    fn moved(&mut self, rule: &'static str, to: u32, because: impl FnOnce() -> String) {
        if self.words == Words::Spoken {
            let because = because();
            self.adjustments.push(Adjustment { rule: rule.into(), from: self.count, to, because });
        }
        self.count = to;
    }
}

fn name(trigger: &Trigger) -> String {
    match trigger {
        Trigger::Target(target) => target::name(target),
        Trigger::Threshold(threshold) => threshold::name(threshold),
        Trigger::Schedule(schedule) => schedule::name(schedule),
        Trigger::Forecast(forecast) => ahead::name(forecast),
        Trigger::Backlog(backlog) => backlog::name(backlog),
        Trigger::Formula(formula) => formula::name(formula),
        Trigger::Headroom(headroom) => headroom::name(headroom),
    }
}

mod ask;
mod otherwise;

#[cfg(test)]
#[path = "scaler/tests.rs"]
pub(crate) mod tests;

#[cfg(test)]
mod triggers;
