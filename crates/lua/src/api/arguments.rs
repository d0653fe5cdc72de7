//! `ngx.arg`.

use crate::{
    abi::{Export, HostPtr, Text},
    host::{MISSING, NO_REQUEST, OK},
};

pub(super) fn exports() -> Vec<Export> {
    vec![
        Export::new("argument_get", argument_get as extern "C" fn(_, _) -> _),
        Export::new("argument_result", argument_result as extern "C" fn(_, _, _) -> _),
        Export::new("piece_get", piece_get as extern "C" fn(_) -> _),
        Export::new("piece_set", piece_set as extern "C" fn(_, _, _) -> _),
        Export::new("piece_is_last", piece_is_last as extern "C" fn(_) -> _),
        Export::new("piece_set_last", piece_set_last as extern "C" fn(_, _) -> _),
    ]
}

/// The argument of that number, from 1.
extern "C" fn argument_get(host: HostPtr, number: u32) -> i32 {
    let host = host.get();
    let given = host.with(|exchange| {
        let given = &exchange.state().arguments.given;
        given.get((number as usize).wrapping_sub(1)).map_or(MISSING, |argument| host.give(argument))
    });
    given.unwrap_or(NO_REQUEST)
}

/// What the script that computes a variable returned.
extern "C" fn argument_result(host: HostPtr, text: Text, length: usize) -> i32 {
    let keep = host.get().with(|exchange| text.of(length).clone_into(&mut exchange.state().arguments.result));
    keep.map_or(NO_REQUEST, |()| OK)
}

extern "C" fn piece_get(host: HostPtr) -> i32 {
    let host = host.get();
    host.with(|exchange| host.give(&exchange.state().arguments.piece)).unwrap_or(NO_REQUEST)
}

extern "C" fn piece_set(host: HostPtr, text: Text, length: usize) -> i32 {
    let set = host.get().with(|exchange| text.of(length).clone_into(&mut exchange.state().arguments.piece));
    set.map_or(NO_REQUEST, |()| OK)
}

extern "C" fn piece_is_last(host: HostPtr) -> i32 {
    host.get().with(|exchange| i32::from(exchange.state().arguments.last)).unwrap_or(NO_REQUEST)
}

extern "C" fn piece_set_last(host: HostPtr, last: i32) -> i32 {
    host.get().with(|exchange| exchange.state().arguments.last = last != 0).map_or(NO_REQUEST, |()| OK)
}
