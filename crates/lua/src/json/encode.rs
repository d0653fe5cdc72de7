//! Lua values to JSON.
//!
//! The text grows in a buffer that the thread keeps. A table is an array if all of its keys are positive integers,
//! which is found out by walking over them once before it is written.

use std::{
    cell::Cell,
    ffi::{c_int, c_void},
    ptr, slice,
};

use mlua::ffi;

use super::{ARRAY, CONFIG, Config, EMPTY, EMPTY_ARRAY, config::Invalid, eight, number, push, type_name};

/// A buffer that grew larger is not kept.
const KEPT_BYTES: usize = 1 << 20;

thread_local! {
    static BUFFER: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// Pushes the JSON of the only argument, or why it has none.
///
/// # Safety
///
/// `state` runs `encode`, with its upvalues.
pub(super) unsafe fn run(state: *mut ffi::lua_State) -> bool {
    // SAFETY: by the caller's word. The walk leaves the stack as it was, or with anything on top of it.
    unsafe {
        if ffi::lua_gettop(state) != 1 {
            push(state, b"bad argument #1 to 'encode' (expected 1 argument)");
            return false;
        }
        let mut text = BUFFER.take();
        text.clear();
        let mut encoder = Encoder {
            state,
            config: Config::at(state, CONFIG),
            array: ffi::lua_topointer(state, ARRAY),
            empty_array: ffi::lua_topointer(state, EMPTY_ARRAY),
            text,
        };
        let done = encoder.value(0);
        let text = encoder.text;
        match &done {
            Ok(()) => push(state, &text),
            Err(complaint) => push(state, complaint.as_bytes()),
        }
        if text.capacity() <= KEPT_BYTES {
            BUFFER.set(text);
        }
        done.is_ok()
    }
}

struct Encoder {
    state: *mut ffi::lua_State,
    config: Config,
    array: *const c_void,
    empty_array: *const c_void,
    text: Vec<u8>,
}

impl Encoder {
    /// Writes the value on top of the stack, and leaves it there.
    ///
    /// # Safety
    ///
    /// There is one, with room for one more value above it.
    unsafe fn value(&mut self, depth: u32) -> Result<(), String> {
        let state = self.state;
        // SAFETY: by the caller's word.
        unsafe {
            match ffi::lua_type(state, -1) {
                ffi::LUA_TSTRING => self.string(-1),
                ffi::LUA_TNUMBER => return self.number(-1),
                ffi::LUA_TBOOLEAN => {
                    let text: &[u8] = if ffi::lua_toboolean(state, -1) != 0 { b"true" } else { b"false" };
                    self.text.extend_from_slice(text);
                }
                ffi::LUA_TNIL => self.text.extend_from_slice(b"null"),
                ffi::LUA_TTABLE => return self.table(depth + 1),
                ffi::LUA_TLIGHTUSERDATA if ffi::lua_touserdata(state, -1).is_null() => {
                    self.text.extend_from_slice(b"null");
                }
                ffi::LUA_TLIGHTUSERDATA
                    if ptr::eq(ffi::lua_touserdata(state, -1), (&raw const EMPTY).cast()) =>
                {
                    self.text.extend_from_slice(b"[]");
                }
                _ => return Err(format!("Cannot serialise {}: type not supported", type_name(state, -1))),
            }
        }
        Ok(())
    }

    /// Writes the table on top of the stack.
    unsafe fn table(&mut self, depth: u32) -> Result<(), String> {
        let state = self.state;
        // SAFETY: three more values may be pushed once the stack has room; it is left with the table on top.
        unsafe {
            if depth > self.config.encode_depth || ffi::lua_checkstack(state, 4) == 0 {
                return Err(format!("Cannot serialise, excessive depth ({depth})"));
            }
            let mut metatable = ptr::null();
            if ffi::lua_getmetatable(state, -1) != 0 {
                metatable = ffi::lua_topointer(state, -1);
                ffi::lua_settop(state, -2);
            }
            if ptr::eq(metatable, self.array) {
                let length = ffi::lua_objlen(state, -1);
                return self.items(length, depth);
            }
            ffi::lua_pushnil(state);
            if ffi::lua_next(state, -2) == 0 {
                let array = !self.config.empty_as_object || ptr::eq(metatable, self.empty_array);
                self.text.extend_from_slice(if array { b"[]" } else { b"{}" });
                return Ok(());
            }
            // Most tables are told by their first key, and its value is there already.
            let Some(key) = self.index(-2) else { return self.members(depth) };
            if let Some(length) = self.length(key)? {
                return self.items(length, depth);
            }
            ffi::lua_pushnil(state);
            ffi::lua_next(state, -2);
            self.members(depth)
        }
    }

    /// The key at `place`, if an array can have it.
    unsafe fn index(&self, place: c_int) -> Option<f64> {
        // SAFETY: there is a value, which is only read.
        let key = unsafe {
            if ffi::lua_type(self.state, place) != ffi::LUA_TNUMBER {
                return None;
            }
            ffi::lua_tonumber(self.state, place)
        };
        (key >= 1.0 && key.fract() == 0.0 && key <= f64::from(i32::MAX)).then_some(key)
    }

    /// The largest key of an array, of which the first pair is on top of the stack and is taken off; `None` for a table that
    /// is not an array.
    unsafe fn length(&self, first: f64) -> Result<Option<usize>, String> {
        let state = self.state;
        let (mut largest, mut items) = (first, 1_u32);
        // SAFETY: there is room for key and value, which the walk takes off.
        unsafe {
            ffi::lua_settop(state, -2);
            while ffi::lua_next(state, -2) != 0 {
                ffi::lua_settop(state, -2);
                let Some(key) = self.index(-1) else {
                    ffi::lua_settop(state, -2);
                    return Ok(None);
                };
                largest = largest.max(key);
                items = items.saturating_add(1);
            }
        }
        let Config { sparse_ratio, sparse_safe, sparse_convert, .. } = self.config;
        if sparse_ratio > 0
            && largest > f64::from(items) * f64::from(sparse_ratio)
            && largest > f64::from(sparse_safe)
        {
            if !sparse_convert {
                return Err("Cannot serialise table: excessively sparse array".into());
            }
            return Ok(None);
        }
        Ok(Some(largest as usize))
    }

    unsafe fn items(&mut self, length: usize, depth: u32) -> Result<(), String> {
        let state = self.state;
        self.text.push(b'[');
        let mut first = true;
        for index in 1..=c_int::try_from(length).unwrap_or(c_int::MAX) {
            let start = self.text.len();
            if !first {
                self.text.push(b',');
            }
            // SAFETY: there is room for the item, which is taken off.
            unsafe {
                ffi::lua_rawgeti_(state, -1, index);
                if self.config.skip_unsupported && self.unsupported() {
                    self.text.truncate(start);
                } else {
                    self.value(depth)?;
                    first = false;
                }
                ffi::lua_settop(state, -2);
            }
        }
        self.text.push(b']');
        Ok(())
    }

    /// Writes the members of the table on top of the stack, but for the first pair, which is above it.
    unsafe fn members(&mut self, depth: u32) -> Result<(), String> {
        let state = self.state;
        self.text.push(b'{');
        let mut first = true;
        // SAFETY: there is room for key and value, which the walk takes off.
        unsafe {
            loop {
                if !(self.config.skip_unsupported && self.unsupported()) {
                    if !first {
                        self.text.push(b',');
                    }
                    first = false;
                    self.member(depth)?;
                }
                ffi::lua_settop(state, -2);
                if ffi::lua_next(state, -2) == 0 {
                    break;
                }
            }
        }
        self.text.push(b'}');
        Ok(())
    }

    /// Writes the pair on top of the stack. The key is only read as what it is: to convert it would confuse the walk.
    unsafe fn member(&mut self, depth: u32) -> Result<(), String> {
        let state = self.state;
        // SAFETY: there are key and value.
        unsafe {
            match ffi::lua_type(state, -2) {
                ffi::LUA_TSTRING => self.string(-2),
                ffi::LUA_TNUMBER => {
                    self.text.push(b'"');
                    self.number(-2)?;
                    self.text.push(b'"');
                }
                _ => {
                    let name = type_name(state, -2);
                    return Err(format!("Cannot serialise {name}: table key must be a number or string"));
                }
            }
            self.text.push(b':');
            self.value(depth)
        }
    }

    /// Whether the value on top of the stack has no JSON.
    unsafe fn unsupported(&self) -> bool {
        // SAFETY: there is a value on the stack.
        unsafe {
            match ffi::lua_type(self.state, -1) {
                ffi::LUA_TFUNCTION | ffi::LUA_TUSERDATA | ffi::LUA_TTHREAD => true,
                ffi::LUA_TLIGHTUSERDATA => {
                    let address = ffi::lua_touserdata(self.state, -1);
                    !address.is_null() && !ptr::eq(address, (&raw const EMPTY).cast())
                }
                kind => kind > ffi::LUA_TTHREAD,
            }
        }
    }

    /// Writes the number at `index`.
    unsafe fn number(&mut self, index: c_int) -> Result<(), String> {
        // SAFETY: there is a number.
        let value = unsafe { ffi::lua_tonumber(self.state, index) };
        if value.is_finite() {
            number::write(value, self.config.precision, &mut self.text);
            return Ok(());
        }
        self.text.extend_from_slice(match self.config.encode_invalid {
            Invalid::Refuse => {
                return Err("Cannot serialise number: must not be NaN or Infinity".into());
            }
            Invalid::Null => b"null",
            Invalid::Accept if value.is_nan() => b"NaN",
            Invalid::Accept if value > 0.0 => b"Infinity",
            Invalid::Accept => b"-Infinity",
        });
        Ok(())
    }

    /// Writes the string at `index`.
    unsafe fn string(&mut self, index: c_int) {
        let mut length = 0;
        // SAFETY: a string stays where it is as long as it is on the stack, and nothing is called meanwhile.
        let bytes = unsafe {
            let start = ffi::lua_tolstring(self.state, index, &raw mut length);
            slice::from_raw_parts(start.cast::<u8>(), length)
        };
        write_string(bytes, self.config.escape_slash, &mut self.text);
    }
}

/// Which bytes are escaped: 1 all of the time, 2 only if slashes are.
static ESCAPED: [u8; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 0x20 {
        table[byte] = 1;
        byte += 1;
    }
    table[b'"' as usize] = 1;
    table[b'\\' as usize] = 1;
    table[0x7f] = 1;
    table[b'/' as usize] = 2;
    table
};

fn write_string(text: &[u8], escape_slash: bool, out: &mut Vec<u8>) {
    let special = |byte: &u8| match ESCAPED[usize::from(*byte)] {
        0 => false,
        1 => true,
        _ => escape_slash,
    };
    out.reserve(text.len() + 2);
    out.push(b'"');
    if eight::is_plain(text, escape_slash) {
        out.extend_from_slice(text);
        out.push(b'"');
        return;
    }
    let mut rest = text;
    loop {
        let plain = rest.iter().position(special).unwrap_or(rest.len());
        out.extend_from_slice(&rest[..plain]);
        let Some(&byte) = rest.get(plain) else { break };
        write_escaped(byte, out);
        rest = &rest[plain + 1..];
    }
    out.push(b'"');
}

fn write_escaped(byte: u8, out: &mut Vec<u8>) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let short = match byte {
        b'"' | b'\\' | b'/' => byte,
        0x08 => b'b',
        b'\t' => b't',
        b'\n' => b'n',
        0x0c => b'f',
        b'\r' => b'r',
        _ => {
            out.extend_from_slice(b"\\u00");
            out.extend([DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]);
            return;
        }
    };
    out.extend([b'\\', short]);
}
