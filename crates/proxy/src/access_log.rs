//! The access log: one JSON object per request, written by a thread of its own.
//!
//! Workers gather lines and pass them on in blocks through a bounded queue. When the writer cannot
//! keep up (a full disk, a slow terminal) blocks are dropped and counted; requests never wait.

use std::{
    cell::{Cell, RefCell},
    fs::{File, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
    sync::{
        atomic::Ordering::Relaxed,
        mpsc::{Receiver, SyncSender, sync_channel},
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
    Lines(Vec<u8>),
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
}

/// Starts the writer, and fails if its file cannot be opened. It ends when all of the workers' ends are gone and everything
/// is written.
pub(crate) fn start(output: Option<&LogOutput>) -> Result<(AccessLog, thread::JoinHandle<()>), StartError> {
    let file = match output {
        Some(LogOutput::File(path)) => Some((open(path).map_err(StartError::AccessLog)?, path.clone())),
        Some(LogOutput::Stdout) | None => None,
    };
    let (sender, receiver) = sync_channel(QUEUE);
    let writer =
        thread::Builder::new().name("access-log".into()).spawn(move || write_all(&receiver, file))?;
    Ok((AccessLog::new(sender), writer))
}

fn write_all(messages: &Receiver<Message>, mut file: Option<(File, PathBuf)>) {
    for message in messages {
        let written = match message {
            Message::Open(LogOutput::Stdout) => {
                file = None;
                Ok(())
            }
            Message::Open(LogOutput::File(path)) => open(&path).map(|opened| file = Some((opened, path))),
            Message::Reopen => match &mut file {
                Some((file, path)) => open(path).map(|opened| *file = opened),
                None => Ok(()),
            },
            Message::Lines(lines) => match &mut file {
                Some((file, _)) => file.write_all(&lines),
                None => io::stdout().lock().write_all(&lines),
            },
        };
        if let Err(error) = written {
            tracing::warn!(%error, "access log cannot be written");
        }
    }
}

fn open(path: &Path) -> io::Result<File> {
    let opened = OpenOptions::new().create(true).append(true).open(path);
    opened.map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", path.display())))
}

impl AccessLog {
    const fn new(sender: SyncSender<Message>) -> Self {
        Self { sender, pending: RefCell::new(Vec::new()), lines: Cell::new(0) }
    }

    /// An end for one more thread.
    pub(crate) fn another(&self) -> Self {
        Self::new(self.sender.clone())
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
        if !block.is_empty() && self.sender.try_send(Message::Lines(block)).is_err() {
            counters.access_log_dropped.fetch_add(lines, Relaxed);
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
        "upstream": upstream.address,
        "upstreamStatus": (upstream.status != 0).then_some(upstream.status),
        "upstreamSeconds": upstream_seconds,
        "error": exchange.failure,
        "userAgent": request.fields.get(b"user-agent").map(text),
    })
    .to_string()
}
