//! What a child writes: reports, and lines for the log.

use tokio::{
    io::{AsyncRead, AsyncReadExt as _},
    process::{ChildStderr, ChildStdout},
};

use crate::instance::{
    InstanceReport,
    lines::{LINE_BYTES, Line, Lines},
    protocol,
};

const CHUNK_BYTES: usize = 8 << 10;

/// Longest line that is passed on to the log; the rest of a longer one is dropped.
const LOG_LINE_BYTES: usize = 16 << 10;

/// Both streams of a child. Reading is safe to abandon at any time.
#[derive(Debug)]
pub(super) struct Output {
    out: Stream<ChildStdout>,
    err: Stream<ChildStderr>,
}

/// One thing that a child said.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Said {
    Report(InstanceReport),
    /// A line on standard output that is no report.
    Out(String),
    Error(String),
}

impl Output {
    pub(super) fn new(out: Option<ChildStdout>, err: Option<ChildStderr>) -> Self {
        Self { out: Stream::new(out, LINE_BYTES), err: Stream::new(err, LOG_LINE_BYTES) }
    }

    /// What was said since the last call: at least one thing, unless both streams have ended.
    pub(super) async fn next(&mut self) -> Vec<Said> {
        let mut said = Vec::new();
        while said.is_empty() && (self.out.is_open() || self.err.is_open()) {
            tokio::select! {
                count = self.out.read(), if self.out.is_open() => self.out.lines(count, |line| {
                    said.push(match protocol::decode(line.bytes()) {
                        Ok(report) => Said::Report(report),
                        Err(_) => Said::Out(text(line)),
                    });
                }),
                count = self.err.read(), if self.err.is_open() => {
                    self.err.lines(count, |line| said.push(Said::Error(text(line))));
                }
            }
        }
        said
    }
}

/// One stream, cut into lines.
#[derive(Debug)]
struct Stream<R> {
    /// `None` once it has ended.
    source: Option<R>,
    lines: Lines,
    buffer: Box<[u8]>,
}

impl<R: AsyncRead + Unpin> Stream<R> {
    fn new(source: Option<R>, limit: usize) -> Self {
        Self { source, lines: Lines::new(limit), buffer: vec![0; CHUNK_BYTES].into() }
    }

    const fn is_open(&self) -> bool {
        self.source.is_some()
    }

    /// Fills the buffer. Returns with how much: nothing at the end of the stream, or when it broke.
    async fn read(&mut self) -> usize {
        match &mut self.source {
            Some(source) => source.read(&mut self.buffer).await.unwrap_or(0),
            None => 0,
        }
    }

    /// Calls `each` with the lines that the first `count` bytes of the buffer complete.
    fn lines(&mut self, count: usize, each: impl FnMut(Line<'_>)) {
        if count == 0 {
            self.source = None;
            self.lines.finish(each);
        } else {
            self.lines.feed(&self.buffer[..count], each);
        }
    }
}

fn text(line: Line<'_>) -> String {
    let mut text = String::from_utf8_lossy(line.bytes()).into_owned();
    if let Line::Cut(_) = line {
        text.push('…');
    }
    text
}
