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

#[test]
fn a_value_too_large_for_the_dictionary_changes_nothing() {
    let mut store = Store::new(2 * ENTRY_BYTES);
    put(&mut store, b"a", text(b"1")).unwrap();
    assert_eq!(put(&mut store, b"a", text(&[0; 300])), Err(Error::NoMemory));
    assert_eq!(put(&mut store, b"b", text(&[0; 300])), Err(Error::NoMemory));
    assert_eq!(store.get(b"a", NOW), Some(&text(b"1")));
}

#[test]
fn a_larger_value_of_the_same_key_drops_others_but_not_itself() {
    let mut store = Store::new(3 * ENTRY_BYTES);
    put(&mut store, b"a", text(b"")).unwrap();
    put(&mut store, b"b", text(b"")).unwrap();
    assert_eq!(put(&mut store, b"a", text(&[0; 200])), Ok(Changed { value: (), forcible: true }));
    assert_eq!(store.keys(9, NOW).collect::<Vec<_>>(), [b"a"]);
    assert_eq!(store.used(), ENTRY_BYTES + 201);
}

#[test]
fn expired_entries_near_the_old_end_go_before_older_ones_that_live() {
    let mut store = Store::new(3 * (ENTRY_BYTES + 1));
    put(&mut store, b"a", text(b"")).unwrap();
    let expired = Entry { expires: Some(NOW), ..text(b"") };
    put(&mut store, b"b", expired).unwrap();
    put(&mut store, b"c", text(b"")).unwrap();
    assert_eq!(put(&mut store, b"d", text(b"")), Ok(Changed { value: (), forcible: false }));
    assert_eq!(store.keys(9, NOW).collect::<Vec<_>>(), [b"d", b"c", b"a"]);
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

/// The same rules, written without regard to cost: entries in a list, most recently used first.
#[derive(Debug, Default)]
struct Twin {
    capacity: u64,
    entries: Vec<(Vec<u8>, Entry)>,
}

impl Twin {
    fn used(&self) -> u64 {
        self.entries.iter().map(|(key, entry)| cost(key, entry)).sum()
    }

    /// Moves the entry to the front.
    fn touch(&mut self, key: &[u8]) -> Option<&mut Entry> {
        let at = self.entries.iter().position(|(other, _)| other == key)?;
        let entry = self.entries.remove(at);
        self.entries.insert(0, entry);
        Some(&mut self.entries[0].1)
    }

    fn live(&mut self, key: &[u8], now: Timestamp) -> Option<&mut Entry> {
        self.touch(key).filter(|entry| !entry.expired(now))
    }

    fn insert(&mut self, key: &[u8], entry: Entry, room: Room, now: Timestamp) -> Result<bool, Error> {
        if cost(key, &entry) > self.capacity {
            return Err(Error::NoMemory);
        }
        self.entries.retain(|(other, entry)| other != key || !entry.expired(now));
        // The others, as they would be without the old value of this key.
        let mut others: Vec<_> = self.entries.iter().filter(|(other, _)| other != key).cloned().collect();
        let need = cost(key, &entry);
        let sum = |others: &[(Vec<u8>, Entry)]| {
            others.iter().map(|(key, entry)| cost(key, entry)).sum::<u64>() + need
        };
        let mut forcible = false;
        if sum(&others) > self.capacity {
            // The scan sees the key itself too, as the most recently used.
            let own = usize::from(self.entries.iter().any(|(other, _)| other == key));
            let oldest = (others.len() + own).saturating_sub(EXPIRED_SCAN).max(own) - own;
            let mut index = 0;
            others.retain(|(_, entry)| {
                index += 1;
                index <= oldest || !entry.expired(now)
            });
        }
        if room == Room::Keep && sum(&others) > self.capacity {
            let own = self.entries.iter().find(|(other, _)| other == key).cloned();
            self.entries = own.into_iter().chain(others).collect();
            return Err(Error::NoMemory);
        }
        while sum(&others) > self.capacity {
            let (_, dropped) = others.pop().unwrap();
            forcible |= !dropped.expired(now);
        }
        others.insert(0, (key.to_vec(), entry));
        self.entries = others;
        Ok(forcible)
    }
}

#[derive(Debug, Clone)]
enum Step {
    Store(u8, Entry, Condition, Room),
    Get(u8),
    GetStale(u8),
    Delete(u8),
    Incr(u8, f64, Option<(f64, Option<Duration>)>),
    Expire(u8, Option<u64>),
    FlushAll,
    FlushExpired(usize),
    Wait(u64),
}

fn seconds() -> impl Strategy<Value = Option<u64>> {
    prop::option::of(0..20_u64)
}

fn step() -> impl Strategy<Value = Step> {
    let key = || 0..12_u8;
    let value = prop_oneof![
        any::<bool>().prop_map(Value::Boolean),
        (-9..9_i32).prop_map(|number| Value::Number(f64::from(number))),
        prop_oneof![4 => 0..60_usize, 1 => 60..2_300_usize]
            .prop_map(|length| Value::String(vec![b'x'; length].into())),
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
            twin.entries.retain(|(other, _)| *other != [key]);
            format!("{present}")
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
                    twin.insert(&[key], entry, Room::Evict, now).map(|forcible| (start + by, forcible))
                }
            };
            format!("{done:?}")
        }
        Step::Expire(key, expires) => {
            let entry = twin.entries.iter_mut().find(|(other, entry)| *other == [key] && !entry.expired(now));
            let found = entry.map(|(_, entry)| entry.expires = expires.map(Timestamp::from_secs)).is_some();
            format!("{found}")
        }
        Step::FlushAll => {
            twin.entries.iter_mut().for_each(|(_, entry)| entry.expires = Some(Timestamp::default()));
            String::new()
        }
        Step::FlushExpired(max) => {
            let mut removed = 0;
            while removed < max
                && let Some(at) = twin.entries.iter().rposition(|(_, entry)| entry.expired(now))
            {
                twin.entries.remove(at);
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
        capacity in 200..2_500_u64,
    ) {
        let mut store = Store::new(capacity);
        let mut twin = Twin { capacity, entries: Vec::new() };
        let mut now = Timestamp::from_secs(1);
        for step in &steps {
            if let Step::Wait(seconds) = step {
                now = now + Duration::from_secs(*seconds);
            }
            prop_assert_eq!(on_store(&mut store, step, now), on_twin(&mut twin, step, now), "{:?}", step);
            let content: Vec<_> = store.entries.iter().map(|(key, entry)| (key.to_vec(), entry.clone())).collect();
            prop_assert_eq!(&content, &twin.entries);
            prop_assert_eq!(store.used(), twin.used());
            prop_assert!(store.used() <= capacity);
            for (key, entry) in &twin.entries {
                let left = (!entry.expired(now)).then(|| entry.expires.map(|expires| expires.since(now)));
                prop_assert_eq!(store.ttl(key, now), left);
            }
        }
    }
}
