//! The `backlog` trigger: work off what waits.
//!
//! Either so many may wait for each instance, which is the arithmetic of Kubernetes' HPA for external
//! metrics, or everything is to be worked off within a time. For the latter the arrivals are inferred:
//! what the instances work off while a backlog is there, plus what it grows by. So a rate that was
//! given too high or too low is put right by the growth that it leads to. What waits at a time is to be gone when the time that
//! was given is over, and not a little less of it each second: that is kept as a pledge until it is done. Where no rate is given, that of an
//! event source is learned from what instances finish while enough waits. Instances that are to be started have less
//! time for it than those that are there, by their start-up time, so there are more of them.
//!
//! The activation threshold is apart from the scaling one: up to it nothing is asked for, and what is
//! beyond it is scaled for whole.

use std::{collections::VecDeque, time::Duration};

use serde::{Deserialize, Serialize};
use tidegate_core::{
    Flaw,
    policy::{Backlog, Fallback, Metric, Pressure, Signal},
};

use crate::{
    clock::SteadyClock,
    opinion::{Opinion, Wanted},
    sight::Sight,
    target::{ceil, needs, within_tolerance},
    words::{Words, instances, label, number, span},
};

/// As HPA has it.
const TOLERANCE: f64 = 0.1;
/// Over how long the growth of a backlog is read, and how many readings are kept for it.
const GROWTH: Duration = Duration::from_secs(30);
const READINGS: usize = 32;

/// What is late is worked off within this share of the time that was given, and no faster than so many times what was planned:
/// some of it is in hand already, and more instances do not help it.
const RUSH: f64 = 0.1;
const FASTEST: f64 = 2.0;

/// What is still to be started has no less than this share of the time that was given: where instances take longer to start than
/// that, any number of them would be late.
const LEAST_SHARE: f64 = 0.25;

/// How much a new reading counts when what an instance finishes is learned: a start looks slower than what follows,
/// so more is believed sooner than less.
const FASTER: f64 = 0.5;
const SLOWER: f64 = 0.1;

/// What was seen of a backlog.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Growth {
    /// The latest: lived time, what waited, instances that could work.
    readings: VecDeque<(Duration, f64, u32)>,
    /// What an instance finishes in a second while more waits than it can take.
    #[serde(skip_serializing_if = "Option::is_none")]
    rate: Option<f64>,
    /// What is to be worked off until when.
    #[serde(skip_serializing_if = "Option::is_none")]
    pledge: Option<Pledge>,
}

/// A backlog that is to be gone at a time, whatever comes meanwhile.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Pledge {
    /// In lived time.
    until: Duration,
    /// How much of it still waits.
    left: f64,
    /// What had to be worked off in a second when it was given.
    rate: f64,
}

pub(crate) fn name(backlog: &Backlog) -> String {
    let label = label(&backlog.signal);
    match backlog.pressure {
        Pressure::PerInstance(value) => format!("backlog {label} {} per instance", number(value)),
        Pressure::Drain { within, .. } => format!("backlog {label} within {}", span(within)),
    }
}

impl Growth {
    pub(crate) fn check(&self, clock: &SteadyClock) -> Result<(), Flaw> {
        let readings = self.readings.len();
        Flaw::unless(readings <= READINGS, "readings", || format!("{readings} are more than {READINGS}"))?;
        self.readings.iter().try_for_each(|&(at, ..)| clock.check_past("readings", at))?;
        self.pledge.map_or(Ok(()), |pledge| Flaw::unless_short("pledge.until", pledge.until))
    }

    pub(crate) fn opinion(&mut self, backlog: &Backlog, sight: &Sight<'_>, words: Words) -> Opinion {
        let Some(waiting) = sight.metrics.read(&backlog.signal) else {
            return self.unknown(backlog, sight, words);
        };
        self.learn(backlog, sight, waiting);
        let worked = self.observe(sight, waiting);
        self.known(backlog, waiting, &worked, sight, words)
    }

    /// What the backlog asks for while it is not known.
    fn unknown(&mut self, backlog: &Backlog, sight: &Sight<'_>, words: Words) -> Opinion {
        let name = || label(&backlog.signal);
        let last = self.readings.back().filter(|_| backlog.fallback == Fallback::LastValue).copied();
        if let Some((_, waiting, ready)) = last {
            let worked = Worked { ready: f64::from(ready), growth: 0.0, seconds: 0.0 };
            let Opinion { wanted, because } = self.known(backlog, waiting, &worked, sight, words);
            let wanted = if let Wanted::Count(count) = wanted { Wanted::Blind(count) } else { wanted };
            return Opinion {
                wanted,
                because: words.say(|| format!("{} is not known; of late, {because}", name())),
            };
        }
        match backlog.fallback {
            Fallback::Instances(count) => Opinion {
                wanted: Wanted::Blind(count),
                because: words
                    .say(|| format!("{} is not known; its fallback is {}", name(), instances(count))),
            },
            Fallback::Hold | Fallback::LastValue => {
                Opinion::missing(words, || format!("{} is not known", name()))
            }
        }
    }

    fn known(
        &mut self,
        backlog: &Backlog,
        waiting: f64,
        worked: &Worked,
        sight: &Sight<'_>,
        words: Words,
    ) -> Opinion {
        if waiting <= backlog.activation {
            self.pledge = None;
            return Opinion {
                wanted: Wanted::Count(0),
                because: words.say(|| match backlog.activation {
                    0.0 => "nothing waits".to_owned(),
                    least => format!("{} wait, not above {}", number(waiting), number(least)),
                }),
            };
        }
        match backlog.pressure {
            Pressure::PerInstance(value) => {
                let needed = waiting / value;
                let demand = || {
                    format!("{} wait, which are {} at {} each", number(waiting), needs(needed), number(value))
                };
                within_tolerance(TOLERANCE, sight, needed, demand, words)
            }
            Pressure::Drain { within, rate } => {
                let learned = || Some(sight.safe / sight.work?);
                let learned = || if is_of_requests(&backlog.signal) { learned() } else { self.rate };
                match rate.or_else(learned).filter(|&rate| rate > 0.0) {
                    Some(rate) => {
                        let served =
                            sight.metrics.served_rate.unwrap_or(f64::from(sight.instances.ready) * rate);
                        let stretch = Starts::of(sight, within).stretch(within.as_secs_f64());
                        let served = served * worked.seconds;
                        let due = self.pledged(within, waiting, (served, stretch), sight.now);
                        drain(within, (rate, due), waiting, worked, sight, words)
                    }
                    // Somebody has to work for it to be known.
                    None if backlog.signal.source().is_some() => Opinion {
                        wanted: Wanted::Count(sight.instances.ready.max(1)),
                        because: words.say(|| {
                            format!(
                                "{} wait, and what an instance works off is not known yet",
                                number(waiting)
                            )
                        }),
                    },
                    None => {
                        Opinion::missing(words, || "what an instance works off is not known yet".to_owned())
                    }
                }
            }
        }
    }

    /// How much has to be worked off besides what arrives. So much was `served` since this was last asked, by so many times as
    /// many instances as it would take if they were there at once.
    fn pledged(
        &mut self,
        within: Duration,
        waiting: f64,
        (served, stretch): (f64, f64),
        now: Duration,
    ) -> Quota {
        let seconds = within.as_secs_f64().max(1.0);
        let fresh = waiting / seconds;
        let kept = self.pledge.as_mut().map(|pledge| {
            pledge.left = (pledge.left - served).clamp(0.0, waiting);
            let due = pledge.until.saturating_sub(now).as_secs_f64();
            let most = pledge.rate * FASTEST * stretch;
            let time = due.max(seconds * RUSH / stretch);
            Quota { besides: (pledge.left / time).min(most), most, time, due: Some(due) }
        });
        match kept {
            Some(kept) if kept.besides > fresh => kept,
            _ => {
                self.pledge = Some(Pledge { until: now.saturating_add(within), left: waiting, rate: fresh });
                Quota { besides: fresh, most: fresh * FASTEST * stretch, time: seconds, due: None }
            }
        }
    }

    /// Takes what the instances finished, if all of them had enough to do.
    fn learn(&mut self, backlog: &Backlog, sight: &Sight<'_>, waiting: f64) {
        let ready = sight.instances.ready;
        let plenty = self.readings.back().is_some_and(|&(_, before, _)| before > backlog.activation)
            && waiting > backlog.activation.max(f64::from(ready));
        let Some(served) =
            sight.metrics.served_rate.filter(|_| plenty && ready > 0 && ready == sight.settled)
        else {
            return;
        };
        let new = served / f64::from(ready);
        self.rate = Some(self.rate.map_or(new, |old| {
            let weight = if new > old { FASTER } else { SLOWER };
            old + weight * (new - old)
        }));
    }

    /// Takes a reading and says what happened since the oldest.
    fn observe(&mut self, sight: &Sight<'_>, waiting: f64) -> Worked {
        let now = sight.now;
        let old = |&(at, ..): &(Duration, f64, u32)| now.saturating_sub(at) > GROWTH;
        while self.readings.len() >= READINGS || self.readings.front().is_some_and(old) {
            self.readings.pop_front();
        }
        self.readings.push_back((now, waiting, sight.instances.ready));
        let (since, before, _) = self.readings[0];
        let seconds = now.saturating_sub(since).as_secs_f64();
        let before_this = self.readings.iter().rev().nth(1).map_or(now, |&(at, ..)| at);
        let ready: f64 = self.readings.iter().map(|&(.., ready)| f64::from(ready)).sum();
        Worked {
            ready: ready / self.readings.len() as f64,
            growth: if seconds > 0.0 { (waiting - before) / seconds } else { 0.0 },
            seconds: now.saturating_sub(before_this).as_secs_f64(),
        }
    }
}

/// What has to be worked off besides what arrives.
struct Quota {
    /// In a second, and at most.
    besides: f64,
    most: f64,
    /// The seconds that are left for it, or that are taken for it where none are.
    time: f64,
    /// In how many seconds what is pledged is due; `None`: all that waits is.
    due: Option<f64>,
}

/// What happened to a backlog of late.
struct Worked {
    /// Instances that worked on it, on average.
    ready: f64,
    /// What it grew by, per second.
    growth: f64,
    /// Since the reading before.
    seconds: f64,
}

/// Instances that are not ready yet, and when they will be.
struct Starts {
    /// The least that they have to work in, in seconds.
    least: f64,
    /// A slow one, in seconds.
    start_up: f64,
    ready: f64,
    /// Those that are on their way, and in how many seconds they are expected.
    coming: f64,
    expected: f64,
}

impl Starts {
    fn of(sight: &Sight<'_>, within: Duration) -> Self {
        let start_up = sight.start_up.unwrap_or_default();
        let expected = start_up.saturating_sub(sight.now.saturating_sub(sight.changed));
        Self {
            least: within.as_secs_f64() * LEAST_SHARE,
            start_up: start_up.as_secs_f64(),
            ready: f64::from(sight.instances.ready),
            coming: f64::from(sight.desired.saturating_sub(sight.instances.ready)),
            expected: expected.as_secs_f64(),
        }
    }

    /// Of `time`, what is left after a wait.
    fn left(&self, time: f64, wait: f64) -> f64 {
        (time - wait).max(self.least.min(time))
    }

    /// How many times as many it takes to be done in `time` if all of them are still to be started.
    fn stretch(&self, time: f64) -> f64 {
        time / self.left(time, self.start_up)
    }

    /// How many there have to be for as much to be done in `time` as `needed` would do that are there now.
    fn needed(&self, needed: f64, time: f64) -> f64 {
        let lacking = (needed - self.ready) * time;
        if lacking <= 0.0 || self.start_up <= 0.0 {
            return needed;
        }
        let comes = self.left(time, self.expected);
        if lacking <= self.coming * comes {
            return self.ready + lacking / comes;
        }
        self.ready + self.coming + (lacking - self.coming * comes) / self.left(time, self.start_up)
    }
}

/// As many as keep up with what arrives and work off what waits besides.
fn drain(
    within: Duration,
    (rate, Quota { besides, most, time, due }): (f64, Quota),
    waiting: f64,
    worked: &Worked,
    sight: &Sight<'_>,
    words: Words,
) -> Opinion {
    let arrives = (worked.ready * rate + worked.growth).max(0.0);
    let at_once = (arrives + besides) / rate;
    let needed = Starts::of(sight, within).needed(at_once, time).min((arrives + most) / rate);
    Opinion {
        wanted: Wanted::Count(ceil(needed).max(1)),
        because: words.say(|| {
            let (waiting, arrives, rate) = (number(waiting), number(arrives), number(rate));
            let (within, present) = (span(within), instances(sight.instances.ready));
            let left = due.map_or_else(String::new, |due| match due.round() {
                0.0 => ", which are over,".to_owned(),
                due => format!(", of which {} are left,", span(Duration::from_secs_f64(due))),
            });
            let start_up = match sight.start_up {
                Some(start_up) if needed > at_once => format!(", where new ones start within {}", span(start_up)),
                _ => String::new(),
            };
            format!(
                "{waiting} wait and about {arrives}/s arrive; to work them off within {within}{left} takes {} at {rate}/s \
                 each, {present} can{start_up}",
                needs(needed)
            )
        }),
    }
}

/// Whether what waits are requests, whose work is learned.
fn is_of_requests(signal: &Signal) -> bool {
    matches!(signal, Signal::Fleet(Metric::Queued | Metric::Concurrency))
}

#[cfg(test)]
#[path = "backlog/tests.rs"]
mod tests;
