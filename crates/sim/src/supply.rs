//! The modelled supply: a fleet for each pool, or one for all where there are no pools.
//!
//! What is taken back serves until its notice is over and is replaced at once, because it counts no more. A
//! pool with more than its share gives instances back only when enough others are ready.

use tidegate_core::policy::{Pool, PoolKind, Supply as Terms};
use tidegate_scaler::{PoolShare, observed::PoolSeen};

use crate::{
    fleet::{Fleet, Started},
    weather::Gust,
};

/// Instances by pool.
#[derive(Debug)]
pub(crate) struct Supply<'a> {
    terms: &'a Terms,
    /// One for each pool, or one.
    fleets: Vec<Fleet>,
    leaving: Vec<Leaving>,
    /// Taken back since it was last asked.
    reclaimed: Vec<u32>,
}

/// Instances that are taken back.
#[derive(Debug, Clone, Copy)]
struct Leaving {
    due: usize,
    pool: usize,
    count: u32,
}

/// What an hour costs, in US dollars: as things are, and if all that is wanted were on demand.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Bill {
    pub paid: f64,
    pub on_demand: f64,
}

impl<'a> Supply<'a> {
    /// With `ready` instances, of a pool that does not take them back.
    pub(crate) fn new(terms: &'a Terms, start_up: u32, ready: u32, seed: u64) -> Self {
        let pools = &terms.pools;
        let first = pools.iter().position(|pool| pool.kind == PoolKind::OnDemand).unwrap_or_default();
        let fleet = |(at, pool): (usize, &Pool)| {
            let start_up = pool.start_up.map_or(start_up, |takes| takes.as_secs_f64().ceil() as u32);
            Fleet::new(start_up, if at == first { ready } else { 0 }, seed.wrapping_add(at as u64))
        };
        let mut fleets: Vec<Fleet> = pools.iter().enumerate().map(fleet).collect();
        if fleets.is_empty() {
            fleets.push(Fleet::new(start_up, ready, seed));
        }
        Self { terms, reclaimed: vec![0; fleets.len()], fleets, leaving: Vec::new() }
    }

    pub(crate) fn ready(&self) -> u32 {
        self.all(Fleet::ready)
    }

    pub(crate) fn starting(&self) -> u32 {
        self.all(Fleet::starting)
    }

    pub(crate) fn launched(&self) -> u32 {
        self.all(Fleet::launched)
    }

    /// Of all fleets together. Mostly there is one.
    fn all(&self, count: impl Fn(&Fleet) -> u32) -> u32 {
        if let [only] = self.fleets.as_slice() { count(only) } else { self.fleets.iter().map(count).sum() }
    }

    /// What is ready, in usual instances.
    pub(crate) fn strength(&self) -> f64 {
        if self.terms.pools.is_empty() {
            return f64::from(self.ready());
        }
        let strength = |(fleet, pool): (&Fleet, &Pool)| f64::from(fleet.ready()) * pool.capacity;
        self.fleets.iter().zip(&self.terms.pools).map(strength).sum()
    }

    /// Begins `second`.
    #[inline]
    pub(crate) fn advance(&mut self, second: usize) -> Started {
        if let ([only], true) = (self.fleets.as_mut_slice(), self.leaving.is_empty()) {
            return only.advance(second);
        }
        self.advance_all(second)
    }

    fn advance_all(&mut self, second: usize) -> Started {
        let fleets = &mut self.fleets;
        self.leaving.retain(|leaving| {
            if leaving.due <= second {
                fleets[leaving.pool].take(leaving.count);
            }
            leaving.due > second
        });
        let mut started = Started::default();
        for one in self.fleets.iter_mut().map(|fleet| fleet.advance(second)) {
            started = Started { count: started.count + one.count, took: started.took.max(one.took) };
        }
        started
    }

    /// What the weather does.
    pub(crate) fn strike(&mut self, second: usize, gust: Gust) {
        for fleet in &mut self.fleets {
            if let Some(start_up) = gust.start_up {
                fleet.set_start_up(start_up);
            }
            if let Some(share) = gust.failing {
                fleet.set_failing(share);
            }
        }
        if let Some(amount) = gust.kill {
            let mut count = amount.of(self.ready());
            for fleet in &mut self.fleets {
                let killed = count.min(fleet.ready());
                fleet.kill(killed);
                count -= killed;
            }
        }
        for (at, pool) in self.terms.pools.iter().enumerate() {
            let struck = pool.kind == PoolKind::Spot && gust.reclaims(at);
            let count = if struck { self.staying(at) } else { 0 };
            if count > 0 {
                self.reclaimed[at] += count;
                self.leaving.push(Leaving { due: second + gust.notice as usize, pool: at, count });
            }
        }
    }

    /// What is seen of each pool since it was last asked.
    pub(crate) fn seen(&mut self) -> Vec<PoolSeen> {
        let seen = |at: usize| {
            let leaving = self.leaves(at);
            let ready = self.fleets[at].ready();
            PoolSeen {
                ready: ready.saturating_sub(leaving),
                starting: self.fleets[at].starting().saturating_sub(leaving.saturating_sub(ready)),
                reclaimed: self.reclaimed[at],
            }
        };
        let seen = (0..self.terms.pools.len()).map(seen).collect();
        self.reclaimed.fill(0);
        seen
    }

    /// Launches or stops instances so that there are `count`, or as many of each pool as `shares` say.
    #[inline]
    pub(crate) fn resize(&mut self, second: usize, count: u32, shares: &[PoolShare]) {
        if !shares.is_empty() && !self.terms.pools.is_empty() {
            self.share(second, shares);
        } else if count != self.fleets[0].launched() {
            self.fleets[0].resize(second, count);
        }
    }

    fn share(&mut self, second: usize, shares: &[PoolShare]) {
        for (at, share) in shares.iter().enumerate() {
            let more = share.count.saturating_sub(self.staying(at));
            if more > 0 {
                let launched = self.fleets[at].launched();
                self.fleets[at].resize(second, launched + more);
            }
        }
        let ready: u32 =
            (0..shares.len()).map(|at| self.fleets[at].ready().saturating_sub(self.leaves(at))).sum();
        let wanted: u32 = shares.iter().map(|share| share.count).sum();
        let mut spare = ready.saturating_sub(wanted);
        for (at, share) in shares.iter().enumerate() {
            let over = self.staying(at).saturating_sub(share.count);
            let launched = self.fleets[at].launched();
            // What still starts is no loss.
            let stopped = over.min(self.fleets[at].starting() + spare);
            spare -= stopped.saturating_sub(self.fleets[at].starting());
            if stopped > 0 {
                self.fleets[at].resize(second, launched - stopped);
            }
        }
    }

    /// What an hour costs, where `wanted` usual instances are asked for.
    pub(crate) fn bill(&self, wanted: u32) -> Bill {
        let cost = |(fleet, pool): (&Fleet, &Pool)| {
            pool.price * f64::from(if pool.kind == PoolKind::Reserved { pool.max } else { fleet.launched() })
        };
        let paid = self.fleets.iter().zip(&self.terms.pools).map(cost).sum();
        let on_demand = self.terms.on_demand_price().unwrap_or_default() * f64::from(wanted);
        Bill { paid, on_demand }
    }

    fn leaves(&self, pool: usize) -> u32 {
        self.leaving.iter().filter(|leaving| leaving.pool == pool).map(|leaving| leaving.count).sum()
    }

    fn staying(&self, pool: usize) -> u32 {
        self.fleets[pool].launched().saturating_sub(self.leaves(pool))
    }
}

#[cfg(test)]
mod tests {
    use tidegate_core::PoolId;

    use super::*;

    fn terms() -> Terms {
        let pool = |name, kind, price| Pool {
            name: PoolId::new(name).unwrap(),
            kind,
            price,
            capacity: 1.0,
            start_up: None,
            interruption: 0.0,
            max: 100,
        };
        let pools = vec![pool("steady", PoolKind::OnDemand, 0.1), pool("cheap", PoolKind::Spot, 0.03)];
        Terms { pools, budget: None }
    }

    fn shares(counts: [u32; 2]) -> Vec<PoolShare> {
        let pools = ["steady", "cheap"].into_iter().zip(counts);
        pools.map(|(name, count)| PoolShare { pool: PoolId::new(name).unwrap(), count, price: 0.0 }).collect()
    }

    #[test]
    fn a_pool_gives_way_when_another_is_ready() {
        let terms = terms();
        let mut supply = Supply::new(&terms, 5, 10, 1);
        supply.resize(0, 10, &shares([4, 6]));
        assert_eq!((supply.ready(), supply.launched()), (10, 16));
        supply.advance(5);
        supply.resize(5, 10, &shares([4, 6]));
        assert_eq!((supply.ready(), supply.launched()), (10, 10));
        let bill = supply.bill(10);
        assert!((bill.paid - 0.58).abs() < 1e-12 && (bill.on_demand - 1.0).abs() < 1e-12, "{bill:?}");
    }

    #[test]
    fn what_is_taken_back_serves_until_its_notice_is_over_and_is_replaced_before() {
        let terms = terms();
        let mut supply = Supply::new(&terms, 5, 10, 1);
        supply.resize(0, 10, &shares([4, 6]));
        supply.advance(5);
        supply.resize(5, 10, &shares([4, 6]));
        supply.strike(6, Gust { reclaim: u64::MAX, notice: 10, ..Gust::default() });
        let seen = supply.seen();
        assert_eq!((seen[1].ready, seen[1].reclaimed, seen[0].reclaimed), (0, 6, 0));
        assert_eq!(supply.seen()[1].reclaimed, 0, "it is said once");
        supply.resize(6, 10, &shares([10, 0]));
        assert_eq!((supply.ready(), supply.launched()), (10, 16));
        supply.advance(11);
        supply.resize(11, 10, &shares([10, 0]));
        assert_eq!((supply.ready(), supply.launched()), (16, 16), "both serve");
        supply.advance(16);
        assert_eq!((supply.ready(), supply.launched()), (10, 10));
    }
}
