//! The server behind the proxies: `/N` is answered with N bytes, at once.

use std::{
    collections::HashMap,
    io,
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    rc::Rc,
    thread,
    time::Duration,
};

use anyhow::Result;
use memchr::memmem;

use crate::{
    cores,
    poll::{self, Poll},
};

/// Lives, with its thread, as long as the program.
#[derive(Debug)]
pub struct Origin {
    addr: SocketAddr,
}

impl Origin {
    pub fn start(core: usize, bodies: &[usize]) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        listener.set_nonblocking(true)?;
        let addr = listener.local_addr()?;
        let bodies = bodies.to_vec();
        thread::Builder::new().name("origin".into()).spawn(move || {
            if let Err(error) = cores::pin(core).and_then(|()| serve(&listener, &bodies)) {
                eprintln!("origin: {error}");
            }
        })?;
        Ok(Self { addr })
    }

    pub fn addr(&self) -> SocketAddr {
        self.addr
    }
}

/// The number that the listener is watched under; connections follow.
const LISTENER: usize = usize::MAX;
const NEVER: Duration = Duration::from_hours(1);

fn serve(listener: &TcpListener, bodies: &[usize]) -> io::Result<()> {
    let answers = Answers::new(bodies);
    let mut connections: HashMap<usize, Connection> = HashMap::new();
    let mut poll = Poll::new()?;
    poll.watch(listener, LISTENER)?;
    let mut accepted = 0;
    loop {
        let ready: Vec<usize> = poll.wait(NEVER)?.collect();
        for number in ready {
            if number == LISTENER {
                while let Ok((stream, _)) = listener.accept() {
                    stream.set_nonblocking(true)?;
                    stream.set_nodelay(true)?;
                    poll.watch(&stream, accepted)?;
                    connections.insert(accepted, Connection::new(stream));
                    accepted += 1;
                }
            } else if let Some(connection) = connections.get_mut(&number)
                && !connection.turn(number, &poll, &answers).unwrap_or(false)
            {
                connections.remove(&number);
            }
        }
    }
}

/// Whole answers, by the path that asks for each.
struct Answers(HashMap<Vec<u8>, Rc<[u8]>>);

impl Answers {
    fn new(bodies: &[usize]) -> Self {
        let answer = |&length: &usize| {
            let head =
                format!("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {length}\r\n\r\n");
            (format!("/{length}").into_bytes(), [head.as_bytes(), &vec![b'x'; length]].concat().into())
        };
        Self(bodies.iter().map(answer).collect())
    }

    fn to(&self, head: &[u8]) -> io::Result<&Rc<[u8]>> {
        let path = head.split(|&byte| byte == b' ').nth(1).unwrap_or_default();
        self.0.get(path).ok_or_else(|| io::Error::other("no such path"))
    }
}

struct Connection {
    stream: TcpStream,
    /// What came of a head that is not complete.
    head: Vec<u8>,
    /// What is still to be written, from that offset.
    answer: Option<(Rc<[u8]>, usize)>,
}

impl Connection {
    fn new(stream: TcpStream) -> Self {
        Self { stream, head: Vec::new(), answer: None }
    }

    /// False when the connection is over.
    fn turn(&mut self, number: usize, poll: &Poll, answers: &Answers) -> io::Result<bool> {
        if self.answer.is_some() {
            if self.flush()? {
                poll.watch_writing(&self.stream, number, false)?;
            }
            return Ok(true);
        }
        let mut block = [0; 4_096];
        let Some(count) = poll::read(&self.stream, &mut block)? else { return Ok(true) };
        if count == 0 {
            return Ok(false);
        }
        self.head.extend_from_slice(&block[..count]);
        // A proxy sends its next request on this connection only after the answer to this one.
        if memmem::find(&self.head, b"\r\n\r\n").is_some() {
            self.answer = Some((Rc::clone(answers.to(&self.head)?), 0));
            self.head.clear();
            if !self.flush()? {
                poll.watch_writing(&self.stream, number, true)?;
            }
        }
        Ok(true)
    }

    /// Whether everything is written.
    fn flush(&mut self) -> io::Result<bool> {
        while let Some((bytes, written)) = &mut self.answer {
            let Some(count) = poll::write(&self.stream, &bytes[*written..])? else { return Ok(false) };
            *written += count;
            if *written == bytes.len() {
                self.answer = None;
            }
        }
        Ok(true)
    }
}
