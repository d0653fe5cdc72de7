//! When a VM collects garbage, and what it does when there is nothing to do: it gives memory back.
//!
//! A collection looks at all that is in use, however little garbage there is. LuaJIT begins the next when memory has
//! doubled; where little is in use it waits for three times as much here, which saves a third of the collector's work and costs
//! a few megabytes. Nobody waits so long who counts bytes: not scripts that set the pace themselves, and not where what a
//! request may hold is bounded, as garbage counts too.
//!
//! LuaJIT collects garbage as it allocates, and the allocator gives unused memory back to the system as it frees. Of a VM that has
//! nothing to do, neither happens: what a burst, or a script that was cut off, has left would stay for good.
//!
//! Machine code LuaJIT gives back only as a whole. Where scripts come and go, that of those that went would pile up until it
//! reaches its limit, tens of megabytes, so it is thrown away when so many have gone that most of it must be theirs. What is
//! still in use is soon compiled again. Regular expressions of scripts that went are let go by the same count, see `prelude/regex.lua`.

use std::{
    cell::Cell,
    ffi::c_int,
    sync::atomic::{AtomicBool, Ordering::Relaxed},
};

use mlua::{Lua, ffi};

use super::{Vm, collect::WORTH_PART};
use crate::background;

/// Who allocates no more than that between two looks has nothing to do.
const QUIET_BYTES: u64 = 64 << 10;

/// Growth since the last collection that makes one worth its time.
const WORTH_BYTES: usize = 1 << 20;

/// A heap beyond that is collected part by part, one each time it is looked at: all of it would take so long that whoever
/// comes next would notice. Of a part so much is looked at, in KiB, or a few times as much.
const LARGE_BYTES: usize = 64 << 20;
const PART_KIB: c_int = 4 << 10;

/// Percent of what was in use after a collection at which the next one begins.
const USUAL_PAUSE: c_int = 200;
const LONG_PAUSE: c_int = 300;

/// Memory up to which collections may be put off.
const SMALL_BYTES: usize = 12 << 20;

/// What `luaJIT_setmode` is asked: to throw away all machine code.
const FLUSH_ALL: c_int = 0x200;
/// And to compile nothing, or what is worth it.
const COMPILER_OFF: c_int = 0;
const COMPILER_ON: c_int = 0x100;

unsafe extern "C" {
    fn luaJIT_setmode(state: *mut ffi::lua_State, index: c_int, mode: c_int) -> c_int;
}

/// While a VM is made, nothing is collected and nothing compiled: all that is made stays in use, and what goes round then
/// never does again.
pub(super) fn pause(lua: &Lua) -> mlua::Result<()> {
    // SAFETY: the closure runs protected, in a state in which nothing runs yet, and leaves the stack as it is.
    unsafe {
        lua.exec_raw::<()>((), |state| {
            ffi::lua_gc(state, ffi::LUA_GCSTOP, 0);
            luaJIT_setmode(state, 0, COMPILER_OFF);
        })
    }
}

/// What was found at the last look.
#[derive(Debug, Default)]
pub(super) struct Rest {
    is_thrifty: Cell<bool>,
    allocated: Cell<u64>,
    /// In use after the last collection.
    settled: Cell<usize>,
    /// In use when a collection was begun that goes on part by part.
    begun: Cell<Option<usize>>,
    /// Much may have been let go since the last look.
    let_go: Cell<bool>,
}

impl Rest {
    /// Whether garbage must not be left lying about.
    pub(super) fn is_thrifty(&self) -> bool {
        self.is_thrifty.get()
    }

    /// Much has been let go that nobody may want again soon.
    pub(super) fn tell_let_go(&self) {
        self.let_go.set(true);
    }
}

impl Vm {
    /// The end of [`pause`].
    pub(super) fn wake(&self) {
        // SAFETY: the main thread is idle. Memory has to double before anything is collected, as at any time.
        unsafe {
            luaJIT_setmode(self.main, 0, COMPILER_ON);
            ffi::lua_gc(self.main, ffi::LUA_GCRESTART, -1);
        }
    }

    /// Whether what requests may hold is bounded, so that garbage must not be left lying about.
    pub fn set_thrifty(&self, is_thrifty: bool) {
        self.rest.is_thrifty.set(is_thrifty);
        self.set_pause();
    }

    pub(super) fn set_pause(&self) {
        if self.host.block.pause_is_set.get() != 0 {
            return;
        }
        let budget = self.budget.memory_bytes;
        let is_roomy = budget == 0 || budget > 4 * SMALL_BYTES as u64;
        let is_small = self.ledger.state().0 < SMALL_BYTES;
        let waits = is_roomy && is_small && !self.rest.is_thrifty();
        self.host.block.collector_pause.set(if waits { LONG_PAUSE } else { USUAL_PAUSE });
    }

    /// Closes connections that were kept for use and are not to be used any more, and gives back memory that nobody uses.
    /// The worker calls it about once a second.
    pub fn tend(&self) {
        self.host.sockets.pools.sweep();
        self.set_pause();
        if !self.running.get() && self.host.retired.has_turned_over() {
            self.host.block.turnovers.update(|turnovers| turnovers.wrapping_add(1));
            // SAFETY: the main thread is idle, and no compiled code is on any stack, as no run goes on. It raises only
            // where a finalizer calls.
            unsafe { luaJIT_setmode(self.main, 0, FLUSH_ALL) };
        }
        let (used, allocated) = self.ledger.state();
        let is_quiet = allocated - self.rest.allocated.replace(allocated) < QUIET_BYTES;
        if is_quiet && !self.running.get() && used > self.rest.settled.get() + WORTH_BYTES {
            self.tidy_up(used);
        }
        if self.rest.let_go.take() {
            return give_back();
        }
        // SAFETY: any thread may call it at any time; it touches nothing that is in use.
        unsafe { libmimalloc_sys::mi_collect(false) };
    }
}

impl Vm {
    /// Nothing goes on: collects what there is, if that is not too much at once.
    fn tidy_up(&self, used: usize) {
        let rest = &self.rest;
        self.sweep();
        if used < LARGE_BYTES {
            rest.begun.take();
            self.collect_garbage();
            rest.settled.set(self.ledger.state().0);
            return rest.tell_let_go();
        }
        let begun = rest.begun.get().unwrap_or(used);
        rest.begun.set(Some(begun));
        if self.collect_some(PART_KIB) {
            rest.begun.take();
            let left = self.ledger.state().0;
            // What freed much may do so again.
            if left > begun - begun / WORTH_PART {
                rest.settled.set(left);
            }
            rest.tell_let_go();
        }
    }
}

/// Gives back all memory that this thread and the process do not use. The allocator waits a second before it does, lest what
/// is soon used again has to be had again, so where much is let go at once, and again and again, as with configurations, it is
/// asked to. For hundreds of megabytes the system takes tens of milliseconds, in which this thread could serve nobody, so
/// another does that part.
pub fn give_back() {
    static IS_ASKED: AtomicBool = AtomicBool::new(false);
    // SAFETY: any thread may call it at any time; it touches nothing that is in use.
    unsafe { libmimalloc_sys::mi_collect(false) };
    if IS_ASKED.swap(true, Relaxed) {
        return; // Who has been asked has not begun yet.
    }
    let purge = || {
        let _ = background::come_last(); // Refused, it takes its turn as others do.
        IS_ASKED.store(false, Relaxed);
        // SAFETY: as above.
        unsafe { libmimalloc_sys::mi_collect(true) };
    };
    if std::thread::Builder::new().name("give-back".into()).spawn(purge).is_err() {
        // It is given back when it is time.
        IS_ASKED.store(false, Relaxed);
    }
}
