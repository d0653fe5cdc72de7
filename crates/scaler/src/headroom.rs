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
//! objective, a request without capacity is worth the inverse of it: a thousand times the capacity that
//! it needed at 0.1 %.
//!
//! Demand is arrivals times the learned work per request. Until that is known, and while it is
//! not yet clear who wins, a cautious loop is followed.
//!
//! Not here: forecasts beyond the start-up time.

mod book;
mod course;
mod outlook;
mod packed;
mod standby;
mod window;

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tidegate_core::policy::{Headroom, Target, TargetMetric};

use crate::{
    opinion::{Opinion, Wanted},
    target,
    words::{Words, number, percent, span},
};

use self::{book::Book, course::Course, outlook::Outlook, standby::Standby};

/// How long the cautious loop is followed before another may win, in seconds.
const PROBATION: f64 = 600.0;
/// The same where demand has been calm: its highest level no more than so many times the lowest, besides what is
/// noise in a small fleet. Four start-up times it is at least.
const CALM_PROBATION: f64 = 120.0;
const CALM: f64 = 1.15;
const CALM_BESIDES: f64 = 0.5;
/// Seconds between two choices.
const CHOICE: f64 = 10.0;
/// The part of the objective that a loop may use up on paper to be followed: it is judged late.
const CAUTION: f64 = 0.9;
/// Of that, so many seconds of evidence allow a half.
const EVIDENCE: f64 = 1_800.0;
/// So many times the objective is allowed while nothing of the budget was spent, and once it was spent too fast.
const MOST_ALLOWED: f64 = 2.0;
const LEAST_ALLOWED: f64 = 0.2;
/// In between, the objective is what is allowed at this share of the budget spent, and each hundredth spent more takes
/// so many hundredths from it: what is known of instances that take minutes to start comes late.
const WELL_SPENT: f64 = 0.9;
const STRICT: f64 = 5.0;
/// After this long, in seconds, what was spent of the budget weighs 37 %: a week.
const BUDGET_MEMORY: f64 = 604_800.0;
/// A challenger must cost this much less.
const ADVANTAGE: f32 = 0.99;
/// How long instances are taken to start while that is not known.
const UNKNOWN_START_UP: Duration = Duration::from_secs(30);
/// A longer gap between two readings, in seconds, is judged as one of this length.
const LONGEST_GAP: f64 = 15.0;
/// Demand from here on, in instances, is not believed.
const LARGEST: f64 = 1e6;
/// What is aimed at while the work per request is not known.
const USUAL: Target = Target { metric: TargetMetric::Utilization, route: None, value: 0.8, tolerance: 0.1 };

/// All loops, which of them is followed, and what is left of the budget.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Rivalry {
    outlook: Outlook,
    standby: Standby,
    /// None before the first look.
    courses: Vec<Course>,
    book: Book,
    budget: Budget,
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
            courses: Vec::new(),
            book: Book::default(),
            budget: Budget::default(),
            judged: 0.0,
            until_choice: 0.0,
            levels: None,
            last: None,
            followed: book::CAUTIOUS,
        }
    }
}

/// What the instances that really were ready left undone, in instance-seconds, fading.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Budget {
    work: f64,
    short: f64,
    waiting: f64,
}

impl Budget {
    fn charge(&mut self, passed: f64, work: f64, ready: u32, patient: f64) {
        let kept = (-passed / BUDGET_MEMORY).exp();
        let left = (self.waiting + work - f64::from(ready) * passed).max(0.0);
        let late = (left - patient).max(0.0);
        self.waiting = left - late;
        (self.work, self.short) = (self.work * kept + work, self.short * kept + late);
    }

    /// The share of work that may be left undone from here on.
    fn allowed(&self, overload: f64) -> f64 {
        let spent = if self.work > 0.0 { self.short / self.work / overload } else { 0.0 };
        overload * (1.0 + STRICT * (WELL_SPENT - spent)).clamp(LEAST_ALLOWED, MOST_ALLOWED)
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
        let gap = self.last.replace(now).map_or(0.0, |last| now.saturating_sub(last).as_secs_f64());
        let passed = gap.min(LONGEST_GAP);
        self.judge(headroom, passed, demand, sight.settled);
        self.look(passed, demand, start_up.unwrap_or(UNKNOWN_START_UP).as_secs_f64());
        self.choose(headroom, passed, start_up);
        let (count, _) = book::recipe(self.followed).counts(&self.courses, &self.standby);
        let because = || {
            let reason = self.reason();
            format!(
                "{} requests/s of {}ms work keep {} busy, {reason}",
                number(rate),
                number(work * 1e3),
                number(demand)
            )
        };
        Opinion { wanted: Wanted::Count(count as u32), because: words.say(because) }
    }

    /// Charges every loop, and the budget, for the time since the last step.
    fn judge(&mut self, headroom: &Headroom, passed: f64, demand: f64, ready: u32) {
        if passed <= 0.0 || self.courses.len() != course::COURSES {
            return;
        }
        let work = demand * passed;
        // Of what waits, the work that came in this second and `wait` less one before it is not late yet.
        let wait = headroom.wait.as_secs_f64();
        let earlier = self.outlook.arrived_within((wait - passed).max(0.0), passed);
        let patient = if wait > 0.0 { earlier + work * (wait / passed).min(1.0) } else { 0.0 };
        self.book.charge(&self.courses, &self.standby, passed, work, patient);
        self.budget.charge(passed, work, ready, patient);
        self.judged += passed;
    }

    /// Lets every loop see the newest demand.
    fn look(&mut self, passed: f64, demand: f64, start_up: f64) {
        self.outlook.observe(passed, demand);
        let level = self.outlook.level();
        let (lowest, highest) = self.levels.unwrap_or((level, level));
        self.levels = Some((lowest.min(level), highest.max(level)));
        if self.courses.len() != course::COURSES || !self.book.is_whole() || self.followed >= book::LOOPS {
            // The first look, or a journal of other loops than these: what they knew is of no use.
            (self.courses, self.book) = (Course::all(&self.outlook), Book::default());
            (self.judged, self.followed) = (0.0, book::CAUTIOUS);
        }
        let mut changed = Course::follow(&mut self.courses, &self.outlook, passed, start_up);
        if self.standby.observe(passed, demand) {
            for course in course::WITH_STANDBY {
                changed[course] = true;
            }
        }
        self.book.recount(&self.courses, &self.standby, &changed);
    }

    fn choose(&mut self, headroom: &Headroom, passed: f64, start_up: Option<Duration>) {
        self.until_choice -= passed;
        if self.judged < self.probation(start_up) || self.until_choice > 0.0 {
            return;
        }
        self.until_choice = CHOICE;
        let evidence = self.judged / (self.judged + EVIDENCE);
        let allowed = CAUTION * evidence * self.budget.allowed(headroom.overload);
        self.followed = self.book.best(allowed, 1.0 / headroom.overload, self.followed, ADVANTAGE);
    }

    /// How long the cautious loop is followed: until it is known how long instances take, and where demand
    /// jumps from the beginning on.
    fn probation(&self, start_up: Option<Duration>) -> f64 {
        let (lowest, highest) = self.levels.unwrap_or_default();
        let calm = highest < CALM * lowest + CALM_BESIDES;
        let short = start_up.map(|start_up| (4.0 * start_up.as_secs_f64()).max(CALM_PROBATION));
        short.filter(|_| calm).map_or(PROBATION, |short| short.min(PROBATION))
    }

    fn reason(&self) -> String {
        let recipe = book::recipe(self.followed);
        let (trend, hold) = course::describe(recipe.course);
        let level = number(f64::from(self.courses[recipe.course].level));
        let follows = if trend { "rising to" } else { "at most" };
        let held = match hold {
            0.0 => "of late".to_owned(),
            _ => format!("within {}", span(Duration::from_secs_f32(hold))),
        };
        let standby = recipe.standby.map_or_else(String::new, |which| {
            let (kept, _) = self.standby.count(which);
            format!(
                ", at least {}, enough {} of the time",
                number(f64::from(kept)),
                percent(standby::SHARES[which])
            )
        });
        let (times, short) = (number(f64::from(recipe.margin)), percent(self.book.short(self.followed)));
        format!(
            "{follows} {level} {held}; {times} times that{standby} would have left {short} of the demand without \
             capacity of late"
        )
    }
}

#[cfg(test)]
#[path = "headroom/tests.rs"]
mod tests;
