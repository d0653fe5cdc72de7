//! What an instance of `cjson` is set to.

use std::{ffi::c_int, ptr};

use mlua::ffi;

/// Depth and precision as lua-cjson has them by default.
const MAX_DEPTH: u32 = 1_000;
const PRECISION: u32 = 14;

/// What becomes of numbers that JSON does not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum Invalid {
    Refuse,
    Accept,
    Null,
}

/// Settings in the order in which the prelude counts them, from 0.
#[derive(Debug, Clone, Copy)]
#[expect(clippy::struct_excessive_bools, reason = "independent settings")]
pub(crate) struct Config {
    /// Excessively sparse arrays become objects.
    pub(crate) sparse_convert: bool,
    /// An array is sparse when it is so many times as long as it has items; 0: never.
    pub(crate) sparse_ratio: u32,
    /// Arrays that are not longer never are.
    pub(crate) sparse_safe: u32,
    pub(crate) encode_depth: u32,
    pub(crate) decode_depth: u32,
    pub(crate) encode_invalid: Invalid,
    pub(crate) decode_invalid: bool,
    /// Significant digits of numbers.
    pub(crate) precision: u32,
    pub(crate) empty_as_object: bool,
    pub(crate) array_metatable: bool,
    pub(crate) escape_slash: bool,
    /// Members whose value has no JSON are left out.
    pub(crate) skip_unsupported: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            sparse_convert: false,
            sparse_ratio: 2,
            sparse_safe: 10,
            encode_depth: MAX_DEPTH,
            decode_depth: MAX_DEPTH,
            encode_invalid: Invalid::Refuse,
            decode_invalid: true,
            precision: PRECISION,
            empty_as_object: true,
            array_metatable: false,
            escape_slash: true,
            skip_unsupported: false,
        }
    }
}

impl Config {
    fn set(&mut self, setting: u32, value: u32) {
        let on = value != 0;
        match setting {
            0 => self.sparse_convert = on,
            1 => self.sparse_ratio = value,
            2 => self.sparse_safe = value,
            3 => self.encode_depth = value,
            4 => self.decode_depth = value,
            5 => {
                self.encode_invalid =
                    [Invalid::Refuse, Invalid::Accept, Invalid::Null][value.min(2) as usize];
            }
            6 => self.decode_invalid = on,
            7 => self.precision = value.clamp(1, 17),
            8 => self.empty_as_object = on,
            9 => self.array_metatable = on,
            10 => self.escape_slash = on,
            _ => self.skip_unsupported = on,
        }
    }

    /// A copy of the configuration at a place of the stack.
    ///
    /// # Safety
    ///
    /// There is a userdata that [`new`] made.
    pub(super) unsafe fn at(state: *mut ffi::lua_State, index: c_int) -> Self {
        // SAFETY: by the caller's word; Lua aligns userdata for anything.
        unsafe { ptr::read(ffi::lua_touserdata(state, index).cast()) }
    }
}

/// Makes a configuration.
pub(super) unsafe extern "C-unwind" fn new(state: *mut ffi::lua_State) -> c_int {
    // SAFETY: the userdata has the size of what is written to it, which needs no drop.
    unsafe {
        let place = ffi::lua_newuserdata(state, size_of::<Config>());
        ptr::write(place.cast(), Config::default());
    }
    1
}

/// `(config, setting, number)`: changes one setting. The prelude has checked all three.
pub(super) unsafe extern "C-unwind" fn set(state: *mut ffi::lua_State) -> c_int {
    // SAFETY: the prelude passes what `new` made, and two numbers.
    unsafe {
        let config = ffi::lua_touserdata(state, 1).cast::<Config>();
        let (setting, value) = (ffi::lua_tonumber(state, 2), ffi::lua_tonumber(state, 3));
        (*config).set(setting as u32, value as u32);
    }
    0
}
