//! `cjson`: JSON to Lua values and back, as lua-cjson of OpenResty does it.
//!
//! `encode` and `decode` are C functions that work on the Lua stack. What they are set to is a [`Config`] in a
//! userdata, their first upvalue; the prelude keeps the rest of the module. An error is raised when everything
//! that Rust holds has been dropped, or returned where the module is `cjson.safe`.
//!
//! Lua itself may raise inside of these functions when memory ends. Their frames are made for that: they unwind,
//! and nothing in them is left half done.
//!
//! Invariant: depth is bounded by the configuration, and so is the stack of C.

mod config;
mod decode;
mod eight;
mod encode;
mod number;
mod scan;

use std::ffi::{CStr, c_int};

use mlua::{Lua, Table, ffi};

use self::config::Config;

/// Upvalues of `encode` and `decode`.
const CONFIG: c_int = ffi::lua_upvalueindex(1);
const SAFE: c_int = ffi::lua_upvalueindex(2);
/// The metatable of arrays.
const ARRAY: c_int = ffi::lua_upvalueindex(3);
/// The metatable of tables that are arrays when they are empty.
const EMPTY_ARRAY: c_int = ffi::lua_upvalueindex(4);

/// What stands for an empty array wherever a value is encoded, as a light userdata.
static EMPTY: u8 = 0;

/// Puts what the prelude makes the module of into a table.
pub(crate) fn open(lua: &Lua) -> mlua::Result<Table> {
    let parts = lua.create_table()?;
    for (name, function) in [
        ("config", config::new as ffi::lua_CFunction),
        ("set", config::set),
        ("encoder", encoder),
        ("decoder", decoder),
    ] {
        // SAFETY: the functions keep to Lua's protocol: they use only their own part of the stack, with room made.
        parts.set(name, unsafe { lua.create_c_function(function) }?)?;
    }
    parts.set("empty_array", mlua::LightUserData((&raw const EMPTY).cast_mut().cast()))?;
    Ok(parts)
}

/// `(config, safe, array metatable, empty array metatable)` to `encode`.
unsafe extern "C-unwind" fn encoder(state: *mut ffi::lua_State) -> c_int {
    // SAFETY: the prelude passes the four upvalues.
    unsafe { ffi::lua_pushcclosure(state, encode, 4) };
    1
}

/// The same for `decode`.
unsafe extern "C-unwind" fn decoder(state: *mut ffi::lua_State) -> c_int {
    // SAFETY: as above.
    unsafe { ffi::lua_pushcclosure(state, decode, 4) };
    1
}

unsafe extern "C-unwind" fn encode(state: *mut ffi::lua_State) -> c_int {
    // SAFETY: `finish` is the last thing done, with nothing to drop.
    unsafe { finish(state, encode::run(state)) }
}

unsafe extern "C-unwind" fn decode(state: *mut ffi::lua_State) -> c_int {
    // SAFETY: as above.
    unsafe { finish(state, decode::run(state)) }
}

/// Answers with the value on top of the stack; or raises the message there, or answers with nil and it.
///
/// # Safety
///
/// `state` runs a C function of this module, and the caller has nothing to drop.
unsafe fn finish(state: *mut ffi::lua_State, done: bool) -> c_int {
    // SAFETY: there is a value on the stack, and room for two more.
    unsafe {
        if done {
            return 1;
        }
        if ffi::lua_toboolean(state, SAFE) != 0 {
            ffi::lua_pushnil(state);
            ffi::lua_insert(state, -2);
            return 2;
        }
        ffi::luaL_where(state, 1);
        ffi::lua_insert(state, -2);
        ffi::lua_concat(state, 2);
        ffi::lua_error(state)
    }
}

/// Pushes a message.
///
/// # Safety
///
/// `state` runs, with room for one value.
unsafe fn push(state: *mut ffi::lua_State, text: &[u8]) {
    // SAFETY: by the caller's word; the bytes are copied.
    unsafe { ffi::lua_pushlstring_(state, text.as_ptr().cast(), text.len()) };
}

/// What Lua calls the type of a value.
///
/// # Safety
///
/// `index` is on the stack of `state`.
unsafe fn type_name(state: *mut ffi::lua_State, index: c_int) -> String {
    // SAFETY: names of types are static strings of C.
    unsafe {
        let name = ffi::lua_typename(state, ffi::lua_type(state, index));
        CStr::from_ptr(name).to_string_lossy().into_owned()
    }
}

#[cfg(test)]
mod tests;
