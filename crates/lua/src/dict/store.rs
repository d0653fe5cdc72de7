//! The content of one shared dictionary: an LRU map with a byte limit and expiry.
//!
//! Each entry counts as its key, its value if that is a string, and [`ENTRY_BYTES`] for everything
//! around them. What is found is used: it moves to the recent end. Expired entries stay, invisible
//! but for [`Store::get_stale`], until they are overwritten, flushed, or in the way: to make room, the
//! expired ones among the [`EXPIRED_SCAN`] entries at the old end go first, then entries from that
//! end whatever they are.
//!
//! Invariant: `used` is the sum of the entries' bytes and at most `capacity`. A change that fails
//! leaves all entries that have not expired as they were.

use std::time::Duration;

use lru::LruCache;
use tidegate_core::Timestamp;

/// What one entry costs besides key and string: two links, value, flags, expiry, key pointer, its
/// slot in the hash table, and what the allocator adds to them.
pub const ENTRY_BYTES: u64 = 128;

/// How many of the least recently used entries are searched for expired ones when room is needed.
pub const EXPIRED_SCAN: usize = 8;

#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    Boolean(bool),
    Number(f64),
    String(Box<[u8]>),
}

impl Value {
    const fn bytes(&self) -> u64 {
        match self {
            Self::Boolean(_) | Self::Number(_) => 0,
            Self::String(bytes) => bytes.len() as u64,
        }
    }
}

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

/// A change that was made.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Changed<T> {
    pub value: T,
    /// Whether entries that had not expired were dropped for it.
    pub forcible: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("not found")]
    NotFound,
    #[error("exists")]
    Exists,
    #[error("no memory")]
    NoMemory,
    #[error("not a number")]
    NotANumber,
}

#[derive(Debug)]
pub struct Store {
    entries: LruCache<Box<[u8]>, Entry>,
    capacity: u64,
    used: u64,
}

impl Store {
    pub fn new(capacity: u64) -> Self {
        Self { entries: LruCache::unbounded(), capacity, used: 0 }
    }

    /// The entry under `key`, unless it has expired.
    pub fn get(&mut self, key: &[u8], now: Timestamp) -> Option<&Entry> {
        self.entries.get(key).filter(|entry| !entry.expired(now))
    }

    /// The entry under `key`, and whether it has expired.
    pub fn get_stale(&mut self, key: &[u8], now: Timestamp) -> Option<(&Entry, bool)> {
        self.entries.get(key).map(|entry| (entry, entry.expired(now)))
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
        let present = self.get(key, now).is_some();
        match condition {
            Condition::Absent if present => return Err(Error::Exists),
            Condition::Present if !present => return Err(Error::NotFound),
            _ => {}
        }
        let forcible = self.insert(key, entry, room, now)?;
        Ok(Changed { value: (), forcible })
    }

    /// Removes what is under `key`; answers whether there was something that had not expired.
    pub fn delete(&mut self, key: &[u8], now: Timestamp) -> bool {
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
        if let Some(entry) = self.entries.get_mut(key)
            && !entry.expired(now)
        {
            let Value::Number(number) = &mut entry.value else { return Err(Error::NotANumber) };
            *number += by;
            return Ok(Changed { value: *number, forcible: false });
        }
        let (start, ttl) = init.ok_or(Error::NotFound)?;
        let value = start + by;
        let entry = Entry { value: Value::Number(value), flags: 0, expires: ttl.map(|ttl| now + ttl) };
        let forcible = self.insert(key, entry, Room::Evict, now)?;
        Ok(Changed { value, forcible })
    }

    /// Time until the entry expires: `None` if there is no entry, `Some(None)` if it never does.
    pub fn ttl(&self, key: &[u8], now: Timestamp) -> Option<Option<Duration>> {
        let entry = self.entries.peek(key).filter(|entry| !entry.expired(now))?;
        Some(entry.expires.map(|expires| expires.since(now)))
    }

    /// Lets the entry expire at another time; answers whether there is one.
    pub fn expire(&mut self, key: &[u8], expires: Option<Timestamp>, now: Timestamp) -> bool {
        let Some(entry) = self.entries.peek_mut(key).filter(|entry| !entry.expired(now)) else {
            return false;
        };
        entry.expires = expires;
        true
    }

    /// Lets every entry expire now. Memory is given back as it is needed.
    pub fn flush_all(&mut self) {
        for (_, entry) in &mut self.entries {
            entry.expires = Some(Timestamp::default());
        }
    }

    /// Removes up to `max` entries that have expired, least recently used first.
    pub fn flush_expired(&mut self, max: usize, now: Timestamp) -> usize {
        self.remove_expired(usize::MAX, max, now)
    }

    /// Up to `max` keys of entries that have not expired, most recently used first.
    pub fn keys(&self, max: usize, now: Timestamp) -> impl Iterator<Item = &[u8]> {
        self.entries.iter().filter(move |(_, entry)| !entry.expired(now)).map(|(key, _)| &**key).take(max)
    }

    /// Bytes in use, by this module's accounting.
    pub const fn used(&self) -> u64 {
        self.used
    }

    /// Puts `entry` under `key`; answers whether others had to go that had not expired.
    fn insert(&mut self, key: &[u8], entry: Entry, room: Room, now: Timestamp) -> Result<bool, Error> {
        let bytes = cost(key, &entry);
        if bytes > self.capacity {
            return Err(Error::NoMemory);
        }
        if self.entries.peek(key).is_some_and(|old| old.expired(now)) {
            self.remove(key);
        }
        // Finding the entry also makes it the last that could be evicted for its own new value.
        let replaced = self.entries.get(key).map_or(0, |old| cost(key, old));
        let forcible = self.make_room(bytes.saturating_sub(replaced), room, now)?;
        match self.entries.get_mut(key) {
            Some(old) => {
                self.used -= cost(key, old);
                *old = entry;
            }
            None => {
                self.entries.push(key.into(), entry);
            }
        }
        self.used += bytes;
        Ok(forcible)
    }

    /// Drops entries until `bytes` more fit; answers whether one had to go that had not expired.
    fn make_room(&mut self, bytes: u64, room: Room, now: Timestamp) -> Result<bool, Error> {
        let mut forcible = false;
        if self.used + bytes > self.capacity {
            self.remove_expired(EXPIRED_SCAN, usize::MAX, now);
        }
        while self.used + bytes > self.capacity {
            if room == Room::Keep {
                return Err(Error::NoMemory);
            }
            let (key, entry) = self.entries.pop_lru().ok_or(Error::NoMemory)?;
            self.used -= cost(&key, &entry);
            // The first to go has just been found not to have expired.
            forcible = true;
        }
        Ok(forcible)
    }

    /// Removes up to `max` of the expired entries among the `scan` least recently used.
    fn remove_expired(&mut self, scan: usize, max: usize, now: Timestamp) -> usize {
        let oldest = self.entries.iter().rev().take(scan);
        let expired = oldest.filter(|(_, entry)| entry.expired(now)).map(|(key, _)| key.clone());
        let expired: Vec<_> = expired.take(max).collect();
        for key in &expired {
            self.remove(key);
        }
        expired.len()
    }

    fn remove(&mut self, key: &[u8]) -> Option<Entry> {
        let entry = self.entries.pop(key)?;
        self.used -= cost(key, &entry);
        Some(entry)
    }
}

const fn cost(key: &[u8], entry: &Entry) -> u64 {
    ENTRY_BYTES + key.len() as u64 + entry.value.bytes()
}

#[cfg(test)]
mod tests;
