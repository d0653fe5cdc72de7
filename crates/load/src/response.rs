//! A strict reading of HTTP/1.1 answers, apart from any socket.
//!
//! [`Response::consume`] is fed with whatever has arrived and says how much of it was understood;
//! bodies are counted and skipped, never kept. Framing follows RFC 9112 section 6.3, and what that
//! section calls an error ends the exchange: this is a measuring tool, so a server that frames its
//! answers wrongly must show up as failing.
//!
//! Invariant: after `Done`, the next byte on the connection would belong to another answer.
//! Deliberately absent: header values beyond framing, content codings, upgrades.

use self::chunked::Chunked;

mod chunked;

/// The most headers that an answer may have.
const MAX_HEADERS: usize = 128;

/// The most interim (1xx) answers before the final one.
const MAX_INTERIM: u32 = 16;

/// One answer while it is being read.
#[derive(Debug)]
pub(crate) struct Response {
    /// Answers to HEAD have no body, whatever their headers say.
    to_head: bool,
    interim: u32,
    stage: Stage,
}

#[derive(Debug)]
enum Stage {
    Head,
    Body(Head, Body),
    Done(Head),
}

/// What is known once the head of the final answer has been read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) status: u16,
    /// Whether the server lets the connection carry another request.
    pub(crate) keep_alive: bool,
}

/// What is left of a body.
#[derive(Debug)]
enum Body {
    Length(u64),
    Chunked(Chunked),
    UntilClose,
}

/// Something that no correct server sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Malformed {
    #[error("not an HTTP/1.1 answer: {0}")]
    Syntax(httparse::Error),
    #[error("unclear framing: {0}")]
    Framing(&'static str),
    #[error("chunked coding is broken")]
    Chunk,
    #[error("more than {MAX_INTERIM} interim answers")]
    Interim,
    #[error("the server switched protocols unasked")]
    Upgrade,
}

impl Response {
    pub(crate) const fn new(to_head: bool) -> Self {
        Self { to_head, interim: 0, stage: Stage::Head }
    }

    /// Reads from `bytes`, returning how many are dealt with. The rest is the beginning of a head
    /// that needs more bytes, or belongs to no answer if this one is done.
    pub(crate) fn consume(&mut self, bytes: &[u8]) -> Result<usize, Malformed> {
        let mut consumed = 0;
        loop {
            let rest = &bytes[consumed..];
            match &mut self.stage {
                Stage::Head => match self.read_head(rest)? {
                    0 => return Ok(consumed),
                    length => consumed += length,
                },
                Stage::Body(head, body) => {
                    let (length, ended) = body.consume(rest)?;
                    if ended {
                        self.stage = Stage::Done(*head);
                    }
                    return Ok(consumed + length);
                }
                Stage::Done(_) => return Ok(consumed),
            }
        }
    }

    /// The head, once the whole answer has arrived.
    pub(crate) const fn done(&self) -> Option<Head> {
        match self.stage {
            Stage::Done(head) => Some(head),
            Stage::Head | Stage::Body(..) => None,
        }
    }

    /// The server has closed the connection: the head if that was the proper end of the answer.
    pub(crate) const fn close(&self) -> Option<Head> {
        match self.stage {
            Stage::Done(head) | Stage::Body(head, Body::UntilClose) => Some(head),
            Stage::Head | Stage::Body(..) => None,
        }
    }

    /// Returns the length of the head that `bytes` begin with, zero while it is not complete.
    fn read_head(&mut self, bytes: &[u8]) -> Result<usize, Malformed> {
        let mut headers = [const { std::mem::MaybeUninit::uninit() }; MAX_HEADERS];
        let mut head = httparse::Response::new(&mut []);
        let parsed = httparse::ParserConfig::default().parse_response_with_uninit_headers(
            &mut head,
            bytes,
            &mut headers,
        );
        let length = match parsed.map_err(Malformed::Syntax)? {
            httparse::Status::Complete(length) => length,
            httparse::Status::Partial => return Ok(0),
        };
        let status = head.code.unwrap_or_default();
        match status {
            101 => return Err(Malformed::Upgrade),
            100..=199 if self.interim == MAX_INTERIM => return Err(Malformed::Interim),
            100..=199 => {
                self.interim += 1;
                return Ok(length);
            }
            200..=999 => {}
            _ => return Err(Malformed::Framing("the status is below 100")),
        }
        let framing = Framing::read(head.version == Some(1), head.headers)?;
        let bodiless = self.to_head || matches!(status, 204 | 304);
        let body = if bodiless { None } else { framing.body };
        let keep_alive = framing.keep_alive && !matches!(body, Some(Body::UntilClose));
        let head = Head { status, keep_alive };
        self.stage = match body {
            Some(body) => Stage::Body(head, body),
            None => Stage::Done(head),
        };
        Ok(length)
    }
}

impl Body {
    /// Returns how many bytes belong to the body, and whether it ends with them.
    fn consume(&mut self, bytes: &[u8]) -> Result<(usize, bool), Malformed> {
        match self {
            Self::Length(left) => {
                let length = usize::try_from(*left).unwrap_or(usize::MAX).min(bytes.len());
                *left -= length as u64;
                Ok((length, *left == 0))
            }
            Self::Chunked(chunked) => Ok((chunked.consume(bytes)?, chunked.is_done())),
            Self::UntilClose => Ok((bytes.len(), false)),
        }
    }
}

/// What the headers say about where the answer ends.
struct Framing {
    /// `None`: the body is empty.
    body: Option<Body>,
    keep_alive: bool,
}

impl Framing {
    fn read(http_1_1: bool, headers: &[httparse::Header<'_>]) -> Result<Self, Malformed> {
        let (mut length, mut chunked, mut close, mut keep_alive) = (None, false, false, false);
        for header in headers {
            if header.name.eq_ignore_ascii_case("content-length") {
                if length.is_some() {
                    return Err(Malformed::Framing("content-length is repeated"));
                }
                length = Some(decimal(header.value)?);
            } else if header.name.eq_ignore_ascii_case("transfer-encoding") {
                if chunked || !header.value.eq_ignore_ascii_case(b"chunked") {
                    return Err(Malformed::Framing("transfer-encoding is not chunked alone"));
                }
                chunked = true;
            } else if header.name.eq_ignore_ascii_case("connection") {
                close |= has_token(header.value, b"close");
                keep_alive |= has_token(header.value, b"keep-alive");
            }
        }
        let body = match (chunked, length) {
            (true, Some(_)) => return Err(Malformed::Framing("both content-length and transfer-encoding")),
            (true, None) if !http_1_1 => return Err(Malformed::Framing("transfer-encoding in HTTP/1.0")),
            (true, None) => Some(Body::Chunked(Chunked::default())),
            (false, Some(0)) => None,
            (false, Some(length)) => Some(Body::Length(length)),
            (false, None) => Some(Body::UntilClose),
        };
        Ok(Self { body, keep_alive: !close && (http_1_1 || keep_alive) })
    }
}

fn decimal(text: &[u8]) -> Result<u64, Malformed> {
    let digits = text.iter().all(u8::is_ascii_digit);
    let number = std::str::from_utf8(text).ok().filter(|_| digits).and_then(|text| text.parse().ok());
    number.ok_or(Malformed::Framing("content-length is no number"))
}

fn has_token(value: &[u8], token: &[u8]) -> bool {
    value.split(|&b| b == b',').any(|part| part.trim_ascii().eq_ignore_ascii_case(token))
}

#[cfg(test)]
mod tests;
