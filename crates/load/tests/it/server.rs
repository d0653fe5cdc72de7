//! A server that does with each request what a test tells it to.

use std::{
    io::{self, Read, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    thread,
    time::Duration,
};

/// A plain answer on a connection that stays open.
pub(crate) const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// A request, as far as tests look at it.
#[derive(Debug)]
pub(crate) struct Seen {
    /// Counts connections from 0.
    pub(crate) connection: usize,
    /// Counts requests of this connection from 0.
    pub(crate) request: usize,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

/// What to do with a request.
pub(crate) enum Do {
    /// Send this and wait for the next.
    Answer(Vec<u8>),
    /// Send this, perhaps nothing, and close.
    Close(Vec<u8>),
    /// Never answer.
    Hang,
}

pub(crate) struct Server {
    address: SocketAddr,
    requests: Arc<AtomicUsize>,
}

impl Server {
    pub(crate) fn start(script: impl Fn(&Seen) -> Do + Send + Sync + 'static) -> Self {
        Self::accepting(usize::MAX, script)
    }

    /// Listens only until `connections` have been accepted.
    pub(crate) fn accepting(
        connections: usize,
        script: impl Fn(&Seen) -> Do + Send + Sync + 'static,
    ) -> Self {
        let requests = Arc::new(AtomicUsize::new(0));
        let (count, script) = (Arc::clone(&requests), Arc::new(script));
        Self::raw(requests, connections, move |connection, stream| {
            // What the client does to the connection is the client's affair.
            let _ = serve(connection, stream, &*script, &count);
        })
    }

    /// Hands every connection to `serve`.
    pub(crate) fn raw(
        requests: Arc<AtomicUsize>,
        connections: usize,
        serve: impl Fn(usize, TcpStream) + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let serve = Arc::new(serve);
        thread::spawn(move || {
            let mut listener = Some(listener).filter(|_| connections > 0);
            for connection in 0..connections {
                let (stream, _) = listener.as_ref().unwrap().accept().unwrap();
                // Nobody else gets in by the time that the last one is answered.
                listener = listener.filter(|_| connection + 1 < connections);
                let serve = Arc::clone(&serve);
                thread::spawn(move || serve(connection, stream));
            }
        });
        Self { address, requests }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Complete requests so far.
    pub(crate) fn requests(&self) -> usize {
        self.requests.load(SeqCst)
    }
}

fn serve(
    connection: usize,
    mut stream: TcpStream,
    script: &(impl Fn(&Seen) -> Do + ?Sized),
    count: &AtomicUsize,
) -> io::Result<()> {
    stream.set_nodelay(true)?;
    for request in 0.. {
        let (head, body) = read_request(&mut stream)?;
        count.fetch_add(1, SeqCst);
        match script(&Seen { connection, request, head, body }) {
            Do::Answer(bytes) => stream.write_all(&bytes)?,
            Do::Close(bytes) => {
                stream.write_all(&bytes)?;
                return stream.shutdown(Shutdown::Both);
            }
            Do::Hang => thread::sleep(Duration::from_mins(1)),
        }
    }
    Ok(())
}

fn read_request(stream: &mut TcpStream) -> io::Result<(String, Vec<u8>)> {
    let head = read_head(stream)?;
    let length = content_length(&head);
    let mut body = vec![0; length];
    stream.read_exact(&mut body)?;
    Ok((head, body))
}

pub(crate) fn read_head(stream: &mut TcpStream) -> io::Result<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    Ok(String::from_utf8(head).unwrap())
}

pub(crate) fn content_length(head: &str) -> usize {
    let line = head.lines().find_map(|line| line.strip_prefix("Content-Length: "));
    line.map_or(0, |length| length.parse().unwrap())
}
