//! Plans that end with the same number of ready instances, as far as each may still be the best.
//!
//! They differ in how many requests wait. Of two plans the one in which fewer wait is worth keeping only if it is
//! dearer, and of two the dearer one only if it is so by less than violating the difference: waiting requests never
//! do more harm than that, and never any good.

/// A plan up to now.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Plan {
    /// Requests that wait: always the youngest.
    pub(crate) queue: f64,
    pub(crate) priced: f64,
    pub(crate) violated: f64,
    pub(crate) changes: f64,
}

impl Plan {
    /// The same, dearer by `price` and with so many more changes.
    pub(crate) fn moved(self, price: f64, changes: f64) -> Self {
        Self { priced: self.priced + price, changes: self.changes + changes, ..self }
    }
}

/// More waiting and cheaper from plan to plan.
#[derive(Debug, Clone, Default)]
pub(crate) struct Front(Vec<Plan>);

impl Front {
    pub(crate) fn plans(&self) -> &[Plan] {
        &self.0
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Plan> {
        self.0.iter_mut()
    }

    /// Adds a plan in which at least as many wait as in those before it, where a violated request costs `request`.
    pub(crate) fn push(&mut self, plan: Plan, request: f64) {
        while let Some(last) = self.0.last() {
            if last.priced < plan.priced + request * (plan.queue - last.queue) {
                break;
            }
            self.0.pop();
        }
        if self.0.last().is_none_or(|last| plan.priced < last.priced) {
            self.0.push(plan);
        }
    }

    /// Adds `others`; what is not needed of both is dropped.
    pub(crate) fn merge(&mut self, others: &Self, price: f64, changes: f64, request: f64, spare: &mut Self) {
        if others.is_empty() {
            return;
        }
        spare.clear();
        let mut own = self.0.iter().copied().peekable();
        for plan in &others.0 {
            while let Some(before) = own.next_if(|own| own.queue <= plan.queue) {
                spare.push(before, request);
            }
            spare.push(plan.moved(price, changes), request);
        }
        own.for_each(|plan| spare.push(plan, request));
        std::mem::swap(self, spare);
    }

    /// Drops what is no better than one of `others` would be at `price` more.
    pub(crate) fn drop_worse(&mut self, others: &Self, price: f64, request: f64) {
        let worse = |plan: &Plan| {
            others.0.iter().any(|other| {
                other.priced + price + request * (other.queue - plan.queue).max(0.0) <= plan.priced
            })
        };
        self.0.retain(|plan| !worse(plan));
    }

    /// Joins neighbours until no more than `most` are left: each pair becomes a plan that is as good as the better of
    /// both in either way, so nothing becomes dearer than it is.
    pub(crate) fn shorten(&mut self, most: usize) {
        while self.0.len() > most {
            let mut at = 0;
            let joined = self.0.chunks(2).map(|pair| Plan { queue: pair[0].queue, ..pair[pair.len() - 1] });
            let joined: Vec<_> = joined.collect();
            for plan in joined {
                self.0[at] = plan;
                at += 1;
            }
            self.0.truncate(at);
        }
    }
}
