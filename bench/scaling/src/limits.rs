//! What the best could do, worked out for each row of the table: the bound for all of them, and what habits are worth where
//! a goal is missed.

use std::{
    collections::BTreeMap,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use tidegate_sim::{CAPACITY, Conditions, live::USUAL_TARGET, report::OBJECTIVE};

use crate::{
    clairvoyant,
    demands::Known,
    habits::{Habits, Worth},
    hindsight::{self, Outcome},
};

/// By demand, start-up time and buffer.
pub(crate) type Limits = BTreeMap<(&'static str, u32, u32), Limit>;

/// What is asked of the best.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Question<'a> {
    pub(crate) known: &'a Known,
    pub(crate) conditions: Conditions,
    /// Whether what habits are worth is of interest.
    pub(crate) habits: bool,
    /// Share of requests that the default policy violated.
    pub(crate) violated: f64,
    pub(crate) floor_instance_hours: f64,
    /// Changes a day that it should have made do with, where it did not.
    pub(crate) actions_per_day: Option<f64>,
}

/// Costs over the floor.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limit {
    /// Of who knows the future.
    pub(crate) future: f64,
    /// The same with no more changes than were asked for.
    pub(crate) calm: Option<f64>,
    pub(crate) fitted: Option<Outcome>,
    pub(crate) learned: Option<Outcome>,
}

/// Answers all questions, `threads` at once; those about habits if asked for.
pub(crate) fn all(threads: usize, habits: Option<&Habits>, questions: &[Question<'_>]) -> Limits {
    let (next, limits) = (AtomicUsize::new(0), Mutex::new(Limits::new()));
    thread::scope(|scope| {
        for _ in 0..threads.max(1) {
            scope.spawn(|| {
                while let Some(question) = questions.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let Conditions { start_up, buffer } = question.conditions;
                    let limit = Limit::find(question, habits);
                    let mut limits = limits.lock().unwrap_or_else(PoisonError::into_inner);
                    limits.insert((question.known.name, start_up, buffer), limit);
                    let (name, done) = (question.known.name, limits.len());
                    eprintln!("limits of {name}, {start_up} s, {buffer} s: {done} of {}", questions.len());
                }
            });
        }
    });
    limits.into_inner().unwrap_or_else(PoisonError::into_inner)
}

impl Limit {
    fn find(question: &Question<'_>, habits: Option<&Habits>) -> Self {
        let (demand, conditions) = (&question.known.demand, question.conditions);
        // Who misses the objective is measured by what it violated: the question is whether that had to be.
        let share = question.violated.max(OBJECTIVE);
        let requests: f64 = demand.arrivals().iter().map(|&arrivals| f64::from(arrivals)).sum();
        let days = demand.seconds() as f64 / 86_400.0;
        let first = demand.first_instances(f64::from(CAPACITY), USUAL_TARGET);
        let bound = |changes| {
            let limits = clairvoyant::Limits { first, violated: share * requests, changes };
            let least = clairvoyant::bound(demand, conditions, limits);
            least / 3_600.0 / question.floor_instance_hours
        };
        let calm = question.actions_per_day.filter(|_| question.known.is_short());
        let worth = habits.filter(|_| question.habits).map(|habits| habits.worth(question.known, conditions));
        let cheapest =
            |outcomes: fn(&Worth) -> &[Outcome]| hindsight::cheapest(outcomes(worth.as_ref()?), share);
        Self {
            future: bound(None),
            calm: calm.map(|actions| bound(Some(actions * days))),
            fitted: cheapest(|worth| &worth.fitted),
            learned: cheapest(|worth| &worth.learned),
        }
    }
}
