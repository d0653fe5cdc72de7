//! Those who are asked about one fleet: the policy in force, a candidate beside it, and HPA's rule.
//!
//! All see the same observations, and each remembers for itself. Only what the policy in force decides
//! may be acted on; the candidate goes on from its own decisions, as if they had been.
//!
//! Invariant: a panel is its [`Checkpoint`]; one that goes on from a checkpoint decides as the
//! one that it was taken of would have.

use std::{num::NonZeroU32, time::Duration};

use serde::{Deserialize, Serialize};
use tidegate_core::{
    Flaw, Timestamp,
    policy::{Amount, Pace, PaceLimit, Policy, Slo, Supply, Target, TargetMetric, Trigger},
};

use crate::{
    decision::{Decision, Otherwise},
    observed::Observed,
    scaler::{Scaler, State},
};

/// What HPA is taken to aim at.
const HPA_TARGET: f64 = 0.7;
/// What HPA's count is called among those that were not decided.
pub const HPA: &str = "HPA at 70%";

/// The policy in force and those beside it.
#[derive(Debug, Clone, PartialEq)]
pub struct Panel {
    acting: Scaler,
    candidate: Option<Scaler>,
    hpa: Scaler,
}

/// Everything that a panel is. One that is read back was checked: whatever altered it, a panel can go on from it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", try_from = "RawCheckpoint")]
pub struct Checkpoint {
    pub acting: Seat,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub candidate: Option<Seat>,
    /// What HPA's rule remembers.
    pub hpa: State,
}

/// A checkpoint as it is written.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawCheckpoint {
    acting: Seat,
    #[serde(default)]
    candidate: Option<Seat>,
    hpa: State,
}

impl TryFrom<RawCheckpoint> for Checkpoint {
    type Error = Flaw;

    fn try_from(RawCheckpoint { acting, candidate, hpa }: RawCheckpoint) -> Result<Self, Flaw> {
        acting.check().map_err(Flaw::of("acting"))?;
        candidate.as_ref().map_or(Ok(()), Seat::check).map_err(Flaw::of("candidate"))?;
        hpa.check().map_err(Flaw::of("hpa"))?;
        Ok(Self { acting, candidate, hpa })
    }
}

/// A policy and its memory.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Seat {
    pub policy: Policy,
    pub state: State,
}

/// What everybody says to one observation.
#[derive(Debug, Clone, PartialEq)]
pub struct Verdict {
    pub acting: Decision,
    pub candidate: Option<Decision>,
}

impl Seat {
    fn check(&self) -> Result<(), Flaw> {
        self.policy.check().map_err(Flaw::of("policy"))?;
        self.state.check().map_err(Flaw::of("state"))
    }

    fn of(scaler: &Scaler) -> Self {
        Self { policy: scaler.policy().clone(), state: scaler.state() }
    }

    fn scaler(self) -> Scaler {
        Scaler::restore(self.policy, self.state)
    }
}

impl Panel {
    /// For a fleet that has `desired` instances, of which nothing is known.
    pub fn new(policy: Policy, candidate: Option<Policy>, desired: u32) -> Self {
        Self {
            hpa: Scaler::starting_at(hpa(&policy), desired),
            candidate: candidate.map(|candidate| Scaler::starting_at(candidate, desired)),
            acting: Scaler::starting_at(policy, desired),
        }
    }

    pub fn restore(checkpoint: Checkpoint) -> Self {
        let Checkpoint { acting, candidate, hpa: state } = checkpoint;
        Self {
            hpa: Scaler::restore(hpa(&acting.policy), state),
            candidate: candidate.map(Seat::scaler),
            acting: acting.scaler(),
        }
    }

    /// Goes on after `away` without a process: with the counts that there were, or with the fewest.
    #[must_use]
    pub fn resumed(self, away: Duration, keep_counts: bool) -> Self {
        let again = |scaler: Scaler| {
            let fewest = (!keep_counts).then_some(scaler.policy().min);
            Scaler::restore(scaler.policy().clone(), scaler.state().resumed(away, fewest))
        };
        Self { acting: again(self.acting), candidate: self.candidate.map(again), hpa: again(self.hpa) }
    }

    pub fn checkpoint(&self) -> Checkpoint {
        Checkpoint {
            acting: Seat::of(&self.acting),
            candidate: self.candidate.as_ref().map(Seat::of),
            hpa: self.hpa.state(),
        }
    }

    /// Whether these are the policies that decide.
    pub fn is_of(&self, policy: &Policy, candidate: Option<&Policy>) -> bool {
        self.acting.policy() == policy && self.candidate.as_ref().map(Scaler::policy) == candidate
    }

    /// A reload: everybody keeps what was learned. A new candidate begins with what the policy in force knows.
    pub fn set_policies(&mut self, policy: Policy, candidate: Option<Policy>) {
        self.candidate = candidate.map(|candidate| match self.candidate.take() {
            Some(mut scaler) => {
                scaler.set_policy(candidate);
                scaler
            }
            None => Scaler::restore(candidate, self.acting.state()),
        });
        self.hpa.set_policy(hpa(&policy));
        self.acting.set_policy(policy);
    }

    /// The scaler of the policy in force.
    pub fn acting(&self) -> &Scaler {
        &self.acting
    }

    pub fn candidate(&self) -> Option<&Scaler> {
        self.candidate.as_ref()
    }

    /// The count that HPA's rule decided last.
    pub fn hpa_desired(&self) -> u32 {
        self.hpa.desired()
    }

    pub fn step(&mut self, now: Timestamp, observed: &Observed) -> Verdict {
        let desired = self.hpa.step_unspoken(now, observed).desired;
        let mut acting = self.acting.step(now, observed);
        acting.otherwise.push(Otherwise { case: HPA.to_owned(), desired });
        let candidate = self.candidate.as_mut().map(|candidate| candidate.step(now, observed));
        Verdict { acting, candidate }
    }
}

/// Kubernetes' HPA with its defaults, but without the lag of its metrics, within the bounds of `policy`.
fn hpa(policy: &Policy) -> Policy {
    let target = Target { metric: TargetMetric::Utilization, route: None, value: HPA_TARGET, tolerance: 0.1 };
    let sync = Duration::from_secs(15);
    let limit = |amount| PaceLimit { amount, period: sync };
    let four = NonZeroU32::MIN.saturating_add(3);
    Policy {
        min: policy.min,
        max: policy.max,
        idle: policy.idle,
        slo: Slo::default(),
        triggers: vec![Trigger::Target(target)],
        scale_out: Pace {
            stabilization: Duration::ZERO,
            limits: vec![limit(Amount::Share(1.0)), limit(Amount::Instances(four))],
        },
        scale_in: Pace { stabilization: Duration::from_mins(5), limits: vec![limit(Amount::Share(1.0))] },
        supply: Supply::default(),
    }
}
