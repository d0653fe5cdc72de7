//! How Rust functions become callable from the prelude.
//!
//! An [`Export`] is a name, an address and a C type. The C type is derived from the Rust type of the
//! function, so the two cannot drift apart; the prelude casts the address to it and calls.
//!
//! Invariant: exports are called by the prelude alone, which passes the address of its own VM's
//! [`Host`] as a [`HostPtr`], and the length of the very Lua string it passes as [`Text`]. The safe
//! methods of both rest on that.

use std::{ffi::c_void, slice};

use mlua::{Lua, Table, ffi};

use crate::host::Host;

/// A function that the prelude can call.
pub(crate) struct Export {
    pub(crate) name: &'static str,
    pub(crate) address: Address,
    /// Type of a pointer to the function, in C.
    pub(crate) signature: String,
}

/// Where a function is.
#[derive(Clone, Copy)]
pub(crate) struct Address(pub(crate) *const c_void);

// SAFETY: functions are where they are for as long as the process lives, for all threads, and nobody writes there.
unsafe impl Send for Address {}
// SAFETY: the same.
unsafe impl Sync for Address {}

impl Export {
    pub(crate) fn new(name: &'static str, function: impl Function + Copy) -> Self {
        Self { name, address: Address(function.address()), signature: function.signature() }
    }
}

/// The functions as the prelude takes them: in turn the name of one, its type in C, and its address.
pub(crate) fn list(lua: &Lua, exports: &[Export]) -> mlua::Result<Table> {
    let list = lua.create_table_with_capacity(exports.len() * 3, 0)?;
    // SAFETY: the closure runs protected, with the table on the stack and room for a value more, and leaves nothing there.
    unsafe {
        lua.exec_raw::<()>(&list, |state| {
            let mut length = 0;
            let mut add = || {
                length += 1;
                ffi::lua_rawseti_(state, 1, length);
            };
            for Export { name, address, signature } in exports {
                for text in [*name, signature.as_str()] {
                    ffi::lua_pushlstring(state, text.as_ptr().cast(), text.len());
                    add();
                }
                ffi::lua_pushlightuserdata(state, address.0.cast_mut());
                add();
            }
            ffi::lua_settop(state, 0);
        })?;
    }
    Ok(list)
}

/// The host that a call belongs to, as the prelude passes it.
#[derive(Clone, Copy)]
#[repr(transparent)]
pub(crate) struct HostPtr(*const Host);

impl HostPtr {
    pub(crate) fn get<'a>(self) -> &'a Host {
        // SAFETY: the prelude passes the address it was given when its VM was made. The VM owns the
        // host and drops it after the Lua state, and the reference does not leave the call.
        unsafe { &*self.0 }
    }
}

/// The bytes of a Lua string, without their number.
#[derive(Clone, Copy)]
#[repr(transparent)]
pub(crate) struct Text(*const u8);

impl Text {
    pub(crate) fn of<'a>(self, length: usize) -> &'a [u8] {
        // SAFETY: the prelude passes a Lua string and its length. The string is anchored on the Lua
        // stack for the duration of the call, and Lua strings never move or change.
        unsafe { slice::from_raw_parts(self.0, length) }
    }
}

/// A type that may cross, with its name in C.
pub(crate) trait CType {
    const NAME: &'static str;
}

impl CType for () {
    const NAME: &'static str = "void";
}

impl CType for i32 {
    const NAME: &'static str = "int32_t";
}

impl CType for u32 {
    const NAME: &'static str = "uint32_t";
}

impl CType for f64 {
    const NAME: &'static str = "double";
}

impl CType for usize {
    const NAME: &'static str = "size_t";
}

impl CType for HostPtr {
    const NAME: &'static str = "void *";
}

impl CType for Text {
    const NAME: &'static str = "const char *";
}

/// An `extern "C"` function whose types may all cross.
pub(crate) trait Function {
    fn address(&self) -> *const c_void;
    fn signature(&self) -> String;
}

macro_rules! functions {
    ($(($($argument:ident)*))*) => {$(
        impl<R: CType, $($argument: CType),*> Function for extern "C" fn($($argument),*) -> R {
            fn address(&self) -> *const c_void {
                *self as *const c_void
            }

            fn signature(&self) -> String {
                format!("{} (*)({})", R::NAME, [$($argument::NAME),*].join(", "))
            }
        }
    )*};
}

functions! {
    (A)
    (A B)
    (A B C)
    (A B C D)
    (A B C D E)
    (A B C D E F)
    (A B C D E F G)
    (A B C D E F G H)
    (A B C D E F G H I)
    (A B C D E F G H I J)
    (A B C D E F G H I J K)
}
