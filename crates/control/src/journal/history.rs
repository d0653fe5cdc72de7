//! Recorded demand: the arrivals of each fleet, second by second for a day and minute by minute for 35 days.
//!
//! Each fleet has two files that are rings: the place of a reading follows from its time, and it
//! is written with that time, so what is older than the ring or was never written is told from what is
//! there. The files have a fixed size, a crash loses ten seconds at most, and nothing has to be tidied up.
//!
//! Invariant: what is read was recorded at that time, or is not there.

use std::{
    collections::BTreeMap,
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
};

use serde::Serialize;
use tidegate_core::{FleetId, Timestamp};

/// The two rings of a fleet: seconds of a reading, and how many there are.
pub const RINGS: [Ring; 2] = [Ring { step: 1, slots: 86_400 }, Ring { step: 60, slots: 50_400 }];

/// Bytes of a reading: its time in steps since 1970, then requests per second.
const SLOT: usize = 8;

/// Readings that are gathered to be written together: a minute. What there is of it is written every ten seconds, for those who
/// ask meanwhile.
const GATHERED: u64 = 60;
const WRITTEN_EVERY: usize = 10;

/// How often, and how long, a fleet's demand is recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ring {
    /// Seconds.
    pub step: u64,
    pub slots: u64,
}

/// Demand of one second.
#[derive(Debug, Clone)]
pub(crate) struct Demand {
    pub(crate) fleet: FleetId,
    pub(crate) at: Timestamp,
    /// Requests per second.
    pub(crate) rate: f64,
}

/// Demand over some time, in constant steps.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Recorded {
    /// When the first step begins.
    pub from: Timestamp,
    pub step_seconds: u64,
    /// Requests per second. `None`: nothing was recorded then.
    pub rates: Vec<Option<f32>>,
}

/// The recorded demand in a state directory.
#[derive(Debug)]
pub struct History {
    directory: PathBuf,
    /// What is not written yet.
    gathered: BTreeMap<FleetId, Minute>,
}

/// One minute of one fleet.
#[derive(Debug)]
struct Minute {
    /// In minutes since 1970.
    number: u64,
    seconds: [Option<f32>; GATHERED as usize],
}

impl History {
    pub fn new(state: &Path) -> Self {
        Self { directory: state.join("demand"), gathered: BTreeMap::new() }
    }

    pub(crate) fn prepare(&self) -> io::Result<()> {
        fs::create_dir_all(&self.directory)
    }

    fn path(&self, fleet: &FleetId, ring: Ring) -> PathBuf {
        self.directory.join(format!("{fleet}.{}s", ring.step))
    }

    /// Takes readings; whole minutes are written. Whether anything was.
    pub(crate) fn append(&mut self, demand: &[Demand]) -> io::Result<bool> {
        let mut outcome = Ok(false);
        for Demand { fleet, at, rate } in demand {
            let second = at.as_micros() / 1_000_000;
            let (number, index) = (second / GATHERED, (second % GATHERED) as usize);
            if self.gathered.get(fleet).is_some_and(|minute| minute.number != number)
                && let Some(minute) = self.gathered.remove(fleet)
            {
                outcome = outcome.and(self.write(fleet, &minute).map(|()| true));
            }
            let empty = || Minute { number, seconds: [None; GATHERED as usize] };
            let minute = match self.gathered.get_mut(fleet) {
                Some(minute) => minute,
                None => self.gathered.entry(fleet.clone()).or_insert_with(empty),
            };
            minute.seconds[index] = Some(*rate as f32);
            if (index + 1).is_multiple_of(WRITTEN_EVERY)
                && let Some(minute) = self.gathered.get(fleet)
            {
                outcome = outcome.and(self.write(fleet, minute).map(|()| true));
            }
        }
        outcome
    }

    /// Writes minutes that are not whole.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        let mut outcome = Ok(());
        for (fleet, minute) in std::mem::take(&mut self.gathered) {
            outcome = outcome.and(self.write(&fleet, &minute));
        }
        outcome
    }

    fn write(&self, fleet: &FleetId, minute: &Minute) -> io::Result<()> {
        let [seconds, minutes] = RINGS;
        let file = open(&self.path(fleet, seconds))?;
        let first = minute.number * GATHERED;
        // What another process has written of this minute, before this one began, stays.
        for (index, run) in runs(&minute.seconds) {
            let begin = first + index as u64;
            let bytes: Vec<u8> = (begin..)
                .zip(run)
                .flat_map(|(second, rate)| slot(second, rate.unwrap_or_default()))
                .collect();
            file.write_all_at(&bytes, offset(begin, seconds))?;
        }
        let known: Vec<f32> = minute.seconds.iter().flatten().copied().collect();
        if !known.is_empty() {
            let mean = known.iter().map(|&rate| f64::from(rate)).sum::<f64>() / known.len() as f64;
            let file = open(&self.path(fleet, minutes))?;
            file.write_all_at(&slot(minute.number, mean as f32), offset(minute.number, minutes))?;
        }
        Ok(())
    }

    /// What was recorded in the `span` seconds before `until`, in the finest steps that reach so far back. `None`: nothing was.
    pub fn read(&self, fleet: &FleetId, until: Timestamp, span: u64) -> io::Result<Option<Recorded>> {
        let [fine, coarse] = RINGS;
        let ring = if span <= fine.step * fine.slots { fine } else { coarse };
        let bytes = match fs::read(self.path(fleet, ring)) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let end = until.as_micros() / 1_000_000 / ring.step + 1;
        let begin = end.saturating_sub((span / ring.step).clamp(1, ring.slots));
        let rates: Vec<Option<f32>> = (begin..end).map(|number| find(&bytes, number, ring)).collect();
        // What is before the first and after the last reading is no part of the record.
        let Some(first) = rates.iter().position(Option::is_some) else { return Ok(None) };
        let last = rates.iter().rposition(Option::is_some).unwrap_or(first);
        let from = Timestamp::from_secs((begin + first as u64) * ring.step);
        Ok(Some(Recorded { from, step_seconds: ring.step, rates: rates[first..=last].to_vec() }))
    }
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).truncate(false).write(true).open(path)
}

fn offset(number: u64, ring: Ring) -> u64 {
    number % ring.slots * SLOT as u64
}

fn slot(number: u64, rate: f32) -> [u8; SLOT] {
    let mut slot = [0; SLOT];
    slot[..4].copy_from_slice(&(number as u32).to_le_bytes());
    slot[4..].copy_from_slice(&rate.to_le_bytes());
    slot
}

fn find(bytes: &[u8], number: u64, ring: Ring) -> Option<f32> {
    let at = offset(number, ring) as usize;
    let (tag, rate) = bytes.get(at..at + SLOT)?.split_at(4);
    let rate = f32::from_le_bytes(rate.try_into().ok()?);
    let is_it = tag == (number as u32).to_le_bytes() && number > 0;
    (is_it && rate.is_finite() && rate >= 0.0).then_some(rate)
}

/// The stretches in which every second is known.
fn runs(seconds: &[Option<f32>]) -> impl Iterator<Item = (usize, &[Option<f32>])> {
    let mut at = 0;
    seconds.chunk_by(|one, other| one.is_some() == other.is_some()).filter_map(move |run| {
        let begin = at;
        at += run.len();
        run.first().is_some_and(Option::is_some).then_some((begin, run))
    })
}

#[cfg(test)]
mod tests;
