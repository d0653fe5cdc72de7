//! One step as the journal keeps it, and how it is taken again.
//!
//! A step depends on the policies, on what was remembered, and on what was observed. The first two are written
//! only now and then, as a [`Checkpoint`]; from one on, a [`Chain`] comes to the same by taking
//! every step again. Of a step that changed nothing only the count and a digest of the decision
//! are kept, which is enough to see whether the same comes out.
//!
//! Invariant: what a chain says of a record is exact, or that it cannot say.

use serde::{Deserialize, Serialize};
use tidegate_core::{Timestamp, policy::Mode};

use crate::{
    decision::Decision,
    observed::Observed,
    panel::{Checkpoint, Panel, Verdict},
};

pub mod rehearsal;

/// A step with what went into it and what came out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Record {
    /// Counts up by one with each step of the fleet. A gap is a gap in what is known.
    pub number: u64,
    pub at: Timestamp,
    /// Policies and memories before the step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checkpoint: Option<Box<Checkpoint>>,
    #[serde(default, skip_serializing_if = "is_act")]
    pub mode: Mode,
    pub observed: Observed,
    pub outcome: Outcome,
    /// What the candidate decided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub candidate: Option<Outcome>,
    /// In records that have a checkpoint or change something.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<Account>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "as serde calls it")]
fn is_act(mode: &Mode) -> bool {
    *mode == Mode::Act
}

/// What came out of a step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Outcome {
    pub desired: u32,
    /// Of everything that the decision says.
    pub digest: Digest,
    /// Where it changes the count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decision: Option<Box<Decision>>,
}

/// What a fleet has cost so far.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Account {
    /// When counting began.
    pub since: Timestamp,
    /// Time that instances ran, all together.
    pub instance_seconds: f64,
    /// At the prices that there were. `None`: there never was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usd: Option<f64>,
    /// The same for the counts of HPA's rule, and those of the candidate while there was one.
    pub hpa_instance_seconds: f64,
    /// Time in which HPA's rule had what it goes by: utilization, or no instance that could have one.
    #[serde(default)]
    pub hpa_seconds: f64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub candidate_instance_seconds: Option<f64>,
    /// What was recommended and not done would have cost at its prices, and what the candidate would have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recommended_usd: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub candidate_usd: Option<f64>,
    /// Time that was counted.
    #[serde(default)]
    pub seconds: f64,
    /// What the instances that were wanted would have cost on demand, and what one costs there in an hour now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_demand_usd: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_demand_price: Option<f64>,
    /// Most instances that were wanted at a time: as many as a fleet of a fixed size would have to have.
    #[serde(default)]
    pub peak: u32,
    /// Requests that arrived.
    #[serde(default)]
    pub requests: f64,
    /// What the current month has cost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub month: Option<Month>,
}

/// What a month of the calendar has cost.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Month {
    /// Counted through from the year 0.
    pub number: u32,
    pub usd: f64,
}

/// What is charged at a time.
#[derive(Debug, Clone, Copy, Default)]
pub struct Charge {
    /// US dollars: as it is, and as it would be on demand.
    pub usd: f64,
    pub on_demand_usd: f64,
    /// What an hour of an instance costs on demand.
    pub on_demand_price: f64,
}

impl Account {
    /// Time of instances by HPA's rule, where utilization says what the fleet needs.
    pub fn hpa(&self) -> Option<f64> {
        (2.0 * self.hpa_seconds >= self.seconds).then_some(self.hpa_instance_seconds)
    }

    /// Charges what is paid in US dollars, in the month that it is at `at`.
    pub fn charge(&mut self, at: Timestamp, charge: Charge) {
        *self.usd.get_or_insert(0.0) += charge.usd;
        *self.on_demand_usd.get_or_insert(0.0) += charge.on_demand_usd;
        self.on_demand_price = Some(charge.on_demand_price);
        let number = at.month();
        let month = self.month.get_or_insert(Month { number, usd: 0.0 });
        if number > month.number {
            *month = Month { number, usd: 0.0 };
        }
        month.usd += charge.usd;
    }

    /// What the month of `at` has cost so far.
    pub fn spent(&self, at: Timestamp) -> f64 {
        self.month.filter(|month| month.number >= at.month()).map_or(0.0, |month| month.usd)
    }
}

/// 64 bits that tell one decision from another. Text in JSON, because numbers there are not that wide.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Digest(u64);

impl Outcome {
    pub fn of(decision: &Decision) -> Self {
        Self {
            desired: decision.desired,
            digest: Digest::of(decision),
            decision: decision.changes().then(|| Box::new(decision.clone())),
        }
    }

    /// Whether `decision` is what came out, to the last word.
    pub fn is_of(&self, decision: &Decision) -> bool {
        let whole = self.decision.as_deref().is_none_or(|kept| kept == decision);
        whole && self.desired == decision.desired && self.digest == Digest::of(decision)
    }
}

impl Digest {
    fn of(decision: &Decision) -> Self {
        let mut digest = Self(0xcbf2_9ce4_8422_2325);
        digest.count(Some(decision.desired));
        digest.count(Some(decision.previous));
        digest.count(decision.winner.and_then(|winner| u32::try_from(winner).ok()));
        for one in &decision.recommendations {
            digest.text(&one.trigger);
            digest.count(one.wanted);
            digest.text(&one.because);
        }
        for one in &decision.adjustments {
            digest.text(&one.rule);
            digest.count(Some(one.from));
            digest.count(Some(one.to));
            digest.text(&one.because);
        }
        for one in &decision.otherwise {
            digest.text(&one.case);
            digest.count(Some(one.desired));
        }
        if let Some(mix) = &decision.mix {
            mix.shares.iter().for_each(|share| digest.count(Some(share.count)));
            digest.text(&mix.because);
        }
        decision.warning.iter().for_each(|warning| digest.text(warning));
        digest
    }

    /// FNV-1a.
    fn byte(&mut self, byte: u8) {
        self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    }

    fn text(&mut self, text: &str) {
        text.bytes().for_each(|byte| self.byte(byte));
        // No text has this byte: where one ends is told from where the next begins.
        self.byte(0xff);
    }

    fn count(&mut self, count: Option<u32>) {
        self.byte(u8::from(count.is_some()));
        count.unwrap_or_default().to_le_bytes().into_iter().for_each(|byte| self.byte(byte));
    }
}

impl Serialize for Digest {
    fn serialize<S: serde::Serializer>(&self, output: S) -> Result<S::Ok, S::Error> {
        output.collect_str(&format_args!("{:016x}", self.0))
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: serde::Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        let text = String::deserialize(input)?;
        u64::from_str_radix(&text, 16).map(Self).map_err(serde::de::Error::custom)
    }
}

/// The records of one fleet, followed one after the other.
#[derive(Debug, Default)]
pub struct Chain {
    panel: Option<Panel>,
    number: u64,
}

/// What became of a record when its step was taken again.
#[derive(Debug, Clone, PartialEq)]
pub enum Replayed {
    /// The same came out.
    Same(Verdict),
    /// Something else did.
    Differs(Verdict),
    /// The policies or memories that were written down are not those that the steps before lead to.
    Strayed,
    /// Nothing that goes before is known.
    Unknown,
}

impl Chain {
    pub fn follow(&mut self, record: &Record) -> Replayed {
        let goes_on = record.number == self.number.wrapping_add(1);
        self.number = record.number;
        let panel = self.panel.take().filter(|_| goes_on);
        let mut strayed = false;
        let panel = match (&record.checkpoint, panel) {
            (None, panel) => panel,
            (Some(checkpoint), None) => Some(Panel::restore((**checkpoint).clone())),
            (Some(checkpoint), Some(mut panel)) => {
                let candidate = checkpoint.candidate.as_ref().map(|seat| &seat.policy);
                if !panel.is_of(&checkpoint.acting.policy, candidate) {
                    panel.set_policies(checkpoint.acting.policy.clone(), candidate.cloned());
                }
                strayed = panel.checkpoint() != **checkpoint;
                Some(Panel::restore((**checkpoint).clone()))
            }
        };
        self.panel = panel;
        let Some(panel) = &mut self.panel else { return Replayed::Unknown };
        let verdict = panel.step(record.at, &record.observed);
        let candidate = match (&record.candidate, &verdict.candidate) {
            (None, None) => true,
            (Some(outcome), Some(decision)) => outcome.is_of(decision),
            _ => false,
        };
        if strayed {
            Replayed::Strayed
        } else if candidate && record.outcome.is_of(&verdict.acting) {
            Replayed::Same(verdict)
        } else {
            Replayed::Differs(verdict)
        }
    }

    /// The same, looked at.
    pub const fn known(&self) -> Option<&Panel> {
        self.panel.as_ref()
    }

    /// Those who decide, after the last record that was followed. `None`: that is not known.
    pub fn panel(self) -> Option<Panel> {
        self.panel
    }

    /// The number of the last record.
    pub const fn number(&self) -> u64 {
        self.number
    }
}

#[cfg(test)]
#[path = "record/altered.rs"]
mod altered;
#[cfg(test)]
#[path = "record/tests.rs"]
mod tests;
