//! The store against a naive twin, and the rules that the twin does not show.

use proptest::prelude::*;

use super::*;

const NOW: Timestamp = Timestamp::from_secs(100);

fn text(bytes: &[u8]) -> Entry {
    Entry { value: Value::String(bytes.into()), flags: 0, expires: None }
}

fn put(store: &mut Store, key: &[u8], entry: Entry) -> Result<Changed<()>, Error> {
    store.store(key, entry, Condition::Always, Room::Evict, NOW)
}

/// So many small entries fill a dictionary of 4 KiB, which has a page for them and what the root of its tree leaves.
const FULL: usize = 32 + 31;

fn fill(store: &mut Store) {
    for number in 0..FULL as u8 {
        put(store, &[number], text(b"1")).unwrap();
    }
}

#[test]
fn a_value_too_large_for_the_dictionary_takes_everything_with_it() {
    let mut store = Store::new(4096);
    fill(&mut store);
    assert_eq!(put(&mut store, b"a", text(&[0; 9000])), Err(Error::NoMemory { forcible: true }));
    assert_eq!(store.keys(99, NOW).count(), FULL - EVICTIONS);
    let stored = store.store(&[62], text(&[0; 9000]), Condition::Always, Room::Keep, NOW);
    assert_eq!(stored, Err(Error::NoMemory { forcible: false }));
    assert_eq!(store.keys(99, NOW).count(), FULL - EVICTIONS - 1);
}

#[test]
fn a_new_entry_drops_the_oldest_one() {
    let mut store = Store::new(4096);
    fill(&mut store);
    assert_eq!(store.free(), 0);
    assert_eq!(put(&mut store, &[0], text(b"2")), Ok(Changed { value: (), forcible: false }));
    assert_eq!(put(&mut store, b"a", text(b"1")), Ok(Changed { value: (), forcible: true }));
    assert_eq!(store.get(&[1], NOW), None);
    assert_eq!(store.get(&[0], NOW), Some(&text(b"2")));
}

#[test]
fn only_what_goes_before_its_time_is_an_eviction() {
    let mut store = Store::new(4096);
    fill(&mut store);
    assert_eq!((store.items(), store.evictions()), (FULL, 0));
    put(&mut store, b"a", text(b"1")).unwrap();
    put(&mut store, b"b", text(b"1")).unwrap();
    assert_eq!((store.items(), store.evictions()), (FULL, 2));
    store.flush_all();
    put(&mut store, b"c", text(b"1")).unwrap();
    store.delete(b"c", NOW);
    assert_eq!(store.evictions(), 2);
}

#[test]
fn expired_entries_at_the_old_end_are_dropped_first() {
    let mut store = Store::new(4096);
    put(&mut store, b"x", Entry { expires: Some(NOW), ..text(b"1") }).unwrap();
    fill(&mut store);
    assert_eq!(store.keys(99, NOW).count(), FULL);
    assert_eq!(store.get_stale(b"x", NOW), None);
}

#[test]
fn lists_take_memory_by_the_item_and_never_drop_others() {
    let mut store = Store::new(8 * 4096);
    let free = store.free();
    let item = || Value::String(vec![b'x'; 2000].into());
    let mut length = 0;
    while let Ok(now) = store.push(b"l", item(), End::Left, NOW) {
        length += 1;
        assert_eq!(now, length);
    }
    assert_eq!(store.push(b"m", item(), End::Left, NOW), Err(Error::NoMemory { forcible: false }));
    assert_eq!((store.length(b"l", NOW), store.length(b"m", NOW)), (Ok(length), Ok(0)));
    assert!(length > 1);
    store.delete(b"l", NOW);
    assert_eq!(store.free(), free);
}

#[test]
fn numbers_keep_every_bit() {
    let mut store = Store::new(4096);
    for number in
        [0.1, -0.0, f64::MAX, f64::MIN_POSITIVE, f64::INFINITY, f64::from_bits(0x7ff8_0000_dead_beef)]
    {
        let entry = Entry { value: Value::Number(number), flags: 0, expires: None };
        put(&mut store, b"n", entry).unwrap();
        let Some(Entry { value: Value::Number(read), .. }) = store.get(b"n", NOW) else {
            panic!("no number")
        };
        assert_eq!(read.to_bits(), number.to_bits());
    }
}

/// The same rules, written without regard to cost: entries in a list, most recently used first. The zone is the real
/// one, which has a twin of its own.
#[derive(Debug)]
struct Twin {
    slab: Slab,
    entries: Vec<(Vec<u8>, Entry, Piece)>,
}

impl Twin {
    /// Moves the entry to the front.
    fn touch(&mut self, key: &[u8]) -> Option<&mut Entry> {
        let at = self.entries.iter().position(|(other, _, _)| other == key)?;
        let entry = self.entries.remove(at);
        self.entries.insert(0, entry);
        Some(&mut self.entries[0].1)
    }

    fn live(&mut self, key: &[u8], now: Timestamp) -> Option<&mut Entry> {
        self.sweep(now);
        self.touch(key).filter(|entry| !entry.expired(now))
    }

    fn remove_at(&mut self, at: usize) {
        let (_, entry, piece) = self.entries.remove(at);
        self.slab.give_back(piece);
        if let Value::List(List(items)) = entry.value {
            for (_, piece) in items {
                self.slab.give_back(piece);
            }
        }
    }

    fn remove(&mut self, key: &[u8]) {
        if let Some(at) = self.entries.iter().position(|(other, _, _)| other == key) {
            self.remove_at(at);
        }
    }

    fn sweep(&mut self, now: Timestamp) {
        for _ in 0..2 {
            if self.entries.last().is_some_and(|(_, entry, _)| entry.expired(now)) {
                self.remove_at(self.entries.len() - 1);
            }
        }
    }

    fn insert(&mut self, key: &[u8], entry: Entry, room: Room, now: Timestamp) -> Result<bool, Error> {
        let bytes = 68 + key.len() + entry.value.bytes();
        if let Some(old) = self.touch(key)
            && !matches!(old.value, Value::List(_))
            && old.value.bytes() == entry.value.bytes()
        {
            *old = entry;
            return Ok(false);
        }
        self.remove(key);
        let mut dropped = 0;
        let piece = loop {
            match self.slab.take(bytes) {
                Some(piece) => break piece,
                None if room == Room::Keep || dropped == 30 || self.entries.is_empty() => {
                    return Err(Error::NoMemory { forcible: dropped > 0 });
                }
                None => {
                    self.remove_at(self.entries.len() - 1);
                    self.sweep(now);
                    dropped += 1;
                }
            }
        };
        self.entries.insert(0, (key.to_vec(), entry, piece));
        Ok(dropped > 0)
    }

    fn list(&mut self, key: &[u8], now: Timestamp) -> Result<Option<&mut VecDeque<(Value, Piece)>>, Error> {
        match self.live(key, now).map(|entry| &mut entry.value) {
            None => Ok(None),
            Some(Value::List(List(items))) => Ok(Some(items)),
            Some(_) => Err(Error::NotAList),
        }
    }

    fn push(&mut self, key: &[u8], value: Value, end: End, now: Timestamp) -> Result<usize, Error> {
        if self.list(key, now)?.is_none() {
            self.remove(key);
            let entry = Entry { value: Value::List(List::default()), flags: 0, expires: None };
            self.insert(key, entry, Room::Keep, now)?;
        }
        let piece = self.slab.take(21 + value.bytes());
        let Value::List(List(items)) = &mut self.entries[0].1.value else { panic!("a list is in front") };
        match (piece, end) {
            (Some(piece), End::Left) => items.push_front((value, piece)),
            (Some(piece), End::Right) => items.push_back((value, piece)),
            (None, _) => {
                if items.is_empty() {
                    self.remove(key);
                }
                return Err(Error::NoMemory { forcible: false });
            }
        }
        Ok(items.len())
    }

    fn pop(&mut self, key: &[u8], end: End, now: Timestamp) -> Result<Option<Value>, Error> {
        let Some(items) = self.list(key, now)? else { return Ok(None) };
        let item = if end == End::Left { items.pop_front() } else { items.pop_back() };
        if items.is_empty() {
            self.remove(key);
        }
        let (value, piece) = item.unwrap();
        self.slab.give_back(piece);
        Ok(Some(value))
    }
}

#[derive(Debug, Clone)]
enum Step {
    Store(u8, Entry, Condition, Room),
    Get(u8),
    GetStale(u8),
    Delete(u8),
    Incr(u8, f64, Option<(f64, Option<Duration>)>),
    Push(u8, usize, End),
    Pop(u8, End),
    Length(u8),
    Expire(u8, Option<u64>),
    FlushAll,
    FlushExpired(usize),
    Wait(u64),
}

fn seconds() -> impl Strategy<Value = Option<u64>> {
    prop::option::of(0..20_u64)
}

fn end() -> impl Strategy<Value = End> {
    prop_oneof![Just(End::Left), Just(End::Right)]
}

fn string(length: usize) -> Value {
    Value::String(vec![b'x'; length].into())
}

fn step() -> impl Strategy<Value = Step> {
    let key = || 0..12_u8;
    let value = prop_oneof![
        any::<bool>().prop_map(Value::Boolean),
        (-9..9_i32).prop_map(|number| Value::Number(f64::from(number))),
        prop_oneof![4 => 0..60_usize, 1 => 60..2_300_usize].prop_map(string),
    ];
    let entry = (value, 0..3_u32, seconds()).prop_map(|(value, flags, expires)| Entry {
        value,
        flags,
        expires: expires.map(Timestamp::from_secs),
    });
    let condition = prop_oneof![Just(Condition::Always), Just(Condition::Absent), Just(Condition::Present)];
    let room = prop_oneof![3 => Just(Room::Evict), 1 => Just(Room::Keep)];
    let init = prop::option::of((-3..3_i32, seconds()));
    prop_oneof![
        6 => (key(), entry, condition, room).prop_map(|(key, entry, condition, room)| Step::Store(key, entry, condition, room)),
        3 => key().prop_map(Step::Get),
        1 => key().prop_map(Step::GetStale),
        1 => key().prop_map(Step::Delete),
        2 => (key(), -3..3_i32, init).prop_map(|(key, by, init)| {
            let init = init.map(|(start, ttl)| (f64::from(start), ttl.map(Duration::from_secs)));
            Step::Incr(key, f64::from(by), init)
        }),
        4 => (key(), 0..2_300_usize, end()).prop_map(|(key, length, end)| Step::Push(key, length, end)),
        2 => (key(), end()).prop_map(|(key, end)| Step::Pop(key, end)),
        1 => key().prop_map(Step::Length),
        1 => (key(), seconds()).prop_map(|(key, expires)| Step::Expire(key, expires)),
        1 => Just(Step::FlushAll),
        1 => (0..4_usize).prop_map(Step::FlushExpired),
        2 => (1..5_u64).prop_map(Step::Wait),
    ]
}

/// Does the step on the twin; answers in the same words as [`on_store`].
fn on_twin(twin: &mut Twin, step: &Step, now: Timestamp) -> String {
    match step.clone() {
        Step::Store(key, entry, condition, room) => {
            let present = twin.live(&[key], now).is_some();
            let done = match condition {
                Condition::Absent if present => Err(Error::Exists),
                Condition::Present if !present => Err(Error::NotFound),
                _ => twin.insert(&[key], entry, room, now),
            };
            format!("{done:?}")
        }
        Step::Get(key) => format!("{:?}", twin.live(&[key], now)),
        Step::GetStale(key) => {
            format!("{:?}", twin.touch(&[key]).map(|entry| (entry.clone(), entry.expired(now))))
        }
        Step::Delete(key) => {
            let present = twin.live(&[key], now).is_some();
            twin.remove(&[key]);
            format!("{present}")
        }
        Step::Push(key, length, end) => format!("{:?}", twin.push(&[key], string(length), end, now)),
        Step::Pop(key, end) => format!("{:?}", twin.pop(&[key], end, now)),
        Step::Length(key) => {
            format!("{:?}", twin.list(&[key], now).map(|items| items.map_or(0, |items| items.len())))
        }
        Step::Incr(key, by, init) => {
            let done = match (twin.live(&[key], now), init) {
                (Some(Entry { value: Value::Number(number), .. }), _) => {
                    *number += by;
                    Ok((*number, false))
                }
                (Some(_), _) => Err(Error::NotANumber),
                (None, None) => Err(Error::NotFound),
                (None, Some((start, ttl))) => {
                    let value = Value::Number(start + by);
                    let entry = Entry { value, flags: 0, expires: ttl.map(|ttl| now + ttl) };
                    twin.sweep(now);
                    twin.insert(&[key], entry, Room::Evict, now).map(|forcible| (start + by, forcible))
                }
            };
            format!("{done:?}")
        }
        Step::Expire(key, expires) => {
            let entry =
                twin.entries.iter_mut().find(|(other, entry, _)| *other == [key] && !entry.expired(now));
            let found =
                entry.map(|(_, entry, _)| entry.expires = expires.map(Timestamp::from_secs)).is_some();
            format!("{found}")
        }
        Step::FlushAll => {
            twin.entries.iter_mut().for_each(|(_, entry, _)| entry.expires = Some(Timestamp::default()));
            String::new()
        }
        Step::FlushExpired(max) => {
            let mut removed = 0;
            while removed < max
                && let Some(at) = twin.entries.iter().rposition(|(_, entry, _)| entry.expired(now))
            {
                twin.remove_at(at);
                removed += 1;
            }
            format!("{removed}")
        }
        Step::Wait(_) => String::new(),
    }
}

fn on_store(store: &mut Store, step: &Step, now: Timestamp) -> String {
    match step.clone() {
        Step::Store(key, entry, condition, room) => {
            format!("{:?}", store.store(&[key], entry, condition, room, now).map(|changed| changed.forcible))
        }
        Step::Get(key) => format!("{:?}", store.get(&[key], now)),
        Step::GetStale(key) => {
            format!("{:?}", store.get_stale(&[key], now).map(|(entry, stale)| (entry.clone(), stale)))
        }
        Step::Delete(key) => format!("{}", store.delete(&[key], now)),
        Step::Incr(key, by, init) => {
            format!("{:?}", store.incr(&[key], by, init, now).map(|sum| (sum.value, sum.forcible)))
        }
        Step::Push(key, length, end) => format!("{:?}", store.push(&[key], string(length), end, now)),
        Step::Pop(key, end) => format!("{:?}", store.pop(&[key], end, now)),
        Step::Length(key) => format!("{:?}", store.length(&[key], now)),
        Step::Expire(key, expires) => {
            format!("{}", store.expire(&[key], expires.map(Timestamp::from_secs), now))
        }
        Step::FlushAll => {
            store.flush_all();
            String::new()
        }
        Step::FlushExpired(max) => format!("{}", store.flush_expired(max, now)),
        Step::Wait(_) => String::new(),
    }
}

proptest! {
    #[test]
    fn the_store_does_what_its_naive_twin_does(
        steps in prop::collection::vec(step(), 1..120),
        capacity in 4_000..30_000_u64,
    ) {
        let mut store = Store::new(capacity);
        let mut twin = Twin { slab: Slab::new(capacity), entries: Vec::new() };
        let mut now = Timestamp::from_secs(1);
        for step in &steps {
            if let Step::Wait(seconds) = step {
                now = now + Duration::from_secs(*seconds);
            }
            prop_assert_eq!(on_store(&mut store, step, now), on_twin(&mut twin, step, now), "{:?}", step);
            let content: Vec<_> = store.slots.iter().map(|(key, slot)| (key.to_vec(), slot.entry.clone(), slot.piece)).collect();
            prop_assert_eq!(&content, &twin.entries);
            prop_assert_eq!(store.free(), twin.slab.free_bytes());
            for (key, entry, _) in &twin.entries {
                let ttl = store.ttl(key, now).unwrap();
                prop_assert_eq!(ttl < 0.0, entry.expired(now));
                let until = now.as_micros() as f64 / 1e6 + ttl;
                prop_assert!(entry.expires.is_none_or(|at| (at.as_micros() as f64 / 1e6 - until).abs() < 1e-5), "{ttl}");
                prop_assert_eq!(ttl == 0.0, entry.expires.is_none());
            }
        }
        store.flush_all();
        store.flush_expired(usize::MAX, now);
        prop_assert_eq!(store.free(), Slab::new(capacity).free_bytes());
    }
}
