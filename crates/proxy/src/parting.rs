//! Connections that go from one worker to another.
//!
//! A connection belongs to a worker for as long as a request is being served. Between two requests nothing of it is
//! anywhere but in the kernel, so there it can be passed on (as to a [`lane`](crate::lane)), and the client sees nothing of
//! that. Workers do so when one of them leaves, and when one has come and would have nothing to do as long as clients keep the
//! connections they have.

use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
};

use tokio::sync::mpsc;

use crate::lane::{Crossing, Permit};

/// A worker that takes connections.
#[derive(Debug, Clone)]
pub(crate) struct Colleague {
    pub(crate) index: usize,
    pub(crate) inbox: mpsc::Sender<Crossing>,
}

/// Which connections of a worker go where.
#[derive(Debug, Default)]
pub(crate) struct Parting {
    /// Whether there is anything to do: looked at for every request.
    any: Cell<bool>,
    plan: RefCell<Plan>,
}

#[derive(Debug, Default)]
struct Plan {
    colleagues: Vec<Colleague>,
    /// The number of a worker for each connection that has yet to go. `None`: all go, in turn.
    targets: Option<VecDeque<usize>>,
    turn: usize,
}

impl Parting {
    /// All connections go to `colleagues`. Without one they stay.
    pub(crate) fn all_go(&self, colleagues: Vec<Colleague>) {
        self.any.set(!colleagues.is_empty());
        self.plan.replace(Plan { colleagues, ..Plan::default() });
    }

    /// As many go as it takes until `own` has as many as the others, who have `counts`.
    pub(crate) fn even_out(&self, own: usize, colleagues: Vec<Colleague>, counts: impl Fn(usize) -> u64) {
        let of_all: Vec<_> = colleagues.iter().map(|one| (one.index, counts(one.index))).collect();
        let targets = targets(own, &of_all);
        self.any.set(!targets.is_empty());
        self.plan.replace(Plan { colleagues, targets: Some(targets), turn: 0 });
    }

    /// Whether a connection that has nothing to do is to go.
    pub(crate) const fn is_due(&self) -> bool {
        self.any.get()
    }

    /// The way for the next connection that is to go, if one is and there is room where it goes.
    pub(crate) fn next(&self) -> Option<Permit> {
        if !self.any.get() {
            return None;
        }
        let plan = &mut *self.plan.borrow_mut();
        let colleague = if let Some(targets) = &mut plan.targets {
            let target = targets.pop_front();
            self.any.set(!targets.is_empty());
            plan.colleagues.iter().find(|one| Some(one.index) == target)?
        } else {
            plan.turn += 1;
            &plan.colleagues[plan.turn % plan.colleagues.len()]
        };
        colleague.inbox.clone().try_reserve_owned().ok()
    }
}

/// A worker for each connection that is too many for `own`: those who lack some get them, each in the same measure.
fn targets(own: usize, counts: &[(usize, u64)]) -> VecDeque<usize> {
    let all: u64 = counts.iter().map(|(_, count)| count).sum();
    let fair = all.div_ceil((counts.len() as u64).max(1));
    let has = counts.iter().find(|(index, _)| *index == own).map_or(0, |(_, count)| *count);
    let surplus = has.saturating_sub(fair);
    let lacks: Vec<_> = counts.iter().map(|&(index, count)| (index, fair.saturating_sub(count))).collect();
    let lacking: u64 = lacks.iter().map(|(_, lack)| lack).sum();
    let mut targets = VecDeque::new();
    for (index, lack) in lacks {
        let share = (surplus * lack).checked_div(lacking).unwrap_or(0).min(lack);
        targets.extend((0..share).map(|_| index));
    }
    targets
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn who_has_come_gets_its_share_from_each() {
        let counts = [(0, 30), (1, 30), (2, 0)];
        assert_eq!(targets(0, &counts), [2; 10]);
        assert_eq!(targets(1, &counts), [2; 10]);
        assert!(targets(2, &counts).is_empty());
        assert!(targets(0, &[(0, 7)]).is_empty(), "nobody to pass them on to");
    }

    proptest! {
        #[test]
        fn nobody_gets_more_than_its_share_or_gives_what_it_needs(counts in prop::collection::vec(0_u64..200, 1..9)) {
            let counts: Vec<_> = counts.into_iter().enumerate().collect();
            let all: u64 = counts.iter().map(|(_, count)| count).sum();
            let fair = all.div_ceil(counts.len() as u64);
            let plans: Vec<_> = counts.iter().map(|&(own, _)| targets(own, &counts)).collect();
            for &(index, count) in &counts {
                let gives = plans[index].len() as u64;
                let gets = plans.iter().flatten().filter(|&&target| target == index).count() as u64;
                prop_assert!(gives == 0 || gets == 0);
                prop_assert!(count - gives >= fair.min(count));
                prop_assert!(gets == 0 || count + gets <= fair);
            }
        }
    }
}
