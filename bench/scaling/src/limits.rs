//! What the best could do where a goal is missed, worked out for each row of the table.

use std::{
    collections::BTreeMap,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use tidegate_sim::{Conditions, report::OBJECTIVE};

use crate::{
    clairvoyant,
    demands::Known,
    hindsight::{self, Outcome},
};

/// Demand of more seconds than this is too long for a bound with few changes: eighteen days.
const LONGEST: usize = 18 * 86_400;

/// By demand, start-up time and buffer.
pub(crate) type Limits = BTreeMap<(&'static str, u32, u32), Limit>;

/// What is asked of the best.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Question<'a> {
    pub(crate) known: &'a Known,
    pub(crate) conditions: Conditions,
    /// Share of requests that the default policy violated.
    pub(crate) violated: f64,
    pub(crate) floor_instance_hours: f64,
    /// Changes a day that it should have made do with, where it did not.
    pub(crate) actions_per_day: Option<f64>,
}

/// Costs over the floor.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limit {
    /// Of who knows the future; nothing is known where requests may wait.
    pub(crate) future: Option<f64>,
    /// The same with no more changes than were asked for.
    pub(crate) calm: Option<f64>,
    pub(crate) fitted: Option<Outcome>,
    pub(crate) learned: Option<Outcome>,
}

/// Answers all questions, `threads` at once.
pub(crate) fn all(threads: usize, questions: &[Question<'_>]) -> Limits {
    let (next, limits) = (AtomicUsize::new(0), Mutex::new(Limits::new()));
    thread::scope(|scope| {
        for _ in 0..threads.max(1) {
            scope.spawn(|| {
                while let Some(question) = questions.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let Conditions { start_up, buffer } = question.conditions;
                    let limit = Limit::find(question);
                    let mut limits = limits.lock().unwrap_or_else(PoisonError::into_inner);
                    limits.insert((question.known.name, start_up, buffer), limit);
                }
            });
        }
    });
    limits.into_inner().unwrap_or_else(PoisonError::into_inner)
}

impl Limit {
    fn find(question: &Question<'_>) -> Self {
        let (demand, conditions) = (&question.known.demand, question.conditions);
        // Who misses the objective is measured by what it violated: the question is whether that had to be.
        let share = question.violated.max(OBJECTIVE);
        let requests: f64 = demand.arrivals().iter().map(|&arrivals| f64::from(arrivals)).sum();
        let days = demand.seconds() as f64 / 86_400.0;
        let bound = |changes| {
            let limits = clairvoyant::Limits { violated: share * requests, changes };
            let least = clairvoyant::bound(demand, conditions.start_up, limits);
            least / 3_600.0 / question.floor_instance_hours
        };
        let at_once = conditions.buffer == 0;
        let calm = question.actions_per_day.filter(|_| at_once && demand.seconds() <= LONGEST);
        Self {
            future: at_once.then(|| bound(None)),
            calm: calm.map(|actions| bound(Some(actions * days))),
            fitted: hindsight::cheapest(&hindsight::fitted(demand, conditions), share),
            learned: hindsight::cheapest(&hindsight::learned(demand, conditions), share),
        }
    }
}
