//! Of which pools the instances of a fleet are, and of which they should be.
//!
//! An instance of a pool that has more than its share goes when those that are to take its place are ready, so
//! moving from pool to pool costs no capacity.

use std::collections::BTreeMap;

use tidegate_core::PoolId;
use tidegate_scaler::{PoolShare, observed::PoolSeen};

use super::{Fleet, Instance, State};

impl Fleet {
    /// How many instances there should be, and of which pools. Without `shares` that does not matter.
    pub(crate) fn want(&mut self, desired: u32, shares: &[PoolShare]) {
        self.shares = shares.iter().map(|share| (share.pool.clone(), share.count)).collect();
        self.desired = if shares.is_empty() { desired } else { shares.iter().map(|share| share.count).sum() };
    }

    /// By how much each pool has more instances of `revision` than its share, or fewer. Empty where pools do not matter.
    pub(super) fn beyond_shares(&self, revision: u64) -> BTreeMap<Option<PoolId>, i64> {
        if self.shares.is_empty() {
            return BTreeMap::new();
        }
        let short = |(pool, count): (&PoolId, &u32)| (Some(pool.clone()), -i64::from(*count));
        let mut beyond: BTreeMap<_, _> = self.shares.iter().map(short).collect();
        for one in self.instances.iter().filter(|one| one.is_active() && one.revision == revision) {
            *beyond.entry(one.pool.clone()).or_default() += 1;
        }
        beyond
    }

    /// The pool that lacks most instances of `revision`.
    pub(super) fn lacking(&self, revision: u64) -> Option<PoolId> {
        let beyond = self.beyond_shares(revision).into_iter();
        let (pool, beyond) = beyond.min_by_key(|(_, beyond)| *beyond)?;
        pool.filter(|_| beyond < 0)
    }

    /// As [`pools_seen`](Self::pools_seen), and what was taken back, which is told once.
    pub(crate) fn see_pools(&mut self) -> BTreeMap<PoolId, PoolSeen> {
        let mut seen = self.pools_seen();
        for (pool, count) in std::mem::take(&mut self.reclaimed) {
            seen.entry(pool).or_default().reclaimed = count;
        }
        seen
    }

    /// Instances that start and that are ready, by pool.
    pub(crate) fn pools_seen(&self) -> BTreeMap<PoolId, PoolSeen> {
        let mut seen: BTreeMap<PoolId, PoolSeen> = BTreeMap::new();
        for one in &self.instances {
            let Some(pool) = &one.pool else { continue };
            let seen = seen.entry(pool.clone()).or_default();
            match one.state {
                State::Starting => seen.starting += 1,
                State::Ready { .. } => seen.ready += 1,
                State::Leaving { .. } | State::Draining | State::Failed { .. } => {}
            }
        }
        seen
    }

    /// An instance of that pool is taken back. What replaces it is for the next decision to say, so that it does not come from
    /// where the next would be taken back too.
    pub(super) fn note_reclaim(&mut self, pool: Option<PoolId>) {
        let Some(pool) = pool else { return };
        if let Some(share) = self.shares.get_mut(&pool).filter(|share| **share > 0) {
            *share -= 1;
            self.desired = self.desired.saturating_sub(1);
        }
        *self.reclaimed.entry(pool).or_default() += 1;
    }

    /// Instances that run, by pool.
    pub(crate) fn running(&self) -> BTreeMap<Option<&PoolId>, u32> {
        let mut running = BTreeMap::new();
        for one in self.instances.iter().filter(|one| Instance::runs(one)) {
            *running.entry(one.pool.as_ref()).or_default() += 1;
        }
        running
    }
}

#[cfg(test)]
#[path = "pools/tests.rs"]
mod tests;
