//! A closed loop of requests: every connection asks again as soon as it was answered.

use std::{
    io,
    net::{SocketAddr, TcpStream},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use hdrhistogram::Histogram;
use memchr::memmem;

use crate::{
    cores,
    poll::{self, Poll},
    usage::Usage,
};

/// One run against one proxy.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) addr: SocketAddr,
    pub(crate) connections: usize,
    pub(crate) request: Vec<u8>,
    /// Bytes that every answer must have, where they are always as many.
    pub(crate) body: Option<usize>,
    pub(crate) warm_up: Duration,
    pub(crate) measured: Duration,
    /// Whose processor time is read.
    pub(crate) processes: Vec<u32>,
    pub(crate) core: usize,
}

/// What was seen between warm-up and end.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) requests: u64,
    pub(crate) elapsed: Duration,
    pub(crate) usage: Usage,
    /// Microseconds.
    pub(crate) latency: Histogram<u64>,
}

/// Longer waits count as this long.
const LONGEST_US: u64 = 60_000_000;

/// A proxy that answers nothing for this long has failed.
const PATIENCE: Duration = Duration::from_secs(10);

/// Runs `plan` on a thread of its own, on its core. An answer that is not the expected one ends it.
pub(crate) fn run(plan: Plan) -> Result<Outcome> {
    let name = "load".to_owned();
    let loading =
        thread::Builder::new().name(name).spawn(move || cores::pin(plan.core).map(|()| measure(&plan)))?;
    match loading.join() {
        Ok(outcome) => outcome?,
        Err(_) => bail!("the load thread panicked"),
    }
}

fn measure(plan: &Plan) -> Result<Outcome> {
    let poll = Poll::new()?;
    let mut connections = Vec::with_capacity(plan.connections);
    for number in 0..plan.connections {
        let stream = TcpStream::connect(plan.addr).context("connect")?;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        poll.watch(&stream, number)?;
        connections.push(Connection { stream, sent: Instant::now(), answer: Answer::Head(Vec::new()) });
    }
    for connection in &mut connections {
        connection.ask(&plan.request)?;
    }
    let mut run = Run { plan, poll, connections, block: vec![0; 256 << 10] };
    run.turn_for(plan.warm_up, &mut |_| {})?;

    let mut latency = Histogram::new_with_bounds(1, LONGEST_US, 3)?;
    let (began, before) = (Instant::now(), Usage::of(&plan.processes)?);
    run.turn_for(plan.measured, &mut |span| {
        latency.saturating_record(u64::try_from(span.as_micros()).unwrap_or(u64::MAX));
    })?;
    let usage = Usage::of(&plan.processes)? - before;
    ensure!(!latency.is_empty(), "nothing was answered within {:?}", plan.measured);
    Ok(Outcome { requests: latency.len(), elapsed: began.elapsed(), usage, latency })
}

struct Run<'a> {
    plan: &'a Plan,
    poll: Poll,
    connections: Vec<Connection>,
    block: Vec<u8>,
}

impl Run<'_> {
    fn turn_for(&mut self, span: Duration, record: &mut impl FnMut(Duration)) -> Result<()> {
        let end = Instant::now() + span;
        let mut heard = Instant::now();
        loop {
            let now = Instant::now();
            if now >= end {
                return Ok(());
            }
            ensure!(now - heard < PATIENCE, "no answer for {PATIENCE:?}");
            for number in self.poll.wait(end - now)? {
                heard = now;
                let connection = &mut self.connections[number];
                let Some(count) = poll::read(&connection.stream, &mut self.block)? else { continue };
                if connection.answer.take(&self.block[..count], self.plan.body)? {
                    record(connection.sent.elapsed());
                    connection.ask(&self.plan.request)?;
                }
            }
        }
    }
}

#[derive(Debug)]
struct Connection {
    stream: TcpStream,
    sent: Instant,
    answer: Answer,
}

impl Connection {
    fn ask(&mut self, request: &[u8]) -> io::Result<()> {
        self.sent = Instant::now();
        // There is room: the one before was read and answered.
        match poll::write(&self.stream, request)? {
            Some(count) if count == request.len() => Ok(()),
            _ => Err(io::Error::other("a request does not fit into the socket")),
        }
    }
}

/// How much of an answer has come.
#[derive(Debug)]
enum Answer {
    Head(Vec<u8>),
    /// Bytes of the body that are missing.
    Body(usize),
    /// The last bytes that came of a chunked body.
    Chunks(Vec<u8>),
}

/// The end of a chunked body without trailers. Nothing follows it, because nothing else was asked for.
const LAST_CHUNK: &[u8] = b"\r\n0\r\n\r\n";

impl Answer {
    /// Takes what came; true when the answer is complete, and the next one awaited.
    fn take(&mut self, bytes: &[u8], body: Option<usize>) -> Result<bool> {
        ensure!(!bytes.is_empty(), "the server closed a connection");
        let next = match self {
            Self::Body(missing) => Self::Body(missing.checked_sub(bytes.len()).context(TOO_LONG)?),
            Self::Chunks(tail) => Self::Chunks(last_of(tail, bytes)),
            Self::Head(head) => {
                head.extend_from_slice(bytes);
                let Some(end) = memmem::find(head, b"\r\n\r\n").map(|at| at + 4) else { return Ok(false) };
                match length(&head[..end], body)? {
                    Some(length) => Self::Body(length.checked_sub(head.len() - end).context(TOO_LONG)?),
                    // With the end of the head, for the body that is empty.
                    None => Self::Chunks(last_of(&[], &head[end - 2..])),
                }
            }
        };
        let complete = match &next {
            Self::Body(missing) => *missing == 0,
            Self::Chunks(tail) => tail == LAST_CHUNK,
            Self::Head(_) => false,
        };
        *self = if complete { Self::Head(Vec::new()) } else { next };
        Ok(complete)
    }
}

const TOO_LONG: &str = "an answer is longer than it says";

/// As many bytes as a last chunk has, from the end of both.
fn last_of(before: &[u8], bytes: &[u8]) -> Vec<u8> {
    let bytes = &bytes[bytes.len().saturating_sub(LAST_CHUNK.len())..];
    let room = LAST_CHUNK.len() - bytes.len();
    [&before[before.len().saturating_sub(room)..], bytes].concat()
}

/// The length of the body that follows a head; `None` when it comes in chunks.
fn length(head: &[u8], body: Option<usize>) -> Result<Option<usize>> {
    let head = head.to_ascii_lowercase();
    let length = memmem::find(&head, b"\r\ncontent-length: ").and_then(|at| {
        let value = head[at + 18..].split(|&byte| byte == b'\r').next()?;
        std::str::from_utf8(value).ok()?.parse::<usize>().ok()
    });
    let chunked = memmem::find(&head, b"\r\ntransfer-encoding: chunked\r\n").is_some();
    let expected = match (length, body) {
        (Some(length), Some(body)) => length == body,
        (Some(_), None) => true,
        (None, _) => chunked,
    };
    ensure!(head.starts_with(b"http/1.1 200 ") && expected, "an unexpected answer: {}", head.escape_ascii());
    Ok(length)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_may_come_in_pieces() {
        let answers: [&[u8]; 3] = [
            b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        ];
        for whole in answers {
            for cut in 1..whole.len() {
                let mut answer = Answer::Head(Vec::new());
                assert!(!answer.take(&whole[..cut], None).unwrap(), "cut at {cut}");
                assert!(answer.take(&whole[cut..], None).unwrap(), "cut at {cut}");
                assert!(answer.take(whole, None).unwrap());
            }
        }
    }

    #[test]
    fn what_is_not_the_expected_answer_ends_the_run() {
        let cases: [&[u8]; 5] = [
            b"",
            b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 3\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nContent-Length: 30\r\n\r\n",
            b"HTTP/1.1 200 OK\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabcd",
        ];
        for bytes in cases {
            assert!(Answer::Head(Vec::new()).take(bytes, Some(3)).is_err(), "{}", bytes.escape_ascii());
        }
    }
}
