//! Sends the requests of a case and takes apart what comes back.
//!
//! Bytes go out as the case spells them. An answer is everything until the gateway closes the connection or is
//! silent for as long as the case waits.

use std::{
    io::{self, Read as _, Write as _},
    net::{Shutdown, TcpStream},
    thread,
    time::Duration,
};

use super::{
    case::{Case, Request},
    scene::{Scene, find},
};

/// Without a word in the case about it.
const PATIENCE: Duration = Duration::from_secs(3);

/// What came back for one request.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: Option<u16>,
    /// Names in lower case, in order.
    pub(crate) headers: Vec<(String, Vec<u8>)>,
    pub(crate) body: Vec<u8>,
    pub(crate) head: Vec<u8>,
}

impl Answer {
    /// All values of that name.
    pub(crate) fn header(&self, name: &str) -> Vec<u8> {
        let values = self.headers.iter().filter(|(known, _)| known.eq_ignore_ascii_case(name));
        values.map(|(_, value)| value.as_slice()).collect::<Vec<_>>().join(b", ".as_slice())
    }
}

/// What a round of the case's requests brought.
#[derive(Debug, Default)]
pub(crate) struct Round {
    pub(crate) answers: Vec<Answer>,
    /// The gateway was silent for too long, and the case did not mean to leave.
    pub(crate) timed_out: bool,
}

/// Sends all requests of the case once.
pub(crate) fn play(case: &Case, scene: &Scene) -> io::Result<Round> {
    let mut round = Round::default();
    if case.pipelined {
        let all: Vec<u8> = case.requests.iter().flat_map(|request| message(request, scene)).collect();
        let bytes = exchange(case, scene, &[(None, all)], &mut round)?;
        let mut rest = bytes.as_slice();
        for request in &case.requests {
            let (answer, left) = parse(rest, is_head(request, scene));
            rest = left;
            round.answers.push(answer);
        }
    } else {
        for request in &case.requests {
            let bytes = exchange(case, scene, &packets(request, scene), &mut round)?;
            round.answers.push(parse(&bytes, is_head(request, scene)).0);
        }
    }
    Ok(round)
}

fn is_head(request: &Request, scene: &Scene) -> bool {
    scene.fill(&request.method) == b"HEAD"
}

fn message(request: &Request, scene: &Scene) -> Vec<u8> {
    match &request.raw {
        Some(raw) => scene.fill(raw),
        None => [head(request, scene), scene.fill(&request.body)].concat(),
    }
}

fn head(request: &Request, scene: &Scene) -> Vec<u8> {
    let line = [&request.method, &request.path, &request.version].map(|part| scene.fill(part)).join(&b' ');
    let mut head = [line.as_slice(), b"\r\n"].concat();
    for (name, value) in &request.headers {
        head.extend([scene.fill(name).as_slice(), b": ", &scene.fill(value), b"\r\n"].concat());
    }
    head.extend(b"\r\n");
    head
}

type Timed = (Option<Duration>, Vec<u8>);

/// The message, cut where the case cuts it.
fn packets(request: &Request, scene: &Scene) -> Vec<Timed> {
    let Some(packets) = request.packets.as_deref().filter(|packets| !packets.is_empty()) else {
        return vec![(None, message(request, scene))];
    };
    let delay = |seconds: Option<f64>| seconds.filter(|&s| s > 0.0).map(Duration::from_secs_f64);
    let mut cut: Vec<Timed> =
        packets.iter().map(|packet| (delay(packet.delay), scene.fill(&packet.value))).collect();
    if request.raw.is_none() {
        // The first packet begins with the request line, which the parts have; the rest is body.
        let line = cut[0].1.iter().position(|&byte| byte == b'\n').map_or(cut[0].1.len(), |at| at + 1);
        cut[0].1.drain(..line);
        let body = scene.fill(&request.body);
        let mut rest = body.as_slice();
        for (_, bytes) in &mut cut {
            let (own, left) = rest.split_at(bytes.len().min(rest.len()));
            *bytes = own.to_vec();
            rest = left;
        }
        cut[0].1.splice(0..0, head(request, scene));
    }
    cut
}

fn exchange(case: &Case, scene: &Scene, packets: &[Timed], round: &mut Round) -> io::Result<Vec<u8>> {
    let patience = case.timeout.map_or(PATIENCE, Duration::from_secs_f64).max(Duration::from_millis(1));
    let mut stream = TcpStream::connect(("127.0.0.1", scene.port))?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(patience))?;
    stream.set_write_timeout(Some(patience))?;
    for (delay, bytes) in packets {
        if let Some(delay) = delay {
            thread::sleep(*delay);
        }
        // A gateway that refuses need not read; its answer says why.
        if stream.write_all(bytes).is_err() {
            break;
        }
    }
    if case.expected.client_shutdown.is_some() {
        let _ = stream.shutdown(Shutdown::Write);
    }
    let mut answer = Vec::new();
    let mut part = vec![0; 64 << 10];
    loop {
        match stream.read(&mut part) {
            Ok(0) => break,
            Ok(count) => answer.extend_from_slice(&part[..count]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => {
                let silent = matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut);
                round.timed_out |= silent && case.expected.abort.is_none();
                break;
            }
        }
    }
    Ok(answer)
}

/// Takes the first answer off `bytes` and returns what follows it.
fn parse(bytes: &[u8], to_head: bool) -> (Answer, &[u8]) {
    let Some(end) = find(bytes, b"\r\n\r\n") else { return (Answer::default(), b"") };
    let (head, rest) = (&bytes[..end + 2], &bytes[end + 4..]);
    let mut lines = head.split(|&byte| byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    let status = lines.next().and_then(status);
    let headers: Vec<_> = lines.filter_map(field).collect();
    let mut answer = Answer { status, headers, body: Vec::new(), head: head.to_vec() };
    let length = answer.header("content-length");
    let length = std::str::from_utf8(&length).ok().and_then(|text| text.parse::<usize>().ok());
    let left = if matches!(status, Some(304 | 101)) {
        b"".as_slice()
    } else if answer.header("transfer-encoding").windows(7).any(|window| window == b"chunked") {
        unchunk(rest, &mut answer.body)
    } else if let Some(length) = length.filter(|_| !to_head) {
        let (body, left) = rest.split_at(length.min(rest.len()));
        answer.body = body.to_vec();
        left
    } else {
        answer.body = rest.to_vec();
        b""
    };
    (answer, left)
}

fn status(line: &[u8]) -> Option<u16> {
    let line = line.strip_prefix(b"HTTP/")?;
    std::str::from_utf8(line).ok()?.split(' ').nth(1)?.parse().ok()
}

fn field(line: &[u8]) -> Option<(String, Vec<u8>)> {
    let colon = line.iter().position(|&byte| byte == b':')?;
    let name = String::from_utf8_lossy(&line[..colon]).trim().to_ascii_lowercase();
    (!name.is_empty()).then(|| (name, line[colon + 1..].trim_ascii().to_vec()))
}

/// Appends the chunks to `body`, as far as they are whole ones, and returns what follows the last.
fn unchunk<'a>(mut rest: &'a [u8], body: &mut Vec<u8>) -> &'a [u8] {
    while let Some(end) = find(rest, b"\r\n") {
        let size = String::from_utf8_lossy(&rest[..end]);
        let size = size.split(';').next().unwrap_or_default().trim();
        let Ok(size) = usize::from_str_radix(size, 16) else { break };
        rest = &rest[end + 2..];
        if size == 0 {
            return rest.get(2..).unwrap_or_default();
        }
        body.extend_from_slice(&rest[..size.min(rest.len())]);
        rest = rest.get(size + 2..).unwrap_or_default();
    }
    b""
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_on_one_connection_are_told_apart() {
        let bytes = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhiHTTP/1.1 404 Not Found\r\nA: b\r\na: c\r\n\r\nrest";
        let (first, left) = parse(bytes, false);
        assert_eq!((first.status, first.body.as_slice()), (Some(200), b"hi".as_slice()));
        let (second, left) = parse(left, false);
        assert_eq!(
            (second.status, second.body.as_slice(), left),
            (Some(404), b"rest".as_slice(), b"".as_slice())
        );
        assert_eq!(second.header("A"), b"b, c");
    }

    #[test]
    fn chunks_are_joined_and_what_follows_is_left() {
        let bytes =
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n1;x=y\r\nd\r\n0\r\n\r\nnext";
        let (answer, left) = parse(bytes, false);
        assert_eq!((answer.body.as_slice(), left), (b"abcd".as_slice(), b"next".as_slice()));
    }

    #[test]
    fn an_answer_that_broke_off_is_what_there_is_of_it() {
        let bytes = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab";
        assert_eq!(parse(bytes, false).0.body, b"ab");
        assert_eq!(parse(b"HTTP/1.1 200", false).0, Answer::default());
    }

    #[test]
    fn an_answer_to_head_has_no_body_whatever_its_length_says() {
        let bytes = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n";
        assert_eq!(parse(bytes, true).0.body, b"");
    }
}
