//! Inputs for parsers: what is well formed, spoilt.
//!
//! The same properties that fuzzers hold against billions of inputs (`fuzz/`) are held against some of these in every
//! run of the tests, so that a property which stopped to hold, or to compile, is noticed at once.

use std::{fmt, ops::Deref};

use proptest::{collection::vec, prelude::*, sample::Index};

/// Bytes that mean something to one parser or another.
const TOKENS: [&[u8]; 20] = [
    b"\r\n",
    b"\n",
    b"\r",
    b"\0",
    b" ",
    b"\t",
    b":",
    b";",
    b",",
    b"=",
    b"%",
    b"/../",
    b"\"",
    b"{",
    b"[",
    b"-1",
    b"0",
    b"99999999999999999999",
    b"\xff",
    b"\xc0\x0c",
];

/// Bytes that are shown as text.
#[derive(Clone)]
pub struct Input(Vec<u8>);

impl fmt::Debug for Input {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.0.escape_ascii())
    }
}

impl Deref for Input {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

#[derive(Debug, Clone)]
enum Edit {
    Flip(Index, u8),
    Remove(Index, usize),
    Insert(Index, &'static [u8]),
    /// A part again, somewhere else.
    Repeat(Index, Index, usize),
    Cut(Index),
}

/// One of `seeds` with up to six mistakes in it, or a few bytes of any kind.
pub fn mutated(seeds: &'static [&'static [u8]]) -> impl Strategy<Value = Input> {
    let spoilt = (prop::sample::select(seeds), vec(edit(), 0..6)).prop_map(|(seed, edits)| {
        let mut bytes = seed.to_vec();
        for edit in edits {
            edit.apply(&mut bytes);
        }
        bytes
    });
    prop_oneof![9 => spoilt, 1 => vec(any::<u8>(), 0..80)].prop_map(Input)
}

fn edit() -> impl Strategy<Value = Edit> {
    let at = any::<Index>;
    prop_oneof![
        (at(), 1..=u8::MAX).prop_map(|(at, mask)| Edit::Flip(at, mask)),
        (at(), 1..9_usize).prop_map(|(at, count)| Edit::Remove(at, count)),
        (at(), prop::sample::select(&TOKENS[..])).prop_map(|(at, token)| Edit::Insert(at, token)),
        (at(), at(), 1..40_usize).prop_map(|(from, to, count)| Edit::Repeat(from, to, count)),
        at().prop_map(Edit::Cut),
    ]
}

impl Edit {
    fn apply(&self, bytes: &mut Vec<u8>) {
        let length = bytes.len();
        match *self {
            Self::Insert(at, token) => {
                let at = at.index(length + 1);
                bytes.splice(at..at, token.iter().copied());
            }
            _ if bytes.is_empty() => {}
            Self::Flip(at, mask) => bytes[at.index(length)] ^= mask,
            Self::Remove(at, count) => {
                let at = at.index(length);
                bytes.drain(at..(at + count).min(length));
            }
            Self::Repeat(from, to, count) => {
                let from = from.index(length);
                let part = bytes[from..(from + count).min(length)].to_vec();
                let to = to.index(length);
                bytes.splice(to..to, part);
            }
            Self::Cut(at) => bytes.truncate(at.index(length)),
        }
    }
}
