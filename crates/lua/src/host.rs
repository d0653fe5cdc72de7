//! What one VM knows outside of Lua: the exchange that runs now, the time, the dictionaries, the log.
//!
//! The prelude holds the address of the [`Host`] and passes it to every export. Results that are not
//! numbers come back through the [`Block`] at its start, which the prelude reads like a C struct: a
//! byte slice there points into the exchange or into the host's scratch space, and is made a Lua
//! string before anything else is called.
//!
//! A finalizer can run wherever Lua allocates, also between a call and the reading of what it gave. It is
//! told by the collector being stopped meanwhile, finds no request, and has a scratch space of its own, so that
//! what was given before stays valid.
//!
//! Invariant: `current` is set exactly while Lua runs for a request, and points to the exchange that
//! [`Vm::start`](crate::Vm::start) or [`Vm::resume`](crate::Vm::resume) borrowed mutably for that long. Where there is
//! no request, the same holds for `alone`.

use std::{
    cell::{Cell, OnceCell, RefCell},
    ffi::c_int,
    ptr::{self, NonNull},
    rc::Rc,
    sync::Arc,
};

use mlua::ffi::{lua_State, lua_gc};
use slab::Slab;
use tidegate_core::snapshot::LuaSettings;

use self::scratch::{Pair, PairList, Scratch};
use crate::{
    Level, Line, Log, LogRing, Op, Phase, RequestState, Ticket,
    crew::Crew,
    dict::SharedDict,
    exchange::Exchange,
    flame::Ground,
    jobs::Jobs,
    now::Now,
    regex::Engine,
    semaphore::Semaphore,
    socket::Sockets,
    task::{CtxSlot, Heritage, Retired},
    timer::Timers,
};

mod scratch;

/// What an export answers; errors of its own are positive or between these.
pub(crate) const OK: i32 = 0;
/// There is no such thing.
pub(crate) const MISSING: i32 = -5;
/// No request is being served.
pub(crate) const NO_REQUEST: i32 = -100;

/// Which of a node's workers a VM belongs to: `ngx.worker.id()` and `ngx.worker.count()`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WorkerIdentity {
    /// From 0.
    pub id: u32,
    pub count: u32,
}

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
        int32_t collector_stopped;
        int32_t ending;
        int32_t pause_is_set;
        int32_t collections;
        int32_t collector_pause;
        int32_t turnovers;
    };
";

/// Types that resty.core declares, as it is always loaded there: libraries take them for granted.
pub(crate) const CORE_TYPES: &str = "
    typedef struct ngx_http_request_s ngx_http_request_t;
    typedef struct { size_t len; const unsigned char *data; } ngx_str_t;
    typedef struct { int len; const unsigned char *data; } ngx_http_lua_ffi_str_t;
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
    /// Whether a script stopped the garbage collector.
    pub(crate) collector_stopped: Cell<i32>,
    /// Whether the run has used up its budget and is being ended.
    pub(crate) ending: Cell<i32>,
    /// Whether a script has set the collector's pace.
    pub(crate) pause_is_set: Cell<i32>,
    /// How often the collector has come to its end.
    pub(crate) collections: Cell<i32>,
    /// What memory may grow to before it begins again, in percent.
    pub(crate) collector_pause: Cell<i32>,
    /// How often most scripts have been replaced by others.
    pub(crate) turnovers: Cell<i32>,
}

/// What a yield of the running thread means to the host.
#[derive(Debug)]
pub(crate) enum Pending {
    Exit(u16),
    Wait(Op),
    /// Waits for subrequests, which nothing may cut off.
    Capture(Op),
    /// A light thread with this ticket begins; it and its arguments are yielded.
    Spawn(Ticket),
    /// A thread with this ticket begins if the client goes away; it is yielded.
    Watch(Ticket),
    /// Waits for the children that it said it expects.
    Join,
    /// Wants the results of a child that has ended.
    Collect(Ticket),
}

/// For whom Lua runs.
pub(crate) enum Scene<'a> {
    Request(&'a mut dyn Exchange),
    /// For no request: a timer, or the start of a worker.
    Alone(&'a mut RequestState),
}

/// Values that belong together, one behind the other.
#[derive(Default)]
struct Staged {
    bytes: Vec<u8>,
    /// Where each ends.
    ends: Vec<usize>,
}

impl Scene<'_> {
    pub(crate) fn state(&mut self) -> &mut RequestState {
        match self {
            Self::Request(exchange) => exchange.state(),
            Self::Alone(state) => state,
        }
    }
}

#[repr(C)]
pub(crate) struct Host {
    pub(crate) block: Block,
    current: Cell<Option<NonNull<dyn Exchange>>>,
    /// That of a run without an exchange.
    alone: Cell<Option<NonNull<RequestState>>>,
    /// The light threads of the run, if it has any besides its first.
    pub(crate) crew: RefCell<Option<Box<Crew>>>,
    tickets: Cell<u32>,
    pub(crate) pending: Cell<Option<Pending>>,
    pub(crate) now: Cell<Now>,
    pub(crate) worker: WorkerIdentity,
    pub(crate) dicts: RefCell<Vec<Arc<SharedDict>>>,
    pub(crate) retired: Rc<Retired>,
    pub(crate) regex: Engine,
    pub(crate) flame: Ground,
    /// Garbage is being collected between two runs.
    pub(crate) is_collecting: Cell<bool>,
    /// Whether `ngx.header.a_b` is the header `a-b`.
    pub(crate) hyphenates: Cell<bool>,
    pub(crate) log: Log,
    /// What `ngx.errlog.get_logs` reads, if lines are kept.
    pub(crate) log_ring: OnceCell<Arc<LogRing>>,
    /// Of `ngx.run_worker_thread`; set once the VM is made.
    pub(crate) jobs: OnceCell<Jobs>,
    /// `None` while the VM is being made.
    main: Cell<Option<NonNull<lua_State>>>,
    scratch: Scratch,
    finalizer_scratch: Scratch,
    /// The values of a header that is about to be set.
    staged: RefCell<Staged>,
    pub(crate) sockets: Sockets,
    pub(crate) timers: Timers,
    pub(crate) semaphores: RefCell<Slab<Semaphore>>,
    /// Why the last call about a socket failed.
    pub(crate) reason: RefCell<String>,
}

impl Host {
    pub(crate) fn new(worker: WorkerIdentity, log: Log, sockets: Sockets, settings: &LuaSettings) -> Self {
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
                collector_stopped: Cell::new(0),
                ending: Cell::new(0),
                pause_is_set: Cell::new(0),
                collections: Cell::new(0),
                collector_pause: Cell::new(200),
                turnovers: Cell::new(0),
            },
            current: Cell::new(None),
            alone: Cell::new(None),
            crew: RefCell::default(),
            tickets: Cell::new(0),
            pending: Cell::new(None),
            now: Cell::default(),
            worker,
            dicts: RefCell::default(),
            retired: Rc::default(),
            regex: Engine::new(),
            flame: Ground::new(settings),
            is_collecting: Cell::new(false),
            hyphenates: Cell::new(true),
            log,
            log_ring: OnceCell::new(),
            jobs: OnceCell::new(),
            main: Cell::new(None),
            scratch: Scratch::default(),
            finalizer_scratch: Scratch::default(),
            staged: RefCell::default(),
            sockets,
            timers: Timers::new(settings.max_pending_timers, settings.max_running_timers),
            semaphores: RefCell::default(),
            reason: RefCell::default(),
        }
    }

    /// Makes `scene` what Lua sees, until [`Host::leave`].
    pub(crate) fn enter(&self, scene: &mut Scene<'_>, phase: Phase) {
        match scene {
            Scene::Request(exchange) => {
                let exchange = NonNull::from(&mut **exchange);
                // SAFETY: this only forgets how long the exchange lives. The caller holds the mutable borrow
                // until it calls `leave`, and nothing keeps the pointer after that.
                let exchange = unsafe {
                    std::mem::transmute::<NonNull<dyn Exchange + '_>, NonNull<dyn Exchange>>(exchange)
                };
                self.current.set(Some(exchange));
            }
            Scene::Alone(state) => self.alone.set(Some(NonNull::from(&mut **state))),
        }
        self.block.phase.set(phase as i32);
    }

    pub(crate) fn leave(&self) {
        self.current.set(None);
        self.alone.set(None);
        self.block.phase.set(0);
    }

    /// A ticket that no light thread has had.
    pub(crate) fn new_ticket(&self) -> Option<Ticket> {
        let ticket = self.tickets.get().checked_add(1)?;
        self.tickets.set(ticket);
        Some(Ticket(ticket))
    }

    /// Hands what is kept for the request, or for the run that has none, to `f`.
    pub(crate) fn with_state<R>(&self, f: impl FnOnce(&mut RequestState) -> R) -> Option<R> {
        if self.finalizing() {
            return None;
        }
        let Some(mut state) = self.alone.take() else { return self.with(|exchange| f(exchange.state())) };
        // SAFETY: as for an exchange: it is borrowed mutably for as long as Lua runs, and the pointer was taken
        // out, so no second reference can be made inside of the call.
        let result = f(unsafe { state.as_mut() });
        self.alone.set(Some(state));
        Some(result)
    }

    /// `main` is the thread of a Lua state that ends before the host does.
    pub(crate) fn set_main(&self, main: *mut lua_State) {
        self.main.set(NonNull::new(main));
    }

    /// Its thread that idles between runs; `None` while the VM is being made.
    pub(crate) fn main(&self) -> Option<*mut lua_State> {
        self.main.get().map(NonNull::as_ptr)
    }

    /// Whether a finalizer is what calls.
    pub(crate) fn finalizing(&self) -> bool {
        /// What `lua_gc` is asked: LuaJIT's own `LUA_GCISRUNNING`.
        const IS_RUNNING: c_int = 9;
        let Some(main) = self.main.get() else { return false };
        if self.block.collector_stopped.get() != 0 {
            return false;
        }
        // SAFETY: the state outlives its calls. The question reads one field of it and nothing else, which is fine
        // even from compiled code.
        unsafe { lua_gc(main.as_ptr(), IS_RUNNING, 0) == 0 }
    }

    /// Makes a yield that follows wait for `op`; the prelude then calls `kit.wait()`, which answers with the reply.
    pub(crate) fn wait_for(&self, op: Op) -> i32 {
        self.will_yield_for(Pending::Wait(op))
    }

    /// Notes what a yield that follows will mean. A finalizer cannot yield, and must not leave a meaning behind.
    pub(crate) fn will_yield_for(&self, pending: Pending) -> i32 {
        if self.finalizing() {
            return NO_REQUEST;
        }
        self.pending.set(Some(pending));
        OK
    }

    /// Hands the running exchange to `f`; `None` when no request is being served.
    pub(crate) fn with<R>(&self, f: impl FnOnce(&mut dyn Exchange) -> R) -> Option<R> {
        if self.finalizing() {
            return None;
        }
        // Taken out for the call, so that no second borrow can be made inside of it.
        let mut current = self.current.take()?;
        // SAFETY: by the invariant of this module it points to an exchange that is borrowed
        // mutably for as long as Lua runs, and this is the only reference made from it.
        let result = f(unsafe { current.as_mut() });
        self.current.set(Some(current));
        Some(result)
    }

    pub(crate) fn set_now(&self, now: Now) {
        self.now.set(now);
        self.block.now.set((now.wall.as_micros() / 1_000) as f64 / 1e3);
    }

    pub(crate) fn log(&self, level: Level, text: &str) {
        let (phase, at) = (Phase::from_bit(self.block.phase.get()), self.now.get().wall);
        let of_request = self.with(|exchange| {
            (self.log)(&Line { level, text, at, phase, exchange: Some(exchange) });
        });
        if of_request.is_none() {
            (self.log)(&Line { level, text, at, phase, exchange: None });
        }
    }

    /// Somebody who sleeps is not going to be woken: in words that OpenResty's users look for.
    pub(crate) fn tell_of_sleep(&self) {
        if self.block.log_level.get() >= Level::Debug as i32 {
            self.log(Level::Debug, "lua clean up the timer for pending ngx.sleep");
        }
    }

    /// Points the block's `bytes` at a slice that outlives the call.
    pub(crate) fn give(&self, bytes: &[u8]) -> i32 {
        let Ok(length) = i32::try_from(bytes.len()) else { return MISSING };
        self.block.bytes.set(bytes.as_ptr());
        self.block.length.set(length);
        OK
    }

    /// Points the block's `bytes` at what `write` appends to nothing.
    pub(crate) fn give_written(&self, write: impl FnOnce(&mut Vec<u8>)) -> i32 {
        self.scratch().write(write, |bytes| self.give(bytes))
    }

    /// Points the block's `pairs` at what `fill` adds; answers how many, or [`MISSING`] when Lua cannot be told.
    pub(crate) fn give_pairs(&self, fill: impl FnOnce(&mut PairList)) -> i32 {
        self.scratch().list(fill, |pairs| {
            let Some((pairs, count)) =
                pairs.and_then(|pairs| Some((pairs, i32::try_from(pairs.len()).ok()?)))
            else {
                return MISSING;
            };
            self.block.pairs.set(pairs.as_ptr());
            count
        })
    }

    fn scratch(&self) -> &Scratch {
        if self.finalizing() { &self.finalizer_scratch } else { &self.scratch }
    }

    /// Keeps a value of a header that is about to be set.
    pub(crate) fn stage(&self, value: &[u8], first: bool) {
        if self.finalizing() {
            return; // It has no request, and what is staged is another's.
        }
        let staged = &mut *self.staged.borrow_mut();
        if first {
            staged.bytes.clear();
            staged.ends.clear();
        }
        staged.bytes.extend_from_slice(value);
        staged.ends.push(staged.bytes.len());
    }

    /// Notes why an operation on a socket failed, for who asks next.
    pub(crate) fn blame(&self, reason: String) {
        if !self.finalizing() {
            self.reason.replace(reason);
        }
    }

    /// Calls `f` with every value that was staged. It must not stage any.
    pub(crate) fn with_staged<R>(&self, f: impl FnOnce(&[&[u8]]) -> R) -> R {
        const FEW: usize = 8;
        let staged = self.staged.borrow();
        let value = |index: usize| {
            let start = if index == 0 { 0 } else { staged.ends[index - 1] };
            &staged.bytes[start..staged.ends[index]]
        };
        let count = staged.ends.len();
        if count <= FEW {
            let mut values = [&[][..]; FEW];
            for (index, place) in values[..count].iter_mut().enumerate() {
                *place = value(index);
            }
            return f(&values[..count]);
        }
        f(&(0..count).map(value).collect::<Vec<_>>())
    }

    /// The number of the `ngx.ctx` table of the running request; its first use takes a free one.
    pub(crate) fn ctx_slot(&self) -> i32 {
        let slot = self.with_state(|state| match &state.ctx {
            Some(slot) if slot.belongs_to(&self.retired) => slot.number(),
            _ => state.ctx.insert(CtxSlot::new(&self.retired)).number(),
        });
        slot.unwrap_or(NO_REQUEST)
    }

    /// The number of the table that the request's shows besides its own fields.
    pub(crate) fn ctx_heritage(&self) -> i32 {
        let slot = self.with_state(|state| {
            let slot = state.heritage.as_ref().map(Heritage::slot);
            slot.filter(|slot| slot.belongs_to(&self.retired)).map(CtxSlot::number)
        });
        slot.flatten().unwrap_or(MISSING)
    }
}
