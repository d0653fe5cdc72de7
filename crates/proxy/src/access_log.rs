//! The access log: one JSON object per request, written by a thread of its own.
//!
//! Workers gather lines and pass them on in blocks through a bounded queue. When the writer cannot
//! keep up (a slow terminal) or does not get anything written (a full disk), blocks are dropped and counted; requests never wait.
//! What went wrong is said once, and once more when it is over.

use std::{
    cell::{Cell, RefCell},
    fs::{File, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
        mpsc::{SyncSender, sync_channel},
    },
    thread,
};

use serde_json::json;
use tidegate_core::{
    snapshot::{AccessLog as Settings, LogOutput},
    telemetry::WorkerSeries,
};

use crate::{exchange::Exchange, node::StartError};

/// Blocks that may wait to be written.
const QUEUE: usize = 256;

/// Bytes of lines that a worker gathers before it passes them on.
const BLOCK: usize = 32 << 10;

enum Message {
    /// So many lines.
    Lines(Vec<u8>, u64),
    /// Write here from now on. A file is opened again if it is open: it may have been rotated away.
    Open(LogOutput),
    /// Open the file again, if there is one.
    Reopen,
}

/// A worker's end of the access log.
#[derive(Debug)]
pub(crate) struct AccessLog {
    sender: SyncSender<Message>,
    pending: RefCell<Vec<u8>>,
    /// How many lines `pending` has.
    lines: Cell<u64>,
    /// Lines that could not be written and that no worker has counted yet.
    lost: Arc<AtomicU64>,
}

/// Starts the writer, and fails if its file cannot be opened. It ends when all of the workers' ends are gone and everything
/// is written.
pub(crate) fn start(output: Option<&LogOutput>) -> Result<(AccessLog, thread::JoinHandle<()>), StartError> {
    let file = match output {
        Some(LogOutput::File(path)) => Some((open(path).map_err(StartError::AccessLog)?, path.clone())),
        Some(LogOutput::Stdout) | None => None,
    };
    let (sender, receiver) = sync_channel(QUEUE);
    let lost = Arc::<AtomicU64>::default();
    let mut output = Output { file, torn: false, failing: None, lost: Arc::clone(&lost) };
    let write = move || receiver.iter().for_each(|message| output.take(message));
    let writer = thread::Builder::new().name("access-log".into()).spawn(write)?;
    Ok((AccessLog::new(sender, lost), writer))
}

/// Where lines end.
#[derive(Debug)]
struct Output {
    /// `None`: on standard output.
    file: Option<(File, PathBuf)>,
    /// Half a line was written last.
    torn: bool,
    /// It was said that nothing can be written; so many lines were lost since.
    failing: Option<u64>,
    lost: Arc<AtomicU64>,
}

impl Output {
    fn take(&mut self, message: Message) {
        match message {
            Message::Open(LogOutput::Stdout) => (self.file, self.torn) = (None, false),
            Message::Open(LogOutput::File(path)) => self.open(path),
            Message::Reopen => {
                if let Some((_, path)) = &self.file {
                    self.open(path.clone());
                }
            }
            Message::Lines(bytes, lines) => {
                let written = self.write(&bytes);
                self.note(written, lines);
            }
        }
    }

    fn open(&mut self, path: PathBuf) {
        match open(&path) {
            Ok(file) => (self.file, self.torn) = (Some((file, path)), false),
            Err(error) => tracing::warn!(%error, "access log cannot be opened"),
        }
    }

    /// Counts lines that were not written, and says so once.
    fn note(&mut self, written: io::Result<()>, lines: u64) {
        match (written, &mut self.failing) {
            (Ok(()), None) => {}
            (Ok(()), Some(lost)) => {
                tracing::info!(lost, "access log is written again");
                self.failing = None;
            }
            (Err(error), failing) => {
                if failing.is_none() {
                    tracing::warn!(%error, "access log cannot be written; lines are dropped and counted until it can");
                }
                *failing.get_or_insert(0) += lines;
                self.lost.fetch_add(lines, Relaxed);
            }
        }
    }

    /// What follows half a line is a line by itself.
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let output: &mut dyn Write = match &mut self.file {
            Some((file, _)) => file,
            None => &mut io::stdout().lock(),
        };
        if self.torn {
            output.write_all(b"\n")?;
            self.torn = false;
        }
        let mut rest = bytes;
        while !rest.is_empty() {
            match output.write(rest) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => {
                    self.torn = rest[count - 1] != b'\n';
                    rest = &rest[count..];
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        output.flush()
    }
}

fn open(path: &Path) -> io::Result<File> {
    let opened = OpenOptions::new().create(true).append(true).open(path);
    opened.map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", path.display())))
}

impl AccessLog {
    const fn new(sender: SyncSender<Message>, lost: Arc<AtomicU64>) -> Self {
        Self { sender, pending: RefCell::new(Vec::new()), lines: Cell::new(0), lost }
    }

    /// An end for one more thread.
    pub(crate) fn another(&self) -> Self {
        Self::new(self.sender.clone(), Arc::clone(&self.lost))
    }

    pub(crate) fn open(&self, settings: &Settings) {
        self.tell(Message::Open(settings.output.clone()));
    }

    pub(crate) fn reopen(&self) {
        self.tell(Message::Reopen);
    }

    fn tell(&self, message: Message) {
        if self.sender.try_send(message).is_err() {
            tracing::warn!("access log is behind; its output is not opened anew");
        }
    }

    /// Writes down a request that has ended, if it is drawn for the sample.
    pub(crate) fn record(
        &self,
        settings: &Settings,
        exchange: &Exchange,
        seconds: f64,
        counters: &WorkerSeries,
    ) {
        if settings.sample < 1.0 && fastrand::f64() >= settings.sample {
            return;
        }
        let line = line(exchange, seconds);
        let mut pending = self.pending.borrow_mut();
        pending.extend_from_slice(line.as_bytes());
        pending.push(b'\n');
        self.lines.set(self.lines.get() + 1);
        if pending.len() >= BLOCK {
            drop(pending);
            self.flush(counters);
        }
    }

    pub(crate) fn flush(&self, counters: &WorkerSeries) {
        let block = std::mem::take(&mut *self.pending.borrow_mut());
        let lines = self.lines.take();
        let mut dropped = 0;
        if !block.is_empty() && self.sender.try_send(Message::Lines(block, lines)).is_err() {
            dropped = lines;
        }
        // Rarely any, and then whoever comes first counts them.
        if self.lost.load(Relaxed) > 0 {
            dropped += self.lost.swap(0, Relaxed);
        }
        if dropped > 0 {
            counters.access_log_dropped.fetch_add(dropped, Relaxed);
        }
    }
}

fn line(exchange: &Exchange, seconds: f64) -> String {
    let id = exchange.id();
    let text = String::from_utf8_lossy;
    let request = &exchange.request;
    let upstream = &exchange.upstream;
    let upstream_seconds =
        upstream.began.zip(upstream.ended).map(|(began, ended)| (ended - began).as_secs_f64());
    json!({
        "time": exchange.arrived,
        "requestId": id,
        "client": exchange.client_text,
        "method": text(request.method()),
        "host": text(request.host()),
        "target": text(request.target()),
        "protocol": if request.is_11 { "HTTP/1.1" } else { "HTTP/1.0" },
        "route": exchange.route,
        "status": exchange.response.status,
        "bytesIn": exchange.bytes_in,
        "bytesOut": exchange.bytes_out,
        "seconds": seconds,
        "upstream": upstream.address.as_ref().map(ToString::to_string),
        "upstreamStatus": (upstream.status != 0).then_some(upstream.status),
        "upstreamSeconds": upstream_seconds,
        "error": exchange.failure,
        "userAgent": request.fields.get(b"user-agent").map(text),
    })
    .to_string()
}
