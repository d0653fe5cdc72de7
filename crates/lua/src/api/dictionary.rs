//! `ngx.shared.DICT`.
//!
//! The prelude knows a dictionary by its number in the host. The number stays when a new
//! configuration replaces the dictionary, so what a script keeps of `ngx.shared` stays good. What expires goes by the steady
//! clock: OpenResty's goes by the wall clock, and loses or keeps everything when that is set.

use std::time::Duration;

use tidegate_core::Timestamp;

use crate::{
    abi::{Export, HostPtr, Text},
    dict::{
        SharedDict,
        store::{Condition, End, Entry, Error, Room, Value},
    },
    host::{Host, MISSING, OK},
};

/// No dictionary has that number.
const NO_DICTIONARY: i32 = -10;
const EXISTS: i32 = -11;
const NO_MEMORY: i32 = -12;
const NOT_A_NUMBER: i32 = -13;
const NOT_A_LIST: i32 = -14;

/// Types of values.
const BOOLEAN: i32 = 1;
const NUMBER: i32 = 3;
const STRING: i32 = 4;
const LIST: i32 = 5;

pub(super) fn exports() -> Vec<Export> {
    vec![
        Export::new("dictionary_get", dictionary_get as extern "C" fn(_, _, _, _, _) -> _),
        Export::new(
            "dictionary_store",
            dictionary_store as extern "C" fn(_, _, _, _, _, _, _, _, _, _, _) -> _,
        ),
        Export::new("dictionary_delete", dictionary_delete as extern "C" fn(_, _, _, _) -> _),
        Export::new("dictionary_incr", dictionary_incr as extern "C" fn(_, _, _, _, _, _, _, _) -> _),
        Export::new("dictionary_push", dictionary_push as extern "C" fn(_, _, _, _, _, _, _, _, _) -> _),
        Export::new("dictionary_pop", dictionary_pop as extern "C" fn(_, _, _, _, _) -> _),
        Export::new("dictionary_length", dictionary_length as extern "C" fn(_, _, _, _) -> _),
        Export::new("dictionary_ttl", dictionary_ttl as extern "C" fn(_, _, _, _) -> _),
        Export::new("dictionary_expire", dictionary_expire as extern "C" fn(_, _, _, _, _) -> _),
        Export::new("dictionary_flush_all", dictionary_flush_all as extern "C" fn(_, _) -> _),
        Export::new("dictionary_flush_expired", dictionary_flush_expired as extern "C" fn(_, _, _) -> _),
        Export::new("dictionary_keys", dictionary_keys as extern "C" fn(_, _, _) -> _),
        Export::new("dictionary_capacity", dictionary_capacity as extern "C" fn(_, _) -> _),
        Export::new("dictionary_free_space", dictionary_free_space as extern "C" fn(_, _) -> _),
    ]
}

fn with_dictionary(host: &Host, number: i32, f: impl FnOnce(&SharedDict, Timestamp) -> i32) -> i32 {
    let dicts = host.dicts.borrow();
    match usize::try_from(number).ok().and_then(|number| dicts.get(number)) {
        Some(dict) => f(dict, host.now.get().steady),
        None => NO_DICTIONARY,
    }
}

const fn code(error: Error) -> i32 {
    match error {
        Error::NotFound => MISSING,
        Error::Exists => EXISTS,
        Error::NoMemory { .. } => NO_MEMORY,
        Error::NotANumber => NOT_A_NUMBER,
        Error::NotAList => NOT_A_LIST,
    }
}

/// Seconds as the user gave them; 0 is for ever.
fn duration(seconds: f64) -> Option<Duration> {
    (seconds > 0.0).then(|| Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX))
}

/// Puts the value into the block and answers its type.
fn give(host: &Host, value: &Value) -> i32 {
    match value {
        Value::Boolean(value) => {
            host.block.number.set(f64::from(u8::from(*value)));
            BOOLEAN
        }
        Value::Number(value) => {
            host.block.number.set(*value);
            NUMBER
        }
        // Copied, because the entry may be gone as soon as the lock is.
        Value::String(value) => {
            host.give_written(|scratch| scratch.extend_from_slice(value));
            STRING
        }
        Value::List(_) => LIST,
    }
}

/// Answers the type of the value, which is in the block; its flags too. With `stale` set, expired values are
/// found as well, and their type is answered plus 16.
extern "C" fn dictionary_get(host: HostPtr, number: i32, key: Text, length: usize, stale: i32) -> i32 {
    let host = host.get();
    with_dictionary(host, number, |dict, now| {
        dict.with(|store| {
            let found = if stale == 0 {
                store.get(key.of(length), now).map(|entry| (entry, false))
            } else {
                store.get_stale(key.of(length), now)
            };
            let Some((entry, expired)) = found else { return MISSING };
            host.block.flags.set(entry.flags);
            let kind = give(host, &entry.value);
            if expired { kind + 16 } else { kind }
        })
    })
}

/// The block's flags say whether entries were dropped for it.
extern "C" fn dictionary_store(
    host: HostPtr,
    number: i32,
    key: Text,
    length: usize,
    kind: i32,
    text: Text,
    text_length: usize,
    value: f64,
    ttl: f64,
    flags: u32,
    mode: i32,
) -> i32 {
    let host = host.get();
    host.block.flags.set(0);
    let value = match kind {
        BOOLEAN => Value::Boolean(value != 0.0),
        NUMBER => Value::Number(value),
        _ => Value::String(text.of(text_length).into()),
    };
    let condition = match mode & 3 {
        1 => Condition::Absent,
        2 => Condition::Present,
        _ => Condition::Always,
    };
    let room = if mode & 4 == 0 { Room::Evict } else { Room::Keep };
    with_dictionary(host, number, |dict, now| {
        let entry = Entry { value, flags, expires: duration(ttl).map(|ttl| now + ttl) };
        match dict.with(|store| store.store(key.of(length), entry, condition, room, now)) {
            Ok(changed) => {
                host.block.flags.set(u32::from(changed.forcible));
                OK
            }
            Err(error) => {
                host.block.flags.set(u32::from(error == Error::NoMemory { forcible: true }));
                code(error)
            }
        }
    })
}

extern "C" fn dictionary_delete(host: HostPtr, number: i32, key: Text, length: usize) -> i32 {
    with_dictionary(host.get(), number, |dict, now| {
        dict.with(|store| store.delete(key.of(length), now));
        OK
    })
}

/// The sum is in the block; the flags say whether entries were dropped for it.
extern "C" fn dictionary_incr(
    host: HostPtr,
    number: i32,
    key: Text,
    length: usize,
    by: f64,
    has_init: i32,
    init: f64,
    init_ttl: f64,
) -> i32 {
    let host = host.get();
    let init = (has_init != 0).then(|| (init, duration(init_ttl)));
    with_dictionary(host, number, |dict, now| {
        match dict.with(|store| store.incr(key.of(length), by, init, now)) {
            Ok(sum) => {
                host.block.number.set(sum.value);
                host.block.flags.set(u32::from(sum.forcible));
                OK
            }
            Err(error) => code(error),
        }
    })
}

const fn end(left: i32) -> End {
    if left == 0 { End::Right } else { End::Left }
}

/// Answers OK with the length in the block's number.
extern "C" fn dictionary_push(
    host: HostPtr,
    number: i32,
    key: Text,
    length: usize,
    kind: i32,
    text: Text,
    text_length: usize,
    value: f64,
    left: i32,
) -> i32 {
    let host = host.get();
    let value = match kind {
        NUMBER => Value::Number(value),
        _ => Value::String(text.of(text_length).into()),
    };
    with_dictionary(host, number, |dict, now| {
        match dict.with(|store| store.push(key.of(length), value, end(left), now)) {
            Ok(length) => {
                host.block.number.set(length as f64);
                OK
            }
            Err(error) => code(error),
        }
    })
}

/// Answers the type of the value, which is in the block.
extern "C" fn dictionary_pop(host: HostPtr, number: i32, key: Text, length: usize, left: i32) -> i32 {
    let host = host.get();
    with_dictionary(host, number, |dict, now| {
        match dict.with(|store| store.pop(key.of(length), end(left), now)) {
            Ok(Some(value)) => give(host, &value),
            Ok(None) => MISSING,
            Err(error) => code(error),
        }
    })
}

extern "C" fn dictionary_length(host: HostPtr, number: i32, key: Text, length: usize) -> i32 {
    let host = host.get();
    with_dictionary(host, number, |dict, now| match dict.with(|store| store.length(key.of(length), now)) {
        Ok(length) => {
            host.block.number.set(length as f64);
            OK
        }
        Err(error) => code(error),
    })
}

/// The seconds are in the block; 0 is for ever, and what is below it has passed since.
extern "C" fn dictionary_ttl(host: HostPtr, number: i32, key: Text, length: usize) -> i32 {
    let host = host.get();
    with_dictionary(host, number, |dict, now| match dict.with(|store| store.ttl(key.of(length), now)) {
        Some(ttl) => {
            host.block.number.set(ttl);
            OK
        }
        None => MISSING,
    })
}

extern "C" fn dictionary_expire(host: HostPtr, number: i32, key: Text, length: usize, ttl: f64) -> i32 {
    with_dictionary(host.get(), number, |dict, now| {
        let expires = duration(ttl).map(|ttl| now + ttl);
        if dict.with(|store| store.expire(key.of(length), expires, now)) { OK } else { MISSING }
    })
}

extern "C" fn dictionary_flush_all(host: HostPtr, number: i32) -> i32 {
    with_dictionary(host.get(), number, |dict, _| {
        dict.with(crate::dict::store::Store::flush_all);
        OK
    })
}

/// Answers how many entries went; `max` 0 is no limit.
extern "C" fn dictionary_flush_expired(host: HostPtr, number: i32, max: u32) -> i32 {
    let max = if max == 0 { usize::MAX } else { max as usize };
    with_dictionary(host.get(), number, |dict, now| {
        i32::try_from(dict.with(|store| store.flush_expired(max, now))).unwrap_or(i32::MAX)
    })
}

/// Lists up to `max` keys; 0 is no limit.
extern "C" fn dictionary_keys(host: HostPtr, number: i32, max: u32) -> i32 {
    let host = host.get();
    let max = if max == 0 { usize::MAX } else { max as usize };
    with_dictionary(host, number, |dict, now| {
        host.give_pairs(|pairs| {
            dict.with(|store| store.keys(max, now).for_each(|key| pairs.push(key, b"", false)));
        })
    })
}

/// The bytes that it may hold are in the block.
extern "C" fn dictionary_capacity(host: HostPtr, number: i32) -> i32 {
    let host = host.get();
    with_dictionary(host, number, |dict, _| {
        host.block.number.set(dict.capacity() as f64);
        OK
    })
}

/// The bytes that it can take without dropping anything are in the block.
extern "C" fn dictionary_free_space(host: HostPtr, number: i32) -> i32 {
    let host = host.get();
    with_dictionary(host, number, |dict, _| {
        host.block.number.set(dict.with(|store| store.free()) as f64);
        OK
    })
}
