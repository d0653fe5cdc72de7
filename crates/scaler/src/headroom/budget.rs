//! The budget: what may be left undone, what was, and what it is worth not to.

use serde::{Deserialize, Serialize};

use crate::fading::Fading;

/// So many times the objective is allowed while nothing of the budget was spent, and once it was spent too fast.
const MOST_ALLOWED: f64 = 2.0;
const LEAST_ALLOWED: f64 = 0.2;
/// In between, the objective is what is allowed at this share of the budget spent, and each hundredth spent more takes
/// so many hundredths from it. The sooner instances start, the sooner is known what was spent, so the more may be: up to so much where they are
/// there at once, and down to the least where they take so long, in seconds.
const WELL_SPENT: f64 = 0.93;
const WELL_SPENT_LATE: f64 = 0.85;
const LATE: f64 = 120.0;
const STRICT: f64 = 5.0;
/// After this long, in seconds, what was spent of the budget weighs 37 %: a week.
const MEMORY: f64 = 604_800.0;
/// Of the objective, what nobody minds to have spent when it comes to the price.
const PARDONED: f64 = 0.5;
/// The price never falls below this share of what it is while the objective is kept.
const LEAST_PRICE: f64 = 0.1;

/// What the instances that really were ready left undone, in instance-seconds, fading.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Budget {
    work: f64,
    short: f64,
    waiting: f64,
    #[serde(skip)]
    fading: Fading,
}

impl Budget {
    pub(super) fn charge(&mut self, passed: f64, work: f64, ready: u32, patient: f64) {
        let kept = self.fading.kept(passed, MEMORY);
        let late = serve(&mut self.waiting, work, f64::from(ready) * passed, patient);
        (self.work, self.short) = (self.work * kept + work, self.short * kept + late);
    }

    /// The share of work that may be left undone from here on, where instances take `start_up` seconds.
    pub(super) fn allowed(&self, overload: f64, start_up: f64) -> f64 {
        let late = (start_up / LATE).min(1.0);
        let well_spent = WELL_SPENT + late * (WELL_SPENT_LATE - WELL_SPENT);
        overload * (1.0 + STRICT * (well_spent - self.spent(overload))).clamp(LEAST_ALLOWED, MOST_ALLOWED)
    }

    /// How much work done is worth as much as work not left undone: the inverse of the objective. Where much more
    /// was left undone the inverse of that, for then a hundredth less of it matters as much as it did before.
    pub(super) fn price(&self, overload: f64) -> f64 {
        1.0 / overload / (self.spent(overload) - PARDONED).clamp(1.0, 1.0 / LEAST_PRICE)
    }

    /// One is all of it.
    fn spent(&self, overload: f64) -> f64 {
        if self.work > 0.0 { self.short / self.work / overload } else { 0.0 }
    }
}

/// Adds `work` to what is `waiting` and does as much of it as there is `capacity` for. What is left and may not wait, as it is more
/// than `patient`, is late: it is returned, and waits no more. All in instance-seconds.
pub(super) fn serve(waiting: &mut f64, work: f64, capacity: f64, patient: f64) -> f64 {
    let left = (*waiting + work - capacity).max(0.0);
    let late = (left - patient).max(0.0);
    *waiting = left - late;
    late
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(value: f64, expected: f64) {
        assert!((value - expected).abs() < 1e-9, "{value}, not {expected}");
    }

    #[test]
    fn a_budget_that_is_nearly_spent_is_saved() {
        let allowed =
            |short: f64| Budget { work: 1_000.0, short, ..Budget::default() }.allowed(0.001, LATE) / 0.001;
        close(allowed(0.0), MOST_ALLOWED);
        close(allowed(0.85), 1.0);
        close(allowed(0.95), 0.5);
        close(allowed(1.5), LEAST_ALLOWED);
    }

    #[test]
    fn the_more_was_left_undone_the_less_does_more_of_it_matter() {
        let price = |short: f64| Budget { work: 1_000.0, short, ..Budget::default() }.price(0.001);
        for (short, expected) in [(0.0, 1_000.0), (1.5, 1_000.0), (2.5, 500.0), (4.5, 250.0), (90.0, 100.0)] {
            close(price(short), expected);
        }
        close(Budget::default().price(0.01), 100.0);
    }

    #[test]
    fn what_may_wait_is_not_left_undone() {
        let mut budget = Budget::default();
        budget.charge(1.0, 5.0, 3, 2.0);
        close(budget.short, 0.0);
        budget.charge(1.0, 5.0, 3, 2.0);
        close(budget.short, 2.0);
    }
}
