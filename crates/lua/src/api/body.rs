//! `ngx.req`: the body of the request.
//!
//! A body that a script puts together is kept by the host until it is complete, and handed to the exchange then.

use crate::{
    abi::{Export, HostPtr, Text},
    exchange::{BodyState, Exchange},
    host::{Host, MISSING, NO_REQUEST, OK},
};

/// The block has why it failed.
const FAILED: i32 = 1;

/// Bytes of a body that a script may put together.
const LARGEST: usize = 64 << 20;

/// A body that a script puts together.
#[derive(Debug)]
pub(crate) struct Draft {
    bytes: Vec<u8>,
    /// More than this goes to a file; `None`: what the configuration says.
    memory: Option<usize>,
}

pub(super) fn exports() -> Vec<Export> {
    vec![
        Export::new("body_state", body_state as extern "C" fn(_) -> _),
        Export::new("body_get", body_get as extern "C" fn(_, _) -> _),
        Export::new("body_file", body_file as extern "C" fn(_) -> _),
        Export::new("body_discard", body_discard as extern "C" fn(_) -> _),
        Export::new("body_set", body_set as extern "C" fn(_, _, _) -> _),
        Export::new("body_set_file", body_set_file as extern "C" fn(_, _, _, _) -> _),
        Export::new("body_begin", body_begin as extern "C" fn(_, _) -> _),
        Export::new("body_append", body_append as extern "C" fn(_, _, _) -> _),
        Export::new("body_finish", body_finish as extern "C" fn(_) -> _),
    ]
}

extern "C" fn body_state(host: HostPtr) -> i32 {
    let state = host.get().with(|exchange| match exchange.body_state() {
        BodyState::Unread => 0,
        BodyState::Discarded => 1,
        BodyState::Memory => 2,
        BodyState::File => 3,
    });
    state.unwrap_or(NO_REQUEST)
}

/// The first `max` bytes of the body; 0 is no limit. An empty body counts as none, as does one in a file.
extern "C" fn body_get(host: HostPtr, max: f64) -> i32 {
    let host = host.get();
    let read = |exchange: &mut dyn Exchange| match exchange.body() {
        None | Some([]) => MISSING,
        Some(body) if max > 0.0 => host.give(&body[..body.len().min(max as usize)]),
        Some(body) => host.give(body),
    };
    host.with(read).unwrap_or(NO_REQUEST)
}

extern "C" fn body_file(host: HostPtr) -> i32 {
    let host = host.get();
    let read = |exchange: &mut dyn Exchange| exchange.body_file().map_or(MISSING, |path| host.give(path));
    host.with(read).unwrap_or(NO_REQUEST)
}

extern "C" fn body_discard(host: HostPtr) -> i32 {
    host.get().with(|exchange| exchange.discard_body()).map_or(NO_REQUEST, |()| OK)
}

extern "C" fn body_set(host: HostPtr, data: Text, length: usize) -> i32 {
    finish(host.get(), |exchange| {
        exchange.state().draft = None;
        exchange.set_body(data.of(length).to_vec(), Some(usize::MAX))
    })
}

extern "C" fn body_set_file(host: HostPtr, name: Text, length: usize, clean: i32) -> i32 {
    finish(host.get(), |exchange| exchange.set_body_file(name.of(length), clean != 0))
}

/// Begins a body of which `memory` bytes are kept in memory; negative is what the configuration says.
extern "C" fn body_begin(host: HostPtr, memory: f64) -> i32 {
    finish(host.get(), |exchange| {
        let memory = (memory >= 0.0).then_some(memory as usize);
        exchange.state().draft = Some(Draft { bytes: Vec::new(), memory });
        exchange.set_body(Vec::new(), None)
    })
}

extern "C" fn body_append(host: HostPtr, data: Text, length: usize) -> i32 {
    finish(host.get(), |exchange| {
        let draft = exchange.state().draft.as_mut().ok_or("request_body not initialized")?;
        if draft.bytes.len() + length > LARGEST {
            return Err(format!("request body is larger than {LARGEST} bytes"));
        }
        draft.bytes.extend_from_slice(data.of(length));
        Ok(())
    })
}

extern "C" fn body_finish(host: HostPtr) -> i32 {
    finish(host.get(), |exchange| {
        let draft = exchange.state().draft.take().ok_or("request_body not initialized")?;
        exchange.set_body(draft.bytes, draft.memory)
    })
}

fn finish(host: &Host, change: impl FnOnce(&mut dyn Exchange) -> Result<(), String>) -> i32 {
    match host.with(change) {
        None => NO_REQUEST,
        Some(Ok(())) => OK,
        Some(Err(why)) => {
            host.give_written(|out| out.extend_from_slice(why.as_bytes()));
            FAILED
        }
    }
}
