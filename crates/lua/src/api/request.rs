//! `ngx.req`: method, path, headers and arguments.

use crate::{
    abi::{Export, HostPtr, Text},
    exchange::{Exchange, InvalidHeader},
    header,
    host::{MISSING, NO_REQUEST, OK},
};

/// The name or value of a header was refused.
pub(super) const INVALID_NAME: i32 = -1;
pub(super) const INVALID_VALUE: i32 = -2;
/// The response head has left.
pub(super) const SENT: i32 = -3;

pub(super) fn exports() -> Vec<Export> {
    vec![
        Export::new("request_method", request_method as extern "C" fn(_) -> _),
        Export::new("request_headers", request_headers as extern "C" fn(_, _, _) -> _),
        Export::new("request_header_set", request_header_set as extern "C" fn(_, _, _, _, _) -> _),
        Export::new("request_header_set_staged", request_header_set_staged as extern "C" fn(_, _, _) -> _),
        Export::new("request_header_clear", request_header_clear as extern "C" fn(_, _, _) -> _),
        Export::new("header_stage", header_stage as extern "C" fn(_, _, _, _) -> _),
        Export::new("request_arguments", request_arguments as extern "C" fn(_, _) -> _),
        Export::new("request_header_add", request_header_add as extern "C" fn(_, _, _, _, _) -> _),
        Export::new("request_method_set", request_method_set as extern "C" fn(_, _, _) -> _),
        Export::new("request_path_set", request_path_set as extern "C" fn(_, _, _) -> _),
        Export::new("request_args_set", request_args_set as extern "C" fn(_, _, _) -> _),
        Export::new("request_raw_head", request_raw_head as extern "C" fn(_) -> _),
        Export::new("request_is_internal", request_is_internal as extern "C" fn(_) -> _),
        Export::new("request_is_sub", request_is_sub as extern "C" fn(_) -> _),
    ]
}

extern "C" fn request_method(host: HostPtr) -> i32 {
    let host = host.get();
    host.with(|exchange| host.give(exchange.method())).unwrap_or(NO_REQUEST)
}

/// Lists up to `max` headers; 0 is no limit. The block's flags say how many more there were.
extern "C" fn request_headers(host: HostPtr, max: u32, raw: i32) -> i32 {
    let host = host.get();
    let list = |exchange: &mut dyn Exchange| {
        list_headers(host, max, raw == 0, &|each: &mut dyn FnMut(&[u8], &[u8])| exchange.each_header(each))
    };
    host.with(list).unwrap_or(NO_REQUEST)
}

/// Calls its argument with every header there is.
type EachHeader<'a> = dyn Fn(&mut dyn FnMut(&[u8], &[u8])) + 'a;

pub(super) fn list_headers(
    host: &crate::host::Host,
    max: u32,
    lower_case: bool,
    each: &EachHeader<'_>,
) -> i32 {
    let max = if max == 0 { usize::MAX } else { max as usize };
    let mut more = 0;
    let count = host.give_pairs(|pairs| {
        each(&mut |name, value| {
            if pairs.len() < max {
                pairs.push(name, value, lower_case);
            } else {
                more += 1;
            }
        });
    });
    host.block.flags.set(more);
    count
}

extern "C" fn request_header_set(
    host: HostPtr,
    name: Text,
    name_length: usize,
    value: Text,
    value_length: usize,
) -> i32 {
    let (name, value) = (name.of(name_length), value.of(value_length));
    let set = |exchange: &mut dyn Exchange| {
        header::with_escaped_name(name, |name| {
            header::with_escaped_value(value, |value| code(exchange.set_header(name, &[value])))
        })
    };
    host.get().with(set).unwrap_or(NO_REQUEST)
}

/// Sets the header to all values that were staged since a first one.
extern "C" fn request_header_set_staged(host: HostPtr, name: Text, length: usize) -> i32 {
    let host = host.get();
    let set = |exchange: &mut dyn Exchange| {
        header::with_escaped_name(name.of(length), |name| {
            host.with_staged(|values| code(exchange.set_header(name, values)))
        })
    };
    host.with(set).unwrap_or(NO_REQUEST)
}

extern "C" fn request_header_clear(host: HostPtr, name: Text, length: usize) -> i32 {
    let clear = |exchange: &mut dyn Exchange| {
        header::with_escaped_name(name.of(length), |name| code(exchange.set_header(name, &[])))
    };
    host.get().with(clear).unwrap_or(NO_REQUEST)
}

/// Keeps one of several values until they are set together.
extern "C" fn header_stage(host: HostPtr, value: Text, length: usize, first: i32) -> i32 {
    header::with_escaped_value(value.of(length), |value| host.get().stage(value, first != 0));
    OK
}

pub(super) const fn code(result: Result<(), InvalidHeader>) -> i32 {
    match result {
        Ok(()) => OK,
        Err(InvalidHeader::Name) => INVALID_NAME,
        Err(InvalidHeader::Value) => INVALID_VALUE,
        Err(InvalidHeader::Sent) => SENT,
    }
}

/// Lists up to `max` arguments, decoded; 0 is no limit. The block's flags say whether there were more.
extern "C" fn request_arguments(host: HostPtr, max: u32) -> i32 {
    let host = host.get();
    host.with(|exchange| super::text::list_arguments(host, exchange.args().unwrap_or_default(), max))
        .unwrap_or(NO_REQUEST)
}

extern "C" fn request_header_add(
    host: HostPtr,
    name: Text,
    name_length: usize,
    value: Text,
    value_length: usize,
) -> i32 {
    let (name, value) = (name.of(name_length), value.of(value_length));
    let add = |exchange: &mut dyn Exchange| {
        header::with_escaped_name(name, |name| {
            header::with_escaped_value(value, |value| code(exchange.add_header(name, value)))
        })
    };
    host.get().with(add).unwrap_or(NO_REQUEST)
}

extern "C" fn request_method_set(host: HostPtr, name: Text, length: usize) -> i32 {
    host.get().with(|exchange| exchange.set_method(name.of(length))).map_or(NO_REQUEST, |()| OK)
}

extern "C" fn request_path_set(host: HostPtr, path: Text, length: usize) -> i32 {
    host.get().with(|exchange| exchange.set_path(path.of(length))).map_or(NO_REQUEST, |()| OK)
}

extern "C" fn request_args_set(host: HostPtr, args: Text, length: usize) -> i32 {
    host.get().with(|exchange| exchange.set_args(args.of(length))).map_or(NO_REQUEST, |()| OK)
}

extern "C" fn request_raw_head(host: HostPtr) -> i32 {
    let host = host.get();
    let read = |exchange: &mut dyn Exchange| exchange.raw_head().map_or(MISSING, |head| host.give(head));
    host.with(read).unwrap_or(NO_REQUEST)
}

extern "C" fn request_is_internal(host: HostPtr) -> i32 {
    host.get().with(|exchange| i32::from(exchange.is_internal())).unwrap_or(NO_REQUEST)
}

extern "C" fn request_is_sub(host: HostPtr) -> i32 {
    host.get().with(|exchange| i32::from(exchange.is_subrequest())).unwrap_or(NO_REQUEST)
}
