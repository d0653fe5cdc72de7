//! Shared dictionaries: `ngx.shared.NAME`, one content for all workers of a node.
//!
//! Each is a [`Store`] behind a lock that is held for one operation, which never waits, allocates
//! little and calls nothing. Time is an argument.
//!
//! Invariant: a dictionary never holds more than its capacity, by the accounting of [`slab`].

mod slab;
pub mod store;

use std::{
    collections::{BTreeMap, btree_map},
    fmt,
    sync::Arc,
};

use parking_lot::Mutex;
use tidegate_core::{DictName, telemetry::DictUse};

use self::store::Store;

/// The shared dictionaries of a node.
#[derive(Debug, Default)]
pub struct Dicts(BTreeMap<DictName, Arc<SharedDict>>);

impl Dicts {
    /// Empty dictionaries of these names, with the bytes that each may hold.
    pub fn new(settings: &BTreeMap<DictName, u64>) -> Arc<Self> {
        Self::default().reconfigured(settings)
    }

    /// The dictionaries that a new configuration asks for. Those whose name and size stay are the
    /// same ones, content and all.
    pub fn reconfigured(&self, settings: &BTreeMap<DictName, u64>) -> Arc<Self> {
        let keep = |name, bytes| self.0.get(name).filter(|dict| dict.capacity == bytes).cloned();
        let dicts = settings.iter().map(|(name, &bytes)| {
            (name.clone(), keep(name, bytes).unwrap_or_else(|| Arc::new(SharedDict::new(bytes))))
        });
        Arc::new(Self(dicts.collect()))
    }

    pub fn get(&self, name: &DictName) -> Option<&Arc<SharedDict>> {
        self.0.get(name)
    }

    /// What there is in each now.
    pub fn uses(&self) -> Vec<(DictName, DictUse)> {
        self.iter().map(|(name, dict)| (name.clone(), dict.usage())).collect()
    }

    pub fn iter(&self) -> btree_map::Iter<'_, DictName, Arc<SharedDict>> {
        self.0.iter()
    }
}

impl<'a> IntoIterator for &'a Dicts {
    type Item = (&'a DictName, &'a Arc<SharedDict>);
    type IntoIter = btree_map::Iter<'a, DictName, Arc<SharedDict>>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

/// One dictionary.
pub struct SharedDict {
    capacity: u64,
    store: Mutex<Store>,
}

impl SharedDict {
    /// An empty one that may hold `capacity` bytes.
    pub fn new(capacity: u64) -> Self {
        Self { capacity, store: Mutex::new(Store::new(capacity)) }
    }

    /// Bytes that it may hold.
    pub const fn capacity(&self) -> u64 {
        self.capacity
    }

    fn usage(&self) -> DictUse {
        self.with(|store| DictUse {
            capacity_bytes: self.capacity,
            free_bytes: store.free(),
            items: store.items() as u64,
            evictions: store.evictions(),
        })
    }

    /// Does one thing, or several that nobody else may come between.
    pub fn with<R>(&self, operation: impl FnOnce(&mut Store) -> R) -> R {
        operation(&mut self.store.lock())
    }
}

impl fmt::Debug for SharedDict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedDict").field("capacity", &self.capacity).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use tidegate_core::Timestamp;

    use super::*;

    fn settings(dicts: &[(&str, u64)]) -> BTreeMap<DictName, u64> {
        dicts.iter().map(|&(name, bytes)| (DictName::new(name).unwrap(), bytes)).collect()
    }

    #[test]
    fn a_new_configuration_keeps_what_has_the_same_name_and_size() {
        let before = Dicts::new(&settings(&[("dogs", 4096), ("cats", 4096), ("cows", 4096)]));
        let after = before.reconfigured(&settings(&[("dogs", 4096), ("cats", 8192), ("hens", 4096)]));
        let same = |name: &str| {
            let name = DictName::new(name).unwrap();
            before.get(&name).zip(after.get(&name)).map(|(old, new)| Arc::ptr_eq(old, new))
        };
        assert_eq!(same("dogs"), Some(true));
        assert_eq!(same("cats"), Some(false));
        assert_eq!(same("cows"), None);
        assert_eq!(after.iter().count(), 3);
    }

    #[test]
    fn no_increment_of_four_threads_is_lost() {
        let dict = Arc::new(SharedDict::new(4096));
        let threads: Vec<_> = (0..4)
            .map(|_| {
                let dict = Arc::clone(&dict);
                thread::spawn(move || {
                    for _ in 0..10_000 {
                        dict.with(|store| {
                            store.incr(b"hits", 1.0, Some((0.0, None)), Timestamp::from_secs(1))
                        })
                        .unwrap();
                    }
                })
            })
            .collect();
        for thread in threads {
            thread.join().unwrap();
        }
        let sum = dict.with(|store| store.incr(b"hits", 0.0, None, Timestamp::from_secs(1))).unwrap();
        assert_eq!(sum.value as u32, 40_000);
    }
}
