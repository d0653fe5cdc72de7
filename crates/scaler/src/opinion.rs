//! What a trigger answers: a count, nothing, or that it cannot tell.

use crate::{decision::Recommendation, words::Words};

/// The answer of one trigger, before it is written into the decision.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Opinion {
    pub(crate) wanted: Wanted,
    pub(crate) because: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wanted {
    Count(u32),
    /// Nothing to ask for; others may shrink the fleet.
    Nothing,
    /// It might ask for more if it could see: nobody may shrink the fleet.
    Unknown,
    /// As `Unknown`, but so many are asked for meanwhile.
    Blind(u32),
}

impl Opinion {
    pub(crate) fn missing(words: Words, because: impl FnOnce() -> String) -> Self {
        Self { wanted: Wanted::Unknown, because: words.say(because) }
    }

    pub(crate) fn recommendation(self, trigger: String) -> Recommendation {
        let wanted = match self.wanted {
            Wanted::Count(count) | Wanted::Blind(count) => Some(count),
            Wanted::Nothing | Wanted::Unknown => None,
        };
        Recommendation { trigger, wanted, because: self.because }
    }
}
