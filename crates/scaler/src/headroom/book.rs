//! The book: what each loop would have cost, and whom it would have hurt.
//!
//! A loop is a [`Course`] times a margin, and for some also at least a standby. Every second each is charged
//! for the instances it would have paid for, for its changes, and for the work that its instances would
//! have left undone for longer than a request may wait: first come, first served, as at the gateway.

use serde::{Deserialize, Serialize};
use tidegate_core::Flaw;

use super::{
    course::{CAUTIOUS as CAUTIOUS_COURSE, COURSES, Courses, WITH_STANDBY, change},
    larger,
    packed::{self, Column},
    smaller,
    standby::{SHARES, Standby},
    weight::{Weight, pay},
};

/// What a course is multiplied by. Below one: requests may wait, and a mean is seldom reached.
const MARGINS: [f32; 12] = [0.85, 0.9, 0.94, 0.97, 1.0, 1.04, 1.1, 1.3, 1.45, 1.7, 2.0, 2.6];
/// The margins that standby is combined with.
const FEW_MARGINS: [f32; 4] = [1.0, 1.08, 1.2, 1.45];
const PLAIN: usize = COURSES * MARGINS.len();
const WITH_EACH: usize = FEW_MARGINS.len() * SHARES.len();
pub(super) const LOOPS: usize = PLAIN + WITH_STANDBY.len() * WITH_EACH;
/// The cautious course and 30 % more.
pub(super) const CAUTIOUS: usize = CAUTIOUS_COURSE * MARGINS.len() + 7;
/// After this long, in seconds, a charge weighs 37 % of a new one.
const MEMORY: f64 = 4.0 * 3_600.0;

/// Less of a difference is rounding.
const NOTABLE: f32 = 1e-3;

/// What makes one loop.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Recipe {
    pub(super) course: usize,
    pub(super) margin: f32,
    /// Number of the share of time that standby is enough for.
    pub(super) standby: Option<usize>,
}

pub(super) fn recipe(index: usize) -> Recipe {
    if let Some(index) = index.checked_sub(PLAIN) {
        let (course, rest) = (WITH_STANDBY[index / WITH_EACH % WITH_STANDBY.len()], index % WITH_EACH);
        let standby = Some(rest % SHARES.len());
        return Recipe { course, margin: FEW_MARGINS[rest / SHARES.len()], standby };
    }
    Recipe { course: index / MARGINS.len(), margin: MARGINS[index % MARGINS.len()], standby: None }
}

/// The loop that follows the level as it is, times `margin` or the next larger one that there is.
pub(super) fn following(margin: f32) -> Option<usize> {
    MARGINS.iter().position(|&other| other >= margin)
}

/// What loops are made of.
#[derive(Debug, Clone, Copy)]
pub(super) struct Parts<'a> {
    pub(super) courses: &'a Courses,
    pub(super) standby: &'a Standby,
    /// What every loop keeps, and has ready, for bursts that are awaited.
    pub(super) awaited: (f32, f32),
}

impl Recipe {
    /// Whole instances that it keeps, and that of these are ready.
    pub(super) fn counts(self, parts: Parts<'_>) -> (f32, f32) {
        let (level, course_ready) = parts.courses.of(self.course);
        let (kept, ready) = self.standby.map_or((0.0, 0.0), |which| parts.standby.count(which));
        let (kept, ready) = (kept.max(parts.awaited.0), ready.max(parts.awaited.1));
        (whole((self.margin * level).max(kept)), whole((self.margin * course_ready).max(ready)))
    }
}

/// Whole instances, one at least. Less than a thousandth is rounding, not demand.
#[inline(always)]
pub(super) fn whole(needed: f32) -> f32 {
    let needed = needed - 1e-3;
    // Rounding up by hand: the target's instruction for it may not be assumed, and the library's function is slow. Next
    // to this number there are no fractions, so what is added is rounded to the nearest whole one.
    let near = needed + WHOLE_FROM - WHOLE_FROM;
    let up = if near < needed { near + 1.0 } else { near };
    larger(if needed < WHOLE_FROM { up } else { needed }, 1.0)
}

/// From here on there are no fractions: two to the power of 23.
const WHOLE_FROM: f32 = 8_388_608.0;

/// The margin of each loop with standby, of one course.
const EACH_MARGIN: [f32; WITH_EACH] = {
    let mut margins = [0.0; WITH_EACH];
    let mut at = 0;
    while at < WITH_EACH {
        margins[at] = FEW_MARGINS[at / SHARES.len()];
        at += 1;
    }
    margins
};

/// What each loop with standby keeps at least and has ready, of one course.
fn standing(parts: Parts<'_>) -> ([f32; WITH_EACH], [f32; WITH_EACH]) {
    let (mut kept, mut ready) = ([0.0; WITH_EACH], [0.0; WITH_EACH]);
    for (at, (kept, ready)) in kept.iter_mut().zip(&mut ready).enumerate() {
        let (standing, standing_ready) = parts.standby.count(at % SHARES.len());
        (*kept, *ready) = (larger(standing, parts.awaited.0), larger(standing_ready, parts.awaited.1));
    }
    (kept, ready)
}

/// The least of many numbers, eight by eight as processors do it. What is not a number is passed over.
#[inline(always)]
pub(super) fn least(numbers: &[f32]) -> f32 {
    let (rows, rest) = numbers.as_chunks::<8>();
    let mut lanes = [f32::INFINITY; 8];
    for row in rows {
        for (lane, &number) in lanes.iter_mut().zip(row) {
            *lane = smaller(number, *lane);
        }
    }
    lanes.iter().chain(rest).fold(f32::INFINITY, |least, &number| smaller(number, least))
}

/// All loops, a column for each figure, as they are charged together. What fades is weighted.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Book {
    /// Instance-seconds, but for those that are owed.
    #[serde(with = "packed")]
    cost: Column<LOOPS>,
    /// Work that found no capacity in time, in instance-seconds.
    #[serde(with = "packed")]
    short: Column<LOOPS>,
    /// Work that waits.
    #[serde(with = "packed")]
    waiting: Column<LOOPS>,
    /// All work.
    work: f64,
    /// Seconds for which every loop has yet to pay what it has.
    #[serde(default)]
    owed: f64,
    #[serde(default)]
    weight: Weight,
    #[serde(skip)]
    counts: Counts,
}

/// Instances that each loop has and that are ready, where that is known, and whether it is known that for none anything waits. That
/// follows from the rest and is no memory.
#[derive(Debug, Clone, Default)]
struct Counts {
    paid: Column<LOOPS>,
    ready: Column<LOOPS>,
    are_known: bool,
    nothing_waits: bool,
}

impl PartialEq for Counts {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Counts {
    fn count(&mut self, parts: Parts<'_>) {
        for (index, (paid, ready)) in self.paid.iter_mut().zip(self.ready.iter_mut()).enumerate() {
            (*paid, *ready) = recipe(index).counts(parts);
        }
        self.are_known = true;
    }
}

impl Book {
    pub(super) fn check(&self) -> Result<(), Flaw> {
        self.weight.check()
    }

    /// Charges every loop for `passed` seconds in which `work` instance-seconds arrived; of what waits, no
    /// more than `patient` has not waited too long.
    #[inline(always)]
    pub(super) fn charge(&mut self, parts: Parts<'_>, passed: f64, work: f64, patient: f64) {
        if !self.counts.are_known {
            self.counts.count(parts);
        }
        let weight = self.weight.grow(
            (passed, MEMORY),
            &mut [&mut self.work, &mut self.owed],
            &mut [&mut self.cost[..], &mut self.short[..]],
        );
        self.work += weight * work;
        self.owed += weight * passed;
        let (weight, work, patient, passed) = (weight as f32, work as f32, patient as f32, passed as f32);
        // Mostly steps take a second, and all that may wait is nothing.
        if passed.to_bits() == 1.0_f32.to_bits() {
            self.charge_each(weight, work, patient, |count| count);
        } else {
            self.charge_each(weight, work, patient, |count| count * passed);
        }
    }

    /// Where so many instances are so many instance-seconds.
    #[inline(always)]
    fn charge_each(&mut self, weight: f32, work: f32, patient: f32, seconds: impl Fn(f32) -> f32) {
        let loops = self.short.iter_mut().zip(self.counts.ready.iter());
        if patient <= 0.0 && self.counts.nothing_waits {
            for (short, &ready) in loops {
                *short += weight * larger(work - seconds(ready), 0.0);
            }
            return;
        }
        for ((short, &ready), waiting) in loops.zip(self.waiting.iter_mut()) {
            let left = larger(*waiting + work - seconds(ready), 0.0);
            let late = larger(left - patient, 0.0);
            *waiting = left - late;
            *short += weight * late;
        }
        self.counts.nothing_waits =
            patient <= 0.0 && self.waiting.iter().all(|waiting| waiting.to_bits() == 0);
    }

    /// Lets every loop pay what it owes.
    #[inline(always)]
    pub(super) fn settle(&mut self) {
        if self.counts.are_known {
            pay(&mut self.owed, &mut self.cost[..], &self.counts.paid[..]);
        }
    }

    /// Counts anew where a course changed, or what stands by did, and charges the loops that changed for it: `worth` so many
    /// times what a change usually is.
    #[inline(always)]
    pub(super) fn recount(&mut self, parts: Parts<'_>, changed: &[bool; COURSES], worth: f32) {
        if !self.counts.are_known {
            return;
        }
        let (least, least_ready) = parts.awaited;
        let standing = WITH_STANDBY.iter().any(|&course| changed[course]).then(|| standing(parts));
        for (number, _) in changed.iter().enumerate().filter(|&(_, &changed)| changed) {
            let (first, course) = (number * MARGINS.len(), parts.courses.of(number));
            self.recount_rows(
                first,
                course,
                &MARGINS,
                (&[least; MARGINS.len()], &[least_ready; MARGINS.len()]),
                worth,
            );
            let place = WITH_STANDBY.iter().position(|&other| other == number);
            if let Some((place, (kept, ready))) = place.zip(standing.as_ref()) {
                self.recount_rows(PLAIN + place * WITH_EACH, course, &EACH_MARGIN, (kept, ready), worth);
            }
        }
    }

    /// Counts `N` loops of a course anew, from number `first` on: of each its margin and the fewest it keeps and has ready.
    /// Without branches and as arrays, so that processors do several at once.
    #[inline(always)]
    fn recount_rows<const N: usize>(
        &mut self,
        first: usize,
        (level, course_ready): (f32, f32),
        margins: &[f32; N],
        (kept, ready): (&[f32; N], &[f32; N]),
        worth: f32,
    ) {
        let (owed, worth) = (self.owed as f32, worth * self.weight.now() as f32);
        let rows = first..first + N;
        let paid = &mut self.counts.paid[rows.clone()];
        let now_ready = &mut self.counts.ready[rows.clone()];
        let costs = &mut self.cost[rows];
        for at in 0..N {
            let keeps = whole(larger(margins[at] * level, kept[at]));
            let changes = if keeps.to_bits() == paid[at].to_bits() { 0.0 } else { worth * change(keeps) };
            costs[at] += changes + (paid[at] - keeps) * owed;
            paid[at] = keeps;
            now_ready[at] = whole(larger(margins[at] * course_ready, ready[at]));
        }
    }

    /// What a loop keeps and has ready, where it was counted.
    pub(super) fn counts(&self, index: usize) -> Option<(f32, f32)> {
        let Counts { paid, ready, .. } = &self.counts;
        self.counts.are_known.then(|| (paid[index], ready[index]))
    }

    /// The loop with the least cost, once all have [paid](Self::settle), where work left undone beyond `allowed` (a share) costs
    /// `penalty` times as much as work done. `followed` is left only for one that is better by a factor of `advantage`.
    #[inline(always)]
    pub(super) fn best(&self, allowed: f64, penalty: f64, followed: usize, advantage: f32) -> usize {
        let (most, penalty) = ((allowed * self.work) as f32, penalty as f32);
        let score = |(cost, short): (&f32, &f32)| cost + penalty * larger(short - most, 0.0);
        let mut scores = [f32::INFINITY; LOOPS];
        for (of_loop, figures) in scores.iter_mut().zip(self.cost.iter().zip(self.short.iter())) {
            *of_loop = score(figures);
        }
        let least = least(&scores);
        if least < scores[followed] * advantage {
            return scores.iter().position(|score| score.to_bits() == least.to_bits()).unwrap_or(followed);
        }
        followed
    }

    /// Instance-seconds that the loops ask for a unit of work that `followed` leaves undone and another does not: the
    /// least of all, and no more than `most`.
    #[inline(always)]
    pub(super) fn asked(&self, followed: usize, most: f64) -> f64 {
        let (cost, short) = (self.cost[followed], self.short[followed]);
        let notably = short - NOTABLE * short.max(self.weight.now() as f32);
        // Without branches, as there are many and it is asked for often.
        let mut asks = [f32::INFINITY; LOOPS];
        for (ask, (other, left)) in asks.iter_mut().zip(self.cost.iter().zip(self.short.iter())) {
            let each = larger(other - cost, 0.0) / (short - left);
            *ask = if *left < notably { each } else { f32::INFINITY };
        }
        smaller(least(&asks), most as f32).into()
    }

    /// The share of work that a loop left undone of late.
    pub(super) fn short(&self, index: usize) -> f64 {
        if self.work > 0.0 { f64::from(self.short[index]) / self.work } else { 0.0 }
    }

    /// All work so far, fading.
    pub(super) fn work(&self) -> f64 {
        self.work / self.weight.now()
    }

    /// Whether the columns are as long as there are loops: they come from a journal.
    pub(super) fn is_whole(&self) -> bool {
        [&self.cost, &self.short, &self.waiting].iter().all(|column| column.is_whole())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::headroom::outlook::Outlook;

    proptest! {
        #[test]
        fn whole_is_rounded_up(needed in prop_oneof![0.0..10.0_f32, 0.0..1e4_f32, 0.0..1e9_f32]) {
            prop_assert_eq!(whole(needed).to_bits(), (needed - 1e-3).ceil().max(1.0).to_bits());
        }

        #[test]
        fn what_is_counted_anew_is_what_the_recipes_say(
            demands in prop::collection::vec(0.0..50.0_f64, 61..150),
            awaited in (0.0..20.0_f32, 0.0..20.0_f32),
        ) {
            let (mut outlook, mut standby, mut book) = (Outlook::default(), Standby::default(), Book::default());
            outlook.observe(1.0, demands[0]);
            let mut courses = Courses::new(&outlook);
            for &demand in &demands {
                let parts = Parts { courses: &courses, standby: &standby, awaited };
                book.charge(parts, 1.0, demand, 0.0);
                outlook.observe(1.0, demand);
                let mut changed =
                    courses.follow((&outlook, outlook.level()), (1.0, 5.0), 1.0).unwrap_or_default();
                if standby.observe(1.0, demand) {
                    for course in WITH_STANDBY {
                        changed[course] = true;
                    }
                }
                let parts = Parts { courses: &courses, standby: &standby, awaited };
                book.recount(parts, &changed, 1.0);
                let mut counts = Counts::default();
                counts.count(parts);
                prop_assert!((counts.paid, counts.ready) == (book.counts.paid.clone(), book.counts.ready.clone()));
            }
        }

        /// The twin lets everything fade and everybody pay in every step.
        #[test]
        fn who_pays_later_pays_as_much(
            demands in prop::collection::vec(0.0..50.0_f64, 1..100),
            (passed, patient, worth) in (0.5..4.0_f64, prop_oneof![Just(0.0), 0.0..20.0_f64], 0.2..1.0_f32),
            weight in prop_oneof![Just(1.0), 65_000.0..65_536.0_f64],
        ) {
            let (mut outlook, standby) = (Outlook::default(), Standby::default());
            outlook.observe(passed, demands[0]);
            let mut courses = Courses::new(&outlook);
            let mut book = Book { weight: weight.into(), ..Book::default() };
            let (mut cost, mut short, mut waiting) = ([0.0_f64; LOOPS], [0.0_f64; LOOPS], [0.0_f64; LOOPS]);
            let kept = (-passed / MEMORY).exp();
            for &demand in &demands {
                let parts = Parts { courses: &courses, standby: &standby, awaited: (0.0, 0.0) };
                let before: Vec<_> = (0..LOOPS).map(|index| recipe(index).counts(parts)).collect();
                book.charge(parts, passed, demand * passed, patient);
                outlook.observe(passed, demand);
                let changed = courses.follow((&outlook, outlook.level()), (passed, 5.0), 1.0).unwrap_or_default();
                let parts = Parts { courses: &courses, standby: &standby, awaited: (0.0, 0.0) };
                book.recount(parts, &changed, worth);
                for (index, (paid, ready)) in before.into_iter().enumerate() {
                    let left = (waiting[index] + passed * (demand - f64::from(ready))).max(0.0);
                    let late = (left - patient).max(0.0);
                    let (now, _) = recipe(index).counts(parts);
                    let changes = if now.to_bits() == paid.to_bits() { 0.0 } else { worth * change(now) };
                    waiting[index] = left - late;
                    short[index] = short[index] * kept + late;
                    cost[index] = cost[index] * kept + f64::from(paid) * passed + f64::from(changes);
                }
            }
            book.settle();
            for index in 0..LOOPS {
                let of_now = |figure: f32| f64::from(figure) / book.weight.now();
                let (paid, left) = (of_now(book.cost[index]), of_now(book.short[index]));
                prop_assert!((paid / cost[index] - 1.0).abs() < 1e-4, "{index}: {paid}, {}", cost[index]);
                prop_assert!((left - short[index]).abs() < 1e-3 * (1.0 + short[index]), "{index}: {left}, {}", short[index]);
            }
        }

        #[test]
        fn the_best_and_what_is_asked_are_what_one_after_the_other_finds(
            figures in prop::collection::vec((1.0..1e4_f32, 0.0..100.0_f32), LOOPS),
            followed in 0..LOOPS,
        ) {
            let (cost, short): (Vec<f32>, Vec<f32>) = figures.iter().copied().unzip();
            let book = Book { cost: cost.into(), short: short.into(), work: 1e4, ..Book::default() };
            let (mut best, mut least) = (followed, f32::INFINITY);
            let score = |index: usize| book.cost[index] + 50.0 * larger(book.short[index] - 10.0, 0.0);
            for index in 0..LOOPS {
                if score(index) < score(followed) * 0.99 && score(index) < least {
                    (best, least) = (index, score(index));
                }
            }
            prop_assert_eq!(book.best(0.001, 50.0, followed, 0.99), best);
            let mut asked = 1_000.0_f32;
            for index in 0..LOOPS {
                let notably = book.short[followed] - NOTABLE * book.short[followed].max(1.0);
                if book.short[index] < notably {
                    let dearer = (book.cost[index] - book.cost[followed]).max(0.0);
                    asked = asked.min(dearer / (book.short[followed] - book.short[index]));
                }
            }
            prop_assert_eq!(book.asked(followed, 1_000.0).to_bits(), f64::from(asked).to_bits());
        }
    }
}
