//! What was decided, and on which grounds.
//!
//! Of each fleet the journal keeps the last decisions that changed something and the last one that did
//! not, each with the policy, the memory of the scaler, and what was observed: enough to decide again
//! and come to the same, bit for bit. With a state directory the same goes to a file.
//!
//! Invariant: memory and disk are bounded, and neither a full nor a hanging disk holds up a decision.

mod file;

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use serde::{Deserialize, Serialize};
use tidegate_core::{FleetId, Timestamp};
use tidegate_scaler::Record;

pub(crate) use self::file::Writer;

/// Decisions that changed something, of each fleet.
pub(crate) const KEPT: usize = 1_000;

/// One line of the journal's file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Entry {
    pub fleet: FleetId,
    pub record: Arc<Record>,
}

/// The decisions of all fleets, in memory.
#[derive(Debug, Default)]
pub(crate) struct Journal {
    fleets: BTreeMap<FleetId, Pages>,
}

#[derive(Debug, Default)]
struct Pages {
    /// Those that changed something, oldest first.
    changes: VecDeque<Arc<Record>>,
    /// The last one that did not, if it is newer than the last change.
    quiet: Option<Arc<Record>>,
}

impl Journal {
    /// Keeps a record. Returns what belongs on disk now: a change, and before it the last decision
    /// that was none.
    pub(crate) fn append(&mut self, fleet: &FleetId, record: Record) -> Vec<Entry> {
        let record = Arc::new(record);
        let pages = self.fleets.entry(fleet.clone()).or_default();
        if !record.decision.changes() {
            pages.quiet = Some(record);
            return Vec::new();
        }
        if pages.changes.len() == KEPT {
            pages.changes.pop_front();
        }
        pages.changes.push_back(Arc::clone(&record));
        let entry = |record| Entry { fleet: fleet.clone(), record };
        pages.quiet.take().into_iter().chain([record]).map(entry).collect()
    }

    /// Forgets a fleet.
    pub(crate) fn remove(&mut self, fleet: &FleetId) {
        self.fleets.remove(fleet);
    }

    /// The last decisions that were made until `at`, newest first. `None`: no such fleet.
    pub(crate) fn until(
        &self,
        fleet: &FleetId,
        at: Option<Timestamp>,
        limit: usize,
    ) -> Option<Vec<Arc<Record>>> {
        let pages = self.fleets.get(fleet)?;
        let all = pages.quiet.iter().chain(pages.changes.iter().rev());
        let known = all.filter(|record| at.is_none_or(|at| record.at <= at));
        Some(known.take(limit).cloned().collect())
    }
}

#[cfg(test)]
mod tests;
