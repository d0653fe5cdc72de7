//! What the triggers say.
//!
//! Formulas see what the others say, and are asked last.

use tidegate_core::policy::{Policy, Trigger};

use super::Scaler;
use crate::{
    ahead::Ahead,
    formula, headroom,
    memory::Memory,
    opinion::{Opinion, Wanted},
    schedule,
    sight::Sight,
    target,
    words::Words,
};

/// What there is in a policy, so that steps need not look for it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Among {
    /// Event sources that triggers look at.
    pub(super) sources: bool,
    /// What the count may not exceed at times: ceilings of schedules, and a budget.
    pub(super) ceilings: bool,
    pub(super) formulas: bool,
}

impl Among {
    pub(super) fn of(policy: &Policy) -> Self {
        let any = |is: fn(&Trigger) -> bool| policy.triggers.iter().any(is);
        Self {
            sources: any(|trigger| !trigger.sources().is_empty()),
            ceilings: policy.supply.budget.is_some()
                || any(|trigger| matches!(trigger, Trigger::Schedule(_))),
            formulas: any(|trigger| matches!(trigger, Trigger::Formula(_))),
        }
    }
}

impl Scaler {
    /// Asks every trigger and hands what it says to `take`, in the order of the policy.
    pub(super) fn ask(&mut self, sight: &Sight<'_>, words: Words, mut take: impl FnMut(Opinion)) {
        let rests = self.rests();
        let triggers = self.policy.triggers.iter().zip(&mut self.state.memories);
        let ask = Ask { sight, rests, words };
        if !self.among.formulas {
            triggers.for_each(|(trigger, memory)| take(ask.opinion(trigger, memory)));
            return;
        }
        let first = |(trigger, memory)| {
            let formula = matches!(trigger, &Trigger::Formula(_));
            (trigger, (!formula).then(|| ask.opinion(trigger, memory)))
        };
        let others: Vec<_> = triggers.map(first).collect();
        for (trigger, opinion) in &others {
            take(match (trigger, opinion) {
                (Trigger::Formula(formula), _) => formula::opinion(formula, sight, &others, words),
                (_, Some(opinion)) => opinion.clone(),
                (_, None) => Opinion::missing(words, String::new),
            });
        }
    }
}

/// What triggers are asked about.
#[derive(Clone, Copy)]
struct Ask<'a> {
    sight: &'a Sight<'a>,
    /// Whether nobody has asked for so long that there should be no instance.
    rests: bool,
    words: Words,
}

impl Ask<'_> {
    /// What a trigger says that is no formula.
    #[inline(always)]
    #[expect(
        clippy::inline_always,
        reason = "it is once in the loop over all triggers, and once where formulas are"
    )]
    fn opinion(self, trigger: &Trigger, memory: &mut Memory) -> Opinion {
        let Self { sight, rests, words } = self;
        match (trigger, memory) {
            (Trigger::Target(target), _) => target::opinion(target, sight, words),
            (Trigger::Schedule(schedule), _) => schedule::opinion(schedule, sight, words),
            (Trigger::Threshold(threshold), Memory::Threshold(beyond)) => {
                beyond.opinion(threshold, sight, words)
            }
            (Trigger::Forecast(forecast), Memory::Forecast(memory)) => {
                Ahead::opinion(memory, forecast, sight, words)
            }
            (Trigger::Backlog(backlog), Memory::Backlog(growth)) => growth.opinion(backlog, sight, words),
            (Trigger::Headroom(headroom), Memory::Headroom(rivalry)) => {
                let opinion = rivalry.opinion(headroom, sight, (sight.now, sight.start_up), words);
                let at_rest = rests && opinion.wanted != Wanted::Unknown;
                if at_rest { headroom::at_rest(words) } else { opinion }
            }
            // Every memory was suited to its trigger where the policy was taken.
            _ => Opinion::missing(words, String::new),
        }
    }
}

/// The largest recommendation, the first where several are, and whether any trigger was blind.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Largest {
    /// Which it is, and the count.
    best: Option<(usize, u32)>,
    pub(super) blind: bool,
    /// How many triggers said something.
    asked: usize,
}

impl Largest {
    pub(super) fn take(&mut self, wanted: Wanted) {
        self.blind |= matches!(wanted, Wanted::Unknown | Wanted::Blind(_));
        if let Wanted::Count(count) | Wanted::Blind(count) = wanted
            && self.best.is_none_or(|(_, most)| count > most)
        {
            self.best = Some((self.asked, count));
        }
        self.asked += 1;
    }

    pub(super) fn winner(self) -> Option<usize> {
        self.best.map(|(index, _)| index)
    }

    pub(super) fn wanted(self) -> Option<u32> {
        self.best.map(|(_, count)| count)
    }
}

pub(super) fn largest<'a>(opinions: impl IntoIterator<Item = &'a Opinion>) -> Largest {
    let mut largest = Largest::default();
    opinions.into_iter().for_each(|opinion| largest.take(opinion.wanted));
    largest
}
