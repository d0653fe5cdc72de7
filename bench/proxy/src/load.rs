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
    /// Bytes that every answer must have.
    pub(crate) body: usize,
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

/// The request for a body of that many bytes, as a browser's would look in size.
pub(crate) fn request(addr: SocketAddr, body: usize) -> String {
    format!(
        "GET /{body} HTTP/1.1\r\nHost: {addr}\r\nUser-Agent: bench\r\nAccept: */*\r\nX-Tenant: acme\r\n\r\n"
    )
}

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
    let request = request(plan.addr, plan.body);
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
        connection.ask(&request)?;
    }
    let mut run = Run { plan, request, poll, connections, block: vec![0; 256 << 10] };
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
    request: String,
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
                    connection.ask(&self.request)?;
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
    fn ask(&mut self, request: &str) -> io::Result<()> {
        self.sent = Instant::now();
        // There is room: the one before was read and answered.
        match poll::write(&self.stream, request.as_bytes())? {
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
}

impl Answer {
    /// Takes what came; true when the answer is complete, and the next one awaited.
    fn take(&mut self, bytes: &[u8], body: usize) -> Result<bool> {
        ensure!(!bytes.is_empty(), "the proxy closed a connection");
        let missing = match self {
            Self::Body(missing) => missing.checked_sub(bytes.len()),
            Self::Head(head) => {
                head.extend_from_slice(bytes);
                let Some(end) = memmem::find(head, b"\r\n\r\n").map(|at| at + 4) else { return Ok(false) };
                check_head(&head[..end], body)?;
                body.checked_sub(head.len() - end)
            }
        };
        *self = match missing.context("an answer is longer than it says")? {
            0 => Self::Head(Vec::new()),
            missing => Self::Body(missing),
        };
        Ok(matches!(self, Self::Head(_)))
    }
}

fn check_head(head: &[u8], body: usize) -> Result<()> {
    let ok = head.starts_with(b"HTTP/1.1 200 ");
    let length = format!("\r\ncontent-length: {body}\r\n");
    let sized = memmem::find(&head.to_ascii_lowercase(), length.as_bytes()).is_some();
    ensure!(ok && sized, "an unexpected answer: {}", head.escape_ascii());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_may_come_in_pieces() {
        let whole = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc";
        for cut in 1..whole.len() {
            let mut answer = Answer::Head(Vec::new());
            assert!(!answer.take(&whole[..cut], 3).unwrap());
            assert!(answer.take(&whole[cut..], 3).unwrap(), "cut at {cut}");
            assert!(answer.take(whole, 3).unwrap());
        }
    }

    #[test]
    fn what_is_not_the_expected_answer_ends_the_run() {
        let cases: [&[u8]; 5] = [
            b"",
            b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 3\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nContent-Length: 30\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabcd",
        ];
        for bytes in cases {
            assert!(Answer::Head(Vec::new()).take(bytes, 3).is_err(), "{}", bytes.escape_ascii());
        }
    }
}
