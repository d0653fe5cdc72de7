//! The clock and the formats of dates that Lua's own `os.date` does not have.

use std::{
    sync::LazyLock,
    time::{Instant, SystemTime},
};

use tidegate_core::Timestamp;

use crate::{
    abi::{Export, HostPtr, Text},
    date,
    host::{MISSING, OK},
    now::Now,
};

pub(super) fn exports() -> Vec<Export> {
    vec![
        Export::new("time_update", time_update as extern "C" fn(_) -> _),
        Export::new("time_monotonic", time_monotonic as extern "C" fn(_) -> _),
        Export::new("time_parse_http", time_parse_http as extern "C" fn(_, _, _) -> _),
    ]
}

/// A handler asked for the clock. Everything else takes the time that the worker sets.
extern "C" fn time_update(host: HostPtr) -> i32 {
    let Ok(since_epoch) = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH) else { return MISSING };
    host.get().set_now(Now::new(Timestamp::default() + since_epoch, Instant::now()));
    OK
}

/// Seconds of a clock that nobody sets.
extern "C" fn time_monotonic(_: HostPtr) -> f64 {
    static BEGINNING: LazyLock<Instant> = LazyLock::new(Instant::now);
    BEGINNING.elapsed().as_secs_f64()
}

extern "C" fn time_parse_http(host: HostPtr, text: Text, length: usize) -> i32 {
    let Some(seconds) = date::parse_http(text.of(length)) else { return MISSING };
    host.get().block.number.set(seconds as f64);
    OK
}
