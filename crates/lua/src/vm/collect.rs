//! When garbage is collected, and how long that takes.
//!
//! LuaJIT collects in small steps wherever something is allocated, unseen. Here these steps are put off until a stretch of
//! code has ended and are then made one after the other, as many as LuaJIT would have made by then, so that their time can
//! be measured and compiled code is not left for them. A stretch that allocates much collects as it goes on, as
//! LuaJIT does by itself: that time is part of the stretch's own and is not told apart.
//!
//! What a stretch that allocates much owes after that is not collected at once, as all others would wait for that, but part by
//! part after the stretches that follow, whosever they are.
//!
//! LuaJIT begins to collect where memory reaches a threshold, which can be set only as a percentage of what is in use. So
//! the percentage is set anew whenever the threshold is, and a script that asks for one is told of its own.

use std::{
    cell::{Cell, RefCell},
    ffi::c_int,
    fmt,
    time::Duration,
};

use mlua::ffi;

use super::Vm;
use crate::budget::elapsed_time;

/// Allocation that makes a step worth its while: more would make pauses longer, less would make more of them.
const STEP_BYTES: u64 = 8 << 10;

/// Growth within one stretch from which on LuaJIT collects by itself.
const HEADROOM: usize = 1 << 20;

/// What is collected for after a stretch: no more than so many bytes of what is owed, or this part of it, so that who allocates much again and
/// again owes no more than so many times that.
const PART_BYTES: usize = 32 << 10;
const PARTS: usize = 16;

/// Collections in a row, and what each has to free for the next: so many bytes, and that part of what there was.
const COLLECTIONS: u32 = 24;
const WORTH_BYTES: usize = 1 << 20;
pub(super) const WORTH_PART: usize = 5;

/// Of collecting, since it was last told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Collection {
    /// How long a part of it held up everything else; `None`: nothing was collected but by scripts.
    pub pause: Option<Duration>,
    /// Collections that have come to their end, those that scripts made among them.
    pub cycles: u32,
}

type Sink = Box<dyn Fn(Collection)>;

/// What is known of a VM's garbage.
#[derive(Default)]
pub(super) struct Collector {
    /// In use, and ever asked for, when it was last looked.
    seen: Cell<(usize, u64)>,
    /// A collection has been begun and not been brought to its end.
    under_way: Cell<bool>,
    /// What memory in use has to reach for the next to begin.
    due: Cell<usize>,
    /// Growth that was not collected for yet, while a collection is under way.
    owed: Cell<usize>,
    /// Where LuaJIT begins by itself.
    threshold: Cell<usize>,
    /// Collections that had ended when it was last looked, and were told.
    told: Cell<i32>,
    sink: RefCell<Option<Sink>>,
}

impl fmt::Debug for Collector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Collector")
            .field("under_way", &self.under_way)
            .field("due", &self.due)
            .finish_non_exhaustive()
    }
}

impl Vm {
    /// Has `sink` told of every pause that collecting makes between stretches of code. It must not use the VM.
    pub fn set_collection_sink(&self, sink: impl Fn(Collection) + 'static) {
        self.collector.sink.replace(Some(Box::new(sink)));
    }

    /// Collects as much as is due for what was allocated since this was last done; says whether that was anything.
    pub(super) fn collect(&self) -> bool {
        let (used, allocated) = self.ledger.state();
        let asked = allocated - self.collector.seen.get().1;
        let is_due = asked >= STEP_BYTES || self.collector.owed.get() > 0;
        is_due && self.collect_part(used, usize::try_from(asked).unwrap_or(usize::MAX))
    }

    #[inline(never)]
    fn collect_part(&self, used: usize, asked: usize) -> bool {
        let collector = &self.collector;
        if self.host.block.collector_stopped.get() != 0 {
            return false; // The script wants it so.
        }
        let before = collector.seen.get().0;
        let ended = self.host.block.collections.get();
        // At first nothing is known, and LuaJIT itself may have come to an end since.
        if collector.due.get() == 0 || collector.told.get() != ended {
            collector.under_way.set(false);
            self.set_due(used);
        } else if used >= collector.due.get() || before.saturating_add(asked) >= collector.threshold.get() {
            collector.under_way.set(true);
        }
        let collects = collector.under_way.get();
        if collects {
            // For what was beyond LuaJIT has collected by itself.
            let owed = collector.owed.get().saturating_add(used.saturating_sub(before).min(HEADROOM));
            let part = if self.rest.is_thrifty() { owed } else { owed.min(PART_BYTES.max(owed / PARTS)) };
            collector.owed.set(owed - part);
            self.step(c_int::try_from(part >> 10).unwrap_or(c_int::MAX));
        } else if collector.told.get() != ended {
            self.tell(None);
        }
        self.put_off();
        collects
    }

    /// Collects again and again as long as that frees much of what is there. LuaJIT only halves its buffer for strings each
    /// time, however large it is, so a script that made a string of 256 MiB would else leave 128. No run may go on.
    pub(super) fn collect_garbage(&self) {
        for _ in 0..COLLECTIONS {
            let before = self.ledger.state().0;
            self.collect_all();
            let freed = before.saturating_sub(self.ledger.state().0);
            if freed < WORTH_BYTES || freed < before / WORTH_PART {
                break;
            }
        }
    }

    /// Collects about so many KiB's worth, in a collection that may be under way; says whether that has come to its end. No
    /// run may go on.
    pub(super) fn collect_some(&self, kib: c_int) -> bool {
        if self.host.block.collector_stopped.get() != 0 {
            return false; // The script wants it so.
        }
        let is_over = self.step(kib);
        self.put_off();
        is_over
    }

    fn step(&self, kib: c_int) -> bool {
        self.host.is_collecting.set(true);
        let began = elapsed_time();
        // SAFETY: the main thread is idle, as no run goes on.
        let is_over = unsafe { ffi::lua_gc(self.main, ffi::LUA_GCSTEP, kib) } == 1;
        self.collector.under_way.set(!is_over);
        self.host.is_collecting.set(false);
        if is_over {
            self.set_due(self.ledger.state().0);
        }
        self.tell(Some(elapsed_time().saturating_sub(began)));
        is_over
    }

    /// Collects all that there is. No run may go on.
    pub(super) fn collect_all(&self) {
        let began = elapsed_time();
        // SAFETY: the main thread is idle, as no run goes on.
        unsafe { ffi::lua_gc(self.main, ffi::LUA_GCCOLLECT, 0) };
        self.collector.under_way.set(false);
        self.set_due(self.ledger.state().0);
        self.tell(Some(elapsed_time().saturating_sub(began)));
        if self.host.block.collector_stopped.get() == 0 {
            self.put_off();
        }
    }

    fn tell(&self, pause: Option<Duration>) {
        let ended = self.host.block.collections.get();
        let cycles = ended.wrapping_sub(self.collector.told.replace(ended)).cast_unsigned();
        if let Some(sink) = &*self.collector.sink.borrow() {
            sink(Collection { pause, cycles });
        }
    }

    /// The next collection begins where memory has grown as scripts want it, or by LuaJIT's own default.
    fn set_due(&self, used: usize) {
        let percent = usize::try_from(self.host.block.collector_pause.get()).unwrap_or_default();
        self.collector.due.set((used / 100).saturating_mul(percent).max(1));
        self.collector.owed.set(0);
    }

    /// Keeps LuaJIT from collecting by itself until memory has grown by much.
    fn put_off(&self) {
        let collector = &self.collector;
        let (used, allocated) = self.ledger.state();
        let due = if collector.under_way.get() { 0 } else { collector.due.get() };
        let threshold = due.max(used.saturating_add(HEADROOM));
        let percent = c_int::try_from(threshold.div_ceil((used / 100).max(1))).unwrap_or(c_int::MAX);
        // SAFETY: both set a field of the state and nothing else.
        unsafe {
            ffi::lua_gc(self.main, ffi::LUA_GCSETPAUSE, percent);
            ffi::lua_gc(self.main, ffi::LUA_GCRESTART, -1);
        }
        collector.threshold.set(threshold);
        collector.seen.set((used, allocated));
    }
}
