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

use std::{
    future::poll_fn,
    io,
    net::SocketAddr,
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll, ready},
    time::Instant,
};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf},
    net::TcpStream,
    select,
    time::{self, Sleep, sleep},
};

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

impl Shared {
    /// Records what became of the request that was due at `due`.
    fn end(&self, due: Instant, result: Result<Answer, Failure>) {
        let latency = due.elapsed();
        let mut record = self.record.lock();
        let outcome = result.and_then(|Answer { head, bytes }| {
            record.answer(head.status, latency, bytes);
            self.plan.judge(head.status)
        });
        record.end(outcome);
    }
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

    /// Returns when the queue is closed and empty.
    pub(crate) async fn serve(mut self) {
        let limit = self.shared.plan.timeout;
        let mut alarm = pin!(sleep(limit));
        while let Some(due) = self.next().await {
            let result = self.request_by(due + limit, alarm.as_mut()).await;
            self.shared.end(due, result);
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
                let mut unasked = [0];
                select! {
                    biased;
                    // Closed, or something came that nobody asked for: no more use either way.
                    _ = stream.read(&mut unasked) => *idle = None,
                    () = shared.queue.changed() => {}
                }
            } else {
                shared.queue.changed().await;
            }
        }
    }

    async fn request_by(&mut self, deadline: Instant, alarm: Pin<&mut Sleep>) -> Result<Answer, Failure> {
        if Instant::now() >= deadline {
            return Err(Failure::Timeout); // Whoever would have waited for it is gone.
        }
        select! {
            biased;
            result = self.request() => result,
            () = wait_until(alarm, deadline.into()) => Err(Failure::Timeout),
        }
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

    async fn exchange(&mut self, mut stream: TcpStream) -> Result<Answer, Broken> {
        let mut response = Response::new(self.shared.plan.request.method.is_head());
        let mut sending = Sending { unsent: &self.shared.request, broken: false };
        let (mut filled, mut bytes) = (0, 0);
        let head = loop {
            let received = receive(&mut stream, &mut sending, &mut self.buffer[filled..]).await;
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

/// Waits until `deadline` with an alarm that is set anew only when it has gone off: setting it takes a
/// system call where no other is set, which would be one for nearly every request.
async fn wait_until(mut alarm: Pin<&mut Sleep>, deadline: time::Instant) {
    if alarm.deadline() > deadline {
        alarm.as_mut().reset(deadline);
    }
    loop {
        alarm.as_mut().await;
        if time::Instant::now() >= deadline {
            return;
        }
        alarm.as_mut().reset(deadline);
    }
}

/// A request on its way out.
struct Sending<'a> {
    unsent: &'a [u8],
    /// The server takes no more; it may still answer what it has.
    broken: bool,
}

impl Sending<'_> {
    const fn is_complete(&self) -> bool {
        self.unsent.is_empty() && !self.broken
    }

    /// Sends as much as goes, and arranges to be woken when more does.
    fn advance(&mut self, stream: &mut TcpStream, cx: &mut Context<'_>) {
        while !self.unsent.is_empty() && !self.broken {
            match Pin::new(&mut *stream).poll_write(cx, self.unsent) {
                Poll::Ready(Ok(sent)) => self.unsent = &self.unsent[sent..],
                Poll::Ready(Err(_)) => self.broken = true,
                Poll::Pending => return,
            }
        }
    }
}

/// Waits for more of the answer, and sends what is left of the request meanwhile. Zero: the server
/// has closed the connection.
async fn receive(stream: &mut TcpStream, sending: &mut Sending<'_>, buffer: &mut [u8]) -> io::Result<usize> {
    poll_fn(|cx| {
        sending.advance(stream, cx);
        let mut buffer = ReadBuf::new(buffer);
        ready!(Pin::new(&mut *stream).poll_read(cx, &mut buffer))?;
        Poll::Ready(Ok(buffer.filled().len()))
    })
    .await
}
