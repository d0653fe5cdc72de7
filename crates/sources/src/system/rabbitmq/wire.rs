//! AMQP 0-9-1: frames, and the values in them.

use super::closed;
use crate::{
    error::{Error, Result},
    transport::{Buffered, Stream},
};

/// Seconds after which a silent connection is dead. The gauge of a source that is asked more rarely connects anew.
pub(crate) const HEARTBEAT: u16 = 60;

/// Largest frame that is read.
const FRAME: usize = 1 << 20;

const METHOD: u8 = 1;
const HEADER: u8 = 2;
const BODY: u8 = 3;
const BEAT: u8 = 8;
const END: u8 = 0xCE;

/// Classes and methods.
pub(crate) mod method {
    pub(crate) type Method = (u16, u16);

    pub(crate) const CONNECTION_START: Method = (10, 10);
    pub(crate) const CONNECTION_START_OK: Method = (10, 11);
    pub(crate) const CONNECTION_TUNE: Method = (10, 30);
    pub(crate) const CONNECTION_TUNE_OK: Method = (10, 31);
    pub(crate) const CONNECTION_OPEN: Method = (10, 40);
    pub(crate) const CONNECTION_OPEN_OK: Method = (10, 41);
    pub(crate) const CONNECTION_CLOSE: Method = (10, 50);
    pub(crate) const CHANNEL_OPEN: Method = (20, 10);
    pub(crate) const CHANNEL_OPEN_OK: Method = (20, 11);
    pub(crate) const CHANNEL_CLOSE: Method = (20, 40);
    pub(crate) const QUEUE_DECLARE: Method = (50, 10);
    pub(crate) const QUEUE_DECLARE_OK: Method = (50, 11);
    pub(crate) const BASIC_QOS: Method = (60, 10);
    pub(crate) const BASIC_QOS_OK: Method = (60, 11);
    pub(crate) const BASIC_CONSUME: Method = (60, 20);
    pub(crate) const BASIC_CONSUME_OK: Method = (60, 21);
    pub(crate) const BASIC_CANCEL: Method = (60, 30);
    pub(crate) const BASIC_CANCEL_OK: Method = (60, 31);
    pub(crate) const BASIC_PUBLISH: Method = (60, 40);
    pub(crate) const BASIC_DELIVER: Method = (60, 60);
    pub(crate) const BASIC_ACK: Method = (60, 80);
    pub(crate) const BASIC_NACK: Method = (60, 120);
    pub(crate) const CONFIRM_SELECT: Method = (85, 10);
    pub(crate) const CONFIRM_SELECT_OK: Method = (85, 11);
}

use method::Method;

#[derive(Debug)]
pub(crate) struct Connection {
    link: Buffered,
    /// Largest frame that may be sent.
    limit: usize,
}

/// What a frame holds, read from front to back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) kind: Kind,
    bytes: Vec<u8>,
    at: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Method(Method),
    Header,
    Body,
    Beat,
}

impl Connection {
    pub(crate) fn new(stream: Stream) -> Self {
        Self { link: Buffered::new(stream), limit: 4_096 }
    }

    pub(crate) fn limit(&mut self, bytes: u32) {
        self.limit = if bytes == 0 { FRAME } else { (bytes as usize).min(FRAME) };
    }

    pub(crate) fn queue(&mut self, bytes: &[u8]) {
        self.link.out.extend_from_slice(bytes);
    }

    #[expect(clippy::needless_pass_by_value, reason = "what is written is sent once")]
    pub(crate) fn send(&mut self, channel: u16, method: Writer) {
        self.frame(METHOD, channel, &method.0);
    }

    pub(crate) fn beat(&mut self) {
        self.frame(BEAT, 0, &[]);
    }

    /// Publishes to a queue: persistent, with its headers, and back as an error never.
    pub(crate) fn publish(&mut self, channel: u16, queue: &str, message: &Publication<'_>) {
        self.send(channel, Writer::method(method::BASIC_PUBLISH).u16(0).short("").short(queue).u8(0));
        // Headers and delivery mode; expiration and message id where there are any.
        let flag = |bit: u16, text: &str| if text.is_empty() { 0 } else { 1_u16 << bit };
        let flags = (1 << 13) | (1 << 12) | flag(8, message.expiration) | flag(7, message.id);
        let head = Writer(Vec::new()).u16(60).u16(0).u64(message.body.len() as u64).u16(flags);
        let head = head.table(message.headers).u8(2);
        let texts = [message.expiration, message.id].into_iter().filter(|text| !text.is_empty());
        let head = texts.fold(head, Writer::short);
        self.frame(HEADER, channel, &head.0);
        for part in message.body.chunks(self.limit - 8) {
            self.frame(BODY, channel, part);
        }
    }

    fn frame(&mut self, kind: u8, channel: u16, payload: &[u8]) {
        self.link.out.push(kind);
        self.link.out.extend_from_slice(&channel.to_be_bytes());
        self.link.out.extend_from_slice(&u32::try_from(payload.len()).unwrap_or(u32::MAX).to_be_bytes());
        self.link.out.extend_from_slice(payload);
        self.link.out.push(END);
    }

    pub(crate) async fn flush(&mut self) -> Result<()> {
        self.link.flush().await
    }

    /// The next frame. Nothing is lost when this is not waited for to its end.
    pub(crate) async fn next(&mut self) -> Result<Frame> {
        loop {
            if let Some((frame, length)) = parse(&self.link.read)? {
                self.link.read.drain(..length);
                return match frame.kind {
                    Kind::Method(method::CONNECTION_CLOSE | method::CHANNEL_CLOSE) => Err(closed(frame)),
                    _ => Ok(frame),
                };
            }
            self.link.fill().await?;
        }
    }

    /// Sends what is queued, and waits for a certain answer.
    pub(crate) async fn expect(&mut self, method: Method) -> Result<Frame> {
        self.flush().await?;
        loop {
            let frame = self.next().await?;
            match frame.kind {
                Kind::Method(found) if found == method => return Ok(frame),
                Kind::Beat => {}
                other => return Err(Error::answer(format!("{other:?} instead of {method:?}"))),
            }
        }
    }
}

/// What is published.
#[derive(Debug)]
pub(crate) struct Publication<'a> {
    pub(crate) body: &'a [u8],
    pub(crate) headers: &'a [(&'a str, Entry<'a>)],
    /// Milliseconds; empty: none.
    pub(crate) expiration: &'a str,
    /// Empty: none.
    pub(crate) id: &'a str,
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum Entry<'a> {
    Number(i64),
    Text(&'a str),
}

pub(crate) fn parse(bytes: &[u8]) -> Result<Option<(Frame, usize)>> {
    if bytes.starts_with(b"AMQP") {
        return Err(Error::answer("the server speaks another version of AMQP"));
    }
    let Some((head, rest)) = bytes.split_at_checked(7) else { return Ok(None) };
    let length = u32::from_be_bytes([head[3], head[4], head[5], head[6]]) as usize;
    if length > FRAME {
        return Err(Error::answer("a frame that is too long, or not AMQP"));
    }
    let Some(&end) = rest.get(length) else { return Ok(None) };
    if end != END {
        return Err(Error::answer("a frame without an end"));
    }
    let mut frame = Frame { kind: Kind::Beat, bytes: rest[..length].to_vec(), at: 0 };
    frame.kind = match head[0] {
        METHOD => Kind::Method((frame.u16()?, frame.u16()?)),
        HEADER => Kind::Header,
        BODY => Kind::Body,
        BEAT => Kind::Beat,
        _ => return Err(Error::answer("a frame of an unknown kind")),
    };
    Ok(Some((frame, length + 8)))
}

impl Frame {
    pub(crate) fn bytes(&mut self, count: usize) -> Result<&[u8]> {
        let from = self.at;
        let to = from.checked_add(count).filter(|&to| to <= self.bytes.len());
        self.at = to.ok_or_else(|| Error::answer("a frame that ends too early"))?;
        Ok(&self.bytes[from..self.at])
    }

    pub(crate) fn rest(&mut self) -> &[u8] {
        let from = std::mem::replace(&mut self.at, self.bytes.len());
        &self.bytes[from..]
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        Ok(self.bytes(N)?.try_into().expect("as many as were asked for"))
    }

    pub(crate) fn u8(&mut self) -> Result<u8> {
        self.array().map(u8::from_be_bytes)
    }

    pub(crate) fn u16(&mut self) -> Result<u16> {
        self.array().map(u16::from_be_bytes)
    }

    pub(crate) fn u32(&mut self) -> Result<u32> {
        self.array().map(u32::from_be_bytes)
    }

    pub(crate) fn u64(&mut self) -> Result<u64> {
        self.array().map(u64::from_be_bytes)
    }

    /// A text of at most 255 bytes.
    pub(crate) fn text(&mut self) -> Result<String> {
        let length = self.u8()?;
        Ok(String::from_utf8_lossy(self.bytes(length.into())?).into_owned())
    }

    fn long_text(&mut self) -> Result<String> {
        let length = self.u32()? as usize;
        Ok(String::from_utf8_lossy(self.bytes(length)?).into_owned())
    }

    /// The entries of a table that are numbers or texts.
    pub(crate) fn table(&mut self) -> Result<Vec<(String, String)>> {
        let length = self.u32()? as usize;
        let mut inner = Self { kind: self.kind, bytes: self.bytes(length)?.to_vec(), at: 0 };
        let mut entries = Vec::new();
        while inner.at < inner.bytes.len() {
            let name = inner.text()?;
            if let Some(value) = inner.value()? {
                entries.push((name, value));
            }
        }
        Ok(entries)
    }

    fn value(&mut self) -> Result<Option<String>> {
        Ok(Some(match self.u8()? {
            b't' => (self.u8()? != 0).to_string(),
            b'b' => i8::from_be_bytes(self.array()?).to_string(),
            b'B' => self.u8()?.to_string(),
            b's' => i16::from_be_bytes(self.array()?).to_string(),
            b'u' => self.u16()?.to_string(),
            b'I' => i32::from_be_bytes(self.array()?).to_string(),
            b'i' => self.u32()?.to_string(),
            b'l' => i64::from_be_bytes(self.array()?).to_string(),
            b'T' | b'L' => self.u64()?.to_string(),
            b'f' => f32::from_be_bytes(self.array()?).to_string(),
            b'd' => f64::from_be_bytes(self.array()?).to_string(),
            b'S' => self.long_text()?,
            b'V' => return Ok(None),
            // Decimals, and what is made of several values.
            b'D' => {
                self.bytes(5)?;
                return Ok(None);
            }
            b'x' | b'A' | b'F' => {
                let length = self.u32()? as usize;
                self.bytes(length)?;
                return Ok(None);
            }
            _ => return Err(Error::answer("a table with a value of an unknown kind")),
        }))
    }
}

/// A method while it is written.
#[derive(Debug)]
pub(crate) struct Writer(Vec<u8>);

impl Writer {
    pub(crate) fn method((class, method): Method) -> Self {
        Self(Vec::new()).u16(class).u16(method)
    }

    pub(crate) fn u8(mut self, value: u8) -> Self {
        self.0.push(value);
        self
    }

    pub(crate) fn u16(mut self, value: u16) -> Self {
        self.0.extend_from_slice(&value.to_be_bytes());
        self
    }

    pub(crate) fn u32(mut self, value: u32) -> Self {
        self.0.extend_from_slice(&value.to_be_bytes());
        self
    }

    pub(crate) fn u64(mut self, value: u64) -> Self {
        self.0.extend_from_slice(&value.to_be_bytes());
        self
    }

    /// At most 255 bytes of a text.
    pub(crate) fn short(mut self, text: &str) -> Self {
        let text = &text.as_bytes()[..text.len().min(255)];
        self.0.push(text.len() as u8);
        self.0.extend_from_slice(text);
        self
    }

    pub(crate) fn long(self, text: &[u8]) -> Self {
        let mut out = self.u32(u32::try_from(text.len()).unwrap_or(u32::MAX));
        out.0.extend_from_slice(text);
        out
    }

    pub(crate) fn table(self, entries: &[(&str, Entry<'_>)]) -> Self {
        let inner = entries.iter().fold(Self(Vec::new()), |inner, (name, entry)| {
            let inner = inner.short(name);
            match entry {
                Entry::Number(number) => inner.u8(b'l').u64(number.cast_unsigned()),
                Entry::Text(text) => inner.u8(b'S').long(text.as_bytes()),
            }
        });
        self.long(&inner.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(payload: &[u8]) -> Vec<u8> {
        let mut bytes = vec![METHOD, 0, 1];
        bytes.extend_from_slice(&(payload.len() as u32).to_be_bytes());
        bytes.extend_from_slice(payload);
        bytes.push(END);
        bytes
    }

    #[test]
    fn frames_are_taken_out_of_what_has_come() {
        let table = [("n", Entry::Number(-5)), ("t", Entry::Text("five"))];
        let written = Writer::method((60, 60)).short("tag").u64(7).table(&table);
        let bytes = frame(&written.0);
        for part in 0..bytes.len() {
            assert_eq!(parse(&bytes[..part]).unwrap(), None, "{part}");
        }
        let (mut frame, length) = parse(&bytes).unwrap().unwrap();
        assert_eq!((frame.kind, length), (Kind::Method((60, 60)), bytes.len()));
        assert_eq!((frame.text().unwrap(), frame.u64().unwrap()), ("tag".to_owned(), 7));
        let entries = [("n".to_owned(), "-5".to_owned()), ("t".to_owned(), "five".to_owned())];
        assert_eq!(frame.table().unwrap(), entries);
        assert!(frame.u8().is_err(), "nothing is left");
    }

    #[test]
    fn what_is_not_amqp_is_refused() {
        let mut wrong_end = frame(&[0, 60, 0, 60]);
        *wrong_end.last_mut().unwrap() = 0;
        for bytes in [&b"AMQP\0\0\x09\x02"[..], b"HTTP/1.1 400", &wrong_end, &[9, 0, 0, 0, 0, 0, 0, END]] {
            assert!(parse(bytes).is_err(), "{bytes:?}");
        }
    }
}
