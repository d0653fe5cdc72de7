//! One keep-alive connection: takes requests from the queue, one at a time, until the queue closes.
//!
//! A request is written and its answer read at the same time, so an answer that comes early, or
//! while a long body is still going out, is not missed. While there is nothing to do the connection
//! is watched, so that a server which closes it is noticed before the next request is spent on it.
//! Where that comes too late, a GET or HEAD is sent once more on a fresh connection (RFC 9112
//! section 9.3.1).
//!
//! Invariant: every request taken from the queue is recorded as ended exactly once, unless the
//! whole run is broken off.

use std::{io, net::SocketAddr, sync::Arc, time::Instant};

use tokio::{io::Interest, net::TcpStream, select, time::timeout_at};

use crate::{
    plan::Plan,
    queue::{Next, Queue},
    record::{Failure, Record},
    response::{Head, Response},
};

/// Bytes that are received at once; also the longest head of an answer.
const BUFFER: usize = 64 * 1024;

/// What the connections of one thread have in common.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) plan: Arc<Plan>,
    /// The request as it goes out.
    pub(crate) request: Arc<[u8]>,
    /// Tried in order.
    pub(crate) addresses: Arc<[SocketAddr]>,
    pub(crate) queue: Queue,
    pub(crate) record: Record,
}

/// Connects to the first of `addresses` that accepts.
pub(crate) async fn connect(addresses: &[SocketAddr]) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(addresses).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// A slot for one connection at a time.
#[derive(Debug)]
pub(crate) struct Connection {
    shared: Arc<Shared>,
    /// A connection that stands and carries no request.
    idle: Option<TcpStream>,
    buffer: Box<[u8]>,
}

/// Why an exchange brought no answer.
enum Broken {
    /// The connection ended before the first byte.
    Unanswered,
    /// The connection ended within the answer.
    Reset,
    Protocol,
}

/// A complete answer.
struct Answer {
    head: Head,
    bytes: u64,
}

impl Connection {
    pub(crate) fn new(shared: Arc<Shared>, idle: TcpStream) -> Self {
        Self { shared, idle: Some(idle), buffer: vec![0; BUFFER].into() }
    }

    pub(crate) async fn serve(mut self) {
        let shared = Arc::clone(&self.shared);
        while let Some(due) = self.next().await {
            let deadline = due + shared.plan.timeout;
            // Whoever would have waited for this has gone before it could be sent.
            let late = Instant::now() >= deadline;
            let result = if late { Err(Failure::Timeout) } else { self.request_by(deadline).await };
            let latency = due.elapsed();
            let mut record = shared.record.lock();
            let outcome = match result {
                Ok(Answer { head, bytes }) => {
                    record.answer(head.status, latency, bytes);
                    shared.plan.judge(head.status)
                }
                Err(failure) => Err(failure),
            };
            record.end(outcome);
        }
    }

    /// Waits for the next request; `None` when there will be none.
    async fn next(&mut self) -> Option<Instant> {
        let Self { shared, idle, .. } = self;
        loop {
            match shared.queue.take() {
                Next::Due(due) => return Some(due),
                Next::Closed => return None,
                Next::Empty => {}
            }
            if let Some(stream) = idle {
                select! {
                    biased;
                    () = unusable(stream) => *idle = None,
                    () = shared.queue.changed() => {}
                }
            } else {
                shared.queue.changed().await;
            }
        }
    }

    async fn request_by(&mut self, deadline: Instant) -> Result<Answer, Failure> {
        timeout_at(deadline.into(), self.request()).await.unwrap_or(Err(Failure::Timeout))
    }

    /// Sends the request and reads the answer. Dropped halfway, it closes the connection.
    async fn request(&mut self) -> Result<Answer, Failure> {
        let (reused, stream) = match self.idle.take() {
            Some(stream) => (true, stream),
            None => (false, self.connect().await?),
        };
        let mut result = self.exchange(stream).await;
        if reused && self.shared.plan.request.method.is_retried() && matches!(result, Err(Broken::Unanswered))
        {
            self.shared.record.lock().reconnects += 1;
            let stream = self.connect().await?;
            result = self.exchange(stream).await;
        }
        result.map_err(|broken| match broken {
            Broken::Unanswered | Broken::Reset => Failure::Reset,
            Broken::Protocol => Failure::Protocol,
        })
    }

    async fn connect(&self) -> Result<TcpStream, Failure> {
        let stream = connect(&self.shared.addresses).await.map_err(|error| match error.kind() {
            io::ErrorKind::ConnectionRefused => Failure::ConnectRefused,
            _ => Failure::Connect,
        })?;
        self.shared.record.lock().connects += 1;
        Ok(stream)
    }

    async fn exchange(&mut self, stream: TcpStream) -> Result<Answer, Broken> {
        let mut response = Response::new(self.shared.plan.request.method.is_head());
        let mut sending = Sending { unsent: &self.shared.request, broken: false };
        let (mut filled, mut bytes) = (0, 0);
        sending.advance(&stream);
        let head = loop {
            let received = receive(&stream, &mut sending, &mut self.buffer[filled..]).await;
            let unended = if bytes == 0 && filled == 0 { Broken::Unanswered } else { Broken::Reset };
            match received {
                Ok(0) => return response.close().map(|head| Answer { head, bytes }).ok_or(unended),
                Ok(received) => filled += received,
                Err(_) => return Err(unended),
            }
            let consumed = response.consume(&self.buffer[..filled]).map_err(|_| Broken::Protocol)?;
            self.buffer.copy_within(consumed..filled, 0);
            filled -= consumed;
            bytes += consumed as u64;
            if let Some(head) = response.done() {
                break head;
            }
            if filled == self.buffer.len() {
                return Err(Broken::Protocol); // The head is longer than any buffer.
            }
        };
        if filled > 0 {
            return Err(Broken::Protocol); // Nobody asked for what follows the answer.
        }
        if head.keep_alive && sending.is_complete() && self.shared.plan.request.keeps_alive() {
            self.idle = Some(stream);
        }
        Ok(Answer { head, bytes })
    }
}

/// A request on its way out.
struct Sending<'a> {
    unsent: &'a [u8],
    /// The server takes no more; it may still answer what it has.
    broken: bool,
}

impl Sending<'_> {
    fn is_complete(&self) -> bool {
        self.unsent.is_empty() && !self.broken
    }

    /// What to wait for on the connection.
    fn interest(&self) -> Interest {
        let writing = !self.unsent.is_empty() && !self.broken;
        if writing { Interest::READABLE | Interest::WRITABLE } else { Interest::READABLE }
    }

    fn advance(&mut self, stream: &TcpStream) {
        while !self.unsent.is_empty() && !self.broken {
            match stream.try_write(self.unsent) {
                Ok(sent) => self.unsent = &self.unsent[sent..],
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(_) => self.broken = true,
            }
        }
    }
}

/// Waits for more of the answer, and sends what is left of the request meanwhile. Zero: the server
/// has closed the connection.
async fn receive(stream: &TcpStream, sending: &mut Sending<'_>, buffer: &mut [u8]) -> io::Result<usize> {
    loop {
        let ready = stream.ready(sending.interest()).await?;
        if ready.is_writable() {
            sending.advance(stream);
        }
        if ready.is_readable() {
            match stream.try_read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                result => return result,
            }
        }
    }
}

/// Waits until a connection without a request is closed, or something comes that nobody asked for.
async fn unusable(stream: &TcpStream) {
    loop {
        let readable = stream.readable().await;
        match stream.try_read(&mut [0]) {
            Err(error) if readable.is_ok() && error.kind() == io::ErrorKind::WouldBlock => {}
            _ => return,
        }
    }
}
