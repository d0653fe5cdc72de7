//! The accounts of a memory zone, kept as nginx keeps its shared memory.
//!
//! Nothing lies in a zone: the values of a dictionary are on the heap. But what a dictionary holds, and when it must
//! forget, is for the zone to say, so that a dictionary of some size holds as much here as the same code was tuned
//! for. A zone has pages. Small pieces come in sizes of powers of two, and a page is cut into pieces of one size;
//! large pieces take adjacent pages whole. Memory can therefore be scattered: free, but not in one piece.
//!
//! Invariant: every page is free, in one piece, or cut up; `free` counts the first kind. Adjacent runs of free pages are
//! always joined.

const PAGE: usize = 4096;
/// The smallest piece is 8 bytes.
const MIN_SHIFT: u32 = 3;
const SIZES: usize = 9;
/// The largest size that a page is cut into.
const LARGEST: usize = PAGE / 2;
const NONE: u32 = u32::MAX;

/// Bytes that nginx takes of a zone for the zone itself, and of every page for what it knows of it.
const ZONE_BYTES: u64 = 200 + SIZES as u64 * 56;
const PAGE_RECORD_BYTES: u64 = 24;
/// What a dictionary takes of its zone for itself: the root of its tree, and a name for the log. They have a page each,
/// which entries of the same size share.
const ROOTS: [usize; 2] = [80, 31];

/// A piece that was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Piece {
    page: u32,
    kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// One of those that a page is cut into.
    Small(u8),
    /// So many pages.
    Pages(u32),
}

#[derive(Debug, Clone, Copy)]
struct Page {
    /// Neighbours in a list: of the free runs, or of the cut pages that have room.
    previous: u32,
    next: u32,
    /// Of the first page of a free run its length; of the last one the number of the first; of a cut page the pieces in use.
    count: u32,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    FirstFree,
    OtherFree,
    Taken,
}

#[derive(Debug)]
pub(super) struct Slab {
    pages: Vec<Page>,
    /// Heads of the lists of cut pages with room, by size; the last is that of the free runs.
    heads: [u32; SIZES + 1],
    free: u32,
}

const RUNS: usize = SIZES;

impl Slab {
    /// A zone of so many bytes.
    pub(super) fn new(bytes: u64) -> Self {
        let records = bytes.saturating_sub(ZONE_BYTES) / (PAGE as u64 + PAGE_RECORD_BYTES);
        let start = (ZONE_BYTES + records * PAGE_RECORD_BYTES).next_multiple_of(PAGE as u64);
        let whole = records.min(bytes.saturating_sub(start) / PAGE as u64);
        // One page at least is for entries.
        let count = u32::try_from(whole).unwrap_or(NONE - 1).max(ROOTS.len() as u32 + 1);
        let page = Page { previous: NONE, next: NONE, count: 0, state: State::OtherFree };
        let mut slab = Self { pages: vec![page; count as usize], heads: [NONE; SIZES + 1], free: 0 };
        slab.put_run(0, count);
        for bytes in ROOTS {
            slab.take(bytes);
        }
        slab
    }

    /// Bytes of pages that are wholly free.
    pub(super) fn free_bytes(&self) -> u64 {
        u64::from(self.free) * PAGE as u64
    }

    /// Bytes of pages that are in use.
    pub(super) fn used_bytes(&self) -> u64 {
        (self.pages.len() as u64 - u64::from(self.free)) * PAGE as u64
    }

    pub(super) fn take(&mut self, bytes: usize) -> Option<Piece> {
        if bytes > LARGEST {
            let count = u32::try_from(bytes.div_ceil(PAGE)).ok()?;
            let page = self.take_run(count)?;
            return Some(Piece { page, kind: Kind::Pages(count) });
        }
        let size = bytes.next_power_of_two().trailing_zeros().max(MIN_SHIFT) - MIN_SHIFT;
        let list = size as usize;
        let mut page = self.heads[list];
        if page == NONE {
            page = self.take_run(1)?;
            self.pages[page as usize].count = 0;
            self.push(list, page);
        }
        self.pages[page as usize].count += 1;
        if self.pages[page as usize].count == pieces(size) {
            self.unlink(list, page);
        }
        Some(Piece { page, kind: Kind::Small(size as u8) })
    }

    pub(super) fn give_back(&mut self, piece: Piece) {
        let size = match piece.kind {
            Kind::Pages(count) => return self.put_run(piece.page, count),
            Kind::Small(size) => u32::from(size),
        };
        let in_use = &mut self.pages[piece.page as usize].count;
        let was_full = *in_use == pieces(size);
        *in_use -= 1;
        let is_empty = *in_use == 0;
        if was_full {
            self.push(size as usize, piece.page);
        }
        if is_empty {
            self.unlink(size as usize, piece.page);
            self.put_run(piece.page, 1);
        }
    }

    /// Takes the front of the first run that is long enough.
    fn take_run(&mut self, count: u32) -> Option<u32> {
        let mut first = self.heads[RUNS];
        while first != NONE && self.pages[first as usize].count < count {
            first = self.pages[first as usize].next;
        }
        if first == NONE {
            return None;
        }
        let run = self.pages[first as usize];
        if run.count > count {
            // What is left of the run stays at its place in the list.
            let rest = first + count;
            self.pages[rest as usize] = Page { count: run.count - count, ..run };
            self.link_neighbours(RUNS, rest);
            self.mark_last(rest);
        } else {
            self.unlink(RUNS, first);
        }
        for page in &mut self.pages[first as usize..(first + count) as usize] {
            *page = Page { previous: NONE, next: NONE, count: 0, state: State::Taken };
        }
        self.free -= count;
        Some(first)
    }

    /// Makes pages free and joins them with the free runs beside them.
    fn put_run(&mut self, page: u32, count: u32) {
        let (mut first, mut length) = (page, count);
        for page in &mut self.pages[page as usize..(page + count) as usize] {
            *page = Page { previous: NONE, next: NONE, count: 0, state: State::OtherFree };
        }
        if let Some(after) = self.pages.get((page + count) as usize)
            && after.state == State::FirstFree
        {
            length += after.count;
            self.unlink(RUNS, page + count);
            self.pages[(page + count) as usize].state = State::OtherFree;
        }
        if let Some(before) = page.checked_sub(1) {
            let last = self.pages[before as usize];
            let run = match last.state {
                State::FirstFree => Some(before),
                State::OtherFree => Some(last.count),
                State::Taken => None,
            };
            if let Some(run) = run {
                length += self.pages[run as usize].count;
                self.unlink(RUNS, run);
                first = run;
            }
        }
        self.pages[first as usize].state = State::FirstFree;
        self.pages[first as usize].count = length;
        self.mark_last(first);
        self.push(RUNS, first);
        self.free += count;
    }

    fn mark_last(&mut self, first: u32) {
        let last = first + self.pages[first as usize].count - 1;
        if last != first {
            self.pages[last as usize].count = first;
        }
    }

    fn push(&mut self, list: usize, page: u32) {
        let next = self.heads[list];
        let links = &mut self.pages[page as usize];
        (links.previous, links.next) = (NONE, next);
        self.link_neighbours(list, page);
    }

    /// Makes those before and behind a page point to it.
    fn link_neighbours(&mut self, list: usize, page: u32) {
        let Page { previous, next, .. } = self.pages[page as usize];
        match previous {
            NONE => self.heads[list] = page,
            _ => self.pages[previous as usize].next = page,
        }
        if next != NONE {
            self.pages[next as usize].previous = page;
        }
    }

    fn unlink(&mut self, list: usize, page: u32) {
        let Page { previous, next, .. } = self.pages[page as usize];
        match previous {
            NONE => self.heads[list] = next,
            _ => self.pages[previous as usize].next = next,
        }
        if next != NONE {
            self.pages[next as usize].previous = previous;
        }
    }
}

/// How many pieces of a size a page gives. In pages of small ones some are taken by the map of the others.
const fn pieces(size: u32) -> u32 {
    match size {
        0 => 504,
        1 => 254,
        2 => 127,
        _ => (PAGE as u32) >> (size + MIN_SHIFT),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_zone_has_the_pages_that_nginx_would_have() {
        assert_eq!(Slab::new(900 << 10).free_bytes(), (223 - 2) * 4096);
        assert_eq!(Slab::new(1 << 20).free_bytes(), (254 - 2) * 4096);
        assert_eq!(Slab::new(4096).free_bytes(), 4096);
    }

    #[test]
    fn free_pages_that_do_not_touch_are_not_one_piece() {
        let mut slab = Slab::new(10 * 4096);
        let pieces: Vec<_> = std::iter::from_fn(|| slab.take(3000)).collect();
        for piece in pieces.iter().step_by(2) {
            slab.give_back(*piece);
        }
        assert!(slab.free_bytes() >= 2 * 4096);
        assert_eq!(slab.take(4097), None);
        slab.give_back(pieces[1]);
        assert!(slab.take(3 * 4096).is_some());
    }

    proptest! {
        #[test]
        fn pages_are_neither_lost_nor_given_twice(
            steps in prop::collection::vec((0_usize..20_000, any::<prop::sample::Index>(), any::<bool>()), 1..200),
        ) {
            let mut slab = Slab::new(40 * 4096);
            let all = slab.free_bytes();
            let mut taken: Vec<Piece> = Vec::new();
            for (bytes, index, take) in steps {
                if take {
                    taken.extend(slab.take(bytes / 5));
                } else if !taken.is_empty() {
                    slab.give_back(taken.swap_remove(index.index(taken.len())));
                }
                // The twin: who holds which page.
                let mut held = vec![0_usize; slab.pages.len()];
                held[..ROOTS.len()].fill(1);
                for piece in &taken {
                    match piece.kind {
                        Kind::Pages(count) => held[piece.page as usize..][..count as usize].fill(usize::MAX),
                        Kind::Small(_) => held[piece.page as usize] += 1,
                    }
                }
                let free = held.iter().filter(|&&held| held == 0).count() as u64;
                prop_assert_eq!(slab.free_bytes(), free * 4096);
                let whole: usize = taken.iter().map(|piece| match piece.kind {
                    Kind::Pages(count) => count as usize,
                    Kind::Small(_) => 0,
                }).sum();
                prop_assert_eq!(held.iter().filter(|&&held| held == usize::MAX).count(), whole);
            }
            for piece in taken {
                slab.give_back(piece);
            }
            prop_assert_eq!(slab.free_bytes(), all);
            prop_assert!(slab.take(usize::try_from(all).unwrap()).is_some());
        }
    }
}
