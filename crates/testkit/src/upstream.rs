//! A real server whose answers a test scripts, down to the byte and the moment.
//!
//! One thread accepts, one thread serves each connection: it reads a request, asks the test's
//! closure for an [`Answer`], and acts it out step by step. What was received is kept for the test
//! to look at.
//!
//! Dropping it closes the listener and cuts every connection, stalled ones too.

mod answer;

use std::{
    collections::{HashMap, VecDeque},
    io::{self, Write as _},
    net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

pub use answer::Answer;
use answer::Step;

use crate::message::{Fields, Framing, Reader, framing, malformed};

/// Requests kept for the test; older ones go.
const KEPT: usize = 4_096;

/// A request as the upstream received it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    pub method: String,
    pub target: String,
    pub headers: Fields,
    pub body: Vec<u8>,
    /// Fields after a chunked body.
    pub trailers: Fields,
    /// Every byte of it, as it came.
    pub raw: Vec<u8>,
    /// Which connection it came on, counted from 0.
    pub connection: usize,
}

impl Request {
    /// The value of the only header with this name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.one(name)
    }
}

/// When the closure is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ask {
    AfterBody,
    AfterHead,
}

/// A scripted server on `127.0.0.1`.
#[derive(Debug)]
pub struct Upstream {
    addr: SocketAddr,
    shared: Arc<Shared>,
    accepting: Option<JoinHandle<()>>,
}

impl Upstream {
    /// Serves on a port that the kernel picks; `answer` is asked when a request is complete.
    pub fn start(answer: impl Fn(&Request) -> Answer + Send + Sync + 'static) -> Self {
        Self::start_at((Ipv4Addr::LOCALHOST, 0).into(), answer)
    }

    /// The same on a given address, as after a restart.
    pub fn start_at(addr: SocketAddr, answer: impl Fn(&Request) -> Answer + Send + Sync + 'static) -> Self {
        Self::serve(addr, move |reader, connection, shared| {
            converse(reader, connection, shared, Ask::AfterBody, &answer)
        })
    }

    /// Asks `answer` as soon as the head is there, with the body unread, and closes after it. For
    /// early answers, and for upstreams that never read.
    pub fn start_early(answer: impl Fn(&Request) -> Answer + Send + Sync + 'static) -> Self {
        Self::serve((Ipv4Addr::LOCALHOST, 0).into(), move |reader, connection, shared| {
            converse(reader, connection, shared, Ask::AfterHead, &answer)
        })
    }

    /// Hands every connection, counted from 0, to `serve`. For what [`Answer`] cannot say.
    pub fn start_raw(serve: impl Fn(TcpStream, usize) + Send + Sync + 'static) -> Self {
        Self::serve((Ipv4Addr::LOCALHOST, 0).into(), move |reader, connection, _| {
            serve(reader.stream.try_clone()?, connection);
            Ok(())
        })
    }

    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// The requests received so far, oldest first, the last 4,096 of them.
    pub fn requests(&self) -> Vec<Request> {
        self.shared.state().requests.iter().cloned().collect()
    }

    /// Requests received so far.
    pub fn request_count(&self) -> usize {
        self.shared.state().received
    }

    /// Connections accepted so far.
    pub fn connection_count(&self) -> usize {
        self.shared.state().accepted
    }

    /// Connections open now.
    pub fn open_connections(&self) -> usize {
        self.shared.state().open.len()
    }

    /// Cuts the connections that are open now; new ones are served as before.
    pub fn cut(&self) {
        for stream in self.shared.state().open.values() {
            // Its thread may have closed it in the meantime.
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    fn serve(
        addr: SocketAddr,
        serve: impl Fn(&mut Reader, usize, &Shared) -> io::Result<()> + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind(addr).unwrap_or_else(|error| panic!("listen on {addr}: {error}"));
        let addr = listener.local_addr().expect("a listener has an address");
        let shared = Arc::new(Shared::default());
        let accepting = thread::spawn({
            let shared = Arc::clone(&shared);
            move || accept(&listener, &shared, &Arc::new(serve))
        });
        Self { addr, shared, accepting: Some(accepting) }
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.shared.state().stopping = true;
        self.shared.stop.notify_all();
        self.cut();
        // Wakes the accepting thread, which then sees that it is to stop.
        let _ = TcpStream::connect(self.addr);
        if let Some(accepting) = self.accepting.take() {
            let _ = accepting.join();
        }
    }
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    stop: Condvar,
}

#[derive(Debug, Default)]
struct State {
    stopping: bool,
    accepted: usize,
    received: usize,
    open: HashMap<usize, TcpStream>,
    requests: VecDeque<Request>,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn record(&self, request: &Request) {
        let mut state = self.state();
        state.received += 1;
        if state.requests.len() == KEPT {
            state.requests.pop_front();
        }
        state.requests.push_back(request.clone());
    }

    /// Waits for `span`, or without end, or until the server stops.
    fn pause(&self, span: Option<Duration>) -> io::Result<()> {
        let end = span.map(|span| Instant::now() + span);
        let mut state = self.state();
        while !state.stopping {
            state = match end.map(|end| end.saturating_duration_since(Instant::now())) {
                Some(Duration::ZERO) => return Ok(()),
                Some(left) => self.stop.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0,
                None => self.stop.wait(state).unwrap_or_else(PoisonError::into_inner),
            };
        }
        Err(io::Error::other("the upstream stops"))
    }
}

fn accept<F>(listener: &TcpListener, shared: &Arc<Shared>, serve: &Arc<F>)
where
    F: Fn(&mut Reader, usize, &Shared) -> io::Result<()> + Send + Sync + 'static,
{
    for stream in listener.incoming() {
        let mut state = shared.state();
        if state.stopping {
            return;
        }
        let Ok((stream, kept)) = stream.and_then(|stream| Ok((stream.try_clone()?, stream))) else {
            continue;
        };
        let connection = state.accepted;
        state.accepted += 1;
        state.open.insert(connection, kept);
        drop(state);
        let (shared, serve) = (Arc::clone(shared), Arc::clone(serve));
        thread::spawn(move || {
            let _ = stream.set_nodelay(true);
            // How a connection ends is for the test to judge, from its other side.
            let _ = serve(&mut Reader::new(stream), connection, &shared);
            shared.state().open.remove(&connection);
        });
    }
}

fn converse(
    reader: &mut Reader,
    connection: usize,
    shared: &Shared,
    ask: Ask,
    answer: &dyn Fn(&Request) -> Answer,
) -> io::Result<()> {
    while !reader.is_at_end()? {
        let request = receive(reader, connection, ask)?;
        shared.record(&request);
        let answer = answer(&request);
        let last = answer.closes || ask == Ask::AfterHead || request.headers.lists("connection", "close");
        for step in answer.steps {
            act(step, reader, shared)?;
        }
        if last {
            return Ok(());
        }
    }
    Ok(())
}

fn receive(reader: &mut Reader, connection: usize, ask: Ask) -> io::Result<Request> {
    let line = reader.line()?;
    let [method, target, "HTTP/1.1"] = line.split(' ').collect::<Vec<_>>()[..] else {
        return Err(malformed("request line", &line));
    };
    let (method, target) = (method.to_owned(), target.to_owned());
    let headers = reader.fields()?;
    let framing = framing(&headers, Framing::Length(0))?;
    let framing = if ask == Ask::AfterHead { Framing::Length(0) } else { framing };
    if headers.lists("expect", "100-continue") && framing != Framing::Length(0) {
        reader.stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
    }
    let (body, trailers) = reader.body(framing)?;
    Ok(Request { method, target, headers, body, trailers, raw: reader.take_raw(), connection })
}

fn act(step: Step, reader: &mut Reader, shared: &Shared) -> io::Result<()> {
    match step {
        Step::Write(bytes) => reader.stream.write_all(&bytes),
        Step::Pause(span) => shared.pause(Some(span)),
        Step::Stall => shared.pause(None),
        Step::Reset => {
            // With nothing to linger for, closing resets.
            rustix::net::sockopt::set_socket_linger(&reader.stream, Some(Duration::ZERO))?;
            Err(io::ErrorKind::ConnectionReset.into())
        }
        Step::Echo => loop {
            let some = reader.some()?;
            if some.is_empty() {
                return Ok(());
            }
            reader.stream.write_all(&some)?;
        },
    }
}
