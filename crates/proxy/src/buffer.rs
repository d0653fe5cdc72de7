//! Reusable read buffers.
//!
//! A connection holds a buffer only while there are bytes in it: idle connections wait for readiness
//! without one. Buffers go back to a pool of the worker, last in first out, so the one in use is the
//! one in cache. They are zeroed once, when made.

use std::{
    cell::RefCell,
    ops::{Deref, DerefMut},
    rc::Rc,
};

/// Bytes that a read may deliver at once: a body of 64 KiB together with its head, so that one system
/// call moves most answers whole.
pub(crate) const CAPACITY: usize = 72 << 10;

/// Buffers that each worker keeps for later.
const POOLED: usize = 256;

/// The unused buffers of a worker.
#[derive(Debug, Default)]
pub(crate) struct Buffers(RefCell<Vec<Buffer>>);

impl Buffers {
    pub(crate) fn take(self: &Rc<Self>) -> Lease {
        let mut buffer = self.0.borrow_mut().pop().unwrap_or_default();
        buffer.clear();
        Lease { buffer, owner: Rc::clone(self) }
    }
}

/// A buffer on loan from a worker's pool.
#[derive(Debug)]
pub(crate) struct Lease {
    buffer: Buffer,
    owner: Rc<Buffers>,
}

impl Deref for Lease {
    type Target = Buffer;

    fn deref(&self) -> &Buffer {
        &self.buffer
    }
}

impl DerefMut for Lease {
    fn deref_mut(&mut self) -> &mut Buffer {
        &mut self.buffer
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let mut pool = self.owner.0.borrow_mut();
        if pool.len() < POOLED {
            pool.push(std::mem::take(&mut self.buffer));
        }
    }
}

/// A window of unread bytes that moves through a block of memory.
#[derive(Debug, Default)]
pub(crate) struct Buffer {
    block: Vec<u8>,
    start: usize,
    end: usize,
}

impl Buffer {
    pub(crate) fn unread(&self) -> &[u8] {
        &self.block[self.start..self.end]
    }

    pub(crate) const fn len(&self) -> usize {
        self.end - self.start
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.start == self.end
    }

    pub(crate) const fn clear(&mut self) {
        self.start = 0;
        self.end = 0;
    }

    /// The first `count` unread bytes have been dealt with.
    pub(crate) fn consume(&mut self, count: usize) {
        self.start += count;
        assert!(self.start <= self.end, "more consumed than was read");
        if self.is_empty() {
            self.clear();
        }
    }

    /// Room for at least one more byte, up to a total of [`CAPACITY`]; empty when that is used up.
    pub(crate) fn room(&mut self) -> &mut [u8] {
        if self.block.is_empty() {
            self.block.resize(CAPACITY, 0);
        }
        if self.end == self.block.len() && self.start > 0 {
            self.block.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        &mut self.block[self.end..]
    }

    /// Appends `bytes`, which must fit.
    pub(crate) fn extend(&mut self, bytes: &[u8]) {
        self.room()[..bytes.len()].copy_from_slice(bytes);
        self.fill(bytes.len());
    }

    /// `count` bytes were read into [`Buffer::room`].
    pub(crate) fn fill(&mut self, count: usize) {
        self.end += count;
        assert!(self.end <= self.block.len(), "more read than there was room for");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_buffer_makes_room_by_moving_what_is_left() {
        let mut buffer = Buffer::default();
        let room = buffer.room().len();
        assert_eq!(room, CAPACITY);
        buffer.room().fill(b'x');
        buffer.fill(room);
        assert!(buffer.room().is_empty());
        buffer.consume(CAPACITY - 2);
        assert_eq!(buffer.room().len(), CAPACITY - 2);
        buffer.extend(b"yz");
        assert_eq!(buffer.unread(), b"xxyz");
    }

    #[test]
    fn a_returned_buffer_is_used_again_and_comes_back_empty() {
        let pool = Rc::new(Buffers::default());
        let mut lease = pool.take();
        lease.extend(b"secret");
        let block = lease.block.as_ptr();
        drop(lease);
        let lease = pool.take();
        assert_eq!(lease.block.as_ptr(), block);
        assert!(lease.unread().is_empty());
    }
}
