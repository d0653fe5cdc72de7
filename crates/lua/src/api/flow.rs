//! What a handler is about to yield for. The prelude yields right after.

use std::time::Duration;

use crate::{
    Op,
    abi::{Export, HostPtr},
    host::Pending,
};

pub(super) fn exports() -> Vec<Export> {
    vec![
        Export::new("flow_exit", flow_exit as extern "C" fn(_, _) -> _),
        Export::new("flow_sleep", flow_sleep as extern "C" fn(_, _) -> _),
        Export::new("flow_read_body", flow_read_body as extern "C" fn(_) -> _),
        Export::new("flow_flush", flow_flush as extern "C" fn(_) -> _),
    ]
}

extern "C" fn flow_exit(host: HostPtr, status: u32) -> i32 {
    host.get().will_yield_for(Pending::Exit(u16::try_from(status).unwrap_or(500)))
}

extern "C" fn flow_sleep(host: HostPtr, seconds: f64) -> i32 {
    // Only a number that the prelude let pass and that no duration can hold comes out as an error.
    let duration = Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX);
    host.get().wait_for(Op::Sleep(duration))
}

extern "C" fn flow_read_body(host: HostPtr) -> i32 {
    host.get().wait_for(Op::ReadBody)
}

extern "C" fn flow_flush(host: HostPtr) -> i32 {
    host.get().wait_for(Op::Flush)
}
