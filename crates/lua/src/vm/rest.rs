//! What a VM does when there is nothing to do: it gives memory back.
//!
//! LuaJIT collects garbage as it allocates, and the allocator gives unused memory back to the system as it frees. Of a VM that has
//! nothing to do, neither happens: what a burst, or a script that was cut off, has left would stay for good.

use std::cell::Cell;

use mlua::ffi;

use super::Vm;

/// Who allocates no more than that between two looks has nothing to do.
const QUIET_BYTES: u64 = 64 << 10;

/// Growth since the last collection that makes one worth its time.
const WORTH_BYTES: usize = 1 << 20;

/// A heap beyond that is not collected here: it would take so long that whoever comes next would notice.
const LARGE_BYTES: usize = 64 << 20;

/// What was found at the last look.
#[derive(Debug, Default)]
pub(super) struct Rest {
    allocated: Cell<u64>,
    /// In use after the last collection.
    settled: Cell<usize>,
}

impl Vm {
    /// Closes connections that were kept for use and are not to be used any more, and gives back memory that nobody uses.
    /// The worker calls it about once a second.
    pub fn tend(&self) {
        self.host.sockets.pools.sweep();
        let (used, allocated) = self.ledger.state();
        let is_quiet = allocated - self.rest.allocated.replace(allocated) < QUIET_BYTES;
        if is_quiet
            && !self.running.get()
            && used < LARGE_BYTES
            && used > self.rest.settled.get() + WORTH_BYTES
        {
            self.sweep();
            // SAFETY: the main thread is idle, as no run goes on.
            unsafe { ffi::lua_gc(self.main, ffi::LUA_GCCOLLECT, 0) };
            self.rest.settled.set(self.ledger.state().0);
        }
        // SAFETY: any thread may call it at any time; it touches nothing that is in use.
        unsafe { libmimalloc_sys::mi_collect(false) };
    }
}
