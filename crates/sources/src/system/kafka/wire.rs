//! The protocol of Kafka: requests and answers with their lengths before them.

use tidegate_core::snapshot::{Server, Tls};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::{
    error::{Error, Result},
    transport::{self, Stream},
};

/// Longest answer that is read.
const ANSWER: usize = 16 << 20;

const SASL_HANDSHAKE: (i16, i16) = (17, 1);
const SASL_AUTHENTICATE: (i16, i16) = (36, 0);

#[derive(Debug)]
pub(super) struct Connection {
    stream: Stream,
    asked: i32,
}

impl Connection {
    pub(super) async fn open(server: &Server, tls: &Tls) -> Result<Self> {
        Ok(Self { stream: transport::connect(server, tls).await?, asked: 0 })
    }

    pub(super) async fn authenticate(&mut self, user: &str, password: &str) -> Result<()> {
        let mut answer = self.ask(Request::new(SASL_HANDSHAKE).text("PLAIN")).await?;
        answer.fine("SASL PLAIN")?;
        let pair = format!("\0{user}\0{password}");
        let request = Request::new(SASL_AUTHENTICATE).count(pair.len()).raw(pair.as_bytes());
        self.ask(request).await?.fine("the user or the password")
    }

    pub(super) async fn ask(&mut self, request: Request) -> Result<Answer> {
        self.asked = self.asked.wrapping_add(1);
        let mut bytes = request.0;
        let length = i32::try_from(bytes.len() - 4).unwrap_or(i32::MAX);
        bytes[..4].copy_from_slice(&length.to_be_bytes());
        bytes[8..12].copy_from_slice(&self.asked.to_be_bytes());
        self.stream.write_all(&bytes).await?;
        self.stream.flush().await?;
        let length = usize::try_from(self.stream.read_i32().await?).ok().filter(|&length| length <= ANSWER);
        let mut bytes = vec![0; length.ok_or_else(|| Error::answer("this is not Kafka"))?];
        self.stream.read_exact(&mut bytes).await?;
        let mut answer = Answer::new(bytes);
        if answer.i32()? == self.asked {
            Ok(answer)
        } else {
            Err(Error::answer("an answer to something else"))
        }
    }
}

#[derive(Debug)]
pub(super) struct Request(Vec<u8>);

impl Request {
    pub(super) fn new((what, version): (i16, i16)) -> Self {
        // Its length and its number are filled in where it is sent.
        let head = Self(vec![0; 4]).i16(what).i16(version);
        head.i32(0).text("tidegate")
    }

    fn i16(self, value: i16) -> Self {
        self.raw(&value.to_be_bytes())
    }

    pub(super) fn i32(self, value: i32) -> Self {
        self.raw(&value.to_be_bytes())
    }

    /// How many elements, or bytes, follow.
    pub(super) fn count(self, count: usize) -> Self {
        self.i32(i32::try_from(count).unwrap_or(i32::MAX))
    }

    pub(super) fn i64(self, value: i64) -> Self {
        self.raw(&value.to_be_bytes())
    }

    pub(super) fn text(self, text: &str) -> Self {
        self.i16(i16::try_from(text.len()).unwrap_or(i16::MAX)).raw(text.as_bytes())
    }

    pub(super) fn raw(mut self, bytes: &[u8]) -> Self {
        self.0.extend_from_slice(bytes);
        self
    }
}

/// An answer, read from front to back.
#[derive(Debug)]
pub(super) struct Answer {
    bytes: Vec<u8>,
    at: usize,
}

impl Answer {
    pub(super) const fn new(bytes: Vec<u8>) -> Self {
        Self { bytes, at: 0 }
    }

    pub(super) fn bytes(&mut self, count: usize) -> Result<&[u8]> {
        let from = self.at;
        let to = from.checked_add(count).filter(|&to| to <= self.bytes.len());
        self.at = to.ok_or_else(|| Error::answer("it ends too early"))?;
        Ok(&self.bytes[from..self.at])
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        Ok(self.bytes(N)?.try_into().expect("as many as were asked for"))
    }

    pub(super) fn i16(&mut self) -> Result<i16> {
        self.array().map(i16::from_be_bytes)
    }

    pub(super) fn i32(&mut self) -> Result<i32> {
        self.array().map(i32::from_be_bytes)
    }

    pub(super) fn i64(&mut self) -> Result<i64> {
        self.array().map(i64::from_be_bytes)
    }

    /// A text; one that is not there is empty.
    pub(super) fn text(&mut self) -> Result<String> {
        let length = usize::try_from(self.i16()?).unwrap_or(0);
        Ok(String::from_utf8_lossy(self.bytes(length)?).into_owned())
    }

    /// How many elements follow.
    pub(super) fn count(&mut self, most: usize) -> Result<usize> {
        let count = usize::try_from(self.i32()?).unwrap_or(0);
        if count <= most { Ok(count) } else { Err(Error::answer("a list that is too long")) }
    }

    /// Reads an error code, which is to be none.
    pub(super) fn fine(&mut self, what: &str) -> Result<()> {
        match self.i16()? {
            0 => Ok(()),
            3 => Err(Error::Refused(format!("{what}: there is no such topic or partition (3)"))),
            15 => Err(Error::Refused(format!("{what}: not available yet (15)"))),
            code => Err(Error::Refused(format!("{what}: error {code}"))),
        }
    }
}
