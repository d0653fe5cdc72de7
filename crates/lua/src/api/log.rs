//! `ngx.log` and `print`, once the prelude has made a line of their arguments, and lines that scripts read again.

use crate::{
    Level,
    abi::{Export, HostPtr, Text},
    host::{MISSING, OK},
};

/// Lines are not kept for scripts.
const NOT_KEPT: i32 = -1;

pub(super) fn exports() -> Vec<Export> {
    vec![
        Export::new("log", log as extern "C" fn(_, _, _, _) -> _),
        Export::new("log_take", log_take as extern "C" fn(_) -> _),
        Export::new("log_filter", log_filter as extern "C" fn(_, _) -> _),
    ]
}

/// The oldest line that is kept: its text, its level as the block's flags, its time as the block's number.
/// [`MISSING`] when there is none, [`NOT_KEPT`] when lines are not kept.
extern "C" fn log_take(host: HostPtr) -> i32 {
    let host = host.get();
    let Some(ring) = host.log_ring.get() else { return NOT_KEPT };
    ring.take(|level, at, text| {
        host.block.number.set((at.as_micros() / 1_000) as f64 / 1e3);
        host.block.flags.set(level as u32);
        host.give_written(|out| out.extend_from_slice(text))
    })
    .unwrap_or(MISSING)
}

/// Keeps only lines at least as urgent as the level.
extern "C" fn log_filter(host: HostPtr, level: i32) -> i32 {
    let Some(ring) = host.get().log_ring.get() else { return NOT_KEPT };
    let Some(level) = Level::from_number(level) else { return MISSING };
    ring.set_filter(level);
    OK
}

extern "C" fn log(host: HostPtr, level: i32, message: Text, length: usize) -> i32 {
    let Some(level) = Level::from_number(level) else { return MISSING };
    host.get().log(level, &String::from_utf8_lossy(message.of(length)));
    OK
}
