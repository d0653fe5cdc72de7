//! The journal's file: one JSON object a line, a new file at 16 MiB, one old file kept.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
        mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel},
    },
    thread,
    time::Duration,
};

use super::Entry;

/// A file that would become larger is set aside as the old one.
const FILE_BYTES: u64 = 16 << 20;

/// Entries that may wait for a slow disk; more are dropped and counted.
const QUEUE: usize = 256;

/// How long the end of the process waits for a slow disk.
const CLOSE_WITHIN: Duration = Duration::from_secs(2);

const NAME: &str = "decisions.jsonl";
const OLD_NAME: &str = "decisions.old.jsonl";

/// Writes entries on a thread of its own, so that a disk holds up nobody.
#[derive(Debug)]
pub(crate) struct Writer {
    /// `None` once it is being closed.
    queue: Option<SyncSender<Entry>>,
    lost: Arc<AtomicU64>,
    /// Breaks off when everything is written.
    written: Receiver<()>,
}

impl Writer {
    pub(crate) fn new(directory: PathBuf) -> io::Result<Self> {
        fs::create_dir_all(&directory)?;
        let lost = Arc::new(AtomicU64::new(0));
        let (queue, entries) = sync_channel(QUEUE);
        let (writing, written) = sync_channel(0);
        thread::Builder::new().name("tidegate-journal".into()).spawn({
            let lost = Arc::clone(&lost);
            move || {
                write_all(&directory, &entries, &lost);
                drop(writing);
            }
        })?;
        Ok(Self { queue: Some(queue), lost, written })
    }

    pub(crate) fn write(&self, entry: Entry) {
        if let Some(queue) = &self.queue
            && queue.try_send(entry).is_err()
        {
            self.lost.fetch_add(1, Relaxed);
        }
    }

    /// Entries that could not be written.
    pub(crate) fn lost(&self) -> u64 {
        self.lost.load(Relaxed)
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

fn write_all(directory: &Path, entries: &Receiver<Entry>, lost: &AtomicU64) {
    let mut file = Rotating::new(directory, FILE_BYTES);
    let mut warned = false;
    for entry in entries {
        match file.append(&entry) {
            Ok(()) => warned = false,
            Err(error) => {
                lost.fetch_add(1, Relaxed);
                if !std::mem::replace(&mut warned, true) {
                    tracing::warn!(%error, directory = %directory.display(), "the journal cannot be written");
                }
            }
        }
    }
}

/// A file that is replaced when it is full.
#[derive(Debug)]
struct Rotating {
    path: PathBuf,
    old: PathBuf,
    limit: u64,
    /// With its length. `None`: to be opened.
    open: Option<(File, u64)>,
}

impl Rotating {
    fn new(directory: &Path, limit: u64) -> Self {
        Self { path: directory.join(NAME), old: directory.join(OLD_NAME), limit, open: None }
    }

    fn append(&mut self, entry: &Entry) -> io::Result<()> {
        let mut line = serde_json::to_vec(entry)?;
        line.push(b'\n');
        let added = line.len() as u64;
        let (mut file, length) = self.take_open()?;
        if length > 0 && length + added > self.limit {
            drop(file);
            fs::rename(&self.path, &self.old)?;
            return self.append(entry);
        }
        if let Err(error) = file.write_all(&line) {
            // Half a line would spoil the one that follows it.
            file.set_len(length)?;
            return Err(error);
        }
        self.open = Some((file, length + added));
        Ok(())
    }

    fn take_open(&mut self) -> io::Result<(File, u64)> {
        if let Some(open) = self.open.take() {
            return Ok(open);
        }
        let file = OpenOptions::new().create(true).append(true).open(&self.path)?;
        let length = file.metadata()?.len();
        Ok((file, length))
    }
}

#[cfg(test)]
mod tests;
