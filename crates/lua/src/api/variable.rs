//! `ngx.var`: variables that the host resolves, and those it asks the exchange for.

use std::borrow::Cow;

use crate::{
    abi::{Export, HostPtr, Text},
    exchange::Exchange,
    host::{Host, MISSING, NO_REQUEST, OK},
    uri,
};

/// Names of headers in `http_*` and `sent_http_*` that are looked up without allocating.
const NAME_BYTES: usize = 64;

pub(super) fn exports() -> Vec<Export> {
    vec![
        Export::new("variable_get", variable_get as extern "C" fn(_, _, _) -> _),
        Export::new("variable_set", variable_set as extern "C" fn(_, _, _, _, _) -> _),
        Export::new("variable_unset", variable_unset as extern "C" fn(_, _, _) -> _),
    ]
}

extern "C" fn variable_set(
    host: HostPtr,
    name: Text,
    name_length: usize,
    value: Text,
    value_length: usize,
) -> i32 {
    let (name, value) = (name.of(name_length).to_ascii_lowercase(), value.of(value_length));
    changed(host.get().with(|exchange| exchange.set_variable(&name, value)))
}

extern "C" fn variable_unset(host: HostPtr, name: Text, name_length: usize) -> i32 {
    let name = name.of(name_length).to_ascii_lowercase();
    changed(host.get().with(|exchange| exchange.unset_variable(&name)))
}

fn changed(done: Option<bool>) -> i32 {
    match done {
        Some(true) => OK,
        Some(false) => MISSING,
        None => NO_REQUEST,
    }
}

extern "C" fn variable_get(host: HostPtr, name: Text, length: usize) -> i32 {
    let host = host.get();
    let name = name.of(length);
    let read = |exchange: &mut dyn Exchange| {
        if name.iter().any(u8::is_ascii_uppercase) {
            resolve(host, exchange, &name.to_ascii_lowercase())
        } else {
            resolve(host, exchange, name)
        }
    };
    host.with(read).unwrap_or(NO_REQUEST)
}

/// `name` is in lower case.
fn resolve(host: &Host, exchange: &dyn Exchange, name: &[u8]) -> i32 {
    if let Some(header) = name.strip_prefix(b"http_") {
        return with_header_name(header, |header| request_header(host, exchange, header));
    }
    if let Some(cookie) = name.strip_prefix(b"cookie_") {
        return request_cookie(host, exchange, cookie);
    }
    if let Some(header) = name.strip_prefix(b"sent_http_") {
        return with_header_name(header, |header| sent_header(host, exchange, header));
    }
    if let Some(argument) = name.strip_prefix(b"arg_") {
        return match exchange.args().and_then(|args| uri::raw_argument(args, argument)) {
            Some(value) => host.give(value),
            None => MISSING,
        };
    }
    match exchange.variable(name) {
        Some(Cow::Borrowed(value)) => host.give(value),
        Some(Cow::Owned(value)) => host.give_written(|scratch| scratch.extend_from_slice(&value)),
        None => MISSING,
    }
}

/// Calls `f` with the header that a variable's name means: `x_request_id` is `x-request-id`.
pub(super) fn with_header_name<R>(name: &[u8], f: impl FnOnce(&[u8]) -> R) -> R {
    let hyphenate =
        |bytes: &mut [u8]| bytes.iter_mut().filter(|byte| **byte == b'_').for_each(|byte| *byte = b'-');
    if !name.contains(&b'_') {
        return f(name);
    }
    if name.len() <= NAME_BYTES {
        let mut buffer = [0; NAME_BYTES];
        let buffer = &mut buffer[..name.len()];
        buffer.copy_from_slice(name);
        hyphenate(buffer);
        return f(buffer);
    }
    let mut owned = name.to_vec();
    hyphenate(&mut owned);
    f(&owned)
}

/// The values of all request headers of that name, joined as nginx does.
fn request_header(host: &Host, exchange: &dyn Exchange, name: &[u8]) -> i32 {
    let Some(first) = exchange.header(name) else { return MISSING };
    let mut count = 0;
    exchange.each_header(&mut |header, _| count += usize::from(header.eq_ignore_ascii_case(name)));
    if count == 1 {
        return host.give(first);
    }
    let between: &[u8] = if name == b"cookie" { b"; " } else { b", " };
    host.give_written(|scratch| {
        exchange.each_header(&mut |header, value| {
            if header.eq_ignore_ascii_case(name) {
                if !scratch.is_empty() {
                    scratch.extend_from_slice(between);
                }
                scratch.extend_from_slice(value);
            }
        });
    })
}

/// The first cookie of that name, in any case.
fn request_cookie(host: &Host, exchange: &dyn Exchange, name: &[u8]) -> i32 {
    let mut found = false;
    let code = host.give_written(|scratch| {
        exchange.each_header(&mut |header, value| {
            if found || !header.eq_ignore_ascii_case(b"cookie") {
                return;
            }
            let cookies = value.split(|&byte| byte == b';').map(<[u8]>::trim_ascii_start);
            let value = cookies.into_iter().find_map(|cookie| {
                let (own, value) = cookie.split_at_checked(name.len())?;
                value.strip_prefix(b"=").filter(|_| own.eq_ignore_ascii_case(name))
            });
            if let Some(value) = value {
                scratch.extend_from_slice(value);
                found = true;
            }
        });
    });
    if found { code } else { MISSING }
}

/// The values of all response headers of that name, joined as nginx does.
fn sent_header(host: &Host, exchange: &dyn Exchange, name: &[u8]) -> i32 {
    let mut found = false;
    let code = host.give_written(|scratch| {
        exchange.each_response_header(&mut |header, value| {
            if header.eq_ignore_ascii_case(name) {
                if found {
                    scratch.extend_from_slice(b", ");
                }
                scratch.extend_from_slice(value);
                found = true;
            }
        });
    });
    if found { code } else { MISSING }
}
