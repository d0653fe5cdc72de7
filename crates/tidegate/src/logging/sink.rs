//! Where lines of the log end: standard error or a file, written by a thread of its own.
//!
//! At most [`QUEUE`] lines wait. When the writer cannot keep up (a full disk, a terminal that stands still) further
//! ones are lost and counted, and the next line that is written says how many: who logs never waits.

use std::{
    fs::{File, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
    sync::{
        OnceLock,
        atomic::{AtomicU64, Ordering::Relaxed},
        mpsc::{Receiver, SyncSender, TrySendError, sync_channel},
    },
    thread,
    time::Duration,
};

/// Lines that may wait to be written.
const QUEUE: usize = 8_192;

/// Bytes of a line; the rest is cut off.
const LINE: usize = 16 << 10;

/// How long the end of the process waits for lines to be written.
const FINISH: Duration = Duration::from_secs(2);

enum Message {
    Line(Vec<u8>),
    /// From now on, lines are appended to this file.
    Open(File, PathBuf),
    /// Open the file anew: it may have been rotated away.
    Reopen,
    /// Everything before has been written.
    Reached(SyncSender<()>),
}

static QUEUED: OnceLock<SyncSender<Message>> = OnceLock::new();
static LOST: AtomicU64 = AtomicU64::new(0);

/// Starts the writer. Without one, lines go to standard error at once.
pub(super) fn start() {
    let (sender, receiver) = sync_channel(QUEUE);
    let writer = thread::Builder::new().name("error-log".into()).spawn(move || write_all(&receiver));
    if writer.is_ok() {
        let _ = QUEUED.set(sender);
    }
}

/// Takes a line, its end included.
pub(super) fn write(mut line: Vec<u8>) {
    if line.len() > LINE {
        line.truncate(LINE);
        line.extend_from_slice(b"...\n");
    }
    let Some(queue) = QUEUED.get() else {
        let _ = io::stderr().lock().write_all(&line);
        return;
    };
    if let Err(TrySendError::Full(_)) = queue.try_send(Message::Line(line)) {
        LOST.fetch_add(1, Relaxed);
    }
}

/// Lines that follow go to this file.
pub(super) fn open(path: &Path) -> io::Result<()> {
    let message = Message::Open(append(path)?, path.to_owned());
    if let Some(queue) = QUEUED.get() {
        let _ = queue.send(message);
    }
    Ok(())
}

/// Opens the file anew, if there is one.
pub(crate) fn reopen() {
    let asked = QUEUED.get().map(|queue| queue.try_send(Message::Reopen));
    if let Some(Err(_)) = asked {
        tracing::warn!("the error log is behind; its file is not opened anew");
    }
}

/// Waits until what was logged so far is written, or for as long as is sensible at the end of a process.
pub(crate) fn finish() {
    let Some(queue) = QUEUED.get() else { return };
    let (sender, reached) = sync_channel(1);
    if queue.try_send(Message::Reached(sender)).is_ok() {
        let _ = reached.recv_timeout(FINISH);
    }
}

fn append(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).open(path)
}

fn write_all(messages: &Receiver<Message>) {
    let mut file: Option<(File, PathBuf)> = None;
    for message in messages {
        match message {
            Message::Line(line) => {
                let lost = LOST.swap(0, Relaxed);
                let note =
                    format!("{lost} lines of the log were lost: they could not be written fast enough\n");
                let note = if lost > 0 { note.as_bytes() } else { b"" };
                // There is nobody to tell that the log cannot be written.
                let output: &mut dyn Write = match &mut file {
                    Some((file, _)) => file,
                    None => &mut io::stderr(),
                };
                let _ = output.write_all(note).and_then(|()| output.write_all(&line));
            }
            Message::Open(opened, path) => file = Some((opened, path)),
            Message::Reopen => {
                if let Some((open, path)) = &mut file {
                    // With the old one still open, lines have a place to go to.
                    if let Ok(anew) = append(path) {
                        *open = anew;
                    }
                }
            }
            Message::Reached(sender) => drop(sender.try_send(())),
        }
    }
}
