//! A small, blocking, strict HTTP/1.1 client that sends exactly the bytes it is given.

use std::{
    io::{self, Read, Write},
    net::{SocketAddr, TcpStream},
    time::{Duration, Instant},
};

use crate::message::{Fields, Framing, Reader, field_lines, framing, length_line, malformed};

/// How long a client waits for anything. Only failing tests wait that long.
const PATIENCE: Duration = Duration::from_mins(1);

/// An answer, whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    /// `HTTP/1.1` or `HTTP/1.0`.
    pub version: String,
    pub status: u16,
    pub reason: String,
    pub headers: Fields,
    pub body: Vec<u8>,
    /// Fields after a chunked body.
    pub trailers: Fields,
}

impl Response {
    /// The value of the only header with this name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.one(name)
    }

    /// The body as text. Panics if it is none.
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("the body is UTF-8")
    }
}

/// Asks once on a connection of its own. Panics when there is no well-formed answer.
pub fn get(addr: SocketAddr, path: &str) -> Response {
    request(addr, "GET", path, &[], b"")
}

/// Like [`get`], with an error in place of a panic.
pub fn try_get(addr: SocketAddr, path: &str) -> io::Result<Response> {
    Client::connect(addr)?.request("GET", path, &[("Connection", "close")], b"")
}

/// Sends a request on a connection of its own, a non-empty `body` with its `Content-Length`.
/// Panics when there is no well-formed answer.
pub fn request(
    addr: SocketAddr,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Response {
    Client::connect(addr)
        .and_then(|mut client| client.request(method, path, headers, body))
        .unwrap_or_else(|error| panic!("{method} {path} of {addr}: {error}"))
}

/// Sends `bytes` as they are and returns all that comes until the peer closes, which it must.
/// A reset counts as closed: a server that refuses a request may not have read all of it.
pub fn send_raw(addr: SocketAddr, bytes: &[u8]) -> Vec<u8> {
    let mut client = Client::connect(addr).unwrap_or_else(|error| panic!("connect to {addr}: {error}"));
    // The peer may answer and close before it has taken everything.
    let _ = client.send(bytes);
    client
        .read_to_end()
        .unwrap_or_else(|error| panic!("after {:?}: {error}", bytes.escape_ascii().to_string()))
}

/// Reads the first answer in `bytes`, as [`send_raw`] returns them, without a body. Panics if there is none.
pub fn status_of(bytes: &[u8]) -> u16 {
    let line = bytes.split(|&byte| byte == b'\r').next().unwrap_or_default();
    let line = String::from_utf8_lossy(line);
    status_line(&line).unwrap_or_else(|error| panic!("{error} in {:?}", bytes.escape_ascii().to_string())).1
}

/// One connection that stays open between requests.
#[derive(Debug)]
pub struct Client<S = TcpStream> {
    reader: Reader<S>,
    host: String,
}

impl Client {
    pub fn connect(addr: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect_timeout(&addr, PATIENCE)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(Self::over(stream, &addr.to_string()))
    }

    /// The socket, for half-closing, buffer sizes and the like.
    pub fn stream(&self) -> &TcpStream {
        &self.reader.stream
    }
}

impl<S: Read + Write> Client<S> {
    /// Over a connection that stands already.
    pub fn over(stream: S, host: &str) -> Self {
        Self { reader: Reader::new(stream), host: host.to_owned() }
    }

    /// What it speaks over.
    pub fn inner(&mut self) -> &mut S {
        &mut self.reader.stream
    }

    /// Asks and reads the final answer; interim ones (1xx) are passed over.
    pub fn get(&mut self, path: &str) -> io::Result<Response> {
        self.request("GET", path, &[], b"")
    }

    pub fn request(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> io::Result<Response> {
        self.send(&render(&self.host, method, path, headers, body))?;
        loop {
            let response = if method == "HEAD" { self.read_without_body()? } else { self.read()? };
            if response.status >= 200 || response.status == 101 {
                return Ok(response);
            }
        }
    }

    pub fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.reader.stream.write_all(bytes)
    }

    /// The next answer, interim ones included.
    pub fn read(&mut self) -> io::Result<Response> {
        self.response(true)
    }

    /// The next answer, when it is one to `HEAD`.
    pub fn read_without_body(&mut self) -> io::Result<Response> {
        self.response(false)
    }

    /// What has arrived, at least a byte; empty when the peer has closed. For tunnels and trickles.
    pub fn read_some(&mut self) -> io::Result<Vec<u8>> {
        self.reader.some()
    }

    /// Exactly `length` bytes.
    pub fn read_exactly(&mut self, length: usize) -> io::Result<Vec<u8>> {
        self.reader.exactly(length)
    }

    /// All that comes until the peer closes or resets; an error if it does neither in time.
    pub fn read_to_end(&mut self) -> io::Result<Vec<u8>> {
        let end = Instant::now() + PATIENCE;
        let mut all = Vec::new();
        loop {
            match self.reader.some() {
                Ok(some) if some.is_empty() => return Ok(all),
                Ok(some) => all.extend(some),
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return Ok(all),
                Err(error) => return Err(error),
            }
            if Instant::now() > end {
                return Err(io::Error::new(io::ErrorKind::TimedOut, "the peer keeps sending"));
            }
        }
    }

    /// Whether the peer closed (or reset) after all that was read. Waits for that or for more bytes.
    pub fn is_closed(&mut self) -> bool {
        match self.reader.is_at_end() {
            Ok(at_end) => at_end,
            Err(error) => error.kind() == io::ErrorKind::ConnectionReset,
        }
    }

    fn response(&mut self, with_body: bool) -> io::Result<Response> {
        let (version, status, reason) = status_line(&self.reader.line()?)?;
        let headers = self.reader.fields()?;
        let framing = framing(&headers, Framing::Close)?;
        let bodyless = !with_body || status < 200 || status == 204 || status == 304;
        let framing = if bodyless { Framing::Length(0) } else { framing };
        let (body, trailers) = self.reader.body(framing)?;
        Ok(Response { version, status, reason, headers, body, trailers })
    }
}

fn render(host: &str, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
    let named = headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host"));
    let host = if named { String::new() } else { field_lines(&[("Host", host)]) };
    let length = if body.is_empty() { String::new() } else { length_line(body) };
    let head = format!("{method} {path} HTTP/1.1\r\n{host}{}{length}\r\n", field_lines(headers));
    [head.as_bytes(), body].concat()
}

fn status_line(line: &str) -> io::Result<(String, u16, String)> {
    let mut parts = line.splitn(3, ' ');
    let (version, status) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    let digits = status.len() == 3 && status.bytes().all(|b| b.is_ascii_digit());
    match (version, status.parse(), parts.next()) {
        ("HTTP/1.1" | "HTTP/1.0", Ok(status), Some(reason)) if digits => {
            Ok((version.to_owned(), status, reason.to_owned()))
        }
        _ => Err(malformed("status line", line)),
    }
}
