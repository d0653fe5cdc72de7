//! The content of one shared dictionary: an LRU map that lives within a zone of memory, with expiry.
//!
//! What an entry takes of the zone is what it takes in nginx (see [`super::slab`]). What is found is used: it moves to
//! the recent end. Expired entries stay, invisible but for [`Store::get_stale`], until they are overwritten, flushed,
//! or in the way: each change drops up to two of them at the old end. When there is no piece of memory for a new entry,
//! entries go from the old end whatever they are, up to [`EVICTIONS`] times; then there is no memory.
//!
//! Invariant: the zone's pieces in use are those of the entries and of the items of lists.
//! As in nginx, a value that finds no room takes the older one of its key with it, unless it is of the same size.

use std::{collections::VecDeque, time::Duration};

use lru::LruCache;
use tidegate_core::Timestamp;

use super::slab::{Piece, Slab};

/// What an entry takes besides key and value: its node in nginx's tree.
const ENTRY_BYTES: usize = 68;
/// What an item of a list takes besides its value.
const ITEM_BYTES: usize = 21;
/// How often entries are dropped for a new one.
pub const EVICTIONS: usize = 30;

#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    Boolean(bool),
    Number(f64),
    String(Box<[u8]>),
    List(List),
}

impl Value {
    fn bytes(&self) -> usize {
        match self {
            Self::Boolean(_) => 1,
            Self::Number(_) => 8,
            Self::String(bytes) => bytes.len(),
            Self::List(_) => 16,
        }
    }
}

/// The values of a list, which is never empty.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct List(VecDeque<(Value, Piece)>);

/// What is put under a key.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    pub value: Value,
    /// The user's own number; 0 is none.
    pub flags: u32,
    /// From when on the entry is gone; `None`: never.
    pub expires: Option<Timestamp>,
}

impl Entry {
    fn expired(&self, now: Timestamp) -> bool {
        self.expires.is_some_and(|expires| expires <= now)
    }

    /// Whether `other` fits into the piece that this one has.
    fn is_as_large_as(&self, other: &Self) -> bool {
        !matches!(self.value, Value::List(_)) && self.value.bytes() == other.value.bytes()
    }
}

/// Whether a key must be there, or must not, for a value to be stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Condition {
    Always,
    Absent,
    Present,
}

/// What may be done to make room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Room {
    /// Entries that have not expired may be dropped.
    Evict,
    /// Only expired ones may.
    Keep,
}

/// An end of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    Left,
    Right,
}

/// A change that was made.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Changed<T> {
    pub value: T,
    /// Whether entries were dropped for it.
    pub forcible: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("not found")]
    NotFound,
    #[error("exists")]
    Exists,
    #[error("no memory")]
    NoMemory {
        /// Whether entries were dropped, in vain.
        forcible: bool,
    },
    #[error("not a number")]
    NotANumber,
    #[error("value not a list")]
    NotAList,
}

#[derive(Debug)]
struct Slot {
    entry: Entry,
    piece: Piece,
}

#[derive(Debug)]
pub struct Store {
    slots: LruCache<Box<[u8]>, Slot>,
    slab: Slab,
    evictions: u64,
}

impl Store {
    /// One within a zone of so many bytes.
    pub fn new(capacity: u64) -> Self {
        Self { slots: LruCache::unbounded(), slab: Slab::new(capacity), evictions: 0 }
    }

    /// The entry under `key`, unless it has expired.
    pub fn get(&mut self, key: &[u8], now: Timestamp) -> Option<&Entry> {
        self.drop_expired(now);
        self.slots.get(key).map(|slot| &slot.entry).filter(|entry| !entry.expired(now))
    }

    /// The entry under `key`, and whether it has expired.
    pub fn get_stale(&mut self, key: &[u8], now: Timestamp) -> Option<(&Entry, bool)> {
        self.slots.get(key).map(|slot| (&slot.entry, slot.entry.expired(now)))
    }

    /// Stores `entry` if `condition` holds; an entry that has expired counts as absent.
    pub fn store(
        &mut self,
        key: &[u8],
        entry: Entry,
        condition: Condition,
        room: Room,
        now: Timestamp,
    ) -> Result<Changed<()>, Error> {
        self.drop_expired(now);
        let old = self.slots.get_mut(key);
        let present = old.as_ref().is_some_and(|slot| !slot.entry.expired(now));
        match condition {
            Condition::Absent if present => return Err(Error::Exists),
            Condition::Present if !present => return Err(Error::NotFound),
            _ => {}
        }
        let forcible = match old {
            Some(slot) if slot.entry.is_as_large_as(&entry) => {
                slot.entry = entry;
                false
            }
            _ => {
                self.remove(key);
                self.insert(key, entry, room, now)?
            }
        };
        Ok(Changed { value: (), forcible })
    }

    /// Removes what is under `key`; answers whether there was something that had not expired.
    pub fn delete(&mut self, key: &[u8], now: Timestamp) -> bool {
        self.drop_expired(now);
        self.remove(key).is_some_and(|entry| !entry.expired(now))
    }

    /// Adds `by` to the number under `key`. When there is none, `init` says what to start from and
    /// after what time the new entry expires.
    pub fn incr(
        &mut self,
        key: &[u8],
        by: f64,
        init: Option<(f64, Option<Duration>)>,
        now: Timestamp,
    ) -> Result<Changed<f64>, Error> {
        self.drop_expired(now);
        let old = self.slots.get_mut(key);
        if let Some(Slot { entry, .. }) = old
            && !entry.expired(now)
        {
            let Value::Number(number) = &mut entry.value else { return Err(Error::NotANumber) };
            *number += by;
            return Ok(Changed { value: *number, forcible: false });
        }
        let (start, ttl) = init.ok_or(Error::NotFound)?;
        let value = start + by;
        let entry = Entry { value: Value::Number(value), flags: 0, expires: ttl.map(|ttl| now + ttl) };
        let Changed { forcible, .. } = self.store(key, entry, Condition::Always, Room::Evict, now)?;
        Ok(Changed { value, forcible })
    }

    /// Puts `value` at an end of the list under `key`, which is made if there is none. Answers how long it then is.
    /// Nothing is dropped to make room.
    pub fn push(&mut self, key: &[u8], value: Value, end: End, now: Timestamp) -> Result<usize, Error> {
        const NO_MEMORY: Error = Error::NoMemory { forcible: false };
        self.drop_expired(now);
        if self.slots.peek(key).is_some_and(|slot| slot.entry.expired(now)) {
            self.remove(key);
        }
        if self.slots.get(key).is_none() {
            let entry = Entry { value: Value::List(List::default()), flags: 0, expires: None };
            self.insert(key, entry, Room::Keep, now).map_err(|_| NO_MEMORY)?;
        }
        let slot = self.slots.get_mut(key).expect("it was found or made");
        let Value::List(List(items)) = &mut slot.entry.value else { return Err(Error::NotAList) };
        let Some(piece) = self.slab.take(ITEM_BYTES + value.bytes()) else {
            if items.is_empty() {
                self.remove(key);
            }
            return Err(NO_MEMORY);
        };
        match end {
            End::Left => items.push_front((value, piece)),
            End::Right => items.push_back((value, piece)),
        }
        Ok(items.len())
    }

    /// Takes the value at an end of the list under `key`. The list is gone with its last value.
    pub fn pop(&mut self, key: &[u8], end: End, now: Timestamp) -> Result<Option<Value>, Error> {
        self.drop_expired(now);
        let Some(slot) = self.slots.get_mut(key).filter(|slot| !slot.entry.expired(now)) else {
            return Ok(None);
        };
        let Value::List(List(items)) = &mut slot.entry.value else { return Err(Error::NotAList) };
        let item = match end {
            End::Left => items.pop_front(),
            End::Right => items.pop_back(),
        };
        let was_last = items.is_empty();
        if was_last {
            self.remove(key);
        }
        Ok(item.map(|(value, piece)| {
            self.slab.give_back(piece);
            value
        }))
    }

    /// How many values the list under `key` has.
    pub fn length(&mut self, key: &[u8], now: Timestamp) -> Result<usize, Error> {
        self.drop_expired(now);
        match self.slots.get(key).filter(|slot| !slot.entry.expired(now)).map(|slot| &slot.entry.value) {
            None => Ok(0),
            Some(Value::List(List(items))) => Ok(items.len()),
            Some(_) => Err(Error::NotAList),
        }
    }

    /// Seconds until the entry expires, 0 if it never does, and below 0 if it has and is still there.
    pub fn ttl(&self, key: &[u8], now: Timestamp) -> Option<f64> {
        let entry = &self.slots.peek(key)?.entry;
        Some(match entry.expires {
            None => 0.0,
            // Never 0, which is for ever.
            Some(expires) if expires <= now => -now.since(expires).as_secs_f64().max(1e-6),
            Some(expires) => expires.since(now).as_secs_f64(),
        })
    }

    /// Lets the entry expire at another time; answers whether there is one.
    pub fn expire(&mut self, key: &[u8], expires: Option<Timestamp>, now: Timestamp) -> bool {
        let Some(slot) = self.slots.peek_mut(key).filter(|slot| !slot.entry.expired(now)) else {
            return false;
        };
        slot.entry.expires = expires;
        true
    }

    /// Lets every entry expire now. Memory is given back as it is needed.
    pub fn flush_all(&mut self) {
        for (_, slot) in &mut self.slots {
            slot.entry.expires = Some(Timestamp::default());
        }
    }

    /// Removes up to `max` entries that have expired, least recently used first.
    pub fn flush_expired(&mut self, max: usize, now: Timestamp) -> usize {
        let expired = self.slots.iter().rev().filter(|(_, slot)| slot.entry.expired(now));
        let expired: Vec<_> = expired.map(|(key, _)| key.clone()).take(max).collect();
        for key in &expired {
            self.remove(key);
        }
        expired.len()
    }

    /// Up to `max` keys of entries that have not expired, those first that were not used for longest.
    pub fn keys(&self, max: usize, now: Timestamp) -> impl Iterator<Item = &[u8]> {
        let live = self.slots.iter().rev().filter(move |(_, slot)| !slot.entry.expired(now));
        live.map(|(key, _)| &**key).take(max)
    }

    /// Bytes of memory pages that hold something.
    pub fn used(&self) -> u64 {
        self.slab.used_bytes()
    }

    /// Bytes of memory pages that hold nothing.
    pub fn free(&self) -> u64 {
        self.slab.free_bytes()
    }

    /// How many entries there are, with those that have expired and were not dropped yet.
    pub fn items(&self) -> usize {
        self.slots.len()
    }

    /// How many entries were dropped before their time because others needed their memory.
    pub const fn evictions(&self) -> u64 {
        self.evictions
    }

    /// Puts `entry` under `key`, which is not there; answers whether others had to go.
    fn insert(&mut self, key: &[u8], entry: Entry, room: Room, now: Timestamp) -> Result<bool, Error> {
        let bytes = ENTRY_BYTES + key.len() + entry.value.bytes();
        let mut piece = self.slab.take(bytes);
        let mut forcible = false;
        if room == Room::Evict {
            for _ in 0..EVICTIONS {
                if piece.is_some() || self.drop_oldest(now) == 0 {
                    break;
                }
                forcible = true;
                piece = self.slab.take(bytes);
            }
        }
        let piece = piece.ok_or(Error::NoMemory { forcible })?;
        self.slots.push(key.into(), Slot { entry, piece });
        Ok(forcible)
    }

    /// Drops up to two expired entries at the old end.
    fn drop_expired(&mut self, now: Timestamp) -> usize {
        let mut dropped = 0;
        while dropped < 2 && self.slots.peek_lru().is_some_and(|(_, slot)| slot.entry.expired(now)) {
            self.pop_oldest();
            dropped += 1;
        }
        dropped
    }

    /// Drops the oldest entry, and expired ones behind it.
    fn drop_oldest(&mut self, now: Timestamp) -> usize {
        if self.slots.peek_lru().is_some_and(|(_, slot)| !slot.entry.expired(now)) {
            self.evictions += 1;
        }
        usize::from(self.pop_oldest()) + self.drop_expired(now)
    }

    fn pop_oldest(&mut self) -> bool {
        let oldest = self.slots.pop_lru();
        oldest.map(|(_, slot)| self.give_back(slot)).is_some()
    }

    fn remove(&mut self, key: &[u8]) -> Option<Entry> {
        let slot = self.slots.pop(key)?;
        Some(self.give_back(slot))
    }

    fn give_back(&mut self, slot: Slot) -> Entry {
        self.slab.give_back(slot.piece);
        if let Value::List(List(items)) = &slot.entry.value {
            for (_, piece) in items {
                self.slab.give_back(*piece);
            }
        }
        slot.entry
    }
}

#[cfg(test)]
mod tests;
