//! What a journal says of each fleet, for the process that goes on with it.
//!
//! Files are read from the newest back, until every fleet's last checkpoint was found or a budget is
//! used up; the steps after it are taken again. What cannot be read is passed over, counted and said.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    fs, io,
    path::Path,
    time::{Duration, Instant},
};

use tidegate_core::{FleetId, Timestamp};
use tidegate_scaler::{
    Panel,
    record::{Account, Chain},
};

use super::{Entry, Journal, KEPT, Page, file};

/// Most bytes that are read.
const BUDGET: u64 = 128 << 20;

/// Longest that steps are taken again; then what is known must do.
const PATIENCE: Duration = Duration::from_secs(5);

/// What is known of one fleet.
#[derive(Debug)]
pub(crate) struct Recall {
    pub(crate) panel: Panel,
    /// Of the last step.
    pub(crate) at: Timestamp,
    pub(crate) number: u64,
    pub(crate) account: Account,
}

/// What is known of all fleets.
#[derive(Debug, Default)]
pub(crate) struct Recovered {
    pub(crate) fleets: BTreeMap<FleetId, Recall>,
    pub(crate) journal: Journal,
}

/// The lines that matter of one fleet, newest first.
#[derive(Debug, Default)]
struct Lines {
    /// From the last checkpoint on.
    steps: Vec<String>,
    has_checkpoint: bool,
    changes: VecDeque<Page>,
}

/// Reads the journal in the state directory.
pub(crate) fn recover(state: &Path, wanted: &BTreeSet<&FleetId>) -> io::Result<Recovered> {
    let directory = file::folder(state);
    if !directory.is_dir() {
        return Ok(Recovered::default());
    }
    let (mut fleets, mut budget, mut broken) = (BTreeMap::<FleetId, Lines>::new(), BUDGET, 0_usize);
    for path in file::paths(&directory)?.into_iter().rev() {
        let length = fs::metadata(&path)?.len();
        if length > budget {
            break;
        }
        budget -= length;
        let bytes = fs::read(&path)?;
        for line in bytes.rsplit(|&byte| byte == b'\n').filter(|line| !line.is_empty()) {
            match std::str::from_utf8(line).ok().and_then(|line| Some((fleet(line)?, line))) {
                Some((fleet, line)) if wanted.contains(&fleet) => fleets.entry(fleet).or_default().take(line),
                Some(_) => {}
                None => broken += 1,
            }
        }
        if wanted.iter().all(|fleet| fleets.get(*fleet).is_some_and(|lines| lines.has_checkpoint)) {
            break;
        }
    }
    let deadline = Instant::now() + PATIENCE;
    let mut recovered = Recovered::default();
    for (fleet, lines) in fleets {
        for page in lines.changes {
            recovered.journal.append(&fleet, page);
        }
        let (recall, unread) = follow(&lines.steps, lines.has_checkpoint, deadline);
        broken += unread;
        recovered.fleets.extend(recall.map(|recall| (fleet, recall)));
    }
    if broken > 0 {
        tracing::warn!(lines = broken, directory = %directory.display(), "parts of the journal cannot be read and are passed over");
    }
    Ok(recovered)
}

/// Whose line this is, without reading all of it.
fn fleet(line: &str) -> Option<FleetId> {
    let (name, _) = line.strip_prefix("{\"fleet\":\"")?.split_once('"')?;
    // What was cut off does not end like this.
    FleetId::new(name).ok().filter(|_| line.ends_with('}'))
}

impl Lines {
    fn take(&mut self, line: &str) {
        if !self.has_checkpoint {
            self.has_checkpoint = line.contains("\"checkpoint\":{");
            self.steps.push(line.to_owned());
        }
        if self.changes.len() < KEPT && line.contains("\"decision\":{") {
            let entry = serde_json::from_str::<Entry>(line).ok();
            if let Some(page) = entry.and_then(|entry| Page::of(entry.record)) {
                self.changes.push_front(page);
            }
        }
    }
}

/// Takes the steps again. With how many lines made no sense.
fn follow(newest_first: &[String], has_checkpoint: bool, deadline: Instant) -> (Option<Recall>, usize) {
    if !has_checkpoint {
        return (None, 0);
    }
    let (mut chain, mut last, mut account, mut broken) = (Chain::default(), None, None, 0);
    for line in newest_first.iter().rev() {
        if Instant::now() > deadline {
            tracing::warn!("the journal is long; what was learned last is passed over");
            break;
        }
        let Ok(Entry { record, .. }) = serde_json::from_str(line) else {
            broken += 1;
            continue;
        };
        // Whatever is missing in between, the rest would be guesswork.
        if last.is_some_and(|(_, number)| record.number != number + 1) {
            break;
        }
        chain.follow(&record);
        account = record.account.or(account);
        last = Some((record.at, record.number));
    }
    let recall = last.and_then(|(at, number)| {
        let (panel, account) = (chain.panel()?, account.unwrap_or_default());
        Some(Recall { panel, at, number, account })
    });
    (recall, broken)
}

/// What is told of a fleet goes on from what was.
impl Recovered {
    pub(crate) fn say(&self) {
        for (fleet, recall) in &self.fleets {
            let learned = recall.panel.acting().learned();
            tracing::info!(
                %fleet,
                until = %recall.at,
                desired = recall.panel.acting().desired(),
                work_ms = learned.work.map(|work| work * 1e3),
                "goes on from the journal"
            );
        }
    }
}
