//! Functions of nginx that libraries call.

use std::{
    cell::RefCell,
    ffi::c_void,
    ptr,
    rc::{Rc, Weak},
    slice,
};

use super::Function;
use crate::{
    Level,
    host::{Host, NO_REQUEST},
    uri::{self, Escape},
};

pub(super) static FUNCTIONS: &[(&str, Function)] = &[
    ("ngx_hex_dump", erase(ngx_hex_dump as *const c_void)),
    ("ngx_atoi", erase(ngx_atoi as *const c_void)),
    ("ngx_hextoi", erase(ngx_hextoi as *const c_void)),
    ("ngx_parse_time", erase(ngx_parse_time as *const c_void)),
    ("ngx_escape_uri", erase(ngx_escape_uri as *const c_void)),
    ("ngx_http_lua_ffi_raw_log", erase(ngx_http_lua_ffi_raw_log as *const c_void)),
    ("ngx_http_lua_ffi_get_ctx_ref", erase(ngx_http_lua_ffi_get_ctx_ref as *const c_void)),
];

/// The same in C, as resty.core declares them: libraries take them for granted.
pub(crate) const DECLARATIONS: &str = "
    int ngx_http_lua_ffi_raw_log(ngx_http_request_t *r, int level, const unsigned char *s, size_t s_len);
    int ngx_http_lua_ffi_get_ctx_ref(ngx_http_request_t *r, int *in_ssl_phase, int *ssl_ctx_ref);
";

const fn erase(function: *const c_void) -> Function {
    // SAFETY: the pointer is of a function, and whoever calls it does so by the type that it has in nginx.
    unsafe { std::mem::transmute(function) }
}

/// What nginx answers instead of a number.
const ERROR: isize = -1;

/// Bytes that a caller of C's passes; none for a null pointer.
///
/// # Safety
///
/// `start` is null or has `length` bytes, which stay as they are for `'a`.
unsafe fn bytes<'a>(start: *const u8, length: usize) -> &'a [u8] {
    // SAFETY: by the caller's word.
    if start.is_null() { &[] } else { unsafe { slice::from_raw_parts(start, length) } }
}

/// Writes the digits of `length` bytes, two each, and answers where they end.
#[unsafe(no_mangle)]
unsafe extern "C" fn ngx_hex_dump(to: *mut u8, from: *const u8, length: usize) -> *mut u8 {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    // SAFETY: as in nginx, `from` has the bytes and `to` has room for twice as many.
    unsafe {
        for (index, byte) in bytes(from, length).iter().enumerate() {
            to.add(2 * index).write(DIGITS[usize::from(byte >> 4)]);
            to.add(2 * index + 1).write(DIGITS[usize::from(byte & 15)]);
        }
        to.add(2 * length)
    }
}

/// A number without a sign, or -1.
#[unsafe(no_mangle)]
unsafe extern "C" fn ngx_atoi(line: *const u8, length: usize) -> isize {
    // SAFETY: as in nginx, `line` has that many bytes.
    number(unsafe { bytes(line, length) })
}

/// A number of hexadecimal digits, or -1.
#[unsafe(no_mangle)]
unsafe extern "C" fn ngx_hextoi(line: *const u8, length: usize) -> isize {
    // SAFETY: as in nginx, `line` has that many bytes.
    hexadecimal(unsafe { bytes(line, length) })
}

fn hexadecimal(digits: &[u8]) -> isize {
    let sum = digits.iter().try_fold(0_isize, |sum, &digit| {
        let digit = isize::try_from(char::from(digit).to_digit(16)?).ok()?;
        sum.checked_mul(16)?.checked_add(digit)
    });
    sum.filter(|_| !digits.is_empty()).unwrap_or(ERROR)
}

fn number(digits: &[u8]) -> isize {
    let sum = digits.iter().try_fold(0_isize, |sum, digit| {
        let digit = digit.is_ascii_digit().then(|| isize::from(digit - b'0'))?;
        sum.checked_mul(10)?.checked_add(digit)
    });
    sum.filter(|_| !digits.is_empty()).unwrap_or(ERROR)
}

/// nginx's string.
#[repr(C)]
struct Str {
    length: usize,
    data: *const u8,
}

/// A time like `1d 3h`, in seconds or milliseconds, or -1.
#[unsafe(no_mangle)]
unsafe extern "C" fn ngx_parse_time(line: *const Str, is_seconds: u32) -> isize {
    // SAFETY: as in nginx, `line` is a string.
    let text = unsafe { line.as_ref().map_or(&[][..], |line| bytes(line.data, line.length)) };
    time(text, is_seconds != 0).unwrap_or(ERROR)
}

/// The units, largest first, in seconds and in milliseconds; each may stand once, and only before smaller ones.
const UNITS: [(&[u8], isize, isize); 8] = [
    (b"y", 31_536_000, 31_536_000_000),
    (b"M", 2_592_000, 2_592_000_000),
    (b"w", 604_800, 604_800_000),
    (b"d", 86_400, 86_400_000),
    (b"h", 3_600, 3_600_000),
    (b"m", 60, 60_000),
    (b"s", 1, 1_000),
    (b"ms", 0, 1),
];

fn time(text: &[u8], is_seconds: bool) -> Option<isize> {
    let (mut sum, mut rest, mut largest) = (0_isize, text, 0);
    if text.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let count = Some(number(&rest[..digits])).filter(|&count| count != ERROR)?;
        rest = &rest[digits..];
        let letters = rest.iter().take_while(|byte| byte.is_ascii_alphabetic()).count();
        // Seconds are what has no unit.
        let unit = if letters == 0 { &b"s"[..] } else { &rest[..letters] };
        rest = rest[letters..].trim_ascii_start();
        let at = UNITS.iter().position(|(name, _, _)| *name == unit)?;
        if at < largest || (is_seconds && unit == b"ms") {
            return None;
        }
        largest = at + 1;
        let factor = if is_seconds { UNITS[at].1 } else { UNITS[at].2 };
        sum = sum.checked_add(count.checked_mul(factor)?)?;
    }
    Some(sum)
}

/// Without a place to write to: how many bytes have to be escaped. Otherwise where the written ones end.
#[unsafe(no_mangle)]
unsafe extern "C" fn ngx_escape_uri(to: *mut u8, from: *const u8, length: usize, kind: usize) -> usize {
    // SAFETY: as in nginx, `from` has that many bytes.
    let text = unsafe { bytes(from, length) };
    let mut escaped = Vec::new();
    uri::escape(text, Escape::from_number(i32::try_from(kind).unwrap_or_default()), &mut escaped);
    if to.is_null() {
        return (escaped.len() - text.len()) / 2;
    }
    // SAFETY: as in nginx, `to` has room for what the first kind of call has told.
    unsafe {
        ptr::copy_nonoverlapping(escaped.as_ptr(), to, escaped.len());
        to.add(escaped.len()) as usize
    }
}

thread_local! {
    static HOSTS: RefCell<Vec<Weak<Host>>> = const { RefCell::new(Vec::new()) };
}

/// The hosts that functions of C work on, on this thread: the one that was made last is theirs.
pub(crate) struct Hosts;

impl Hosts {
    pub(crate) fn add(host: Weak<Host>) {
        HOSTS.with_borrow_mut(|hosts| {
            hosts.retain(|host| host.strong_count() > 0);
            hosts.push(host);
        });
    }

    fn last() -> Option<Rc<Host>> {
        HOSTS.with_borrow(|hosts| hosts.iter().rev().find_map(Weak::upgrade))
    }

    /// The one that a request, which is what `resty.core.base` gives as such, belongs to.
    fn of(request: *const c_void) -> Option<Rc<Host>> {
        HOSTS.with_borrow(|hosts| {
            hosts.iter().find(|host| ptr::eq(host.as_ptr().cast(), request)).and_then(Weak::upgrade)
        })
    }
}

/// Writes a line as it is to the log: OK, or -1 when there is none or no such level.
#[unsafe(no_mangle)]
unsafe extern "C" fn ngx_http_lua_ffi_raw_log(
    request: *mut c_void,
    level: i32,
    line: *const u8,
    length: usize,
) -> i32 {
    let Some(level) = Level::from_number(level) else { return -1 };
    let Some(host) = Hosts::of(request).or_else(Hosts::last) else { return -1 };
    // SAFETY: the caller passes a line and its length.
    let line = unsafe { bytes(line, length) };
    host.log(level, &String::from_utf8_lossy(line));
    0
}

/// The number of the request's `ngx.ctx` in the table of all of them: -2 while there is none, -100 without a request.
#[unsafe(no_mangle)]
unsafe extern "C" fn ngx_http_lua_ffi_get_ctx_ref(
    request: *mut c_void,
    is_handshake: *mut i32,
    of_handshake: *mut i32,
) -> i32 {
    const NO_TABLE: i32 = -2;
    // SAFETY: the caller passes places for two numbers, or none.
    unsafe {
        // A connection has no table of its own that it could have made before its first request.
        if let Some(place) = is_handshake.as_mut() {
            *place = 0;
        }
        if let Some(place) = of_handshake.as_mut() {
            *place = NO_TABLE;
        }
    }
    let number = |host: Rc<Host>| {
        host.with_state(|state| state.ctx.as_ref().map_or(NO_TABLE, crate::task::CtxSlot::number))
    };
    Hosts::of(request).and_then(number).unwrap_or(NO_REQUEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_no_sign_and_fit() {
        assert_eq!(number(b"0123"), 123);
        for wrong in [&b""[..], b"-1", b"1a", b"99999999999999999999"] {
            assert_eq!(number(wrong), ERROR);
        }
    }

    #[test]
    fn hexadecimal_numbers_have_digits_of_either_case_and_fit() {
        assert_eq!(hexadecimal(b"fF0"), 0xff0);
        for wrong in [&b""[..], b"0x1", b"g", b"8000000000000000"] {
            assert_eq!(hexadecimal(wrong), ERROR, "{wrong:?}");
        }
    }

    #[test]
    fn times_have_units_each_smaller_than_the_one_before() {
        assert_eq!(time(b"1d 3h", true), Some(97_200));
        assert_eq!(time(b"10", false), Some(10_000));
        assert_eq!(time(b"1m30s500ms", false), Some(90_500));
        for wrong in [&b""[..], b"1s1m", b"1s 1s", b"5ms", b"x", b"1q"] {
            assert_eq!(time(wrong, true), None, "{}", String::from_utf8_lossy(wrong));
        }
    }
}
