//! What the Lua of each plugin took: a script, where it is used.
//!
//! A plugin is counted as it goes on, stretch by stretch, so one that never ends is seen. How many are kept is bounded, because a
//! configuration may name other scripts every second: with too many, those are forgotten that nothing serves any more, and
//! what is still too much is counted together.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use super::add;
use crate::RouteId;

/// Plugins that are told apart.
const PLUGINS: usize = 4_096;

/// Which plugin.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct PluginId {
    /// `None`: of no route.
    pub route: Option<RouteId>,
    /// As OpenResty calls it.
    pub phase: &'static str,
    /// The script; empty for what is no script of its own, such as timers.
    pub script: String,
}

/// All plugins of a node.
#[derive(Debug)]
pub(super) struct Plugins {
    shards: usize,
    known: Mutex<BTreeMap<PluginId, Arc<Tally>>>,
    others: Arc<Tally>,
}

impl Plugins {
    pub(super) fn new(shards: usize) -> Self {
        Self { shards, known: Mutex::default(), others: Arc::new(Tally::new(shards)) }
    }

    pub(super) fn tally(&self, id: PluginId) -> Arc<Tally> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(tally) = known.get(&id) {
            return Arc::clone(tally);
        }
        if known.len() >= PLUGINS {
            known.retain(|_, tally| Arc::strong_count(tally) > 1);
        }
        if known.len() >= PLUGINS {
            return Arc::clone(&self.others);
        }
        Arc::clone(known.entry(id).or_insert_with(|| Arc::new(Tally::new(self.shards))))
    }

    pub(super) fn totals(&self) -> Vec<(PluginId, LuaTotals)> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let mut all: Vec<_> = known.iter().map(|(id, tally)| (id.clone(), tally.totals())).collect();
        let others = self.others.totals();
        if others != LuaTotals::default() {
            all.push((PluginId { route: None, phase: "", script: "others".into() }, others));
        }
        all
    }
}

/// The counters of one plugin, a shard for each worker and each lane.
#[derive(Debug)]
pub struct Tally(Box<[Shard]>);

#[derive(Debug, Default)]
#[repr(align(128))]
struct Shard(LuaCounters);

impl Tally {
    fn new(shards: usize) -> Self {
        Self((0..shards).map(|_| Shard::default()).collect())
    }

    /// Adds what was taken on worker number `worker`, which alone writes there.
    #[inline]
    pub fn add(&self, worker: usize, taken: &LuaTotals) {
        self.0[worker].0.add(taken);
    }

    pub fn totals(&self) -> LuaTotals {
        let mut totals = LuaTotals::default();
        for shard in &self.0 {
            shard.0.add_to(&mut totals);
        }
        totals
    }
}

/// What Lua took on one worker, which alone writes here.
#[derive(Debug, Default)]
pub(super) struct LuaCounters {
    cpu_ns: AtomicU64,
    allocated_bytes: AtomicU64,
    yields: AtomicU64,
    wait_ns: AtomicU64,
}

impl LuaCounters {
    #[inline]
    pub(super) fn add(&self, taken: &LuaTotals) {
        add(&self.cpu_ns, taken.cpu_ns);
        add(&self.allocated_bytes, taken.allocated_bytes);
        if taken.yields > 0 {
            add(&self.yields, taken.yields);
            add(&self.wait_ns, taken.wait_ns);
        }
    }

    pub(super) fn allocated_bytes(&self) -> u64 {
        self.allocated_bytes.load(Relaxed)
    }

    pub(super) fn add_to(&self, totals: &mut LuaTotals) {
        totals.cpu_ns += self.cpu_ns.load(Relaxed);
        totals.allocated_bytes += self.allocated_bytes();
        totals.yields += self.yields.load(Relaxed);
        totals.wait_ns += self.wait_ns.load(Relaxed);
    }
}

/// What Lua took.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LuaTotals {
    /// Time that code ran for, on the worker's thread.
    pub cpu_ns: u64,
    /// Bytes that it asked for, whether or not they are in use still.
    pub allocated_bytes: u64,
    /// How often it waited, and for how long altogether.
    pub yields: u64,
    pub wait_ns: u64,
}

impl LuaTotals {
    pub const fn cpu(&self) -> Duration {
        Duration::from_nanos(self.cpu_ns)
    }

    pub const fn waited(&self) -> Duration {
        Duration::from_nanos(self.wait_ns)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: usize) -> PluginId {
        PluginId { route: None, phase: "access", script: format!("{number}.lua") }
    }

    fn bytes(allocated_bytes: u64) -> LuaTotals {
        LuaTotals { allocated_bytes, ..LuaTotals::default() }
    }

    #[test]
    fn a_plugin_keeps_its_counts_and_sums_its_shards() {
        let plugins = Plugins::new(2);
        plugins.tally(id(1)).add(0, &bytes(1));
        plugins.tally(id(1)).add(1, &bytes(2));
        assert_eq!(plugins.totals(), [(id(1), bytes(3))]);
    }

    #[test]
    fn too_many_are_counted_together_and_what_is_gone_is_forgotten() {
        let plugins = Plugins::new(1);
        let served: Vec<_> = (0..PLUGINS).map(|number| plugins.tally(id(number))).collect();
        plugins.tally(id(PLUGINS)).add(0, &bytes(7));
        let totals = plugins.totals();
        assert_eq!(totals.len(), PLUGINS + 1);
        assert_eq!((totals[PLUGINS].0.script.as_str(), totals[PLUGINS].1), ("others", bytes(7)));
        drop(served);
        plugins.tally(id(PLUGINS)).add(0, &bytes(5));
        assert_eq!(plugins.totals().first().unwrap(), &(id(PLUGINS), bytes(5)), "nothing served the rest");
    }
}
