//! Recent lines of the log, which scripts read by `ngx.errlog.get_logs`.
//!
//! Lines are in one buffer of fixed size that is written round and round: a line that does not fit between the last one
//! and the end begins at the start, and whatever it overwrites is gone. A line larger than all of the buffer is not kept.
//!
//! Invariant: the bytes of `lines` do not overlap, and each line costs at least [`OVERHEAD`], so their number is bounded too.

use std::{
    collections::VecDeque,
    fmt,
    sync::{Mutex, MutexGuard, PoisonError},
};

use tidegate_core::Timestamp;

use crate::Level;

/// What a line takes up besides its text, as with nginx.
const OVERHEAD: usize = 16;

/// The lines of one worker.
pub struct LogRing {
    ring: Mutex<Ring>,
}

struct Ring {
    bytes: Box<[u8]>,
    /// Oldest first.
    lines: VecDeque<Kept>,
    /// Where the next line begins if it fits.
    tail: usize,
    /// Less urgent lines are not kept.
    filter: Level,
}

#[derive(Clone, Copy)]
struct Kept {
    start: usize,
    length: usize,
    level: Level,
    at: Timestamp,
}

impl fmt::Debug for LogRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LogRing").finish_non_exhaustive()
    }
}

impl LogRing {
    pub fn new(bytes: usize) -> Self {
        let ring = Ring {
            bytes: vec![0; bytes].into_boxed_slice(),
            lines: VecDeque::new(),
            tail: 0,
            filter: Level::Debug,
        };
        Self { ring: Mutex::new(ring) }
    }

    pub fn push(&self, level: Level, at: Timestamp, text: &str) {
        let mut ring = self.ring();
        if level <= ring.filter {
            ring.push(level, at, text.as_bytes());
        }
    }

    /// Lines less urgent than `level` are not kept from now on.
    pub(crate) fn set_filter(&self, level: Level) {
        self.ring().filter = level;
    }

    /// Takes the oldest line out and hands its level, time and text to `read`.
    pub(crate) fn take<R>(&self, read: impl FnOnce(Level, Timestamp, &[u8]) -> R) -> Option<R> {
        let mut ring = self.ring();
        let Kept { start, length, level, at } = ring.lines.pop_front()?;
        Some(read(level, at, &ring.bytes[start..start + length]))
    }

    fn ring(&self) -> MutexGuard<'_, Ring> {
        // Nothing panics while it holds the lock.
        self.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ring {
    fn push(&mut self, level: Level, at: Timestamp, text: &[u8]) {
        let size = text.len() + OVERHEAD;
        if size > self.bytes.len() {
            return;
        }
        if self.lines.is_empty() {
            self.tail = 0;
        }
        if self.tail + size > self.bytes.len() {
            // What lies between here and the end is older than what lies before.
            while self.lines.front().is_some_and(|oldest| oldest.start >= self.tail) {
                self.lines.pop_front();
            }
            self.tail = 0;
        }
        let (start, end) = (self.tail, self.tail + size);
        while self.lines.front().is_some_and(|oldest| oldest.start >= start && oldest.start < end) {
            self.lines.pop_front();
        }
        self.bytes[start..start + text.len()].copy_from_slice(text);
        self.lines.push_back(Kept { start, length: text.len(), level, at });
        self.tail = end;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn all(ring: &LogRing) -> Vec<String> {
        std::iter::from_fn(|| ring.take(|_, _, text| String::from_utf8(text.to_vec()).unwrap())).collect()
    }

    fn push(ring: &LogRing, text: &str) {
        ring.push(Level::Error, Timestamp::default(), text);
    }

    #[test]
    fn the_oldest_lines_make_room() {
        let ring = LogRing::new(3 * (OVERHEAD + 4));
        for text in ["1111", "2222", "3333", "4444", "5555"] {
            push(&ring, text);
        }
        assert_eq!(all(&ring), ["3333", "4444", "5555"]);
        assert_eq!(all(&ring), [""; 0]);
    }

    #[test]
    fn a_line_that_is_too_large_costs_no_other() {
        let ring = LogRing::new(OVERHEAD + 4);
        push(&ring, "1111");
        push(&ring, "22222");
        assert_eq!(all(&ring), ["1111"]);
    }

    #[test]
    fn less_urgent_lines_are_not_kept() {
        let ring = LogRing::new(1_024);
        ring.set_filter(Level::Warn);
        for (level, text) in [(Level::Info, "a"), (Level::Warn, "b"), (Level::Crit, "c")] {
            ring.push(level, Timestamp::default(), text);
        }
        assert_eq!(all(&ring), ["b", "c"]);
    }

    proptest! {
        /// Whatever is written and read, what is left are the last lines, whole and in order.
        #[test]
        fn what_is_left_are_the_last_lines(
            steps in prop::collection::vec(prop_oneof![(0usize..90).prop_map(Some), Just(None)], 0..200),
            size in 16usize..256,
        ) {
            let ring = LogRing::new(size);
            let mut twin = VecDeque::new();
            for (number, step) in steps.into_iter().enumerate() {
                if let Some(length) = step {
                    let text = format!("{number}:{}", "x".repeat(length));
                    push(&ring, &text);
                    if text.len() + OVERHEAD <= size {
                        twin.push_back(text);
                    }
                } else if let Some(text) = ring.take(|_, _, text| text.to_vec()) {
                    // Those before it have been overwritten.
                    while twin.pop_front().is_some_and(|own| own.as_bytes() != text) {}
                }
            }
            let left = all(&ring);
            prop_assert!(left.iter().map(|text| text.len() + OVERHEAD).sum::<usize>() <= size);
            let skip = twin.len().checked_sub(left.len());
            prop_assert!(skip.is_some(), "{left:?} of {twin:?}");
            prop_assert_eq!(left, twin.into_iter().skip(skip.unwrap_or_default()).collect::<Vec<_>>());
        }
    }
}
