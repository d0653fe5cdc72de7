//! `ngx.run_worker_thread`.

use std::str;

use crate::{
    Op,
    abi::{Export, HostPtr, Text},
    host::{MISSING, OK},
    jobs::Refusal,
};

/// The pool has too much to do.
const FULL: i32 = -2;

pub(super) fn exports() -> Vec<Export> {
    vec![
        Export::new("job_begin", job_begin as extern "C" fn(_, _, _, _, _) -> _),
        Export::new("job_take", job_take as extern "C" fn(_, _) -> _),
    ]
}

/// Begins a call and makes the next yield wait for it; answers its number.
extern "C" fn job_begin(
    host: HostPtr,
    pool: Text,
    pool_length: usize,
    payload: Text,
    payload_length: usize,
) -> i32 {
    let host = host.get();
    let Some(jobs) = host.jobs.get() else { return MISSING };
    let Ok(pool) = str::from_utf8(pool.of(pool_length)) else { return MISSING };
    let level = host.block.log_level.get();
    match jobs.begin(pool, payload.of(payload_length), host.now.get(), level) {
        Ok((number, wait)) => match host.wait_for(Op::Detached(wait)) {
            OK => number,
            refused => refused,
        },
        Err(Refusal::NoPool) => MISSING,
        Err(Refusal::Full) => FULL,
    }
}

/// The bytes that the call of that number returned.
extern "C" fn job_take(host: HostPtr, number: i32) -> i32 {
    let host = host.get();
    let Some(bytes) = host.jobs.get().and_then(|jobs| jobs.take(number)) else { return MISSING };
    host.give_written(|written| *written = bytes)
}
