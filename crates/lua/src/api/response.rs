//! `ngx.header`, `ngx.resp`, `ngx.status` and `ngx.headers_sent`.

use crate::{
    abi::{Export, HostPtr, Text},
    api::{
        request::{SENT, code, list_headers},
        variable::with_header_name,
    },
    exchange::Exchange,
    header,
    host::{Host, MISSING, NO_REQUEST, OK},
};

pub(super) fn exports() -> Vec<Export> {
    vec![
        Export::new("response_header_get", response_header_get as extern "C" fn(_, _, _) -> _),
        Export::new("response_header_set", response_header_set as extern "C" fn(_, _, _, _, _) -> _),
        Export::new("response_header_set_staged", response_header_set_staged as extern "C" fn(_, _, _) -> _),
        Export::new("response_header_clear", response_header_clear as extern "C" fn(_, _, _) -> _),
        Export::new("response_header_add", response_header_add as extern "C" fn(_, _, _, _, _) -> _),
        Export::new(
            "response_status_set_reason",
            response_status_set_reason as extern "C" fn(_, _, _, _) -> _,
        ),
        Export::new("response_headers", response_headers as extern "C" fn(_, _, _) -> _),
        Export::new("response_status", response_status as extern "C" fn(_) -> _),
        Export::new("response_status_set", response_status_set as extern "C" fn(_, _) -> _),
        Export::new("response_headers_sent", response_headers_sent as extern "C" fn(_) -> _),
    ]
}

/// Lists the values of a header; answers how many.
extern "C" fn response_header_get(host: HostPtr, name: Text, length: usize) -> i32 {
    let host = host.get();
    let list = |exchange: &mut dyn Exchange| {
        named(host, name.of(length), |name| {
            host.give_pairs(|pairs| {
                exchange.each_response_header(&mut |header, value| {
                    if header.eq_ignore_ascii_case(name) {
                        pairs.push(b"", value, false);
                    }
                });
            })
        })
    };
    host.with(list).unwrap_or(NO_REQUEST)
}

extern "C" fn response_header_set(
    host: HostPtr,
    name: Text,
    name_length: usize,
    value: Text,
    value_length: usize,
) -> i32 {
    let value = value.of(value_length);
    change(host, name.of(name_length), |exchange, name| {
        header::with_escaped_value(value, |value| code(exchange.set_response_header(name, &[value])))
    })
}

/// Sets the header to all values that were staged since a first one; a header that can only be
/// there once gets the last.
extern "C" fn response_header_set_staged(host: HostPtr, name: Text, length: usize) -> i32 {
    change(host, name.of(length), |exchange, name| {
        host.get().with_staged(|values| match values {
            [.., last] if header::single(name) => code(exchange.set_response_header(name, &[last])),
            values => code(exchange.set_response_header(name, values)),
        })
    })
}

extern "C" fn response_header_clear(host: HostPtr, name: Text, length: usize) -> i32 {
    change(host, name.of(length), |exchange, name| code(exchange.set_response_header(name, &[])))
}

/// Calls `f` with the header that a script means by a name.
fn named<R>(host: &Host, name: &[u8], f: impl FnOnce(&[u8]) -> R) -> R {
    if host.hyphenates.get() { with_header_name(name, f) } else { f(name) }
}

fn change(host: HostPtr, name: &[u8], set: impl FnOnce(&mut dyn Exchange, &[u8]) -> i32) -> i32 {
    let change = |exchange: &mut dyn Exchange| {
        if exchange.headers_sent() {
            return SENT;
        }
        named(host.get(), name, |name| header::with_escaped_name(name, |name| set(exchange, name)))
    };
    host.get().with(change).unwrap_or(NO_REQUEST)
}

/// Lists up to `max` headers; 0 is no limit. The block's flags say how many more there were.
extern "C" fn response_headers(host: HostPtr, max: u32, raw: i32) -> i32 {
    let host = host.get();
    let list = |exchange: &mut dyn Exchange| {
        let each = |each: &mut dyn FnMut(&[u8], &[u8])| {
            exchange.each_response_header(each);
            exchange.each_implied_header(each);
        };
        list_headers(host, max, raw == 0, &each)
    };
    host.with(list).unwrap_or(NO_REQUEST)
}

extern "C" fn response_status(host: HostPtr) -> i32 {
    host.get().with(|exchange| i32::from(exchange.status())).unwrap_or(NO_REQUEST)
}

extern "C" fn response_status_set(host: HostPtr, status: u32) -> i32 {
    let set = |exchange: &mut dyn Exchange| match u16::try_from(status) {
        _ if exchange.headers_sent() => SENT,
        Ok(status) => {
            exchange.set_status(status);
            OK
        }
        Err(_) => MISSING,
    };
    host.get().with(set).unwrap_or(NO_REQUEST)
}

extern "C" fn response_headers_sent(host: HostPtr) -> i32 {
    host.get().with(|exchange| i32::from(exchange.headers_sent())).unwrap_or(NO_REQUEST)
}

extern "C" fn response_header_add(
    host: HostPtr,
    name: Text,
    name_length: usize,
    value: Text,
    value_length: usize,
) -> i32 {
    let value = value.of(value_length);
    change(host, name.of(name_length), |exchange, name| {
        header::with_escaped_value(value, |value| {
            code(if header::single(name) {
                exchange.set_response_header(name, &[value])
            } else {
                exchange.add_response_header(name, value)
            })
        })
    })
}

/// The status with a phrase of its own; an empty one is the usual.
extern "C" fn response_status_set_reason(host: HostPtr, status: u32, reason: Text, length: usize) -> i32 {
    let code = response_status_set(host, status);
    if code == OK {
        host.get().with(|exchange| exchange.set_reason(reason.of(length)));
    }
    code
}
