//! The `headroom` trigger: as much more than demand as the objective needs, and no more.
//!
//! Nobody knows beforehand how much headroom a demand needs: a smooth one a few per cent, a bursty
//! one twice over. So a few hundred simple loops run beside each other on paper. Each follows a
//! [`course`] (the level of demand, or where a trend leads while an instance starts, held for a while), times
//! a margin, and some keep a [`standby`] besides. The [`book`] charges each for what it would have cost and
//! for the requests that its instances, ready only after the learned start-up time, would have left
//! without capacity for longer than they may wait. The cheapest that keeps the objective is followed.
//!
//! The objective is a budget: what was violated less than allowed so far may be violated more from here on,
//! and much less once nearly all of it is spent. While little has been seen, little of it is spent. Where no loop keeps the
//! objective, a request without capacity has a price (see [`budget`]).
//!
//! Bursts that come at the same minute of the hour are awaited (see [`habit`]), whatever loop is followed, and where changes are
//! too many the fleet shrinks later (see [`patience`]).
//!
//! Demand is arrivals times the learned work per request. Until that is known, and while it is
//! not yet clear who wins, a cautious loop is followed.
//!
//! Not here: forecasts beyond the start-up time.

#![expect(
    clippy::inline_always,
    reason = "what is called is compiled for wide instructions only where it is inlined"
)]

mod book;
mod budget;
mod course;
mod habit;
mod outlook;
mod packed;
mod patience;
mod plain;
mod standby;
mod weight;
mod window;
mod worth;

use std::time::Duration;

use fearless_simd::{Level, dispatch};
use serde::{Deserialize, Serialize};
use tidegate_core::{
    Flaw,
    policy::{Headroom, Target, TargetMetric},
};

use crate::{
    clock::SteadyClock,
    opinion::{Opinion, Wanted},
    target,
    words::{Words, number, percent, span},
};

use self::{
    book::{Book, Parts},
    budget::Budget,
    course::Courses,
    habit::{Habit, Second},
    outlook::Outlook,
    patience::Patience,
    standby::Standby,
};

/// How long the cautious loop is followed before another may win, in seconds.
const PROBATION: f64 = 600.0;
/// The same where demand has been calm: its highest level no more than so many times the lowest, besides what is
/// noise in a small fleet. Four start-up times it is at least.
const CALM_PROBATION: f64 = 120.0;
const CALM: f64 = 1.15;
const CALM_BESIDES: f64 = 0.5;
/// For so many start-up times, but no longer than so many seconds, there is capacity for [`CALM`] times the mean demand.
const FIRST_START_UPS: f64 = 60.0;
const FIRST: f64 = 1_800.0;
/// Seconds between two choices.
const CHOICE: f64 = 10.0;
/// The part of the objective that a loop may use up on paper to be followed: it is judged late.
const CAUTION: f64 = 0.9;
/// Of that, so many seconds of evidence allow a half.
const EVIDENCE: f64 = 1_800.0;
/// A challenger must cost this much less.
const ADVANTAGE: f32 = 0.99;
/// Seconds from when requests arrive until it was decided what to start for them.
const DECIDED: f64 = 1.0;
/// So many times what it usually is a change is worth where requests may wait until what was started for them has worked them off: whoever
/// shrinks too soon there harms nobody.
const HARMLESS: f32 = 0.7;
/// How long instances are taken to start while that is not known, in seconds.
const UNKNOWN_START_UP: f64 = 30.0;
/// A longer gap between two readings, in seconds, is judged as one of this length.
const LONGEST_GAP: f64 = 15.0;
/// Demand from here on, in instances, is not believed.
const LARGEST: f64 = 1e6;
/// What is aimed at while the work per request is not known.
const USUAL: Target = Target { metric: TargetMetric::Utilization, route: None, value: 0.8, tolerance: 0.1 };

/// One step, in seconds and in instances.
#[derive(Debug, Clone, Copy)]
struct Step {
    /// Since the first step, in lived time.
    now: f64,
    passed: f64,
    demand: f64,
    /// Ready for all of the step.
    settled: u32,
    /// As far as it is known.
    start_up: Option<f64>,
}

/// All loops, which of them is followed, and what is left of the budget.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Rivalry {
    outlook: Outlook,
    standby: Standby,
    /// None before the first look.
    #[serde(with = "course::written")]
    courses: Option<Courses>,
    book: Book,
    budget: Budget,
    #[serde(default)]
    habit: Habit,
    #[serde(default)]
    patience: Patience,
    /// What the loops ask for work that the followed one leaves undone.
    #[serde(default)]
    asked: f64,
    /// What stands by for a burst that is awaited: kept, ready.
    #[serde(default)]
    awaited: (f32, f32),
    /// What a change is worth, in times of what it usually is.
    #[serde(default)]
    worth: f32,
    /// Seconds of demand that the loops were judged by, and until the next choice.
    judged: f64,
    until_choice: f64,
    /// The lowest and the highest level of all that time. None before the first look.
    #[serde(default)]
    levels: Option<(f64, f64)>,
    last: Option<Duration>,
    followed: usize,
}

impl Default for Rivalry {
    fn default() -> Self {
        Self {
            outlook: Outlook::default(),
            standby: Standby::default(),
            courses: None,
            book: Book::default(),
            budget: Budget::default(),
            habit: Habit::default(),
            patience: Patience::default(),
            asked: 0.0,
            awaited: (0.0, 0.0),
            worth: 1.0,
            judged: 0.0,
            until_choice: 0.0,
            levels: None,
            last: None,
            followed: book::CAUTIOUS,
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
    /// Without what was of other loops than these, as a journal of another version may have it.
    pub(crate) fn of_these_loops(mut self) -> Self {
        if self.courses.is_none() || !self.book.is_whole() || self.followed >= book::LOOPS {
            (self.courses, self.book) = (None, Book::default());
            (self.judged, self.followed) = (0.0, book::CAUTIOUS);
        }
        if !self.habit.is_whole() {
            self.habit = Habit::default();
        }
        self.patience = self.patience.of_these_loops();
        self
    }

    pub(crate) fn check(&self, clock: &SteadyClock) -> Result<(), Flaw> {
        self.outlook.check().map_err(Flaw::of("outlook"))?;
        self.standby.check().map_err(Flaw::of("standby"))?;
        self.courses.iter().try_for_each(Courses::check).map_err(Flaw::of("courses"))?;
        self.book.check().map_err(Flaw::of("book"))?;
        self.patience.check().map_err(Flaw::of("patience"))?;
        self.last.map_or(Ok(()), |last| clock.check_past("last", last))
    }

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
        let gap = self.last.replace(now).map_or(0.0, |last| now.saturating_sub(last).as_secs_f64());
        let passed = gap.min(LONGEST_GAP);
        let start_up = start_up.map(|start_up| start_up.as_secs_f64());
        let step = Step { now: now.as_secs_f64(), passed, demand, settled: sight.settled, start_up };
        let (wanted, count) = dispatch!(Level::new(), _ => self.turn(headroom, step));
        let because = || {
            let (rate, work, busy) = (number(rate), number(work * 1e3), number(demand));
            let (reason, besides) = (self.reason(), self.besides(wanted, count));
            // In instances that may not be busy all the time, demand is larger than what they do.
            let safe = if sight.safe < 1.0 {
                format!(" {} of the time", percent(sight.safe))
            } else {
                String::new()
            };
            format!("{rate} requests/s of {work}ms work keep {busy} busy{safe}, {reason}{besides}")
        };
        Opinion { wanted: Wanted::Count(count as u32), because: words.say(because) }
    }

    /// A step further, with the widest instructions that there are. Returns how many are wanted, and how many are kept.
    #[inline(always)]
    fn turn(&mut self, headroom: &Headroom, step: Step) -> (f32, f32) {
        let Step { now, passed, demand, settled, start_up } = step;
        let (wait, starting) = (headroom.wait.as_secs_f64(), start_up.unwrap_or(UNKNOWN_START_UP));
        let patient = self.judge(wait, passed, demand, settled);
        let late = met_late(wait, start_up);
        self.worth = self.patience.worth() * if late.is_some() { HARMLESS } else { 1.0 };
        let level = self.look(passed, demand, starting);
        if starting > wait {
            self.expect((now, passed), (demand * passed, patient), (level, starting));
        }
        self.choose(headroom, passed, start_up, late);
        let wanted = self.counts(self.awaited).0.max(self.at_first(starting));
        (wanted, self.patience.keep(wanted, passed))
    }

    /// Charges every loop, and the budget, for the time since the last step. Returns how much may wait.
    #[inline(always)]
    fn judge(&mut self, wait: f64, passed: f64, demand: f64, ready: u32) -> f64 {
        let Some(courses) = self.courses.as_ref().filter(|_| passed > 0.0) else {
            return 0.0;
        };
        let work = demand * passed;
        // Of what waits, the work that came in this second and `wait` less one before it is not late yet.
        let earlier = self.outlook.arrived_within((wait - passed).max(0.0), passed);
        let patient = if wait > 0.0 { earlier + work * (wait / passed).min(1.0) } else { 0.0 };
        let parts = Parts { courses, standby: &self.standby, awaited: self.awaited };
        self.book.charge(parts, passed, work, patient);
        self.budget.charge(passed, work, ready, patient);
        self.patience.judge(passed, work, patient);
        self.judged += passed;
        patient
    }

    /// Lets every loop see the newest demand. Returns its level.
    #[inline(always)]
    fn look(&mut self, passed: f64, demand: f64, start_up: f64) -> f64 {
        self.outlook.observe(passed, demand);
        let level = self.outlook.level();
        self.patience.look(level, passed, start_up);
        let (lowest, highest) = self.levels.unwrap_or((level, level));
        self.levels = Some((lowest.min(level), highest.max(level)));
        let courses = self.courses.get_or_insert_with(|| Courses::new(&self.outlook));
        let mut changed = courses.follow((&self.outlook, level), (passed, start_up), self.worth);
        if self.standby.observe(passed, demand) {
            let changed = changed.get_or_insert_default();
            for course in course::WITH_STANDBY {
                changed[course] = true;
            }
        }
        if let Some(changed) = changed {
            self.recount(&changed);
        }
        level
    }

    /// Lets capacity stand by where a burst is to be expected.
    fn expect(
        &mut self,
        (now, passed): (f64, f64),
        (work, patient): (f64, f64),
        (level, start_up): (f64, f64),
    ) {
        let price = self.asked;
        let alone = self.counts((0.0, 0.0));
        let awaited =
            self.habit.observe(Second { now, passed, work, patient, level, alone, price, start_up });
        if awaited != self.awaited {
            self.awaited = awaited;
            self.recount(&[true; course::COURSES]);
        }
    }

    #[inline(always)]
    fn recount(&mut self, changed: &[bool; course::COURSES]) {
        let Some(courses) = &self.courses else { return };
        let parts = Parts { courses, standby: &self.standby, awaited: self.awaited };
        self.book.recount(parts, changed, self.worth);
    }

    /// Where what comes can be met `late`, by a loop that does no more, there is no need for caution.
    #[inline(always)]
    fn choose(&mut self, headroom: &Headroom, passed: f64, start_up: Option<f64>, late: Option<usize>) {
        self.until_choice -= passed;
        let on_probation = self.judged < self.probation(start_up);
        if self.followed == book::CAUTIOUS && on_probation {
            self.followed = late.unwrap_or(book::CAUTIOUS);
        }
        if on_probation || self.until_choice > 0.0 {
            return;
        }
        self.until_choice = CHOICE;
        let evidence = self.judged / (self.judged + EVIDENCE);
        let starting = start_up.unwrap_or(UNKNOWN_START_UP);
        let allowed = CAUTION * evidence * self.budget.allowed(headroom.overload, starting);
        let price = self.budget.price(headroom.overload);
        self.book.settle();
        self.asked = self.book.asked(self.followed, price);
        self.followed = self.book.best(allowed, price, self.followed, ADVANTAGE);
        self.patience.choose(headroom.overload);
    }

    /// What the followed loop keeps, and has ready, with so much standing by for bursts that are awaited. Nothing before the first
    /// look.
    fn counts(&self, awaited: (f32, f32)) -> (f32, f32) {
        let Some(courses) = &self.courses else { return (0.0, 0.0) };
        let known = self.book.counts(self.followed).filter(|_| awaited == self.awaited);
        known.unwrap_or_else(|| {
            book::recipe(self.followed).counts(Parts { courses, standby: &self.standby, awaited })
        })
    }

    /// The fewest there are at first: who has seen little should not believe that demand stays as low as it fell.
    fn at_first(&self, start_up: f64) -> f32 {
        let first = (FIRST_START_UPS * start_up).min(FIRST);
        if (0.0..first).contains(&self.judged) && self.judged > 0.0 {
            return (CALM * self.book.work() / self.judged).ceil() as f32;
        }
        0.0
    }

    /// How long the cautious loop is followed: until it is known how long instances take, and where demand
    /// jumps from the beginning on.
    fn probation(&self, start_up: Option<f64>) -> f64 {
        let (lowest, highest) = self.levels.unwrap_or_default();
        let calm = highest < CALM * lowest + CALM_BESIDES;
        let short = start_up.map(|start_up| (4.0 * start_up).max(CALM_PROBATION));
        short.filter(|_| calm).map_or(PROBATION, |short| short.min(PROBATION))
    }

    /// Why `count` are kept, and `wanted`, which may be more than the followed loop wants.
    fn besides(&self, wanted: f32, count: f32) -> String {
        let ordered = self.counts(self.awaited).0;
        if count > wanted {
            format!("; {} until keeping them has cost as much as changes do", number(f64::from(count)))
        } else if count > ordered {
            format!("; {} while little has been seen", number(f64::from(count)))
        } else if ordered > self.counts((0.0, 0.0)).0 {
            format!("; {} for the burst that comes at this minute of the hour", number(f64::from(ordered)))
        } else {
            String::new()
        }
    }

    fn reason(&self) -> String {
        let recipe = book::recipe(self.followed);
        let (trend, hold) = course::describe(recipe.course);
        let level = self.courses.as_ref().map_or(0.0, |courses| courses.of(recipe.course).0);
        let level = number(f64::from(level));
        let held = Some(hold).filter(|hold| *hold > 0.0).map(|hold| span(Duration::from_secs_f32(hold)));
        let follows = match (trend, held) {
            (true, None) => format!("on the way to {level}"),
            (true, Some(held)) => format!("on the way to {level} within {held}"),
            (false, None) => format!("at most {level} of late"),
            (false, Some(held)) => format!("at most {level} within {held}"),
        };
        let times = number(f64::from(recipe.margin));
        let kept = if times == "1" { "so many".to_owned() } else { format!("{times} times as many") };
        let standby = recipe.standby.map_or_else(String::new, |which| {
            let (least, _) = self.standby.count(which);
            let enough = percent(standby::SHARES[which]);
            format!(", and no fewer than {}, enough {enough} of the time", number(f64::from(least)))
        });
        let short = percent(self.book.short(self.followed));
        format!(
            "{follows}; kept are {kept}{standby}: on paper that left {short} of the demand without capacity"
        )
    }
}

/// Where requests may wait until what was started for them has worked them off: the loop that starts as many as that takes. What
/// came in a moment is spread over as many readings as the level is the mean of, and has to be done in what the start leaves of the wait.
fn met_late(wait: f64, start_up: Option<f64>) -> Option<usize> {
    let left = wait - start_up? - DECIDED;
    if left <= 0.0 {
        return None;
    }
    book::following((outlook::LEVEL as f64 / left).max(1.0) as f32)
}

/// The larger of two numbers, in one instruction. The library's function takes care of what is not a number.
#[inline(always)]
fn larger(one: f32, other: f32) -> f32 {
    if one > other { one } else { other }
}

#[inline(always)]
fn smaller(one: f32, other: f32) -> f32 {
    if one < other { one } else { other }
}

/// One of two numbers without a branch, so that processors choose several at once.
#[inline(always)]
fn either(first: bool, one: f32, other: f32) -> f32 {
    let ones = u32::from(first).wrapping_neg();
    f32::from_bits(one.to_bits() & ones | other.to_bits() & !ones)
}

#[cfg(test)]
#[path = "headroom/tests.rs"]
mod tests;
