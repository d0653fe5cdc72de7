//! What one VM knows outside of Lua: the exchange that runs now, the time, the dictionaries, the log.
//!
//! The prelude holds the address of the [`Host`] and passes it to every export. Results that are not
//! numbers come back through the [`Block`] at its start, which the prelude reads like a C struct: a
//! byte slice there points into the exchange or into the host's scratch space, and is made a Lua
//! string before anything else is called.
//!
//! Invariant: `current` is set exactly while Lua runs for a request, and points to the exchange that
//! [`Vm::start`](crate::Vm::start) or [`Vm::resume`](crate::Vm::resume) borrowed mutably for that long.

use std::{
    cell::{Cell, RefCell},
    ptr::{self, NonNull},
    rc::Rc,
    sync::Arc,
};

use tidegate_core::Timestamp;

use crate::{
    Op, Phase,
    dict::SharedDict,
    exchange::Exchange,
    task::{CtxSlot, Retired},
};

/// What an export answers; errors of its own are positive or between these.
pub(crate) const OK: i32 = 0;
/// There is no such thing.
pub(crate) const MISSING: i32 = -5;
/// No request is being served.
pub(crate) const NO_REQUEST: i32 = -100;

/// How urgent a line of the log is, as nginx counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Level {
    Stderr = 0,
    Emerg,
    Alert,
    Crit,
    Error,
    Warn,
    Notice,
    Info,
    Debug,
}

impl Level {
    /// The level that `ngx.log` calls by this number.
    pub(crate) const fn from_number(number: i32) -> Option<Self> {
        Some(match number {
            0 => Self::Stderr,
            1 => Self::Emerg,
            2 => Self::Alert,
            3 => Self::Crit,
            4 => Self::Error,
            5 => Self::Warn,
            6 => Self::Notice,
            7 => Self::Info,
            8 => Self::Debug,
            _ => return None,
        })
    }
}

/// Which of a node's workers a VM belongs to: `ngx.worker.id()` and `ngx.worker.count()`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WorkerIdentity {
    /// From 0.
    pub id: u32,
    pub count: u32,
}

/// Takes what scripts log, a line at a time.
pub type Log = Box<dyn Fn(Level, &str)>;

/// C declarations of [`Block`] and [`Pair`].
pub(crate) const DECLARATIONS: &str = "
    struct tidegate_pair {
        const char *name;
        const char *value;
        int32_t name_length;
        int32_t value_length;
    };
    struct tidegate_block {
        double now;
        double number;
        const char *bytes;
        const struct tidegate_pair *pairs;
        int32_t length;
        uint32_t flags;
        int32_t phase;
        int32_t log_level;
        int32_t exiting;
    };
";

/// What the prelude reads without a call.
#[repr(C)]
pub(crate) struct Block {
    /// Seconds since the Unix epoch, cut to milliseconds.
    pub(crate) now: Cell<f64>,
    pub(crate) number: Cell<f64>,
    pub(crate) bytes: Cell<*const u8>,
    pub(crate) pairs: Cell<*const Pair>,
    pub(crate) length: Cell<i32>,
    pub(crate) flags: Cell<u32>,
    /// The bit of the [`Phase`] that runs, or 0.
    pub(crate) phase: Cell<i32>,
    pub(crate) log_level: Cell<i32>,
    pub(crate) exiting: Cell<i32>,
}

/// A name with its value, for lists of headers and arguments.
#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct Pair {
    pub(crate) name: *const u8,
    pub(crate) value: *const u8,
    pub(crate) name_length: i32,
    /// Negative: there is no value, not even an empty one.
    pub(crate) value_length: i32,
}

/// What a yield of the running handler means to the host.
#[derive(Debug)]
pub(crate) enum Pending {
    Exit(u16),
    Wait(Op),
}

#[repr(C)]
pub(crate) struct Host {
    pub(crate) block: Block,
    current: Cell<Option<NonNull<dyn Exchange>>>,
    pub(crate) pending: Cell<Option<Pending>>,
    pub(crate) now: Cell<Timestamp>,
    pub(crate) worker: WorkerIdentity,
    pub(crate) dicts: RefCell<Vec<Arc<SharedDict>>>,
    pub(crate) retired: Rc<Retired>,
    log: Log,
    scratch: Cell<Vec<u8>>,
    pairs: Cell<Vec<Pair>>,
    /// Where the values of a header that is about to be set end in the scratch space.
    pub(crate) staged: Cell<Vec<usize>>,
}

impl Host {
    pub(crate) fn new(worker: WorkerIdentity, log: Log) -> Self {
        Self {
            block: Block {
                now: Cell::new(0.0),
                number: Cell::new(0.0),
                bytes: Cell::new(ptr::null()),
                pairs: Cell::new(ptr::null()),
                length: Cell::new(0),
                flags: Cell::new(0),
                phase: Cell::new(0),
                log_level: Cell::new(Level::Debug as i32),
                exiting: Cell::new(0),
            },
            current: Cell::new(None),
            pending: Cell::new(None),
            now: Cell::new(Timestamp::default()),
            worker,
            dicts: RefCell::default(),
            retired: Rc::default(),
            log,
            scratch: Cell::default(),
            pairs: Cell::default(),
            staged: Cell::default(),
        }
    }

    /// Makes `exchange` the one that Lua sees, until [`Host::leave`].
    pub(crate) fn enter(&self, exchange: &mut dyn Exchange, phase: Phase) {
        let exchange = NonNull::from(exchange);
        // SAFETY: this only forgets how long the exchange lives. The caller holds the mutable borrow
        // until it calls `leave`, and nothing keeps the pointer after that.
        let exchange =
            unsafe { std::mem::transmute::<NonNull<dyn Exchange + '_>, NonNull<dyn Exchange>>(exchange) };
        self.current.set(Some(exchange));
        self.block.phase.set(phase as i32);
    }

    pub(crate) fn leave(&self) {
        self.current.set(None);
        self.block.phase.set(0);
    }

    /// Hands the running exchange to `f`; `None` when no request is being served.
    pub(crate) fn with<R>(&self, f: impl FnOnce(&mut dyn Exchange) -> R) -> Option<R> {
        // Taken out for the call, so that no second borrow can be made inside of it.
        let mut current = self.current.take()?;
        // SAFETY: by the invariant of this module it points to an exchange that is borrowed
        // mutably for as long as Lua runs, and this is the only reference made from it.
        let result = f(unsafe { current.as_mut() });
        self.current.set(Some(current));
        Some(result)
    }

    pub(crate) fn set_now(&self, now: Timestamp) {
        self.now.set(now);
        self.block.now.set((now.as_micros() / 1_000) as f64 / 1e3);
    }

    pub(crate) fn log(&self, level: Level, message: &str) {
        (self.log)(level, message);
    }

    /// Points the block's `bytes` at a slice that outlives the call.
    pub(crate) fn give(&self, bytes: &[u8]) -> i32 {
        let Ok(length) = i32::try_from(bytes.len()) else { return MISSING };
        self.block.bytes.set(bytes.as_ptr());
        self.block.length.set(length);
        OK
    }

    /// Points the block's `bytes` at what `write` appends to the empty scratch space.
    pub(crate) fn give_written(&self, write: impl FnOnce(&mut Vec<u8>)) -> i32 {
        let mut scratch = self.take_scratch();
        write(&mut scratch);
        let code = self.give(&scratch);
        self.scratch.set(scratch);
        code
    }

    /// Scratch space that grew for one large value is not kept.
    fn take_scratch(&self) -> Vec<u8> {
        const KEPT_BYTES: usize = 64 << 10;
        let mut scratch = self.scratch.take();
        scratch.clear();
        scratch.shrink_to(KEPT_BYTES);
        scratch
    }

    /// Appends to the scratch space, and remembers where it ends.
    pub(crate) fn stage(&self, value: &[u8], first: bool) {
        let mut scratch = if first { self.take_scratch() } else { self.scratch.take() };
        let mut staged = self.staged.take();
        if first {
            staged.clear();
        }
        scratch.extend_from_slice(value);
        staged.push(scratch.len());
        self.scratch.set(scratch);
        self.staged.set(staged);
    }

    /// Calls `f` with every value that was staged.
    pub(crate) fn with_staged<R>(&self, f: impl FnOnce(&[&[u8]]) -> R) -> R {
        let (scratch, staged) = (self.scratch.take(), self.staged.take());
        let mut start = 0;
        let values: Vec<&[u8]> = staged
            .iter()
            .map(|&end| {
                let value = &scratch[start..end];
                start = end;
                value
            })
            .collect();
        let result = f(&values);
        drop(values);
        self.scratch.set(scratch);
        self.staged.set(staged);
        result
    }

    /// Makes a list for the prelude out of what `fill` adds; answers how many, or [`MISSING`] when
    /// the bytes are too many for Lua.
    pub(crate) fn give_pairs(&self, fill: impl FnOnce(&mut PairList)) -> i32 {
        let mut list = PairList { bytes: self.take_scratch(), ends: Vec::new() };
        fill(&mut list);
        let mut pairs = self.pairs.take();
        pairs.clear();
        let complete = list.write(&mut pairs);
        let count = i32::try_from(pairs.len()).ok().filter(|_| complete.is_some());
        self.block.pairs.set(pairs.as_ptr());
        self.pairs.set(pairs);
        self.scratch.set(list.bytes);
        count.unwrap_or(MISSING)
    }

    /// The number of the `ngx.ctx` table of the running request; its first use takes a free one.
    pub(crate) fn ctx_slot(&self) -> i32 {
        let slot = self.with(|exchange| {
            let state = exchange.state();
            match &state.ctx {
                Some(slot) if slot.belongs_to(&self.retired) => slot.number(),
                _ => state.ctx.insert(CtxSlot::new(&self.retired)).number(),
            }
        });
        slot.unwrap_or(NO_REQUEST)
    }
}

/// Names and values on their way into Lua.
pub(crate) struct PairList {
    bytes: Vec<u8>,
    /// Where each name ends, and its value if it has one.
    ends: Vec<(usize, Option<usize>)>,
}

impl PairList {
    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }

    /// Adds a pair whose name and value `write` appends; it answers where the value starts.
    pub(crate) fn push_with(&mut self, write: impl FnOnce(&mut Vec<u8>) -> (usize, bool)) {
        let (name_end, has_value) = write(&mut self.bytes);
        self.ends.push((name_end, has_value.then_some(self.bytes.len())));
    }

    /// Writes down where everything is; `None` when a piece is longer than Lua can be told.
    fn write(&self, pairs: &mut Vec<Pair>) -> Option<()> {
        let mut start = 0;
        for &(name_end, value_end) in &self.ends {
            let end = value_end.unwrap_or(name_end);
            pairs.push(Pair {
                name: self.bytes[start..].as_ptr(),
                name_length: i32::try_from(name_end - start).ok()?,
                value: self.bytes[name_end..].as_ptr(),
                value_length: if value_end.is_some() { i32::try_from(end - name_end).ok()? } else { -1 },
            });
            start = end;
        }
        Some(())
    }

    pub(crate) fn push(&mut self, name: &[u8], value: &[u8], lower_case: bool) {
        self.push_with(|bytes| {
            let start = bytes.len();
            bytes.extend_from_slice(name);
            if lower_case {
                bytes[start..].make_ascii_lowercase();
            }
            let name_end = bytes.len();
            bytes.extend_from_slice(value);
            (name_end, true)
        });
    }
}
