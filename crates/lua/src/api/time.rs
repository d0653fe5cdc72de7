//! The clock and the formats of dates that Lua's own `os.date` does not have.

use std::time::SystemTime;

use tidegate_core::Timestamp;

use crate::{
    abi::{Export, HostPtr, Text},
    date,
    host::{MISSING, OK},
};

pub(super) fn exports() -> Vec<Export> {
    vec![
        Export::new("time_update", time_update as extern "C" fn(_) -> _),
        Export::new("time_parse_http", time_parse_http as extern "C" fn(_, _, _) -> _),
    ]
}

/// The one place that reads a clock: a handler asked for it. Everything else takes the time that the
/// worker sets.
extern "C" fn time_update(host: HostPtr) -> i32 {
    let Ok(since_epoch) = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH) else { return MISSING };
    host.get().set_now(Timestamp::default() + since_epoch);
    OK
}

extern "C" fn time_parse_http(host: HostPtr, text: Text, length: usize) -> i32 {
    let Some(seconds) = date::parse_http(text.of(length)) else { return MISSING };
    host.get().block.number.set(seconds as f64);
    OK
}
