//! The journal's files: one JSON object a line (see [`line`]), a new file when one is full, the oldest ones removed.
//!
//! Everything is written on a thread of its own, a round at a time. What cannot be written is counted,
//! and [`Writer::standing`] tells the loop to write policies and memories anew, so that whatever follows
//! the gap can be understood by itself.
//!
//! The folder belongs to one process at a time. Another one (the successor of a gateway that still drains)
//! waits for it; what it decides meanwhile is counted as lost, and has policies, memories and a number apart in every round: whichever
//! is the first that is written can be understood by itself, whatever numbers the other process has used.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, Read as _, Seek as _, SeekFrom, Write as _},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
        mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel},
    },
    thread,
    time::Duration,
};

use super::{
    Entry,
    history::{Demand, History},
    line,
};

/// Files that the journal consists of, about: when one is full the oldest goes.
const FILES: u64 = 8;

/// No file is full before it has so many bytes.
const LEAST_BYTES: u64 = 64 << 10;

/// Rounds of entries that may wait for a slow disk; more are dropped and counted.
const QUEUE: usize = 16;

/// How long the end of the process waits for a slow disk.
const CLOSE_WITHIN: Duration = Duration::from_secs(2);

const LOCK: &str = "lock";

/// What one round of the loop leaves behind.
#[derive(Debug, Default)]
pub(crate) struct Round {
    pub(crate) entries: Vec<Entry>,
    pub(crate) demand: Vec<Demand>,
}

/// Writes rounds on a thread of its own, so that a disk holds up nobody.
#[derive(Debug)]
pub(crate) struct Writer {
    /// `None` once it is being closed.
    queue: Option<SyncSender<Round>>,
    counts: Arc<Counts>,
    /// Breaks off when everything is written.
    written: Receiver<()>,
}

#[derive(Debug, Default)]
struct Counts {
    /// Entries that could not be written.
    lost: AtomicU64,
    /// How often something was lost.
    gaps: AtomicU64,
    /// The folder is another process's.
    waits: AtomicBool,
}

/// How writing goes, for who decides what has to be written.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Standing {
    /// Counts up whenever something was lost.
    pub(crate) gaps: u64,
    /// Another process has the folder, and nothing was written yet.
    pub(crate) waits: bool,
}

impl Counts {
    fn lose(&self, entries: usize) {
        if entries > 0 {
            self.lost.fetch_add(entries as u64, Relaxed);
            self.gaps.fetch_add(1, Relaxed);
        }
    }
}

/// The folder of the journal in a state directory.
pub fn folder(state: &Path) -> PathBuf {
    state.join("journal")
}

impl Writer {
    /// Writes into the state directory `directory`, at most `limit` bytes of decisions.
    pub(crate) fn new(directory: &Path, limit: u64) -> io::Result<Self> {
        let (journal, history) = (folder(directory), History::new(directory));
        fs::create_dir_all(&journal)?;
        history.prepare()?;
        let lock = OpenOptions::new().create(true).append(true).open(journal.join(LOCK))?;
        let files = Files::new(&journal, limit);
        let mut work = Work { lock, is_ours: false, files, history, demand_fails: false };
        // Known before the first round, for that is made up by it. Why not is told when there is something to write.
        let waits = work.take_lock().is_err();
        let counts = Arc::new(Counts { waits: waits.into(), ..Counts::default() });
        let (queue, rounds) = sync_channel(QUEUE);
        let (writing, written) = sync_channel(0);
        thread::Builder::new().name("tidegate-journal".into()).spawn({
            let counts = Arc::clone(&counts);
            move || {
                work.write_all(&rounds, &counts);
                // The folder is free before anybody is told that this is over.
                drop(work);
                drop(writing);
            }
        })?;
        Ok(Self { queue: Some(queue), counts, written })
    }

    pub(crate) fn write(&self, round: Round) {
        let entries = round.entries.len();
        if let Some(queue) = &self.queue
            && queue.try_send(round).is_err()
        {
            self.counts.lose(entries);
        }
    }

    /// Entries that could not be written.
    pub(crate) fn lost(&self) -> u64 {
        self.counts.lost.load(Relaxed)
    }

    pub(crate) fn standing(&self) -> Standing {
        Standing { gaps: self.counts.gaps.load(Relaxed), waits: self.counts.waits.load(Relaxed) }
    }
}

/// Waits until everything is written, or the disk has shown that it hangs.
impl Drop for Writer {
    fn drop(&mut self) {
        self.queue = None;
        if self.written.recv_timeout(CLOSE_WITHIN) == Err(RecvTimeoutError::Timeout) {
            tracing::warn!("the journal's disk hangs; its last entries are lost");
        }
    }
}

/// What the thread works with.
#[derive(Debug)]
struct Work {
    lock: File,
    is_ours: bool,
    files: Files,
    history: History,
    /// It was said that demand cannot be written.
    demand_fails: bool,
}

impl Work {
    fn write_all(&mut self, rounds: &Receiver<Round>, counts: &Counts) {
        // What was lost by the time that it was said.
        let mut failing = None;
        for round in rounds {
            let directory = self.files.directory.display().to_string();
            match (self.write(&round, counts), failing) {
                (Ok(()), Some(lost)) => {
                    let lost = counts.lost.load(Relaxed) - lost;
                    tracing::info!(%directory, lost, "the journal is written again");
                    failing = None;
                }
                (Err(error), None) => {
                    failing = Some(counts.lost.load(Relaxed).saturating_sub(round.entries.len() as u64));
                    tracing::warn!(%error, %directory, "the journal cannot be written; entries are lost and counted until it can");
                }
                (Ok(()), None) | (Err(_), Some(_)) => {}
            }
            if self.is_ours {
                let demand = self.history.append(&round.demand);
                self.say_of_demand(demand);
            }
        }
        if let Err(error) = self.history.flush() {
            tracing::warn!(%error, "the last minute of demand cannot be written");
        }
    }

    fn write(&mut self, round: &Round, counts: &Counts) -> io::Result<()> {
        if let Err(error) = self.take_lock() {
            counts.lose(round.entries.len());
            return Err(error);
        }
        counts.waits.store(false, Relaxed);
        let mut lines = Vec::new();
        for entry in &round.entries {
            line::write(&mut lines, entry)?;
        }
        self.files.append(&lines).inspect_err(|_| counts.lose(round.entries.len()))
    }

    /// It is written only now and then, and goes on by itself.
    fn say_of_demand(&mut self, written: io::Result<bool>) {
        match written {
            Ok(true) => self.demand_fails = false,
            Ok(false) => {}
            Err(error) => {
                if !std::mem::replace(&mut self.demand_fails, true) {
                    tracing::warn!(%error, "recorded demand cannot be written; what cannot is missing in it");
                }
            }
        }
    }

    fn take_lock(&mut self) -> io::Result<()> {
        if self.is_ours {
            return Ok(());
        }
        match self.lock.try_lock() {
            Ok(()) => self.is_ours = true,
            Err(TryLockError::WouldBlock) => {
                return Err(io::Error::other("another gateway writes it; it is waited for"));
            }
            // Where files cannot be locked, whoever starts two gateways on one folder has to know.
            Err(TryLockError::Error(error)) if error.kind() == io::ErrorKind::Unsupported => {
                self.is_ours = true;
            }
            Err(TryLockError::Error(error)) => return Err(error),
        }
        Ok(())
    }
}

/// The numbered files of a journal, of which the last is appended to.
#[derive(Debug)]
struct Files {
    directory: PathBuf,
    /// Of all files together, and of one.
    limit: u64,
    full: u64,
    /// With its length. `None`: to be opened.
    open: Option<(File, u64)>,
}

impl Files {
    fn new(directory: &Path, limit: u64) -> Self {
        let full = (limit / FILES).max(LEAST_BYTES);
        Self { directory: directory.to_owned(), limit, full, open: None }
    }

    fn append(&mut self, lines: &[u8]) -> io::Result<()> {
        if lines.is_empty() {
            return Ok(());
        }
        let (mut file, length) = self.take_open(lines.len() as u64)?;
        if let Err(error) = file.write_all(lines) {
            // Half a line would spoil the one that follows it.
            file.set_len(length)?;
            return Err(error);
        }
        self.open = Some((file, length + lines.len() as u64));
        Ok(())
    }

    /// The file that `more` bytes go to.
    fn take_open(&mut self, more: u64) -> io::Result<(File, u64)> {
        let (file, length) = match self.open.take() {
            Some(open) => open,
            None => self.reopen()?,
        };
        if length == 0 || length + more <= self.full {
            return Ok((file, length));
        }
        drop(file);
        let last = numbers(&self.directory)?.last().copied().unwrap_or(0);
        self.make_room(more)?;
        let path = self.directory.join(name(last + 1));
        Ok((OpenOptions::new().create(true).append(true).open(path)?, 0))
    }

    fn reopen(&self) -> io::Result<(File, u64)> {
        let last = numbers(&self.directory)?.last().copied().unwrap_or(1);
        let path = self.directory.join(name(last));
        let mut file = OpenOptions::new().create(true).append(true).read(true).open(path)?;
        let mut length = file.metadata()?.len();
        // What a process that was killed left behind is a line by itself, and nobody else's.
        if length > 0 {
            let mut end = [0];
            file.seek(SeekFrom::End(-1))?;
            file.read_exact(&mut end)?;
            if end != *b"\n" {
                file.write_all(b"\n")?;
                length += 1;
            }
        }
        Ok((file, length))
    }

    /// Removes the oldest files until another one fits.
    fn make_room(&self, more: u64) -> io::Result<()> {
        let paths: Vec<_> =
            numbers(&self.directory)?.into_iter().map(|number| self.directory.join(name(number))).collect();
        let sizes: Vec<u64> =
            paths.iter().map(|path| fs::metadata(path).map_or(0, |found| found.len())).collect();
        let mut total = sizes.iter().sum::<u64>() + self.full.max(more);
        for (path, size) in paths.iter().zip(sizes) {
            if total <= self.limit {
                break;
            }
            fs::remove_file(path)?;
            total -= size;
        }
        Ok(())
    }
}

fn name(number: u64) -> String {
    format!("decisions-{number:08}.jsonl")
}

/// The numbers of the files in `directory`, in order.
pub(super) fn numbers(directory: &Path) -> io::Result<Vec<u64>> {
    let mut numbers = Vec::new();
    for entry in fs::read_dir(directory)? {
        let name = entry?.file_name();
        let number = name.to_str().and_then(|name| name.strip_prefix("decisions-")?.strip_suffix(".jsonl"));
        numbers.extend(number.and_then(|number| number.parse::<u64>().ok()));
    }
    numbers.sort_unstable();
    Ok(numbers)
}

/// The files in `directory`, oldest first.
pub(super) fn paths(directory: &Path) -> io::Result<Vec<PathBuf>> {
    Ok(numbers(directory)?.into_iter().map(|number| directory.join(name(number))).collect())
}

#[cfg(test)]
mod tests;
