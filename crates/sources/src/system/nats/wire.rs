//! The protocol of NATS: lines, and bodies whose lengths they tell.

use serde_json::Value;
use tokio::{io::AsyncReadExt as _, net::TcpStream};

use crate::{
    error::{Error, Result},
    transport::{Buffered, Stream},
};

/// Longest line, and largest message, that are read.
const LINE: usize = 64 << 10;
const MESSAGE: usize = 64 << 20;

#[derive(Debug)]
pub(crate) struct Connection {
    link: Buffered,
    requests: u64,
    inbox: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Event {
    Message(Message),
    Ping,
    Pong,
    Error(String),
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Message {
    pub(crate) subject: String,
    /// Where an answer goes; empty: nowhere.
    pub(crate) reply: String,
    /// What follows `NATS/1.0` in the first line of the headers, without its text.
    pub(crate) status: Option<u16>,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

/// The line with which a server begins. Byte by byte, as TLS may follow it, which is to be as `tls` says.
pub(crate) async fn introduction(stream: &mut TcpStream, tls: bool) -> Result<()> {
    let mut line = Vec::new();
    while line.last() != Some(&b'\n') {
        if line.len() >= LINE {
            return Err(Error::answer("this is not NATS"));
        }
        line.push(stream.read_u8().await?);
    }
    let info = line.strip_prefix(b"INFO ").and_then(|info| serde_json::from_slice::<Value>(info).ok());
    let info = info.ok_or_else(|| Error::answer("this is not NATS"))?;
    let says = |field: &str| info[field].as_bool().unwrap_or(false);
    match (tls, says("tls_required"), says("tls_available")) {
        (false, true, _) => Err(Error::Refused("the server wants TLS: write `tls://`".into())),
        (true, false, false) => Err(Error::Refused("the server does not speak TLS".into())),
        _ => Ok(()),
    }
}

impl Connection {
    pub(crate) fn new(stream: Stream) -> Self {
        Self { link: Buffered::new(stream), requests: 0, inbox: None }
    }

    pub(crate) fn queue(&mut self, bytes: &[u8]) {
        self.link.out.extend_from_slice(bytes);
    }

    pub(crate) fn publish(&mut self, subject: &str, reply: &str, body: &[u8]) {
        let space = if reply.is_empty() { "" } else { " " };
        self.queue(format!("PUB {subject} {reply}{space}{}\r\n", body.len()).as_bytes());
        self.queue(body);
        self.queue(b"\r\n");
    }

    pub(crate) async fn flush(&mut self) -> Result<()> {
        self.link.flush().await
    }

    /// A subject that only this connection listens to.
    pub(crate) async fn inbox(&mut self) -> Result<String> {
        if let Some(inbox) = &self.inbox {
            return Ok(inbox.clone());
        }
        let mut random = [0; 16];
        tokio::fs::File::open("/dev/urandom").await?.read_exact(&mut random).await?;
        let inbox = format!("_INBOX.{:032x}", u128::from_ne_bytes(random));
        self.queue(format!("SUB {inbox}.* 1\r\n").as_bytes());
        Ok(self.inbox.insert(inbox).clone())
    }

    /// Publishes `body` and returns the answer. Other messages meanwhile are lost.
    pub(crate) async fn request(&mut self, subject: &str, body: &[u8]) -> Result<Vec<u8>> {
        self.requests += 1;
        let reply = format!("{}.r{}", self.inbox().await?, self.requests);
        self.publish(subject, &reply, body);
        self.flush().await?;
        loop {
            match self.event().await? {
                Event::Message(message) if message.subject == reply => match message.status {
                    Some(503) => return Err(Error::Refused("nobody answers: is JetStream enabled?".into())),
                    _ => return Ok(message.body),
                },
                Event::Ping => {
                    self.queue(b"PONG\r\n");
                    self.flush().await?;
                }
                Event::Error(why) => return Err(Error::Refused(why)),
                Event::Message(_) | Event::Pong => {}
            }
        }
    }

    /// The next thing that the server says. Nothing is lost when this is not waited for to its end.
    pub(crate) async fn event(&mut self) -> Result<Event> {
        loop {
            if let Some((event, length)) = parse(&self.link.read)? {
                self.link.read.drain(..length);
                if let Some(event) = event {
                    return Ok(event);
                }
                continue;
            }
            self.link.fill().await?;
        }
    }
}

/// The first event and how long it is, once it is there as a whole.
pub(crate) fn parse(bytes: &[u8]) -> Result<Option<(Option<Event>, usize)>> {
    let Some(end) = bytes.windows(2).take(LINE).position(|two| two == b"\r\n") else {
        return if bytes.len() < LINE { Ok(None) } else { Err(Error::answer("this is not NATS")) };
    };
    let line = String::from_utf8_lossy(&bytes[..end]);
    let after = end + 2;
    let (verb, rest) = line.split_once(' ').unwrap_or((&line, ""));
    let event = match verb {
        "PING" => Some(Event::Ping),
        "PONG" => Some(Event::Pong),
        "-ERR" => Some(Event::Error(rest.trim_matches('\'').to_owned())),
        "INFO" | "+OK" => None,
        "MSG" | "HMSG" => {
            let words: Vec<&str> = rest.split_ascii_whitespace().collect();
            let sizes = if verb == "MSG" { 1 } else { 2 };
            let numbers = words.len().checked_sub(sizes).filter(|&at| at >= 2);
            let (names, numbers) = words.split_at(numbers.ok_or_else(|| Error::answer("a bad message"))?);
            let number = |text: &&str| text.parse().ok().filter(|&size: &usize| size <= MESSAGE);
            let sizes: Option<Vec<usize>> = numbers.iter().map(number).collect();
            let sizes = sizes.ok_or_else(|| Error::answer("a message that is too long"))?;
            let (all, head) = (sizes[sizes.len() - 1], if sizes.len() == 2 { sizes[0] } else { 0 });
            if bytes.len() < after + all + 2 {
                return Ok(None);
            }
            let payload = &bytes[after..after + all];
            let (head, body) =
                payload.split_at_checked(head).ok_or_else(|| Error::answer("a bad message"))?;
            let mut message = Message {
                subject: names[0].to_owned(),
                reply: names.get(2).map_or_else(String::new, |&reply| reply.to_owned()),
                body: body.to_vec(),
                ..Message::default()
            };
            headers(head, &mut message);
            return Ok(Some((Some(Event::Message(message)), after + all + 2)));
        }
        _ => return Err(Error::answer("this is not NATS")),
    };
    Ok(Some((event, after)))
}

fn headers(head: &[u8], message: &mut Message) {
    let text = String::from_utf8_lossy(head);
    let mut lines = text.split("\r\n");
    let status = lines.next().and_then(|line| line.strip_prefix("NATS/1.0"));
    message.status = status.and_then(|rest| rest.split_ascii_whitespace().next()?.parse().ok());
    let pair =
        |line: &str| line.split_once(':').map(|(name, value)| (name.to_owned(), value.trim().to_owned()));
    message.headers = lines.filter_map(pair).collect();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_taken_out_of_what_has_come() {
        let bytes = b"MSG a.b 1 in.box 5\r\nhello\r\nPING\r\n";
        let (event, length) = parse(bytes).unwrap().unwrap();
        let Some(Event::Message(message)) = event else { panic!("{event:?}") };
        assert_eq!((&*message.subject, &*message.reply, &*message.body), ("a.b", "in.box", &b"hello"[..]));
        assert_eq!(parse(&bytes[length..]).unwrap(), Some((Some(Event::Ping), 6)));
        for part in 0..length {
            assert_eq!(parse(&bytes[..part]).unwrap(), None, "{part}");
        }
    }

    #[test]
    fn headers_and_a_status_are_read() {
        let head = b"NATS/1.0 408 Request Timeout\r\nNats-Pending-Messages: 3\r\n\r\n";
        let bytes = [format!("HMSG i 1 {0} {0}\r\n", head.len()).as_bytes(), head, b"\r\n"].concat();
        let (event, _) = parse(&bytes).unwrap().unwrap();
        let Some(Event::Message(message)) = event else { panic!("{event:?}") };
        assert_eq!(message.status, Some(408));
        assert_eq!(message.headers, [("Nats-Pending-Messages".to_owned(), "3".to_owned())]);
    }

    #[test]
    fn what_is_not_nats_is_refused() {
        for bytes in [&b"HTTP/1.1 400\r\n"[..], b"MSG a\r\n", b"MSG a 1 x\r\n", b"MSG a 1 99999999999\r\n"] {
            assert!(parse(bytes).is_err(), "{bytes:?}");
        }
    }
}
