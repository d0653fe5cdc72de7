//! The `threshold` trigger: a step out above one value, a step in below another.
//!
//! A step needs the metrics beyond their values for the whole hold, counted from when they went beyond
//! or from when the count last changed, whichever is later: so a step is judged by its effect
//! before the next one is made. While ordered instances are not ready, the hold is at least as
//! long as they usually take to start.
//!
//! Several conditions call for a step out together or each for itself; a step in always needs all of
//! them. Between the values the trigger asks for the present count, which is what hysteresis means.
//! Without a lower value it has nothing to ask for there, and other triggers may shrink the fleet.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tidegate_core::{
    Flaw,
    policy::{Condition, Join, Threshold},
};

use crate::{
    clock::SteadyClock,
    opinion::{Opinion, Wanted},
    sight::Sight,
    words::{Words, instances, label, reading, span},
};

/// How long instances are given to start while it is not known how long they take.
const UNKNOWN_START_UP: Duration = Duration::from_secs(30);

/// Since when the metrics have been beyond the values of their trigger, in lived time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Beyond {
    above: Option<Duration>,
    below: Option<Duration>,
}

pub(crate) fn name(threshold: &Threshold) -> String {
    let word = match threshold.join {
        Join::All => " and ",
        Join::Any => " or ",
    };
    let conditions: Vec<_> = threshold.conditions.iter().map(condition_name).collect();
    format!("threshold {}", conditions.join(word))
}

fn condition_name(Condition { signal, above, below }: &Condition) -> String {
    let (label, above) = (label(signal), reading(signal, *above));
    match below {
        Some(below) => format!("{label} {} to {above}", reading(signal, *below)),
        None => format!("{label} {above}"),
    }
}

impl Beyond {
    pub(crate) fn check(&self, clock: &SteadyClock) -> Result<(), Flaw> {
        let since = [("above", self.above), ("below", self.below)];
        since.into_iter().try_for_each(|(field, since)| clock.check_past(field, since.unwrap_or_default()))
    }

    pub(crate) fn opinion(&mut self, threshold: &Threshold, sight: &Sight<'_>, words: Words) -> Opinion {
        let looks: Vec<Look<'_>> = threshold.conditions.iter().map(|one| Look::at(one, sight)).collect();
        let missing = looks.iter().find(|look| look.value.is_none());
        let out = match threshold.join {
            Join::All => looks.iter().all(Look::is_above),
            Join::Any => looks.iter().any(Look::is_above),
        };
        if let (Some(missing), false) = (missing, out) {
            // Not seen is no proof that the metric came back, nor that it stayed low.
            self.below = None;
            return Opinion::missing(words, || format!("{} is not known", label(&missing.condition.signal)));
        }
        let has_below = looks.iter().any(|look| look.condition.below.is_some());
        let low = !out && has_below && looks.iter().all(Look::is_low);
        self.above = since(self.above, out, sight.now);
        self.below = since(self.below, low, sight.now);
        match (self.above, self.below) {
            (Some(above), _) => step_out(threshold, sight, above, &|| tell(&looks, Look::above), words),
            (None, Some(low)) => {
                step_in(threshold, sight, low, &|| tell(&looks, |look| Some(look.below())), words)
            }
            (None, None) => Opinion {
                wanted: if has_below { Wanted::Count(sight.desired) } else { Wanted::Nothing },
                because: words.say(|| tell(&looks, |look| Some(look.between()))),
            },
        }
    }
}

/// A condition and what was read for it.
struct Look<'a> {
    condition: &'a Condition,
    value: Option<f64>,
}

impl<'a> Look<'a> {
    fn at(condition: &'a Condition, sight: &Sight<'_>) -> Self {
        Self { condition, value: sight.metrics.read(&condition.signal) }
    }

    fn is_above(&self) -> bool {
        self.value.is_some_and(|value| value > self.condition.above)
    }

    /// Whether nothing stands against a step in.
    fn is_low(&self) -> bool {
        self.value.is_some_and(|value| match self.condition.below {
            Some(below) => value < below,
            None => value <= self.condition.above,
        })
    }

    fn above(&self) -> Option<String> {
        self.is_above().then(|| format!("{}, above {}", self.seen(), self.shown(self.condition.above)))
    }

    fn below(&self) -> String {
        match self.condition.below {
            Some(below) => format!("{}, below {}", self.seen(), self.shown(below)),
            None => format!("{}, not above {}", self.seen(), self.shown(self.condition.above)),
        }
    }

    fn between(&self) -> String {
        let (above, high) = (self.is_above(), self.shown(self.condition.above));
        match self.condition.below {
            _ if above => format!("{}, above {high}", self.seen()),
            Some(_) if self.is_low() => self.below(),
            Some(below) => format!("{}, between {} and {high}", self.seen(), self.shown(below)),
            None => format!("{}, not above {high}", self.seen()),
        }
    }

    fn seen(&self) -> String {
        let value = self.value.map_or_else(|| "not known".to_owned(), |value| self.shown(value));
        format!("{} is {value}", label(&self.condition.signal))
    }

    fn shown(&self, value: f64) -> String {
        reading(&self.condition.signal, value)
    }
}

/// What `phrase` says of each condition, as one sentence.
fn tell<'a>(looks: &[Look<'a>], phrase: impl Fn(&Look<'a>) -> Option<String>) -> String {
    looks.iter().filter_map(phrase).collect::<Vec<_>>().join(" and ")
}

fn step_out(
    threshold: &Threshold,
    sight: &Sight<'_>,
    above: Duration,
    seen: &dyn Fn() -> String,
    words: Words,
) -> Opinion {
    let ordered = sight.desired > sight.instances.ready;
    let start_up = if ordered { sight.start_up.unwrap_or(UNKNOWN_START_UP) } else { Duration::ZERO };
    let hold = threshold.hold.max(start_up);
    let lasted = sight.now.saturating_sub(above.max(sight.changed));
    if lasted < hold {
        let why = if ordered && start_up > threshold.hold { " while instances start" } else { "" };
        let because = words.say(|| format!("{} for {} of {}{why}", seen(), span(lasted), span(hold)));
        return Opinion { wanted: Wanted::Count(sight.desired), because };
    }
    let step = threshold.step_out.of(sight.desired);
    let because = words.say(|| format!("{} for {}: {} more", seen(), span(lasted), instances(step)));
    Opinion { wanted: Wanted::Count(sight.desired.saturating_add(step)), because }
}

fn step_in(
    threshold: &Threshold,
    sight: &Sight<'_>,
    low: Duration,
    seen: &dyn Fn() -> String,
    words: Words,
) -> Opinion {
    let lasted = sight.now.saturating_sub(low.max(sight.changed));
    if lasted < threshold.hold {
        let because = words.say(|| format!("{} for {} of {}", seen(), span(lasted), span(threshold.hold)));
        return Opinion { wanted: Wanted::Count(sight.desired), because };
    }
    let step = threshold.step_in.of(sight.desired);
    let because = words.say(|| format!("{} for {}: {} fewer", seen(), span(lasted), instances(step)));
    Opinion { wanted: Wanted::Count(sight.desired.saturating_sub(step)), because }
}

fn since(start: Option<Duration>, beyond: bool, now: Duration) -> Option<Duration> {
    beyond.then(|| start.unwrap_or(now))
}

#[cfg(test)]
#[path = "threshold/tests.rs"]
mod tests;
