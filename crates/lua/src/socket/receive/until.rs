//! Looking for a pattern in bytes that come in pieces.
//!
//! The automaton of Knuth, Morris and Pratt: it knows how much of the pattern the bytes seen so far end with, and
//! where to go on when the next one does not fit. Bytes that can no longer be part of the pattern are given.
//!
//! A limit on how much is given at once may be exceeded by less than the pattern's length, because bytes that
//! were held back are given together.

use memchr::memchr;

use super::End;

#[derive(Debug)]
pub(super) struct Automaton {
    pattern: Box<[u8]>,
    /// For each number of matched bytes, the length of the longest proper beginning of the pattern that they end with.
    fallback: Box<[usize]>,
    /// Bytes of the pattern that the bytes seen end with.
    matched: usize,
    /// Bytes before these.
    given: usize,
}

#[derive(Debug)]
pub(super) struct Found {
    pub(super) give: usize,
    pub(super) end: End,
}

impl Automaton {
    pub(super) fn new(pattern: &[u8]) -> Self {
        let mut fallback = vec![0; pattern.len() + 1];
        let mut length = 0;
        for at in 1..pattern.len() {
            while length > 0 && pattern[length] != pattern[at] {
                length = fallback[length];
            }
            if pattern[length] == pattern[at] {
                length += 1;
            }
            fallback[at + 1] = length;
        }
        Self { pattern: pattern.into(), fallback: fallback.into(), matched: 0, given: 0 }
    }

    pub(super) fn restart(&mut self) {
        (self.matched, self.given) = (0, 0);
    }

    /// Bytes that are certainly before the pattern.
    pub(super) fn given(&self) -> usize {
        self.given
    }

    /// Goes on in `unread` until the pattern is found or `limit` bytes can be given.
    pub(super) fn look(&mut self, unread: &[u8], limit: usize) -> Option<Found> {
        loop {
            let position = self.given + self.matched;
            if self.matched == 0 {
                // Nothing is held back, so all up to the next beginning is given at once.
                let rest = &unread[position..unread.len().min(limit)];
                let skipped = memchr(self.pattern[0], rest).unwrap_or(rest.len());
                self.given += skipped;
                if self.given >= limit {
                    return Some(Found { give: self.given, end: End::Piece });
                }
            }
            let byte = *unread.get(self.given + self.matched)?;
            if byte == self.pattern[self.matched] {
                self.matched += 1;
                if self.matched == self.pattern.len() {
                    return Some(Found { give: self.given, end: End::Complete });
                }
                continue;
            }
            let shorter = self.fallback[self.matched];
            self.given += self.matched - shorter;
            self.matched = shorter;
            if self.given >= limit {
                return Some(Found { give: self.given, end: End::Piece });
            }
        }
    }
}
