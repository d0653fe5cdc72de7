//! Memory for what the prelude is given: it stays until something else is given.
//!
//! Invariant: the pairs that are kept point into the bytes that are kept with them.

use std::cell::Cell;

/// A name with its value, for lists of headers and arguments.
#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct Pair {
    name: *const u8,
    value: *const u8,
    name_length: i32,
    /// Negative: there is no value, not even an empty one.
    value_length: i32,
}

#[derive(Default)]
pub(super) struct Scratch {
    bytes: Cell<Vec<u8>>,
    pairs: Cell<Vec<Pair>>,
    ends: Cell<Vec<(usize, Option<usize>)>>,
}

impl Scratch {
    /// Keeps what `write` appends, and hands it to `give`.
    pub(super) fn write<R>(&self, write: impl FnOnce(&mut Vec<u8>), give: impl FnOnce(&[u8]) -> R) -> R {
        let mut bytes = self.take_bytes();
        write(&mut bytes);
        let given = give(&bytes);
        self.bytes.set(bytes);
        given
    }

    /// Keeps the pairs that `fill` adds, and hands them to `give`: none when one is longer than can be told.
    pub(super) fn list<R>(
        &self,
        fill: impl FnOnce(&mut PairList),
        give: impl FnOnce(Option<&[Pair]>) -> R,
    ) -> R {
        let mut list = PairList { bytes: self.take_bytes(), ends: self.ends.take() };
        list.ends.clear();
        fill(&mut list);
        let mut pairs = self.pairs.take();
        pairs.clear();
        let complete = list.locate(&mut pairs).is_some();
        let given = give(complete.then_some(&pairs));
        self.pairs.set(pairs);
        self.bytes.set(list.bytes);
        self.ends.set(list.ends);
        given
    }

    /// Space that grew for one large value is not kept.
    fn take_bytes(&self) -> Vec<u8> {
        const KEPT_BYTES: usize = 64 << 10;
        let mut bytes = self.bytes.take();
        bytes.clear();
        bytes.shrink_to(KEPT_BYTES);
        bytes
    }
}

/// Names and values on their way into Lua.
pub(crate) struct PairList {
    bytes: Vec<u8>,
    /// Where each name ends, and its value if it has one.
    ends: Vec<(usize, Option<usize>)>,
}

impl PairList {
    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }

    pub(crate) fn push(&mut self, name: &[u8], value: &[u8], lower_case: bool) {
        self.push_with(|bytes| {
            let start = bytes.len();
            bytes.extend_from_slice(name);
            if lower_case {
                bytes[start..].make_ascii_lowercase();
            }
            let name_end = bytes.len();
            bytes.extend_from_slice(value);
            (name_end, true)
        });
    }

    /// Adds a pair that `write` appends; it answers where the name ends, and whether there is a value after it.
    pub(crate) fn push_with(&mut self, write: impl FnOnce(&mut Vec<u8>) -> (usize, bool)) {
        let (name_end, has_value) = write(&mut self.bytes);
        self.ends.push((name_end, has_value.then_some(self.bytes.len())));
    }

    /// Writes down where everything is, once nothing moves any more; `None` when a piece is longer than Lua can be told.
    fn locate(&self, pairs: &mut Vec<Pair>) -> Option<()> {
        let mut start = 0;
        for &(name_end, value_end) in &self.ends {
            let end = value_end.unwrap_or(name_end);
            pairs.push(Pair {
                name: self.bytes[start..].as_ptr(),
                name_length: i32::try_from(name_end - start).ok()?,
                value: self.bytes[name_end..].as_ptr(),
                value_length: if value_end.is_some() { i32::try_from(end - name_end).ok()? } else { -1 },
            });
            start = end;
        }
        Some(())
    }
}
