//! Chunked transfer coding (RFC 9112 section 7.1), read only to find its end.

use super::Malformed;

/// The most bytes that all chunk extensions of one size line, or all trailers together, may have.
const MAX_EXTRA: u32 = 16 * 1024;

/// Where in the coding the next byte stands.
#[derive(Debug, Default)]
pub(super) struct Chunked {
    state: State,
    /// Of the present chunk: what its size line said, then how much of it is still to come.
    left: u64,
    /// Digits of the size so far, or bytes of extensions or trailers.
    seen: u32,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum State {
    #[default]
    Size,
    Extension,
    SizeLineFeed,
    Data,
    DataReturn,
    DataLineFeed,
    TrailerStart,
    Trailer,
    TrailerLineFeed,
    LastLineFeed,
    Done,
}

impl Chunked {
    pub(super) fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// Returns how many of `bytes` belong to the body: all, unless it ends among them.
    pub(super) fn consume(&mut self, bytes: &[u8]) -> Result<usize, Malformed> {
        let mut position = 0;
        while position < bytes.len() && self.state != State::Done {
            if self.state == State::Data {
                let rest = bytes.len() - position;
                let length = usize::try_from(self.left).unwrap_or(usize::MAX).min(rest);
                self.left -= length as u64;
                position += length;
                if self.left == 0 {
                    self.state = State::DataReturn;
                }
            } else {
                self.state = self.step(bytes[position])?;
                position += 1;
            }
        }
        Ok(position)
    }

    fn step(&mut self, byte: u8) -> Result<State, Malformed> {
        match (self.state, byte) {
            (State::Size, _) if byte.is_ascii_hexdigit() => self.digit(byte),
            (State::Size, b';') if self.seen > 0 => Ok(self.begin(State::Extension)),
            (State::Size, b'\r') if self.seen > 0 => Ok(State::SizeLineFeed),
            (State::Extension, b'\r') => Ok(State::SizeLineFeed),
            (State::Extension | State::Trailer, b'\t' | b' '..=b'~' | 0x80..) => self.extra(self.state),
            (State::SizeLineFeed, b'\n') if self.left == 0 => Ok(self.begin(State::TrailerStart)),
            (State::SizeLineFeed, b'\n') => Ok(State::Data),
            (State::DataReturn, b'\r') => Ok(State::DataLineFeed),
            (State::DataLineFeed, b'\n') => Ok(self.begin(State::Size)),
            (State::TrailerStart, b'\r') => Ok(State::LastLineFeed),
            (State::TrailerStart, b'!'..=b'~') => self.extra(State::Trailer),
            (State::Trailer, b'\r') => Ok(State::TrailerLineFeed),
            (State::TrailerLineFeed, b'\n') => Ok(State::TrailerStart),
            (State::LastLineFeed, b'\n') => Ok(State::Done),
            _ => Err(Malformed::Chunk),
        }
    }

    fn digit(&mut self, byte: u8) -> Result<State, Malformed> {
        let digit = char::from(byte).to_digit(16).ok_or(Malformed::Chunk)?;
        self.seen += 1;
        if self.seen > 15 {
            return Err(Malformed::Chunk); // 15 digits cannot overflow, and no chunk is that long.
        }
        self.left = self.left * 16 + u64::from(digit);
        Ok(State::Size)
    }

    fn begin(&mut self, next: State) -> State {
        self.seen = 0;
        next
    }

    fn extra(&mut self, next: State) -> Result<State, Malformed> {
        self.seen += 1;
        if self.seen > MAX_EXTRA { Err(Malformed::Chunk) } else { Ok(next) }
    }
}
