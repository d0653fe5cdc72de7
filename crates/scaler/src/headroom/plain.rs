//! The plain loops: what whoever sets a target by hand could have.
//!
//! Each keeps the highest level of a while, over a target, and changes the count whenever that changes. They are
//! judged on paper as the loops of the [book](super::book) are, but for days: what each would have paid and left undone, and
//! how often it would have changed the count. None of them is followed.

use serde::{Deserialize, Serialize};
use tidegate_core::Flaw;

use super::{
    book::{least, whole},
    either, larger,
    packed::{self, Column},
    weight::{Weight, pay},
    window::{Abreast, Largest, Smallest, abreast},
};

/// For how long the highest level is kept, in seconds, and how busy instances may be.
const HOLDS: [f32; 5] = [60.0, 300.0, 900.0, 1_800.0, 3_600.0];
const TARGETS: [f32; 6] = [0.5, 0.6, 0.7, 0.8, 0.9, 0.95];
const LOOPS: usize = HOLDS.len() * TARGETS.len();
/// After this long, in seconds, what was judged weighs 37 %: two days.
pub(super) const MEMORY: f64 = 172_800.0;

/// All plain loops, a column for each figure. What fades is weighted.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Plain {
    /// Of each hold, the highest level, and the lowest of that within a start-up time. None before the first look.
    #[serde(with = "abreast")]
    highest: Option<Abreast<Largest, { HOLDS.len() }, 1>>,
    #[serde(with = "abreast")]
    lowest: Option<Abreast<Smallest, 1, { HOLDS.len() }>>,
    #[serde(with = "packed")]
    kept: Column<LOOPS>,
    #[serde(with = "packed")]
    ready: Column<LOOPS>,
    #[serde(with = "packed")]
    waiting: Column<LOOPS>,
    /// Instance-seconds, but for those that are owed.
    #[serde(with = "packed")]
    cost: Column<LOOPS>,
    /// Work that found no capacity in time, in instance-seconds.
    #[serde(with = "packed")]
    short: Column<LOOPS>,
    #[serde(with = "packed")]
    changes: Column<LOOPS>,
    /// All work.
    work: f64,
    /// Seconds for which every loop has yet to pay what it keeps.
    #[serde(default)]
    owed: f64,
    #[serde(default)]
    weight: Weight,
    #[serde(skip)]
    seen: Seen,
}

/// What the loops of each hold went by last: while that stays, so do they. The least that of all is ready, and whether it is known that for
/// none anything waits. It follows from the rest and is no memory.
#[derive(Debug, Clone, Copy)]
struct Seen {
    highest: [f32; HOLDS.len()],
    lowest: [f32; HOLDS.len()],
    least_ready: f32,
    nothing_waits: bool,
}

impl Default for Seen {
    fn default() -> Self {
        let none = [f32::NAN; HOLDS.len()];
        Self { highest: none, lowest: none, least_ready: 0.0, nothing_waits: false }
    }
}

impl PartialEq for Seen {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

/// What one loop was judged to cost, and how often it changed the count.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Judged {
    pub(super) cost: f64,
    pub(super) changes: f64,
}

impl Plain {
    pub(super) fn check(&self) -> Result<(), Flaw> {
        self.highest.iter().try_for_each(Abreast::check).map_err(Flaw::of("highest"))?;
        self.lowest.iter().try_for_each(Abreast::check).map_err(Flaw::of("lowest"))?;
        self.weight.check()
    }

    /// Charges every loop for `passed` seconds in which `work` instance-seconds arrived; of what waits, no
    /// more than `patient` has not waited too long.
    #[inline(always)]
    pub(super) fn charge(&mut self, passed: f64, work: f64, patient: f64) {
        let weight = self.weight.grow(
            (passed, MEMORY),
            &mut [&mut self.work, &mut self.owed],
            &mut [&mut self.cost[..], &mut self.short[..], &mut self.changes[..]],
        );
        self.work += weight * work;
        self.owed += weight * passed;
        let (weight, work, patient, passed) = (weight as f32, work as f32, patient as f32, passed as f32);
        if self.seen.nothing_waits && work <= self.seen.least_ready * passed {
            return;
        }
        let loops = self.short.iter_mut().zip(self.ready.iter());
        for ((short, ready), waiting) in loops.zip(self.waiting.iter_mut()) {
            let left = larger(*waiting + work - ready * passed, 0.0);
            let late = larger(left - patient, 0.0);
            *waiting = left - late;
            *short += weight * late;
        }
        self.seen.nothing_waits = self.waiting.iter().fold(0, |any, waiting| any | waiting.to_bits()) == 0;
    }

    /// Lets every loop see the newest level.
    #[inline(always)]
    pub(super) fn look(&mut self, level: f64, passed: f64, start_up: f64) {
        let (level, passed, start_up) = (level as f32, passed as f32, start_up as f32);
        let begins = self.highest.is_none() || self.lowest.is_none();
        if begins {
            (self.highest, self.lowest) = (Some(Abreast::new(level)), Some(Abreast::new(level)));
        }
        let (Some(highest), Some(lowest)) = (&mut self.highest, &mut self.lowest) else { return };
        let highest = highest.hold(passed, &HOLDS, &[[level]; HOLDS.len()]).map(|[held]| held);
        let [lowest] = lowest.hold(passed, &[start_up], &[highest]);
        let before = self.seen;
        (self.seen.highest, self.seen.lowest) = (highest, lowest);
        let mut changed = [0; HOLDS.len()];
        for (which, changed) in changed.iter_mut().enumerate() {
            *changed = (highest[which].to_bits() ^ before.highest[which].to_bits())
                | (lowest[which].to_bits() ^ before.lowest[which].to_bits());
        }
        if changed.iter().fold(0, |any, bits| any | bits) == 0 {
            return;
        }
        for which in (0..HOLDS.len()).filter(|&which| changed[which] != 0) {
            self.count(
                which * TARGETS.len(),
                (highest[which], lowest[which]),
                if begins { 0.0 } else { 1.0 },
            );
        }
        self.seen.least_ready = least(&self.ready[..]);
    }

    /// Counts the loops of a hold anew, from number `first` on, and their changes as so many each.
    #[inline(always)]
    fn count(&mut self, first: usize, (held, ready): (f32, f32), change: f32) {
        let (owed, change) = (self.owed as f32, change * self.weight.now() as f32);
        let loops = first..first + TARGETS.len();
        let kept = self.kept[loops.clone()].iter_mut().zip(&mut self.ready[loops.clone()]);
        let charged = self.changes[loops.clone()].iter_mut().zip(&mut self.cost[loops]);
        for (((kept, now_ready), (changes, cost)), target) in kept.zip(charged).zip(TARGETS) {
            let keeps = whole(held / target);
            *cost += (*kept - keeps) * owed;
            *changes += either(keeps.to_bits() == kept.to_bits(), 0.0, change);
            (*kept, *now_ready) = (keeps, whole(ready / target));
        }
    }

    /// The cheapest of those that left undone no more than `overload` allows.
    #[inline(always)]
    pub(super) fn best(&mut self, overload: f64) -> Option<Judged> {
        pay(&mut self.owed, &mut self.cost[..], &self.kept[..]);
        let most = (overload * self.work) as f32;
        let mut costs = [f32::INFINITY; LOOPS];
        for (of_loop, (&cost, &short)) in costs.iter_mut().zip(self.cost.iter().zip(self.short.iter())) {
            *of_loop = if short <= most { cost } else { f32::INFINITY };
        }
        let least = least(&costs);
        let best =
            costs.iter().position(|cost| cost.to_bits() == least.to_bits() && least < f32::INFINITY)?;
        let of_now = |figure: f32| f64::from(figure) / self.weight.now();
        Some(Judged { cost: of_now(self.cost[best]), changes: of_now(self.changes[best]) })
    }

    /// Whether the columns are as long as there are loops: they come from a journal.
    pub(super) fn is_whole(&self) -> bool {
        let columns = [&self.kept, &self.ready, &self.waiting, &self.cost, &self.short, &self.changes];
        columns.iter().all(|column| column.is_whole())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The best after an hour in which instances take `start_up` seconds.
    fn best(demand: impl Fn(u32) -> f64, start_up: f64) -> Option<Judged> {
        let mut plain = Plain::default();
        plain.look(demand(0), 1.0, start_up);
        for second in 1..3_600 {
            plain.charge(1.0, demand(second), 0.0);
            plain.look(demand(second), 1.0, start_up);
        }
        plain.best(0.001)
    }

    #[test]
    fn steady_demand_needs_the_tightest_target_and_no_changes() {
        let Judged { cost, changes } = best(|_| 18.9, 5.0).unwrap();
        assert!((cost / 3_600.0 - 20.0).abs() < 0.3, "{cost}");
        assert!(changes <= 0.0, "{changes}");
    }

    #[test]
    fn where_demand_returns_every_ten_minutes_it_is_held_until_then() {
        let Judged { cost, changes } =
            best(|second| if second % 600 < 60 { 9.4 } else { 2.0 }, 30.0).unwrap();
        assert!((cost / 3_600.0 - 10.0).abs() < 0.2, "{cost}");
        assert!(changes <= 0.0, "{changes}");
    }

    #[test]
    fn where_instances_start_at_once_and_demand_rises_slowly_it_is_followed() {
        let ramp = |second: u32| 5.5 + f64::from(second % 1_200) / 120.0;
        let Judged { changes, .. } =
            best(|second| if second < 1_200 { ramp(second) } else { 15.0 }, 1.0).unwrap();
        assert!((8.0..=12.0).contains(&changes), "{changes}");
    }

    /// The twin keeps every level, and lets everything fade and everybody pay in every step.
    #[test]
    fn what_is_judged_is_what_every_second_cost() {
        let demand =
            |second: u32| 3.0 + f64::from(second.wrapping_mul(2_654_435_761) >> 28) + f64::from(second / 600);
        // So heavy that everything is divided in between.
        let mut plain = Plain { weight: 65_530.0.into(), ..Plain::default() };
        let kept = (-1.0 / MEMORY).exp();
        let (mut cost, mut changes, mut before, mut short) = (0.0, 0.0, None, [0.0; LOOPS]);
        plain.look(demand(0), 1.0, 1.0);
        for second in 1..1_800 {
            for (short, &ready) in short.iter_mut().zip(plain.ready.iter()) {
                *short = *short * kept + (demand(second - 1) - f64::from(ready)).max(0.0);
            }
            plain.charge(1.0, demand(second - 1), 0.0);
            let highest = (0..second).map(demand).fold(0.0, f64::max);
            let count = (highest / 0.5 - 1e-3).ceil();
            let changed = before.replace(count).is_some_and(|before: f64| before < count);
            changes = (changes + f64::from(u8::from(changed))) * kept;
            cost = cost * kept + count;
            plain.look(demand(second), 1.0, 1.0);
        }
        plain.best(0.001);
        let loose = (HOLDS.len() - 1) * TARGETS.len();
        let of_now = |figure: f32| f64::from(figure) / plain.weight.now();
        assert!(
            (of_now(plain.cost[loose]) / cost - 1.0).abs() < 1e-3,
            "{} {cost}",
            of_now(plain.cost[loose])
        );
        assert!(
            (of_now(plain.changes[loose]) - changes).abs() < 1.1,
            "{} {changes}",
            of_now(plain.changes[loose])
        );
        for (short, &weighted) in short.into_iter().zip(plain.short.iter()) {
            assert!((of_now(weighted) - short).abs() < 1e-3 * (1.0 + short), "{} {short}", of_now(weighted));
        }
        assert!(
            short.iter().any(|&short| short > 10.0) && short.iter().any(|&short| short < 10.0),
            "{short:?}"
        );
        assert!(plain.weight.now() < 60_000.0, "{}", plain.weight.now());
    }

    #[test]
    fn what_doubles_before_anything_can_start_is_kept_up_with_by_none() {
        let bursts = |second: u32| if second / 1_200 == 2 && second % 600 < 300 { 30.0 } else { 2.0 };
        assert_eq!(best(bursts, 120.0), None);
    }
}
