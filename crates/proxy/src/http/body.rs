//! How long a body is, and where it ends.

use crate::{
    buffer::Buffer,
    http::{
        chunked,
        fields::{Fields, Kind, tokens},
    },
};

/// What a message says about the length of its body (RFC 9112, 6.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Framing {
    #[default]
    None,
    Length(u64),
    Chunked,
    /// Answers only: until the connection is closed.
    UntilClose,
}

/// Why the length of a body cannot be known for sure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Ambiguous {
    #[error("more than one content-length")]
    RepeatedLength,
    #[error("content-length is not a number")]
    BadLength,
    #[error("both content-length and transfer-encoding")]
    LengthAndEncoding,
    #[error("transfer-encoding is not plainly chunked")]
    BadEncoding,
    #[error("transfer-encoding has a coding that is not supported")]
    UnknownEncoding,
}

/// Reads `Content-Length` and `Transfer-Encoding`; `None` where there is neither.
pub(crate) fn declared(fields: &Fields) -> Result<Option<Framing>, Ambiguous> {
    let mut lengths = fields.all(Kind::ContentLength);
    let length = lengths.next();
    if lengths.next().is_some() {
        return Err(Ambiguous::RepeatedLength);
    }
    let mut encodings = fields.all(Kind::TransferEncoding);
    let encoding = encodings.next();
    if encodings.next().is_some() {
        return Err(Ambiguous::BadEncoding);
    }
    match (length, encoding) {
        (Some(_), Some(_)) => Err(Ambiguous::LengthAndEncoding),
        (Some(length), None) => parse_length(length).map(|length| Some(Framing::Length(length))),
        (None, Some(encoding)) => parse_encoding(encoding).map(Some),
        (None, None) => Ok(None),
    }
}

fn parse_length(text: &[u8]) -> Result<u64, Ambiguous> {
    if text.contains(&b',') {
        return Err(Ambiguous::RepeatedLength);
    }
    // 19 digits never overflow; `parse` alone would take a sign.
    if !(1..=19).contains(&text.len()) || !text.iter().all(u8::is_ascii_digit) {
        return Err(Ambiguous::BadLength);
    }
    let digits = std::str::from_utf8(text).map_err(|_| Ambiguous::BadLength)?;
    digits.parse().map_err(|_| Ambiguous::BadLength)
}

fn parse_encoding(text: &[u8]) -> Result<Framing, Ambiguous> {
    let is_chunked = |coding: &[u8]| coding.eq_ignore_ascii_case(b"chunked");
    if is_chunked(text) {
        return Ok(Framing::Chunked);
    }
    let codings: Vec<_> = tokens(text).collect();
    match codings.split_last() {
        Some((last, others))
            if is_chunked(last) && !others.is_empty() && !others.iter().any(|one| is_chunked(one)) =>
        {
            Err(Ambiguous::UnknownEncoding)
        }
        _ => Err(Ambiguous::BadEncoding),
    }
}

/// Whether a body in this framing can begin with `input`, of which nothing is taken.
pub(crate) fn check(framing: Framing, input: &[u8]) -> Result<(), Error> {
    if framing != Framing::Chunked {
        return Ok(());
    }
    let (mut decoder, mut rest) = (chunked::Decoder::default(), input);
    while !decoder.is_done() && !rest.is_empty() {
        let (count, _) = decoder.step(rest)?;
        if count == 0 {
            break; // The rest of it is to come.
        }
        rest = &rest[count..];
    }
    Ok(())
}

/// Finds the end of one body in the bytes of a connection.
#[derive(Debug)]
pub(crate) struct Reader {
    state: State,
    /// Bytes that the body may still have.
    allowance: u64,
    received: u64,
}

#[derive(Debug)]
enum State {
    /// So many bytes are missing.
    Length(u64),
    Chunked(chunked::Decoder),
    UntilClose,
}

/// Why a body cannot be read on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Error {
    #[error(transparent)]
    Chunked(#[from] chunked::Error),
    #[error("body is larger than allowed")]
    TooLarge,
    #[error("connection closed before the body was complete")]
    Truncated,
}

impl Reader {
    /// At most `limit` bytes are accepted.
    pub(crate) fn new(framing: Framing, limit: u64) -> Self {
        let state = match framing {
            Framing::None => State::Length(0),
            Framing::Length(length) => State::Length(length),
            Framing::Chunked => State::Chunked(chunked::Decoder::default()),
            Framing::UntilClose => State::UntilClose,
        };
        Self { state, allowance: limit, received: 0 }
    }

    pub(crate) const fn is_done(&self) -> bool {
        match &self.state {
            State::Length(left) => *left == 0,
            State::Chunked(decoder) => decoder.is_done(),
            State::UntilClose => false,
        }
    }

    /// Bytes of a body with a length that are missing.
    pub(crate) const fn left(&self) -> u64 {
        match &self.state {
            State::Length(left) => *left,
            State::Chunked(_) | State::UntilClose => 0,
        }
    }

    /// Bytes of the body so far.
    pub(crate) const fn received(&self) -> u64 {
        self.received
    }

    /// Fields that came behind a chunked body.
    pub(crate) const fn trailers(&self) -> Option<&Fields> {
        match &self.state {
            State::Chunked(decoder) => Some(decoder.trailers()),
            _ => None,
        }
    }

    /// Takes all there is of the body out of `input` and hands it to `sink`, piece by piece.
    pub(crate) fn take(&mut self, input: &mut Buffer, mut sink: impl FnMut(&[u8])) -> Result<(), Error> {
        while !self.is_done() && !input.is_empty() {
            let (count, data) = match &mut self.state {
                State::Chunked(decoder) => {
                    let (count, data) = decoder.step(input.unread())?;
                    self.count(data.len() as u64)?;
                    (count, data)
                }
                State::Length(_) | State::UntilClose => {
                    let count = self.claim(input.len())?.unwrap_or_default();
                    (count, 0..count)
                }
            };
            if count == 0 {
                break; // The decoder needs more than there is.
            }
            if !data.is_empty() {
                sink(&input.unread()[data]);
            }
            input.consume(count);
        }
        Ok(())
    }

    /// How many of the next `available` bytes are body as they stand; they count as taken. `None` for
    /// a body in a coding, which only [`Reader::take`] can read.
    pub(crate) fn claim(&mut self, available: usize) -> Result<Option<usize>, Error> {
        let count = match &mut self.state {
            State::Length(left) => {
                let count = available.min(usize::try_from(*left).unwrap_or(usize::MAX));
                *left -= count as u64;
                count
            }
            State::UntilClose => available,
            State::Chunked(_) => return Ok(None),
        };
        self.count(count as u64)?;
        Ok(Some(count))
    }

    fn count(&mut self, size: u64) -> Result<(), Error> {
        self.allowance = self.allowance.checked_sub(size).ok_or(Error::TooLarge)?;
        self.received += size;
        Ok(())
    }

    /// The peer has closed its side: was that the end of the body, or too early?
    pub(crate) const fn close(&self) -> Result<(), Error> {
        if matches!(self.state, State::UntilClose) || self.is_done() { Ok(()) } else { Err(Error::Truncated) }
    }
}

/// Writes one body in the framing that its message announces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Writer {
    /// The bytes as they are.
    Plain,
    Chunked,
}

impl Writer {
    pub(crate) fn write(self, data: &[u8], output: &mut Vec<u8>) {
        self.begin(data.len(), output);
        output.extend_from_slice(data);
        self.end(output);
    }

    /// Writes what is before so many bytes, of which there has to be one.
    pub(crate) fn begin(self, length: usize, output: &mut Vec<u8>) {
        if self == Self::Chunked {
            chunked::begin(length, output);
        }
    }

    /// Writes what is behind them.
    pub(crate) fn end(self, output: &mut Vec<u8>) {
        if self == Self::Chunked {
            output.extend_from_slice(b"\r\n");
        }
    }

    /// The body is complete.
    pub(crate) fn finish(self, trailers: Option<&Fields>, output: &mut Vec<u8>) {
        if self == Self::Chunked {
            chunked::end(trailers, output);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn declare(headers: &[(&str, &str)]) -> Result<Option<Framing>, Ambiguous> {
        let mut fields = Fields::default();
        for (name, value) in headers {
            fields.push(name.as_bytes(), value.as_bytes());
        }
        declared(&fields)
    }

    #[test]
    fn one_plain_length_or_chunked_is_understood() {
        assert_eq!(declare(&[]), Ok(None));
        assert_eq!(declare(&[("content-length", "0")]), Ok(Some(Framing::Length(0))));
        assert_eq!(declare(&[("Content-Length", "0042")]), Ok(Some(Framing::Length(42))));
        assert_eq!(declare(&[("Transfer-Encoding", "Chunked")]), Ok(Some(Framing::Chunked)));
    }

    #[test]
    fn whatever_two_readers_could_read_differently_is_ambiguous() {
        let length = |value| declare(&[("content-length", value)]);
        for bad in ["", "+5", "-1", "5 5", "0x5", "5.0", "99999999999999999999", "\u{b2}"] {
            assert_eq!(length(bad), Err(Ambiguous::BadLength), "{bad:?}");
        }
        assert_eq!(length("5, 5"), Err(Ambiguous::RepeatedLength));
        assert_eq!(
            declare(&[("content-length", "5"), ("Content-Length", "5")]),
            Err(Ambiguous::RepeatedLength)
        );
        assert_eq!(
            declare(&[("content-length", "5"), ("transfer-encoding", "chunked")]),
            Err(Ambiguous::LengthAndEncoding)
        );
        let encoding = |value| declare(&[("transfer-encoding", value)]);
        for bad in
            ["", "identity", "chunked, chunked", "chunked, gzip", "xchunked", "chunked;q=1", "\u{b}chunked"]
        {
            assert_eq!(encoding(bad), Err(Ambiguous::BadEncoding), "{bad:?}");
        }
        assert_eq!(encoding("gzip, chunked"), Err(Ambiguous::UnknownEncoding));
        assert_eq!(
            declare(&[("transfer-encoding", "chunked"), ("transfer-encoding", "chunked")]),
            Err(Ambiguous::BadEncoding)
        );
    }

    fn read(framing: Framing, limit: u64, input: &str) -> (Result<(), Error>, String, String) {
        let (mut reader, mut buffer, mut body) = (Reader::new(framing, limit), Buffer::default(), Vec::new());
        buffer.extend(input.as_bytes());
        let outcome = reader.take(&mut buffer, |data| body.extend_from_slice(data));
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (outcome, text(&body), text(buffer.unread()))
    }

    #[test]
    fn the_next_message_is_left_alone() {
        assert_eq!(read(Framing::Length(3), 9, "abcGET"), (Ok(()), "abc".into(), "GET".into()));
        assert_eq!(read(Framing::None, 9, "GET"), (Ok(()), String::new(), "GET".into()));
        assert_eq!(
            read(Framing::Chunked, 9, "2\r\nab\r\n1\r\nc\r\n0\r\n\r\nGET"),
            (Ok(()), "abc".into(), "GET".into())
        );
    }

    #[test]
    fn a_body_over_the_limit_is_refused() {
        assert_eq!(read(Framing::Chunked, 3, "4\r\nabcd\r\n0\r\n\r\n").0, Err(Error::TooLarge));
        assert_eq!(read(Framing::Chunked, 4, "4\r\nabcd\r\n0\r\n\r\n").0, Ok(()));
    }

    #[test]
    fn only_what_no_more_input_could_mend_is_no_beginning() {
        for good in ["", "2", "2\r\nab", "2\r\nab\r", "2\r\nab\r\n0\r\n\r\nnonsense"] {
            assert_eq!(check(Framing::Chunked, good.as_bytes()), Ok(()), "{good:?}");
        }
        for bad in ["x\r\n", "2\r\nabc", "2\r\nab\r\nx\r\n", "0\r\nx\r\n\r\n"] {
            assert!(check(Framing::Chunked, bad.as_bytes()).is_err(), "{bad:?}");
        }
        assert_eq!(check(Framing::Length(9), b"x\r\n"), Ok(()));
    }

    #[test]
    fn closing_ends_only_a_body_that_lasts_until_then() {
        assert_eq!(Reader::new(Framing::UntilClose, 9).close(), Ok(()));
        assert_eq!(Reader::new(Framing::Length(1), 9).close(), Err(Error::Truncated));
        assert_eq!(Reader::new(Framing::Chunked, 9).close(), Err(Error::Truncated));
    }
}
