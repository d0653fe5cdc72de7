//! Bytes that have come from a peer and have not been received by Lua.
//!
//! One block of memory: unread bytes lie in its middle, what comes is put behind them. Taking bytes off the
//! front moves nothing, so what was taken stays where it is until more is to be put in.
//!
//! Invariant: `start <= end <= space.len()`, and `space` never grows beyond [`LARGEST`].

/// Bytes that are asked of a peer at once, at first, unless the configuration says otherwise.
pub(crate) const SMALL: usize = 4 << 10;
/// Memory that is kept when nothing is unread.
const KEPT: usize = 64 << 10;
/// More than this in one piece is refused. Lua's own limit is twice as much.
pub(crate) const LARGEST: usize = 1 << 30;

pub(crate) struct Inbox {
    space: Vec<u8>,
    start: usize,
    end: usize,
    /// Bytes that are asked of the peer at once, at first.
    step: usize,
}

impl Default for Inbox {
    fn default() -> Self {
        Self { space: Vec::new(), start: 0, end: 0, step: SMALL }
    }
}

impl Inbox {
    /// From now on so many bytes are asked of the peer at first, and space grows by no less.
    pub(crate) fn set_step(&mut self, bytes: usize) {
        self.step = bytes.clamp(1, LARGEST);
    }

    pub(crate) fn unread(&self) -> &[u8] {
        &self.space[self.start..self.end]
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// Takes `count` bytes off the front. They can be read until [`Inbox::room`] is called.
    pub(crate) fn take(&mut self, count: usize) -> &mut [u8] {
        let from = self.start;
        self.start += count;
        assert!(self.start <= self.end, "no more is taken than is unread");
        &mut self.space[from..from + count]
    }

    /// Where more bytes can be put; `None` when there may not be more. `wanted` is how many will be needed in all.
    pub(crate) fn room(&mut self, wanted: usize) -> Option<&mut [u8]> {
        if self.is_empty() {
            (self.start, self.end) = (0, 0);
            if self.space.len() > self.step.max(KEPT) {
                self.space = Vec::new();
            }
        }
        if self.end == self.space.len() && self.start > 0 {
            self.space.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
        }
        // Space is made only as it fills up: what a peer promises to send costs nothing.
        if self.end == self.space.len() {
            let size = wanted.min(self.space.len() * 2).max(self.space.len() + self.step).min(LARGEST);
            self.space.resize(size, 0);
        }
        (self.end < self.space.len()).then(|| &mut self.space[self.end..])
    }

    /// `count` bytes have been put into the [`Inbox::room`].
    pub(crate) fn put(&mut self, count: usize) {
        self.end += count;
        assert!(self.end <= self.space.len(), "no more comes than there is room for");
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_promise_of_much_takes_no_memory() {
        let mut inbox = Inbox::default();
        assert_eq!(inbox.room(1 << 29).unwrap().len(), SMALL);
    }

    #[test]
    fn the_first_room_is_what_is_asked_for() {
        let mut inbox = Inbox::default();
        inbox.set_step(3);
        assert_eq!(inbox.room(usize::MAX).unwrap().len(), 3);
        inbox.put(3);
        assert_eq!(inbox.room(usize::MAX).unwrap().len(), 3, "it grows as it fills up");
    }

    #[test]
    fn what_was_taken_stays_until_more_comes() {
        let mut inbox = Inbox::default();
        inbox.room(6).unwrap()[..6].copy_from_slice(b"abcdef");
        inbox.put(6);
        assert_eq!(inbox.take(4), b"abcd");
        assert_eq!(inbox.unread(), b"ef");
    }

    proptest! {
        #[test]
        fn bytes_come_out_as_they_went_in(steps in prop::collection::vec((any::<bool>(), 0_usize..9_000), 1..60)) {
            let (mut inbox, mut twin, mut next) = (Inbox::default(), Vec::new(), 0_u8);
            for (put, count) in steps {
                if put {
                    let room = inbox.room(count).unwrap();
                    let count = count.min(room.len());
                    for byte in &mut room[..count] {
                        next = next.wrapping_mul(31).wrapping_add(7);
                        *byte = next;
                        twin.push(next);
                    }
                    inbox.put(count);
                } else {
                    let count = count.min(twin.len());
                    let expected: Vec<u8> = twin.drain(..count).collect();
                    prop_assert_eq!(&*inbox.take(count), &expected[..]);
                }
                prop_assert_eq!(inbox.unread(), &twin[..]);
            }
        }
    }
}
