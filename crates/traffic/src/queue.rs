//! Requests that wait for an instance: who is next, and who goes when there is no room.
//!
//! The higher priority comes first, and among equals whoever came first. A request that finds no room takes the place of
//! those that came last among the lowest priority, as long as that is lower than its own; otherwise it is turned away itself.
//!
//! Invariant: neither limit is ever exceeded, and nobody who waits gives way to an equal.
//! Not here: how long one may wait, and waking up.

use std::{cmp::Reverse, collections::BTreeMap};

/// How much may wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    pub requests: usize,
    pub bytes: usize,
}

/// A place in a [`Queue`]; the smallest is next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ticket {
    priority: Reverse<u8>,
    number: u64,
}

/// There is no room, and nobody to make some.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Full;

/// Those that wait, with something of each.
#[derive(Debug)]
pub struct Queue<T> {
    waiting: BTreeMap<Ticket, Waiting<T>>,
    bytes: usize,
    next: u64,
}

#[derive(Debug)]
struct Waiting<T> {
    bytes: usize,
    value: T,
}

impl<T> Default for Queue<T> {
    fn default() -> Self {
        Self { waiting: BTreeMap::new(), bytes: 0, next: 0 }
    }
}

impl<T> Queue<T> {
    /// Takes a place for a request of `bytes`. Also returns what was kept of those that had to make room for it.
    pub fn join(
        &mut self,
        priority: u8,
        bytes: usize,
        room: Room,
        value: T,
    ) -> Result<(Ticket, Vec<T>), Full> {
        let victims = self.victims(priority, bytes, room)?;
        let mut values = Vec::new();
        for ticket in victims {
            values.extend(self.leave(ticket));
        }
        let ticket = Ticket { priority: Reverse(priority), number: self.next };
        self.next += 1;
        self.bytes += bytes;
        self.waiting.insert(ticket, Waiting { bytes, value });
        Ok((ticket, values))
    }

    /// Gives the place up. `None`: it had to make room for another.
    pub fn leave(&mut self, ticket: Ticket) -> Option<T> {
        let Waiting { bytes, value } = self.waiting.remove(&ticket)?;
        self.bytes -= bytes;
        Some(value)
    }

    /// What is kept of whoever has the place, unless it had to make room.
    pub fn at(&mut self, ticket: Ticket) -> Option<&mut T> {
        Some(&mut self.waiting.get_mut(&ticket)?.value)
    }

    /// From the next to the last.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.waiting.values().map(|waiting| &waiting.value)
    }

    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    pub const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Who has to go so that a request fits: the last first.
    fn victims(&self, priority: u8, bytes: usize, room: Room) -> Result<Vec<Ticket>, Full> {
        let (mut count, mut sum) = (self.waiting.len() + 1, self.bytes.saturating_add(bytes));
        let mut lower = self.waiting.iter().rev().take_while(|(ticket, _)| ticket.priority.0 < priority);
        let mut victims = Vec::new();
        while count > room.requests || sum > room.bytes {
            let (ticket, waiting) = lower.next().ok_or(Full)?;
            victims.push(*ticket);
            count -= 1;
            sum -= waiting.bytes;
        }
        Ok(victims)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ROOM: Room = Room { requests: 3, bytes: 100 };

    fn names(queue: &Queue<&'static str>) -> Vec<&'static str> {
        queue.iter().copied().collect()
    }

    #[test]
    fn the_higher_priority_is_next_and_among_equals_the_first() {
        let mut queue = Queue::default();
        for (priority, name) in [(5, "a"), (9, "b"), (5, "c")] {
            queue.join(priority, 1, ROOM, name).unwrap();
        }
        assert_eq!(names(&queue), ["b", "a", "c"]);
    }

    #[test]
    fn who_came_last_among_the_lowest_makes_room_but_never_for_an_equal() {
        let mut queue = Queue::default();
        let (first, _) = queue.join(1, 1, ROOM, "a").unwrap();
        for (priority, name) in [(1, "b"), (5, "c")] {
            queue.join(priority, 1, ROOM, name).unwrap();
        }
        assert_eq!(queue.join(1, 1, ROOM, "late"), Err(Full));
        assert_eq!(queue.join(9, 1, ROOM, "d").unwrap().1, ["b"]);
        assert_eq!(queue.join(9, 100, ROOM, "large").unwrap_err(), Full, "not even if all lower ones went");
        assert_eq!(names(&queue), ["d", "c", "a"]);
        assert_eq!((queue.leave(first), queue.leave(first)), (Some("a"), None));
        assert_eq!((queue.len(), queue.bytes()), (2, 2));
    }

    /// The same by looking through all of them every time.
    #[derive(Default)]
    struct Naive(Vec<(u8, u64, usize)>);

    impl Naive {
        /// The place of who would go first.
        fn worst(&self) -> Option<usize> {
            let indices = 0..self.0.len();
            indices.min_by_key(|&index| (self.0[index].0, Reverse(self.0[index].1)))
        }

        fn join(&mut self, priority: u8, number: u64, bytes: usize, room: Room) -> Option<Vec<u64>> {
            let before = self.0.clone();
            let mut gone = Vec::new();
            let fits = |all: &Vec<(u8, u64, usize)>| {
                let sum: usize = all.iter().map(|one| one.2).sum();
                all.len() < room.requests && sum + bytes <= room.bytes
            };
            while !fits(&self.0) {
                let Some(index) = self.worst().filter(|&index| self.0[index].0 < priority) else {
                    self.0 = before;
                    return None;
                };
                gone.push(self.0.remove(index).1);
            }
            self.0.push((priority, number, bytes));
            Some(gone)
        }
    }

    #[derive(Debug, Clone)]
    enum Step {
        Join(u8, usize),
        Leave(usize),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let join = (0..4_u8, 0..50_usize).prop_map(|(priority, bytes)| Step::Join(priority, bytes));
        let step = prop_oneof![3 => join, 1 => (0..8_usize).prop_map(Step::Leave)];
        prop::collection::vec(step, 0..60)
    }

    proptest! {
        #[test]
        fn it_does_what_looking_through_all_would(steps in steps(), requests in 0..6_usize, bytes in 0..150_usize) {
            let room = Room { requests, bytes };
            let (mut queue, mut naive) = (Queue::default(), Naive::default());
            let mut tickets = Vec::new();
            for (number, step) in (0..).zip(steps) {
                match step {
                    Step::Join(priority, size) => {
                        let joined = queue.join(priority, size, room, number);
                        let expected = naive.join(priority, number, size, room);
                        prop_assert_eq!(joined.as_ref().ok().map(|(_, gone)| gone.clone()), expected);
                        tickets.extend(joined.ok().map(|(ticket, _)| (ticket, number)));
                    }
                    Step::Leave(index) if index < tickets.len() => {
                        let (ticket, number) = tickets.remove(index);
                        let known = naive.0.iter().position(|one| one.1 == number);
                        prop_assert_eq!(queue.leave(ticket), known.map(|index| naive.0.remove(index).1));
                    }
                    Step::Leave(_) => {}
                }
                let mut order = naive.0.clone();
                order.sort_by_key(|one| (Reverse(one.0), one.1));
                let order: Vec<u64> = order.into_iter().map(|one| one.1).collect();
                prop_assert_eq!(queue.iter().copied().collect::<Vec<_>>(), order);
                prop_assert!(queue.len() <= requests && queue.bytes() <= bytes);
            }
        }
    }
}
