//! What was decided, and on which grounds.
//!
//! In memory: of each fleet the last decisions that changed something and the last one that did not, for
//! whoever asks why. On disk: every step, with what was observed and now and then the policies and what
//! is remembered, so that all of it can be decided again and comes to the same, bit for bit; and so that
//! the next process knows what this one learned.
//!
//! Invariant: memory and disk are bounded, and neither a full nor a hanging disk holds up a decision.

pub mod file;
pub mod history;
pub mod line;
pub mod read;
pub(crate) mod recover;

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use serde::{Deserialize, Serialize};
use tidegate_core::{FleetId, Timestamp, policy::Mode};
use tidegate_scaler::{
    Decision, Observed, Record,
    record::{Account, Outcome},
};

pub(crate) use self::file::{Standing, Writer};

/// Decisions that changed something, of each fleet.
pub(crate) const KEPT: usize = 1_000;

/// The same, of all fleets together.
const KEPT_IN_ALL: usize = 50_000;

/// One line of the journal's files.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Entry {
    pub fleet: FleetId,
    pub record: Record,
}

/// One decision as it is told.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Page {
    pub at: Timestamp,
    pub mode: Mode,
    pub decision: Arc<Decision>,
    /// What the candidate decided.
    pub candidate: Option<Arc<Decision>>,
    pub observed: Observed,
    pub account: Account,
}

impl Page {
    /// Of a record that changed something, as it was written. The candidate's decision is there only if it
    /// changed something too.
    pub fn of(record: Record) -> Option<Self> {
        let decision = |outcome: Outcome| outcome.decision.map(|decision| Arc::new(*decision));
        Some(Self {
            at: record.at,
            mode: record.mode,
            decision: decision(record.outcome)?,
            candidate: record.candidate.and_then(decision),
            observed: record.observed,
            account: record.account.unwrap_or_default(),
        })
    }
}

/// The decisions of all fleets, in memory.
#[derive(Debug, Default)]
pub(crate) struct Journal {
    fleets: BTreeMap<FleetId, Pages>,
}

#[derive(Debug, Default)]
struct Pages {
    /// Those that changed something, oldest first.
    changes: VecDeque<Arc<Page>>,
    /// The last one that did not, if it is newer than the last change.
    quiet: Option<Arc<Page>>,
}

impl Journal {
    /// Keeps a decision.
    pub(crate) fn append(&mut self, fleet: &FleetId, page: Page) {
        let most = KEPT.min(KEPT_IN_ALL / self.fleets.len().max(1)).max(1);
        let pages = match self.fleets.get_mut(fleet) {
            Some(pages) => pages,
            None => self.fleets.entry(fleet.clone()).or_default(),
        };
        if !page.decision.changes() {
            pages.quiet = Some(Arc::new(page));
            return;
        }
        while pages.changes.len() >= most {
            pages.changes.pop_front();
        }
        pages.changes.push_back(Arc::new(page));
        pages.quiet = None;
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
    ) -> Option<Vec<Arc<Page>>> {
        let pages = self.fleets.get(fleet)?;
        let all = pages.quiet.iter().chain(pages.changes.iter().rev());
        let known = all.filter(|page| at.is_none_or(|at| page.at <= at));
        Some(known.take(limit).cloned().collect())
    }

    /// When the first and the last known decision about a fleet were made.
    pub(crate) fn range(&self, fleet: &FleetId) -> Option<(Timestamp, Timestamp)> {
        let pages = self.fleets.get(fleet)?;
        let mut all = pages.changes.iter().chain(&pages.quiet).map(|page| page.at);
        let first = all.next()?;
        Some((first, all.next_back().unwrap_or(first)))
    }
}

#[cfg(test)]
mod tests;
