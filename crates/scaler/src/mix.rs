//! The mix: from which pools the wanted capacity comes, at the least cost.
//!
//! Spot capacity is cheap because it may be taken back, and what takes it back takes all of a pool at once. So
//! a mix has to be as much as is wanted even without its largest spot pool: the more pools spot capacity
//! is spread over, the less of it is there for that. What is committed is paid for anyway and comes first.
//!
//! How it is found: say that no spot pool is larger than some size. Then all pools together need the wanted
//! capacity and that size, and what is left is to fill that with the cheapest instances, of which there are
//! so and so many. Every size that a spot pool can have is looked at, most of them no longer than it takes to see
//! that even parts of instances would cost more than what was found before.
//!
//! Capacities are whole hundredths of a usual instance, so sums are exact and ties are ties.

/// Looks at so many combinations for one mix at most; the best so far holds then.
const PATIENCE: u32 = 20_000;
/// Dollars an hour that make no difference.
const NOTHING: f64 = 1e-9;

/// Instances that can be had.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Offer {
    /// Per hour of an instance, for a decision: what is paid for anyway costs nothing.
    pub price: f64,
    /// Of an instance, in hundredths of a usual one. Above zero.
    pub capacity: u32,
    /// How many there are.
    pub most: u32,
    /// May vanish, with all others of its pool.
    pub spot: bool,
}

/// How many to have of each offer.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Plan {
    /// In the order of the offers.
    pub counts: Vec<u32>,
    /// Whether what is wanted is there even without the largest spot pool.
    pub survives: bool,
}

/// The cheapest instances with a capacity of `wanted` hundredths, also without the largest spot pool. Where offers
/// do not suffice for that, what comes closest.
pub fn cheapest(offers: &[Offer], wanted: u64) -> Plan {
    let market = Market::new(offers);
    match market.cheapest(wanted) {
        Some(counts) => Plan { counts, survives: true },
        None => Plan { counts: market.closest(wanted), survives: false },
    }
}

/// Offers, those that give most for a dollar first.
struct Market<'a> {
    offers: &'a [Offer],
    order: Vec<usize>,
}

/// A search for the cheapest instances of a capacity.
struct Search<'a> {
    market: &'a Market<'a>,
    /// How many there are of each, where no spot pool is larger than some size.
    most: Vec<u64>,
    counts: Vec<u64>,
    best: Option<(f64, Vec<u64>)>,
    left: u32,
}

impl<'a> Market<'a> {
    fn new(offers: &'a [Offer]) -> Self {
        let mut order: Vec<usize> = (0..offers.len()).filter(|&at| offers[at].capacity > 0).collect();
        let rate = |at: &usize| offers[*at].price / f64::from(offers[*at].capacity);
        order.sort_by(|one, other| rate(one).total_cmp(&rate(other)).then(one.cmp(other)));
        Self { offers, order }
    }

    fn cheapest(&self, wanted: u64) -> Option<Vec<u32>> {
        let mut best: Option<(f64, Vec<u64>)> = None;
        let mut left = PATIENCE;
        for size in self.sizes(wanted) {
            let most = self.most(size);
            let (need, least) = (wanted + size, best.as_ref().map_or(f64::INFINITY, |(cost, _)| *cost));
            if self.bound(0, need, &most).is_none_or(|bound| bound >= least - NOTHING) {
                continue;
            }
            let counts = vec![0; self.offers.len()];
            let mut search = Search { market: self, most, counts, best: best.take(), left };
            search.fill(0, need, 0.0);
            (best, left) = (search.best, search.left);
        }
        best.map(|(_, counts)| counts.into_iter().map(|count| count as u32).collect())
    }

    /// The capacities that the largest spot pool may have.
    fn sizes(&self, wanted: u64) -> Vec<u64> {
        let spot = self.offers.iter().filter(|offer| offer.spot && offer.capacity > 0);
        // A pool that is larger than what is wanted is of no use: it may vanish.
        let of = |offer: &Offer| {
            let (capacity, most) = (u64::from(offer.capacity), u64::from(offer.most));
            (1..=most.min(wanted.div_ceil(capacity))).map(move |count| count * capacity)
        };
        let mut sizes: Vec<u64> = std::iter::once(0).chain(spot.flat_map(of)).collect();
        sizes.sort_unstable();
        sizes.dedup();
        sizes
    }

    /// How many there are of each, where no spot pool is larger than `size`.
    fn most(&self, size: u64) -> Vec<u64> {
        let of = |offer: &Offer| {
            let most = u64::from(offer.most);
            if offer.spot { most.min(size / u64::from(offer.capacity.max(1))) } else { most }
        };
        self.offers.iter().map(of).collect()
    }

    /// What `need` costs at least, with parts of instances, of the offers from `rank` on. `None`: there is not enough.
    fn bound(&self, rank: usize, mut need: u64, most: &[u64]) -> Option<f64> {
        let mut cost = 0.0;
        for &at in &self.order[rank..] {
            let Offer { price, capacity, .. } = self.offers[at];
            let there = most[at] * u64::from(capacity);
            let taken = need.min(there);
            cost += price * taken as f64 / f64::from(capacity);
            need -= taken;
            if need == 0 {
                return Some(cost);
            }
        }
        (need == 0).then_some(cost)
    }

    /// All that cannot vanish, and the spot pools as evenly as may be.
    fn closest(&self, wanted: u64) -> Vec<u32> {
        let mut counts = vec![0_u32; self.offers.len()];
        let mut need = wanted;
        for &at in self.order.iter().filter(|&&at| !self.offers[at].spot) {
            let Offer { capacity, most, .. } = self.offers[at];
            let count = need.div_ceil(capacity.into()).min(most.into());
            counts[at] = count as u32;
            need = need.saturating_sub(count * u64::from(capacity));
        }
        // Twice what is missing, so that half of it may go.
        let mut need = 2 * need;
        while need > 0 {
            let has_more = |at: &&usize| {
                let offer = &self.offers[**at];
                offer.spot && counts[**at] < offer.most && offer.capacity > 0
            };
            let size = |at: &&usize| u64::from(counts[**at]) * u64::from(self.offers[**at].capacity);
            let Some(&smallest) = self.order.iter().filter(has_more).min_by_key(size) else { break };
            counts[smallest] += 1;
            need = need.saturating_sub(self.offers[smallest].capacity.into());
        }
        counts
    }
}

impl Search<'_> {
    /// Fills `need` with the offers from `rank` on, for less than the best so far. Whether that could be.
    fn fill(&mut self, rank: usize, need: u64, cost: f64) -> bool {
        let least = self.best.as_ref().map_or(f64::INFINITY, |(cost, _)| *cost);
        let bound = self.market.bound(rank, need, &self.most);
        if bound.is_none_or(|bound| cost + bound >= least - NOTHING) || self.left == 0 {
            return false;
        }
        self.left -= 1;
        if need == 0 {
            self.best = Some((cost, self.counts.clone()));
            return true;
        }
        let at = self.market.order[rank];
        let Offer { price, capacity, .. } = self.market.offers[at];
        // The most first: it is the cheapest, but where the last is needed in part only.
        let most = need.div_ceil(capacity.into()).min(self.most[at]);
        for count in (0..=most).rev() {
            self.counts[at] = count;
            let rest = need.saturating_sub(count * u64::from(capacity));
            if !self.fill(rank + 1, rest, cost + price * count as f64) && count < most {
                break;
            }
        }
        self.counts[at] = 0;
        true
    }
}

#[cfg(test)]
#[path = "mix/tests.rs"]
mod tests;
