//! The decisions of a journal's files, without a gateway.

use std::{
    collections::{BTreeSet, VecDeque},
    path::Path,
    sync::Arc,
};

use anyhow::{Context, anyhow};
use tidegate_control::{
    journal::{
        Page,
        read::{Broken, Reader},
    },
    view::{DecidedView, DecisionsView, Range},
};
use tidegate_core::{FleetId, Timestamp};
use tidegate_scaler::record::{Account, Chain, Record, Replayed};

use crate::exit::Failure;

/// The decisions about `fleet` until `at`, newest first.
pub(crate) fn decisions(
    journal: &Path,
    fleet: &str,
    at: Option<Timestamp>,
    limit: usize,
) -> Result<DecisionsView, Failure> {
    let name = || format!("the journal {}", journal.display());
    let mut reader = Reader::open(journal).with_context(name).map_err(Failure::Environment)?;
    let (mut fleets, mut told) = (BTreeSet::<FleetId>::new(), Told::new(at, limit));
    while let Some((_, entry)) = reader.next_entry().with_context(name).map_err(Failure::Environment)? {
        if entry.fleet.as_str() == fleet {
            told.take(entry.record);
        } else {
            fleets.insert(entry.fleet);
        }
    }
    warn(&reader);
    let Some(known) = told.known else {
        let fleets: Vec<&str> = fleets.iter().map(FleetId::as_str).collect();
        let there = if fleets.is_empty() {
            "it is empty".to_owned()
        } else {
            format!("there are: {}", fleets.join(", "))
        };
        return Err(Failure::Input(anyhow!("{} has no fleet {fleet:?}; {there}", name())));
    };
    let pages = told.quiet.iter().chain(told.changes.iter().rev()).take(limit);
    Ok(DecisionsView { items: pages.map(DecidedView::from).collect(), known: Some(known) })
}

/// Says what could not be read.
pub(crate) fn warn(reader: &Reader) {
    if let Some(Broken { place, why }) = reader.broken().first() {
        let count = reader.broken().len();
        #[expect(clippy::print_stderr, reason = "beside the output, which may be for a program")]
        {
            eprintln!(
                "note: lines of the journal that cannot be read and are passed over: {count}, the first at {place}: {why}"
            );
        }
    }
}

/// What is to be told, as records go by.
struct Told {
    at: Option<Timestamp>,
    limit: usize,
    chain: Chain,
    account: Account,
    changes: VecDeque<Page>,
    quiet: Option<Page>,
    known: Option<Range>,
}

impl Told {
    fn new(at: Option<Timestamp>, limit: usize) -> Self {
        Self {
            at,
            limit,
            chain: Chain::default(),
            account: Account::default(),
            changes: VecDeque::new(),
            quiet: None,
            known: None,
        }
    }

    fn take(&mut self, record: Record) {
        let from = self.known.map_or(record.at, |known| known.from);
        self.known = Some(Range { from, to: record.at });
        if self.at.is_some_and(|at| record.at > at) {
            return;
        }
        self.account = record.account.unwrap_or(self.account);
        let verdict = match self.chain.follow(&record) {
            Replayed::Same(verdict) => Some(verdict),
            Replayed::Differs(_) | Replayed::Strayed | Replayed::Unknown => None,
        };
        let page = match verdict {
            Some(verdict) => Some(Page {
                at: record.at,
                mode: record.mode,
                decision: Arc::new(verdict.acting),
                candidate: verdict.candidate.map(Arc::new),
                observed: record.observed,
                account: self.account,
            }),
            // Nothing is known of what went before: what was written down must do.
            None => Page::of(record),
        };
        let Some(page) = page else { return };
        if page.decision.changes() {
            if self.changes.len() == self.limit {
                self.changes.pop_front();
            }
            self.changes.push_back(page);
            self.quiet = None;
        } else {
            self.quiet = Some(page);
        }
    }
}
