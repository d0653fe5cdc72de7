//! The `schedule` trigger: a count for as long as a window lasts.
//!
//! A floor is a recommendation like any other and begins early by the time that instances take to
//! start, so that they are ready when the window opens. A ceiling is a bound and begins on time.
//!
//! This is the one trigger that goes by the wall clock: it is what it is there for.

use std::time::Duration;

use tidegate_core::{
    Timestamp,
    policy::{Policy, Schedule, Trigger},
};

use crate::{
    opinion::{Opinion, Wanted},
    sight::Sight,
    words::{Words, instances, span},
};

/// Earliest that a window is prepared for, however long instances take to start.
const EARLIEST: Duration = Duration::from_mins(30);

pub(crate) fn name(schedule: &Schedule) -> String {
    format!("schedule {} {} for {}", schedule.cron, schedule.zone.name(), span(schedule.lasts))
}

pub(crate) fn opinion(schedule: &Schedule, sight: &Sight<'_>, words: Words) -> Opinion {
    let Some(floor) = schedule.floor else {
        return nothing(words, || "it sets no floor".to_owned());
    };
    if let Some(end) = schedule.window(sight.at) {
        return Opinion {
            wanted: Wanted::Count(floor),
            because: words.say(|| format!("at least {} until {}", instances(floor), minute(end))),
        };
    }
    let early = sight.start_up.unwrap_or_default().min(EARLIEST);
    if !early.is_zero() && schedule.window(sight.at + early).is_some() {
        return Opinion {
            wanted: Wanted::Count(floor),
            because: words.say(|| {
                format!(
                    "at least {}, {} early because they take that to start",
                    instances(floor),
                    span(early)
                )
            }),
        };
    }
    nothing(words, || "outside its windows".to_owned())
}

/// The lowest ceiling that holds at `now`, and until when.
pub(crate) fn ceiling(policy: &Policy, now: Timestamp) -> Option<(u32, Timestamp)> {
    let mut lowest: Option<(u32, Timestamp)> = None;
    for trigger in &policy.triggers {
        if let Trigger::Schedule(schedule) = trigger
            && let Some(count) = schedule.ceiling
            && let Some(end) = schedule.window(now)
            && lowest.is_none_or(|(least, _)| count < least)
        {
            lowest = Some((count, end));
        }
    }
    lowest
}

/// A time as people read it, in UTC.
pub(crate) fn minute(at: Timestamp) -> String {
    let text = at.to_string();
    text.get(..16).map_or_else(|| text.clone(), |text| format!("{}Z", text.replace('T', " ")))
}

fn nothing(words: Words, because: impl FnOnce() -> String) -> Opinion {
    Opinion { wanted: Wanted::Nothing, because: words.say(because) }
}
