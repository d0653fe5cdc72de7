//! What a VM allocates: how much it holds, how much it ever asked for, and how much it may.
//!
//! It stands between LuaJIT and the allocator that the VM was made with. While a run goes on there is a ceiling: when
//! memory grows beyond it the run is told to end, as the watchdog would, and what is large is refused at once, because
//! one call of a function of C, such as `string.rep`, could else fill the machine. What is small is granted: the run
//! ends before its next instruction anyway, and LuaJIT's own structures keep growing whole.
//!
//! LuaJIT's buffer for strings that are put together grows with the largest and is halved by each collection. Where what
//! shrinks so is huge it stays where it is, and what it does not use any more is given back at once: otherwise half of it
//! would be copied each time.
//!
//! Invariant: outside of a run nothing is refused, so nothing fails that is not protected.

use std::{cell::Cell, ffi::c_void, ptr};

use mlua::ffi;

/// Growth that is refused beyond the ceiling.
const LARGE: usize = 64 << 10;

/// What is no smaller after it was halved stays where it is.
const HUGE: usize = 4 << 20;

const UNBOUNDED: usize = usize::MAX;

pub(crate) struct Ledger {
    main: *mut ffi::lua_State,
    inner: ffi::lua_Alloc,
    inner_data: *mut c_void,
    used: Cell<usize>,
    allocated: Cell<u64>,
    ceiling: Cell<usize>,
    /// Told when the ceiling is crossed.
    crossed: fn(),
}

impl Ledger {
    /// Keeps the books of the VM of `main`, until it is dropped, which has to be before the VM ends. `crossed` may not
    /// use the VM.
    #[expect(clippy::unnecessary_box_returns, reason = "LuaJIT has its address")]
    pub(crate) fn open(main: *mut ffi::lua_State, used: usize, crossed: fn()) -> Box<Self> {
        let mut inner_data = ptr::null_mut();
        // SAFETY: the state is valid.
        let inner = unsafe { ffi::lua_getallocf(main, &raw mut inner_data) };
        let ledger = Box::new(Self {
            main,
            inner,
            inner_data,
            used: Cell::new(used),
            allocated: Cell::new(0),
            ceiling: Cell::new(UNBOUNDED),
            crossed,
        });
        // SAFETY: the state is valid; the ledger stays where it is and takes itself out before it goes.
        unsafe { ffi::lua_setallocf(main, allocate, (&raw const *ledger).cast_mut().cast()) };
        ledger
    }

    /// Bytes in use, and bytes ever asked for.
    pub(crate) fn state(&self) -> (usize, u64) {
        (self.used.get(), self.allocated.get())
    }

    /// From now on memory may not grow beyond that many bytes.
    pub(crate) fn bound(&self, ceiling: usize) {
        self.ceiling.set(ceiling);
    }

    pub(crate) fn unbound(&self) {
        self.ceiling.set(UNBOUNDED);
    }
}

impl Drop for Ledger {
    fn drop(&mut self) {
        // SAFETY: the state still lives; it had this allocator before.
        unsafe { ffi::lua_setallocf(self.main, self.inner, self.inner_data) };
    }
}

unsafe extern "C" fn allocate(data: *mut c_void, block: *mut c_void, old: usize, new: usize) -> *mut c_void {
    // SAFETY: the data is the ledger that was given with this function, which outlives its use.
    let ledger = unsafe { &*data.cast::<Ledger>() };
    let held = if block.is_null() { 0 } else { old };
    let used = ledger.used.get();
    if new > held {
        let growth = new - held;
        if used + growth > ledger.ceiling.get() {
            (ledger.crossed)();
            if growth >= LARGE {
                return ptr::null_mut();
            }
        }
        // SAFETY: the arguments are LuaJIT's own.
        let granted = unsafe { (ledger.inner)(ledger.inner_data, block, old, new) };
        if !granted.is_null() {
            ledger.used.set(used + growth);
            ledger.allocated.set(ledger.allocated.get() + growth as u64);
        }
        return granted;
    }
    ledger.used.set(used - (held - new));
    if new >= HUGE && new >= held / 2 {
        give_back(block, new, held);
        return block;
    }
    // SAFETY: as above. The block may be larger than LuaJIT says, which is nothing to an allocator that knows the size itself.
    unsafe { (ledger.inner)(ledger.inner_data, block, old, new) }
}

/// Gives the system back the memory of a block's end that is not used any more.
fn give_back(block: *mut c_void, used: usize, held: usize) {
    // SAFETY: it has no precondition.
    let page = usize::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) }).unwrap_or(4 << 10);
    let begin = block.addr().saturating_add(used).next_multiple_of(page);
    let end = block.addr().saturating_add(held) / page * page;
    if begin < end {
        // SAFETY: whole pages within a block of anonymous memory, in a part that nobody uses; they read as zeros from
        // now on. Refused, they stay what they were.
        unsafe {
            let from = block.cast::<u8>().add(begin - block.addr());
            libc::madvise(from.cast(), end - begin, libc::MADV_DONTNEED);
        }
    }
}

#[cfg(test)]
mod tests {
    use mlua::Lua;

    use super::*;

    #[test]
    fn what_is_huge_is_kept_by_what_is_used_of_it() {
        let lua = Lua::new();
        let mut main = ptr::null_mut();
        // SAFETY: it only looks at the state.
        unsafe { lua.exec_raw::<()>((), |state| main = state) }.unwrap();
        let ledger = Ledger::open(main, lua.used_memory(), || {});
        let data = (&raw const *ledger).cast_mut().cast::<c_void>();
        let before = ledger.state().0;
        // SAFETY: sizes and blocks are as they were asked for and given; what is written to and read is within them.
        unsafe {
            let mut block = allocate(data, ptr::null_mut(), 0, 16 * HUGE);
            block.cast::<u8>().write_bytes(7, 16 * HUGE);
            let mut size = 16 * HUGE;
            for _ in 0..6 {
                let resized = allocate(data, block, size, size / 2);
                assert!(resized == block || size / 2 < HUGE);
                (block, size) = (resized, size / 2);
                assert_eq!(ledger.state().0, before + size);
                assert!(std::slice::from_raw_parts(block.cast::<u8>(), size).iter().all(|&byte| byte == 7));
            }
            block = allocate(data, block, size, 8 * HUGE);
            block.cast::<u8>().write_bytes(3, 8 * HUGE);
            assert!(allocate(data, block, 8 * HUGE, 0).is_null());
        }
        assert_eq!(ledger.state().0, before);
        drop(ledger);
    }
}
