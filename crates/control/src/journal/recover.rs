//! What a journal says of each fleet, for the process that goes on with it.
//!
//! Files are read from the newest back, until every fleet's last checkpoint was found or a budget is
//! used up; the steps after it are taken again. A line that is not as it was written, or says what cannot be, is passed over
//! and said: what was learned goes on from before it, from an older checkpoint if need be, and begins anew where there is none.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    fs, io,
    path::Path,
    time::{Duration, Instant},
};

use tidegate_core::{FleetId, Timestamp};
use tidegate_scaler::{
    Panel,
    record::{Account, Chain, Record},
};

use super::{
    Entry, Journal, KEPT, Page, file,
    line::{self, Unread},
    read::{Broken, Place},
};

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
    /// What was passed over of each fleet, the newest first.
    pub(crate) broken: BTreeMap<FleetId, Vec<Broken>>,
    /// What nobody can say whose it was, or what is told of no more.
    pub(crate) stray: Vec<Broken>,
}

/// The lines that matter of one fleet, newest first.
#[derive(Debug, Default)]
struct Lines {
    /// From the last checkpoint on.
    steps: Vec<(Place, String)>,
    /// That one.
    checkpoint: Option<Record>,
    changes: VecDeque<Page>,
    /// What was passed over of that, and of what goes before it.
    broken: Vec<Broken>,
    older: Vec<Broken>,
}

/// Reads the journal in the state directory.
pub(crate) fn recover(state: &Path, wanted: &BTreeSet<&FleetId>) -> io::Result<Recovered> {
    let directory = file::folder(state);
    if !directory.is_dir() {
        return Ok(Recovered::default());
    }
    let (mut fleets, mut budget) = (BTreeMap::<FleetId, Lines>::new(), BUDGET);
    let mut recovered = Recovered::default();
    for path in file::paths(&directory)?.into_iter().rev() {
        let length = fs::metadata(&path)?.len();
        if length > budget {
            break;
        }
        budget -= length;
        let bytes = fs::read(&path)?;
        let lines: Vec<(usize, &[u8])> = (1..).zip(bytes.split(|&byte| byte == b'\n')).collect();
        for (line, text) in lines.into_iter().rev().filter(|(_, text)| !text.is_empty()) {
            let place = || Place { file: path.clone(), line };
            match std::str::from_utf8(text).ok().and_then(|text| Some((fleet(text)?, text))) {
                Some((fleet, text)) if wanted.contains(&fleet) => {
                    fleets.entry(fleet).or_default().take(place, text);
                }
                Some((_, text)) if line::is_as_written(text.as_bytes()) => {}
                _ => recovered.stray.push(Broken { place: place(), why: Unread::Altered.to_string() }),
            }
        }
        if wanted.iter().all(|fleet| fleets.get(*fleet).is_some_and(|lines| lines.checkpoint.is_some())) {
            break;
        }
    }
    let deadline = Instant::now() + PATIENCE;
    for (fleet, mut lines) in fleets {
        for page in std::mem::take(&mut lines.changes) {
            recovered.journal.append(&fleet, page);
        }
        if let Some(recall) = lines.follow(deadline) {
            recovered.fleets.insert(fleet.clone(), recall);
        }
        recovered.stray.append(&mut lines.older);
        if !lines.broken.is_empty() {
            recovered.broken.insert(fleet, lines.broken);
        }
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
    fn take(&mut self, place: impl Fn() -> Place, text: &str) {
        let is_change = self.changes.len() < KEPT && text.contains("\"decision\":{");
        let is_checkpoint = self.checkpoint.is_none() && text.contains("\"checkpoint\":{");
        if !is_change && !is_checkpoint {
            if self.checkpoint.is_none() {
                self.steps.push((place(), text.to_owned()));
            }
            return;
        }
        match line::read(text.as_bytes()) {
            Ok(Entry { record, .. }) => {
                if is_checkpoint && record.checkpoint.is_some() {
                    self.checkpoint = Some(record.clone());
                } else if self.checkpoint.is_none() {
                    self.steps.push((place(), text.to_owned()));
                }
                if is_change && let Some(page) = Page::of(record) {
                    self.changes.push_front(page);
                }
            }
            Err(why) => {
                let broken = if self.checkpoint.is_some() { &mut self.older } else { &mut self.broken };
                broken.push(Broken { place: place(), why: why.to_string() });
            }
        }
    }

    /// Takes the steps from the last checkpoint again.
    fn follow(&mut self, deadline: Instant) -> Option<Recall> {
        let checkpoint = self.checkpoint.take()?;
        let (mut chain, mut account) = (Chain::default(), checkpoint.account);
        let mut last = (checkpoint.at, checkpoint.number);
        chain.follow(&checkpoint);
        for (place, text) in self.steps.drain(..).rev() {
            if Instant::now() > deadline {
                tracing::warn!("the journal is long; what was learned last is passed over");
                break;
            }
            let record = match line::read(text.as_bytes()) {
                Ok(Entry { record, .. }) => record,
                Err(why) => {
                    self.broken.push(Broken { place, why: why.to_string() });
                    continue;
                }
            };
            // Whatever is missing in between, the rest would be guesswork.
            if Some(record.number) != last.1.checked_add(1) {
                let why = format!("steps are missing between number {} and {}", last.1, record.number);
                self.broken.push(Broken { place, why });
                break;
            }
            chain.follow(&record);
            account = record.account.or(account);
            last = (record.at, record.number);
        }
        let ((at, number), panel) = (last, chain.panel()?);
        Some(Recall { panel, at, number, account: account.unwrap_or_default() })
    }
}

/// What is told of a fleet goes on from what was.
impl Recovered {
    pub(crate) fn say(&self) {
        for (fleet, broken) in &self.broken {
            let (lines, Some(first)) = (broken.len(), broken.first()) else { continue };
            let (place, why) = (&first.place, &first.why);
            match self.fleets.get(fleet) {
                Some(recall) => {
                    let until = recall.at;
                    tracing::warn!(%fleet, lines, %place, %why, %until, "the journal is damaged: what was learned goes on from before that");
                }
                None => {
                    tracing::error!(%fleet, lines, %place, %why, "the journal is damaged: nothing that was learned is left of this fleet, which begins anew");
                }
            }
        }
        if let Some(Broken { place, .. }) = self.stray.first() {
            let lines = self.stray.len();
            tracing::warn!(lines, %place, "parts of the journal cannot be read and are passed over");
        }
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
