//! JSON to Lua values.
//!
//! One pass over the bytes, by recursive descent. Small arrays and objects are gathered on the Lua stack first, so
//! that their table is made in the right size; what is larger grows as it is read. Objects at the same depth mostly have
//! as many members as the one before, so from the second on a table is made for so many and filled at once.

use std::ffi::c_int;

use mlua::ffi;

use super::{ARRAY, CONFIG, Config, push, scan, scan::Scanned};

/// Values that are gathered before their table is made.
const GATHERED: c_int = 32;
/// Nested deeper than this, values are put into their table at once: Lua's stack for C functions is bounded.
const GATHERED_DEPTH: u32 = 64;
/// Tables are made for no more members than that before these are read.
const MOST_KNOWN: u8 = 16;
/// Depths at which it is known how many members the last object had.
const KNOWN: usize = 16;

/// Pushes the value of the only argument, or what is wrong with it.
///
/// # Safety
///
/// `state` runs `decode`, with its upvalues.
pub(super) unsafe fn run(state: *mut ffi::lua_State) -> bool {
    // SAFETY: by the caller's word. The text stays at the bottom of the stack, and so where it is, while it is read.
    let wrong = unsafe {
        if ffi::lua_gettop(state) != 1 {
            push(state, b"bad argument #1 to 'decode' (expected 1 argument)");
            return false;
        }
        let mut length = 0;
        let start = ffi::lua_tolstring(state, 1, &raw mut length);
        if start.is_null() {
            let name = super::type_name(state, 1);
            push(state, format!("bad argument #1 to 'decode' (string expected, got {name})").as_bytes());
            return false;
        }
        let text = std::slice::from_raw_parts(start.cast::<u8>(), length);
        if length >= 2 && (text[0] == 0 || text[1] == 0) {
            push(state, b"JSON parser does not support UTF-16 or UTF-32");
            return false;
        }
        let config = Config::at(state, CONFIG);
        let mut decoder = Decoder { state, config, text, at: 0, unescaped: Vec::new(), members: [0; KNOWN] };
        match decoder.document() {
            Ok(()) => return true,
            Err(wrong) => wrong,
        }
    };
    // SAFETY: whatever was read so far is taken off, which makes room.
    unsafe {
        ffi::lua_settop(state, 1);
        push(state, wrong.as_bytes());
    }
    false
}

struct Decoder<'a> {
    state: *mut ffi::lua_State,
    config: Config,
    text: &'a [u8],
    at: usize,
    unescaped: Vec<u8>,
    /// Of the last object at each depth; 0 where that is more than are gathered.
    members: [u8; KNOWN],
}

impl Decoder<'_> {
    unsafe fn document(&mut self) -> Result<(), String> {
        // SAFETY: by the caller's word; Lua gives a C function room for 20 values.
        unsafe { self.value(0, "value")? };
        self.skip_space();
        if self.at < self.text.len() { Err(self.unexpected("the end")) } else { Ok(()) }
    }

    /// Reads a value and pushes it.
    ///
    /// # Safety
    ///
    /// There is room for one value on the stack.
    unsafe fn value(&mut self, depth: u32, expected: &str) -> Result<(), String> {
        self.skip_space();
        let rest = &self.text[self.at..];
        // SAFETY: one value is pushed.
        unsafe {
            match rest {
                [b'"', ..] => return self.string(),
                [b'{', ..] => return self.object(depth + 1),
                [b'[', ..] => return self.array(depth + 1),
                [b't', b'r', b'u', b'e', ..] => {
                    self.at += 4;
                    ffi::lua_pushboolean(self.state, 1);
                }
                [b'f', b'a', b'l', b's', b'e', ..] => {
                    self.at += 5;
                    ffi::lua_pushboolean(self.state, 0);
                }
                [b'n', b'u', b'l', b'l', ..] => {
                    self.at += 4;
                    ffi::lua_pushlightuserdata(self.state, std::ptr::null_mut());
                }
                _ => {
                    let Ok((number, length)) = scan::number(rest, self.config.decode_invalid) else {
                        return Err(self.unexpected(expected));
                    };
                    self.at += length;
                    ffi::lua_pushnumber(self.state, number);
                }
            }
        }
        Ok(())
    }

    unsafe fn array(&mut self, depth: u32) -> Result<(), String> {
        self.at += 1;
        // SAFETY: `Gathered` has made room for what is gathered, with the table and copies on top.
        unsafe {
            let mut gathered = Gathered::new(self, depth, 0)?;
            self.skip_space();
            if self.peek() == Some(b']') {
                self.at += 1;
            } else {
                loop {
                    self.value(depth, "value")?;
                    gathered.item(self.state);
                    self.skip_space();
                    match self.peek() {
                        Some(b',') => self.at += 1,
                        Some(b']') => {
                            self.at += 1;
                            break;
                        }
                        _ => return Err(self.unexpected("comma or array end")),
                    }
                }
            }
            gathered.finish_array(self.state);
            if self.config.array_metatable {
                ffi::lua_pushvalue(self.state, ARRAY);
                ffi::lua_setmetatable(self.state, -2);
            }
        }
        Ok(())
    }

    unsafe fn object(&mut self, depth: u32) -> Result<(), String> {
        self.at += 1;
        // SAFETY: as for arrays.
        unsafe {
            let known = self.members.get(depth as usize).copied().unwrap_or_default();
            let mut gathered = Gathered::new(self, depth, known.into())?;
            self.skip_space();
            if self.peek() == Some(b'}') {
                self.at += 1;
            } else {
                loop {
                    self.skip_space();
                    if self.peek() != Some(b'"') {
                        return Err(self.unexpected("object key string"));
                    }
                    self.string_for("object key string")?;
                    self.skip_space();
                    if self.peek() != Some(b':') {
                        return Err(self.unexpected("colon"));
                    }
                    self.at += 1;
                    self.value(depth, "value")?;
                    gathered.member(self.state);
                    self.skip_space();
                    match self.peek() {
                        Some(b',') => self.at += 1,
                        Some(b'}') => {
                            self.at += 1;
                            break;
                        }
                        _ => return Err(self.unexpected("comma or object end")),
                    }
                }
            }
            gathered.finish_object(self.state);
            if let Some(known) = self.members.get_mut(depth as usize) {
                *known = u8::try_from(gathered.items).ok().filter(|&count| count <= MOST_KNOWN).unwrap_or(0);
            }
        }
        Ok(())
    }

    unsafe fn string(&mut self) -> Result<(), String> {
        // SAFETY: by the caller's word.
        unsafe { self.string_for("value") }
    }

    unsafe fn string_for(&mut self, expected: &str) -> Result<(), String> {
        match scan::string(self.text, self.at, &mut self.unescaped) {
            Ok(Scanned { end, escaped }) => {
                let bytes = if escaped { &self.unescaped } else { &self.text[self.at + 1..end - 1] };
                // SAFETY: there is room for one value; the bytes are copied.
                unsafe { push(self.state, bytes) };
                self.at = end;
                Ok(())
            }
            Err((why, at)) => Err(complaint(expected, why, at)),
        }
    }

    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn skip_space(&mut self) {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.peek() {
            self.at += 1;
        }
    }

    /// Says what was found at the place where the parser is.
    fn unexpected(&mut self, expected: &str) -> String {
        self.skip_space();
        let (found, at) = scan::token(self.text, self.at, self.config.decode_invalid);
        complaint(expected, found, at)
    }
}

fn complaint(expected: &str, found: &str, at: usize) -> String {
    format!("Expected {expected} but found {found} at character {}", at + 1)
}

/// What has been read of an array or object: values on the stack, and then a table below them.
struct Gathered {
    /// Where the first value is, or the table.
    base: c_int,
    /// Values that may be gathered.
    most: c_int,
    /// Items or members in the table already.
    items: c_int,
    table: bool,
}

impl Gathered {
    /// Begins one for which a table is made at once if it is `known` how many members it may have.
    unsafe fn new(decoder: &Decoder<'_>, depth: u32, known: c_int) -> Result<Self, String> {
        let state = decoder.state;
        let most = if depth <= GATHERED_DEPTH { GATHERED } else { 0 };
        // SAFETY: asking for room changes nothing else.
        let room = unsafe { ffi::lua_checkstack(state, most + 6) } != 0;
        if depth > decoder.config.decode_depth || !room {
            let at = decoder.at;
            return Err(format!("Found too many nested data structures ({depth}) at character {at}"));
        }
        // SAFETY: reading the height of the stack.
        let base = unsafe { ffi::lua_gettop(state) } + 1;
        let mut gathered = Self { base, most, items: 0, table: false };
        if most == 0 || known > 0 {
            // SAFETY: there is room for the table.
            unsafe { ffi::lua_createtable(state, 0, known) };
            gathered.table = true;
        }
        Ok(gathered)
    }

    /// Takes the value on top of the stack as the next item.
    unsafe fn item(&mut self, state: *mut ffi::lua_State) {
        // SAFETY: the value is on top, and the table, if there is one, at the base.
        unsafe {
            if self.table {
                self.items += 1;
                ffi::lua_rawseti_(state, self.base, self.items);
            } else if ffi::lua_gettop(state) - self.base + 1 >= self.most {
                self.make_array(state);
            }
        }
    }

    /// Takes the key and the value on top of the stack as the next member.
    unsafe fn member(&mut self, state: *mut ffi::lua_State) {
        // SAFETY: as for items.
        unsafe {
            if self.table {
                self.items = self.items.saturating_add(1);
                ffi::lua_rawset(state, self.base);
            } else if ffi::lua_gettop(state) - self.base + 1 >= self.most {
                self.make_object(state);
            }
        }
    }

    unsafe fn make_array(&mut self, state: *mut ffi::lua_State) {
        // SAFETY: all between base and top are items. The table goes below them, and they into it from the last on.
        unsafe {
            let count = ffi::lua_gettop(state) - self.base + 1;
            ffi::lua_createtable(state, count, 0);
            ffi::lua_insert(state, self.base);
            for index in (1..=count).rev() {
                ffi::lua_rawseti_(state, self.base, index);
            }
            self.items = count;
        }
        self.table = true;
    }

    unsafe fn make_object(&mut self, state: *mut ffi::lua_State) {
        // SAFETY: all between base and top are pairs. They are copied in order, because of a name that comes
        // twice the last value counts.
        unsafe {
            let top = ffi::lua_gettop(state);
            self.items = (top - self.base + 1) / 2;
            ffi::lua_createtable(state, 0, self.items);
            for key in (self.base..top).step_by(2) {
                ffi::lua_pushvalue(state, key);
                ffi::lua_pushvalue(state, key + 1);
                ffi::lua_rawset(state, top + 1);
            }
            if top >= self.base {
                ffi::lua_replace(state, self.base);
                ffi::lua_settop(state, self.base);
            }
        }
        self.table = true;
    }

    unsafe fn finish_array(&mut self, state: *mut ffi::lua_State) {
        if !self.table {
            // SAFETY: by the caller's word.
            unsafe { self.make_array(state) };
        }
    }

    unsafe fn finish_object(&mut self, state: *mut ffi::lua_State) {
        if !self.table {
            // SAFETY: by the caller's word.
            unsafe { self.make_object(state) };
        }
    }
}
