//! The chunked coding (RFC 9112, 7.1), read strictly.
//!
//! Sizes are plain hexadecimal digits, lines end with CR LF, extensions are skipped, trailers are kept.
//! Every line has a limit, so a sender cannot make the decoder hold more than that.

use std::{io::Write, ops::Range};

use crate::http::{
    fields::{Fields, Kind},
    head::{self, Head},
};

/// Bytes of a size line, extensions included.
const LINE_LIMIT: usize = 1 << 10;

/// Bytes, and fields, of the trailer section.
const TRAILER_LIMIT: usize = 16 << 10;
const TRAILER_COUNT: usize = 64;

/// Hexadecimal digits of a size: all of a 60-bit number.
const SIZE_DIGITS: usize = 15;

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Error {
    #[error("chunk size is not a plain hexadecimal number")]
    Size,
    #[error("chunk is not followed by CR LF")]
    End,
    #[error("chunk line is too long or not ended by CR LF")]
    Line,
    #[error("trailer section is malformed or too large")]
    Trailers,
}

/// Takes the coding off, step by step.
#[derive(Debug, Default)]
pub(crate) struct Decoder {
    state: State,
    trailers: Fields,
}

#[derive(Debug, Default)]
enum State {
    #[default]
    Size,
    /// So many bytes of the chunk are missing.
    Data(u64),
    End,
    Trailers,
    Done,
}

impl Decoder {
    pub(crate) const fn is_done(&self) -> bool {
        matches!(self.state, State::Done)
    }

    pub(crate) const fn trailers(&self) -> &Fields {
        &self.trailers
    }

    /// Reads one element from the front of `input`: how many bytes it is, and which of them are data.
    /// None means that more input is needed.
    pub(crate) fn step(&mut self, input: &[u8]) -> Result<(usize, Range<usize>), Error> {
        match self.state {
            State::Size => {
                let Some(feed) = memchr::memchr(b'\n', input) else {
                    return if input.len() > LINE_LIMIT { Err(Error::Line) } else { Ok((0, 0..0)) };
                };
                let line = input[..feed].strip_suffix(b"\r").ok_or(Error::Line)?;
                self.state = match parse_size(line)? {
                    0 => State::Trailers,
                    size => State::Data(size),
                };
                Ok((feed + 1, 0..0))
            }
            State::Data(left) => {
                let count = input.len().min(usize::try_from(left).unwrap_or(usize::MAX));
                let left = left - count as u64;
                self.state = if left == 0 { State::End } else { State::Data(left) };
                Ok((count, 0..count))
            }
            State::End => match input {
                [b'\r', b'\n', ..] => {
                    self.state = State::Size;
                    Ok((2, 0..0))
                }
                [] | [b'\r'] => Ok((0, 0..0)),
                _ => Err(Error::End),
            },
            State::Trailers => self.read_trailers(input).map(|count| (count, 0..0)),
            State::Done => Ok((0, 0..0)),
        }
    }

    fn read_trailers(&mut self, input: &[u8]) -> Result<usize, Error> {
        let count = match input {
            [b'\r', b'\n', ..] => 2,
            _ => match head::find(input, 0) {
                Head::Complete(count) => count,
                Head::Partial if input.len() <= TRAILER_LIMIT => return Ok(0),
                Head::Partial | Head::BareLineFeed => return Err(Error::Trailers),
            },
        };
        if count > 2 {
            let mut headers = [httparse::EMPTY_HEADER; TRAILER_COUNT];
            match httparse::parse_headers(&input[..count], &mut headers) {
                Ok(httparse::Status::Complete((_, headers))) => self.trailers.load(&input[..count], headers),
                _ => return Err(Error::Trailers),
            }
        }
        self.state = State::Done;
        Ok(count)
    }
}

fn parse_size(line: &[u8]) -> Result<u64, Error> {
    let (digits, extension) = match memchr::memchr(b';', line) {
        Some(end) => line.split_at(end),
        None => (line, &[][..]),
    };
    let fits = (1..=SIZE_DIGITS).contains(&digits.len()) && digits.iter().all(u8::is_ascii_hexdigit);
    if !fits
        || extension.iter().any(|&byte| byte.is_ascii_control() && byte != b'\t')
        || line.len() > LINE_LIMIT
    {
        return Err(Error::Size);
    }
    let digits = std::str::from_utf8(digits).map_err(|_| Error::Size)?;
    u64::from_str_radix(digits, 16).map_err(|_| Error::Size)
}

/// Writes the line before a chunk of `size` bytes.
pub(crate) fn begin(size: usize, output: &mut Vec<u8>) {
    debug_assert!(size > 0, "an empty chunk would end the body");
    write!(output, "{size:x}\r\n").expect("a vector takes everything");
}

/// Writes the last chunk and those trailers that may be passed on.
pub(crate) fn end(trailers: Option<&Fields>, output: &mut Vec<u8>) {
    output.extend_from_slice(b"0\r\n");
    for (_, name, value) in trailers.iter().flat_map(|trailers| trailers.iter()).filter(may_trail) {
        for part in [name, b": ", value, b"\r\n"] {
            output.extend_from_slice(part);
        }
    }
    output.extend_from_slice(b"\r\n");
}

/// Framing, routing and credentials do not belong behind a body (RFC 9110, 6.5.1).
fn may_trail(&(kind, name, _): &(Kind, &[u8], &[u8])) -> bool {
    let forbidden = ["authorization", "cookie", "set-cookie", "cache-control", "content-encoding", "range"];
    kind == Kind::Other && !forbidden.iter().any(|one| name.eq_ignore_ascii_case(one.as_bytes()))
}

/// Feeds `input` in pieces of `size` bytes; answers with the data, the decoder as it is then, and what it did not take.
#[cfg(any(test, fuzzing))]
pub(crate) fn decode(input: &[u8], size: usize) -> Result<(Vec<u8>, Decoder, Vec<u8>), Error> {
    let (mut decoder, mut pending, mut data) = (Decoder::default(), Vec::new(), Vec::new());
    for piece in input.chunks(size) {
        pending.extend_from_slice(piece);
        loop {
            let (count, range) = decoder.step(&pending)?;
            data.extend_from_slice(&pending[range]);
            pending.drain(..count);
            if count == 0 || pending.is_empty() {
                break;
            }
        }
    }
    Ok((data, decoder, pending))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Feeds `input` in pieces of `size` bytes; answers with the data and whether the end was seen.
    fn decode(input: &[u8], size: usize) -> Result<(Vec<u8>, bool, Vec<u8>), Error> {
        super::decode(input, size).map(|(data, decoder, rest)| (data, decoder.is_done(), rest))
    }

    fn refused(input: &str) -> Error {
        let whole = decode(input.as_bytes(), input.len()).unwrap_err();
        assert_eq!(decode(input.as_bytes(), 1).unwrap_err(), whole, "byte by byte: {input:?}");
        whole
    }

    #[test]
    fn sizes_are_plain_hexadecimal() {
        for bad in ["+5", "0x5", " 5", "5 ", "", "-1", "g", "1000000000000000", "5\t", "5 ;a", "5;a\x01"] {
            assert_eq!(refused(&format!("{bad}\r\nabcde\r\n")), Error::Size, "{bad:?}");
        }
    }

    #[test]
    fn lines_end_with_cr_lf() {
        assert_eq!(refused("5\nabcde\r\n"), Error::Line);
        assert_eq!(refused("2\r\nab\n0\r\n\r\n"), Error::End);
        assert_eq!(refused("2\r\nabc\r\n"), Error::End);
        assert_eq!(refused("2\r\nab\rX"), Error::End);
        assert_eq!(refused("0\r\na: b\n\r\n"), Error::Trailers);
        assert_eq!(refused("0\r\na : b\r\n\r\n"), Error::Trailers);
        assert_eq!(refused("0\r\na: b\r\n c\r\n\r\n"), Error::Trailers);
    }

    #[test]
    fn lines_and_trailers_are_bounded() {
        assert_eq!(refused(&format!("5;{}", "x".repeat(2_000))), Error::Line);
        assert_eq!(refused(&format!("0\r\na: {}", "x".repeat(20_000))), Error::Trailers);
    }

    #[test]
    fn extensions_are_skipped_and_trailers_are_passed_on_if_they_may() {
        let input =
            b"3;name=\"v\"\r\nabc\r\n0\r\nX-Sum: 1\r\nContent-Length: 9\r\nHost: b\r\nCookie: c\r\n\r\n";
        let mut decoder = Decoder::default();
        let mut rest = &input[..];
        while !decoder.is_done() {
            let (count, _) = decoder.step(rest).unwrap();
            rest = &rest[count..];
        }
        let mut output = Vec::new();
        end(Some(decoder.trailers()), &mut output);
        assert_eq!(output, b"0\r\nX-Sum: 1\r\n\r\n");
    }

    proptest! {
        #[test]
        fn what_was_encoded_is_decoded_however_it_is_cut(
            chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..40), 0..6), size in 1..50_usize,
        ) {
            let mut encoded = Vec::new();
            for chunk in &chunks {
                crate::http::body::Writer::Chunked.write(chunk, &mut encoded);
            }
            end(None, &mut encoded);
            encoded.extend_from_slice(b"GET");
            let (data, done, rest) = decode(&encoded, size).unwrap();
            prop_assert_eq!(data, chunks.concat());
            prop_assert!(done);
            prop_assert_eq!(rest, b"GET");
        }

        #[test]
        fn no_input_makes_it_panic_or_invent_data(input in "[0-9a-f;\r\n x:]{0,60}", size in 1..9_usize) {
            if let Ok((data, _, _)) = decode(input.as_bytes(), size) {
                prop_assert!(data.len() <= input.len());
            }
        }
    }
}
