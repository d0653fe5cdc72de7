//! The `headroom` trigger: as much more than demand as the objective needs, and no more.
//!
//! Nobody knows beforehand how much headroom a demand needs: a smooth one a few per cent, a bursty
//! one twice over. So some dozens of simple loops run beside each other on paper. Each follows
//! the demand (its level, or where its trend leads while an instance starts), holds the highest of
//! a while, and adds a margin. Every second each is charged for the instances it would have paid
//! for, for its changes, and for the requests that its instances, ready only after the learned
//! start-up time, would have left without capacity. The cheapest that keeps the objective is followed.
//!
//! Demand is arrivals times the learned work per request. Until that is known, and while it is
//! not yet clear who wins, a cautious loop is followed.
//!
//! Not here: forecasts beyond the start-up time, and bursts from silence, which no margin covers.

mod outlook;

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tidegate_core::policy::{Headroom, Target, TargetMetric};

use crate::{
    opinion::{Opinion, Wanted},
    stabilize::{Holds, Stabilizer},
    target,
    words::{Words, number, percent, span},
};

use outlook::Outlook;

/// How long a loop holds the highest demand, in seconds.
const HOLDS: [u64; 4] = [30, 120, 300, 900];
/// What a loop multiplies demand by. Below one: requests may wait, and a mean is seldom reached.
const MARGINS: [f64; 12] = [0.92, 0.96, 1.0, 1.04, 1.08, 1.13, 1.2, 1.3, 1.45, 1.7, 2.0, 2.6];
/// Whether a loop follows the level of demand, or its trend where that rises.
const TRENDS: [bool; 2] = [false, true];
/// Loops that share everything but the margin.
const PACKS: usize = HOLDS.len() * TRENDS.len();
/// The loop that is followed at first: trend, five minutes, 30 % more.
const CAUTIOUS: usize = (HOLDS.len() + 2) * MARGINS.len() + 7;
/// How long the cautious loop is followed before another may win.
const PROBATION: Duration = Duration::from_mins(10);
/// After this long, a charge weighs 37 % of a new one.
const MEMORY: Duration = Duration::from_hours(4);
/// Seconds of one instance that a change is charged.
const CHANGE: f64 = 100.0;
/// The part of the objective that a loop may use up to be followed: it is judged late.
const CAUTION: f64 = 0.7;
/// Where no loop keeps the objective, those that miss it by at most this factor more than the best.
const CLOSE: f64 = 1.25;
/// A challenger must cost this much less.
const ADVANTAGE: f64 = 0.99;
/// How long instances are taken to start while that is not known.
const UNKNOWN_START_UP: Duration = Duration::from_secs(30);
/// Demand from here on, in instances, is not believed.
const LARGEST: f64 = 1e6;
/// Counts are remembered in thousandths of an instance.
const PARTS: f64 = 1e3;
/// Less than this of an instance is rounding, not demand.
const ROUNDING: f64 = 1e-9;
/// What is aimed at while the work per request is not known.
const USUAL: Target = Target { metric: TargetMetric::Utilization, route: None, value: 0.8, tolerance: 0.1 };

/// Loops that only differ in their margin: what they follow, in instances.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Pack {
    highest: Stabilizer,
    lowest: Stabilizer,
    /// The highest of the hold, and the lowest of that while an instance starts: what is ready.
    level: f64,
    ready: f64,
}

impl Pack {
    fn new(count: u32) -> Self {
        let (highest, lowest) =
            (Stabilizer::new(Holds::Largest, count), Stabilizer::new(Holds::Smallest, count));
        Self { highest, lowest, level: 0.0, ready: 0.0 }
    }
}

/// What one loop has been charged: cost in instance-seconds, requests without capacity, requests
/// that wait (both in instance-seconds of work), and its count.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
struct Ledger(f64, f64, f64, u32);

/// All loops with their ledgers, and which of them is followed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Rivalry {
    outlook: Outlook,
    /// None before the first look.
    packs: Vec<Pack>,
    ledgers: Vec<Ledger>,
    /// All demand, fading like the ledgers.
    demand: f64,
    judged: Duration,
    last: Option<Duration>,
    followed: usize,
}

impl Default for Rivalry {
    fn default() -> Self {
        Self {
            outlook: Outlook::default(),
            packs: Vec::new(),
            ledgers: vec![Ledger::default(); PACKS * MARGINS.len()],
            demand: 0.0,
            judged: Duration::ZERO,
            last: None,
            followed: CAUTIOUS,
        }
    }
}

pub(crate) fn name(headroom: &Headroom) -> String {
    let wait = headroom.wait;
    let waiting = if wait.is_zero() { String::new() } else { format!(" after {}", span(wait)) };
    format!("headroom for {} overload{waiting}", percent(headroom.overload))
}

/// What is wanted while nobody asks. The loops look on meanwhile.
pub(crate) fn at_rest(words: Words) -> Opinion {
    Opinion { wanted: Wanted::Count(0), because: words.say(|| "nobody asks".to_owned()) }
}

impl Rivalry {
    pub(crate) fn opinion(
        &mut self,
        headroom: &Headroom,
        sight: &target::Sight<'_>,
        (now, start_up): (Duration, Option<Duration>),
        words: Words,
    ) -> Opinion {
        let Some(rate) = sight.metrics.arrival_rate else {
            return Opinion::missing(words, || "requests/s are not known".to_owned());
        };
        let Some(work) = sight.work else {
            let Opinion { wanted, because } = target::opinion(&USUAL, sight, words);
            let because = words.say(|| format!("the work per request is not known yet; {because}"));
            return Opinion { wanted, because };
        };
        let demand = rate * work / sight.safe;
        if !(0.0..LARGEST).contains(&demand) {
            return Opinion::missing(words, || format!("{} requests/s cannot be true", number(rate)));
        }
        self.judge(headroom, now, demand);
        self.look(now, demand, start_up.unwrap_or(UNKNOWN_START_UP));
        self.choose(headroom);
        let (pack, margin) = (self.followed / MARGINS.len(), MARGINS[self.followed % MARGINS.len()]);
        let level = self.packs[pack].level;
        let because = || {
            let follows = if TRENDS[pack / HOLDS.len()] { "rising to" } else { "at most" };
            let hold = span(Duration::from_secs(HOLDS[pack % HOLDS.len()]));
            let (busy, peak, times) = (number(demand), number(level), number(margin));
            let short = percent(self.short(self.followed));
            format!(
                "{} requests/s of {}ms work keep {busy} busy, {follows} {peak} within {hold}; {times} times that would \
                 have left {short} of the demand without capacity of late",
                number(rate),
                number(work * 1e3)
            )
        };
        Opinion { wanted: Wanted::Count(count(margin * level)), because: words.say(because) }
    }

    /// Charges every loop for the time since the last step.
    fn judge(&mut self, headroom: &Headroom, now: Duration, demand: f64) {
        let Some(last) = self.last.replace(now) else {
            return;
        };
        let passed = now.saturating_sub(last);
        let seconds = passed.as_secs_f64();
        let kept = (-seconds / MEMORY.as_secs_f64()).exp();
        let work = demand * seconds;
        let longest_wait = headroom.wait.as_secs_f64();
        for (pack, ledgers) in self.packs.iter().zip(self.ledgers.chunks_exact_mut(MARGINS.len())) {
            for (ledger, margin) in ledgers.iter_mut().zip(MARGINS) {
                let Ledger(cost, short, waiting, before) = *ledger;
                let paid = count(margin * pack.level);
                let ready = f64::from(count(margin * pack.ready));
                let excess = (work + waiting - ready * seconds).max(0.0);
                let still_waiting = excess.min(ready * longest_wait);
                let change = if paid == before { 0.0 } else { CHANGE };
                let cost = cost * kept + f64::from(paid) * seconds + change;
                *ledger = Ledger(cost, short * kept + excess - still_waiting, still_waiting, paid);
            }
        }
        self.demand = self.demand * kept + work;
        self.judged = self.judged.saturating_add(passed);
    }

    /// Lets every loop see the newest demand.
    fn look(&mut self, now: Duration, demand: f64, start_up: Duration) {
        self.outlook.observe(now, demand);
        let expected = TRENDS.map(|trend| {
            let expected = if trend { self.outlook.rising(start_up) } else { self.outlook.level() };
            (expected * PARTS).ceil() as u32
        });
        if self.packs.is_empty() {
            // As if demand had always been what it is: nobody is charged for the beginning.
            let pack = |index: usize| Pack::new(expected[index / HOLDS.len()]);
            self.packs = (0..PACKS).map(pack).collect();
        }
        for (index, pack) in self.packs.iter_mut().enumerate() {
            let hold = Duration::from_secs(HOLDS[index % HOLDS.len()]);
            let level = pack.highest.hold(now, hold, expected[index / HOLDS.len()]);
            let ready = pack.lowest.hold(now, start_up, level);
            (pack.level, pack.ready) = (f64::from(level) / PARTS, f64::from(ready) / PARTS);
        }
    }

    /// Follows the cheapest loop that keeps the objective, or else comes close to the best at it.
    fn choose(&mut self, headroom: &Headroom) {
        if self.judged < PROBATION {
            return;
        }
        let least = self.ledgers.iter().map(|ledger| ledger.1).fold(f64::INFINITY, f64::min);
        let most = (headroom.overload * CAUTION * self.demand).max(least * CLOSE);
        let mut cheapest = (self.followed, f64::INFINITY);
        for (index, &Ledger(cost, short, ..)) in self.ledgers.iter().enumerate() {
            if short <= most && cost < cheapest.1 {
                cheapest = (index, cost);
            }
        }
        let Ledger(cost, short, ..) = self.ledgers[self.followed];
        if short > most || cheapest.1 < cost * ADVANTAGE {
            self.followed = cheapest.0;
        }
    }

    /// The share of demand that a loop has left without capacity of late.
    fn short(&self, index: usize) -> f64 {
        if self.demand > 0.0 { self.ledgers[index].1 / self.demand } else { 0.0 }
    }
}

/// Whole instances: one at least, as there is demand to judge by. Asked for two hundred times a
/// step, and `ceil` is a library call where the processor is taken to be any.
fn count(needed: f64) -> u32 {
    let whole = needed as u32;
    (whole + u32::from(f64::from(whole) + ROUNDING < needed)).max(1)
}

#[cfg(test)]
#[path = "headroom/tests.rs"]
mod tests;
