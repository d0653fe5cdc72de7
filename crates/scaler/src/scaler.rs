//! The step: one observation in, one decision out.
//!
//! Each trigger of the policy gives its opinion and the largest wins. The winner then passes, in
//! this order, the rule for missing metrics, the bounds, stabilization and pace; whatever moves it
//! is written into the decision. The bounds have the last word too, so a narrowed policy acts at
//! once.
//!
//! Invariants: `desired` is within the bounds of the policy; a step in which a trigger could not
//! see never shrinks the fleet, unless the bounds demand it; the decision depends on the policy,
//! the [`State`], the time and the observation, and on nothing else.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tidegate_core::{
    Timestamp,
    policy::{Policy, Trigger},
};

use crate::{
    clock::SteadyClock,
    decision::{Adjustment, Decision},
    headroom,
    memory::Memory,
    observed::{Instances, Metrics, Observed},
    opinion::{Opinion, Wanted},
    pace::History,
    stabilize::{Holds, Stabilizer},
    startup::StartUps,
    target, threshold,
    words::{Words, instances, span},
    work::Work,
};

/// Decides, step by step, how many instances one fleet should have.
#[derive(Debug, Clone, PartialEq)]
pub struct Scaler {
    policy: Policy,
    state: State,
}

/// Everything that a step depends on besides its arguments and the policy. Bounded: a few KiB.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct State {
    desired: u32,
    /// When `desired` last changed, in lived time.
    changed: Duration,
    clock: SteadyClock,
    /// Instances that were ready in the step before. `None` before the first.
    ready: Option<u32>,
    start_ups: StartUps,
    work: Work,
    /// One for each trigger of the policy, in its order.
    memories: Vec<Memory>,
    /// What growth waits for.
    smallest: Stabilizer,
    /// What shrinking waits for.
    largest: Stabilizer,
    history: History,
}

impl State {
    fn new(desired: u32) -> Self {
        Self {
            desired,
            changed: Duration::ZERO,
            clock: SteadyClock::default(),
            ready: None,
            start_ups: StartUps::default(),
            work: Work::default(),
            memories: Vec::new(),
            smallest: Stabilizer::new(Holds::Smallest, desired),
            largest: Stabilizer::new(Holds::Largest, desired),
            history: History::new(desired),
        }
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

    /// A scaler that goes on from `state`, also with another policy than the one it comes from.
    pub fn restore(policy: Policy, mut state: State) -> Self {
        let mut memories = std::mem::take(&mut state.memories).into_iter();
        let memory = |trigger: &Trigger| memories.next().unwrap_or_default().suited_to(trigger);
        state.memories = policy.triggers.iter().map(memory).collect();
        Self { policy, state }
    }

    /// A reload: keeps what was learned. A trigger that was there before keeps its hold.
    pub fn set_policy(&mut self, policy: Policy) {
        let old = |trigger: &Trigger| self.policy.triggers.iter().position(|other| other == trigger);
        let memory = |trigger: &Trigger| {
            let memory = old(trigger).and_then(|index| self.state.memories.get(index)).cloned();
            memory.unwrap_or_default().suited_to(trigger)
        };
        self.state.memories = policy.triggers.iter().map(memory).collect();
        self.policy = policy;
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

    /// Decides how many instances there should be from `now` on.
    pub fn step(&mut self, now: Timestamp, observed: &Observed) -> Decision {
        self.decide(now, observed, Words::Spoken)
    }

    /// The same step with every sentence left empty, for simulations that take millions of them.
    pub fn step_unspoken(&mut self, now: Timestamp, observed: &Observed) -> Decision {
        self.decide(now, observed, Words::Unspoken)
    }

    fn decide(&mut self, now: Timestamp, observed: &Observed, words: Words) -> Decision {
        let metrics = credible(&observed.metrics);
        let ready = observed.instances.ready;
        let settled = self.state.ready.replace(ready).map_or(ready, |before| before.min(ready));
        self.learn(now, &metrics, observed, settled);
        let previous = self.state.desired;
        let opinions = self.opinions(&metrics, observed.instances, settled, words);
        let (winner, wanted, blind) = largest(&opinions);
        let mut course = Course { count: wanted.unwrap_or(previous), adjustments: Vec::new(), words };
        if blind && course.count < previous {
            let because = || "a metric is missing and what cannot be seen never shrinks a fleet".to_owned();
            course.adjust("missing metric", previous, because);
        }
        self.bound(&mut course);
        self.stabilize(&mut course);
        self.limit_pace(&mut course);
        self.bound(&mut course);
        self.settle(course.count);
        let named = self.policy.triggers.iter().zip(opinions);
        let recommendation =
            |(trigger, opinion): (&Trigger, Opinion)| opinion.recommendation(words.say(|| name(trigger)));
        Decision {
            desired: course.count,
            previous,
            recommendations: named.map(recommendation).collect(),
            winner,
            adjustments: course.adjustments,
        }
    }

    fn learn(&mut self, now: Timestamp, metrics: &Metrics, observed: &Observed, settled: u32) {
        let passed = self.state.clock.tick(now);
        self.state.start_ups.learn(&observed.started);
        if let (Some(utilization), Some(rate)) = (metrics.utilization, metrics.arrival_rate)
            && settled == observed.instances.ready
        {
            let busy = utilization * f64::from(settled);
            self.state.work.learn(passed, utilization, busy, rate);
        }
    }

    fn opinions(
        &mut self,
        metrics: &Metrics,
        instances: Instances,
        settled: u32,
        words: Words,
    ) -> Vec<Opinion> {
        let State { desired, changed, .. } = self.state;
        let (now, start_up) = (self.state.clock.lived(), self.start_up());
        let work = self.state.work.per_request();
        let for_target = target::Sight { metrics, instances, settled, desired, work };
        let for_threshold = threshold::Sight { metrics, instances, desired, changed, start_up, now };
        let triggers = self.policy.triggers.iter().zip(&mut self.state.memories);
        let opinion = |(trigger, memory): (&Trigger, &mut Memory)| match (trigger, memory) {
            (Trigger::Target(target), _) => target::opinion(target, &for_target, words),
            (Trigger::Threshold(threshold), Memory::Threshold(beyond)) => {
                beyond.opinion(threshold, &for_threshold, words)
            }
            (Trigger::Headroom(headroom), Memory::Headroom(rivalry)) => {
                rivalry.opinion(headroom, &for_target, (now, start_up), words)
            }
            // Every memory was suited to its trigger where the policy was taken.
            (Trigger::Threshold(_) | Trigger::Headroom(_), _) => Opinion::missing(words, String::new),
        };
        triggers.map(opinion).collect()
    }

    fn bound(&self, course: &mut Course) {
        let Policy { min, max, .. } = self.policy;
        // Not `clamp`, which panics where a policy contradicts itself.
        let count = course.count.min(max).max(min);
        course.adjust("bounds", count, || format!("the policy allows {min} to {}", instances(max)));
    }

    fn stabilize(&mut self, course: &mut Course) {
        let now = self.state.clock.lived();
        let (out, back) = (self.policy.scale_out.stabilization, self.policy.scale_in.stabilization);
        let smallest = self.state.smallest.hold(now, out, course.count);
        let largest = self.state.largest.hold(now, back, course.count);
        let desired = self.state.desired;
        if course.count > desired {
            course.adjust("stabilization", smallest.max(desired).min(course.count), || {
                format!("{} were enough within the last {}", instances(smallest), span(out))
            });
        } else if course.count < desired {
            course.adjust("stabilization", largest.min(desired).max(course.count), || {
                format!("{} were wanted within the last {}", instances(largest), span(back))
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

    fn settle(&mut self, count: u32) {
        if count == self.state.desired {
            return;
        }
        let now = self.state.clock.lived();
        let limits = self.policy.scale_out.limits.iter().chain(&self.policy.scale_in.limits);
        let longest = limits.map(|limit| limit.period).max().unwrap_or_default();
        self.state.history.changed(now, longest, count);
        self.state.desired = count;
        self.state.changed = now;
    }
}

/// A count on its way through the rules.
struct Course {
    count: u32,
    adjustments: Vec<Adjustment>,
    words: Words,
}

impl Course {
    fn adjust(&mut self, rule: &str, to: u32, because: impl FnOnce() -> String) {
        if to != self.count {
            let because = self.words.say(because);
            self.adjustments.push(Adjustment { rule: rule.to_owned(), from: self.count, to, because });
            self.count = to;
        }
    }
}

/// The largest recommendation, the first where several are, and whether any trigger was blind.
fn largest(opinions: &[Opinion]) -> (Option<usize>, Option<u32>, bool) {
    let mut best: Option<(usize, u32)> = None;
    let mut blind = false;
    for (index, opinion) in opinions.iter().enumerate() {
        match opinion.wanted {
            Wanted::Count(count) if best.is_none_or(|(_, most)| count > most) => best = Some((index, count)),
            Wanted::Count(_) | Wanted::Nothing => {}
            Wanted::Unknown => blind = true,
        }
    }
    (best.map(|(index, _)| index), best.map(|(_, count)| count), blind)
}

/// The readings that can be true: what is not a number, endless or below zero is missing.
fn credible(metrics: &Metrics) -> Metrics {
    let sound = |reading: Option<f64>| reading.filter(|value| value.is_finite() && *value >= 0.0);
    Metrics {
        arrival_rate: sound(metrics.arrival_rate),
        concurrency: sound(metrics.concurrency),
        queued: sound(metrics.queued),
        utilization: sound(metrics.utilization).map(|share| share.min(1.0)),
        latency_p50: sound(metrics.latency_p50),
        latency_p99: sound(metrics.latency_p99),
        error_rate: sound(metrics.error_rate),
        cpu: sound(metrics.cpu),
        memory: sound(metrics.memory),
    }
}

fn name(trigger: &Trigger) -> String {
    match trigger {
        Trigger::Target(target) => target::name(target),
        Trigger::Threshold(threshold) => threshold::name(threshold),
        Trigger::Headroom(headroom) => headroom::name(headroom),
    }
}

#[cfg(test)]
#[path = "scaler/tests.rs"]
pub(crate) mod tests;
