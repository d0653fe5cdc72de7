//! What the host hands out and wants back: loaded handlers, suspended tasks, per-request state.
//!
//! All of them may be dropped at any moment, even from inside a call that Lua makes. So dropping
//! never touches the VM: it puts the number of what is no longer needed on a list that the VM shares
//! with everything it handed out, and the VM clears that list when it is used next. What outlives its
//! VM is harmless, and what comes back to a different VM is recognised by the list.

use std::{
    cell::{Cell, RefCell},
    ffi::c_int,
    fmt,
    rc::Rc,
    sync::Arc,
    time::Duration,
};

use mlua::ffi::{self, lua_State};
use tidegate_core::snapshot::Budget;

use crate::{
    Arguments, Choice, Choosing, Hello, Jump, Lent, Op, Order, Phase, ScriptError, Ticket, Usage,
    api::{body::Draft, capture::Captures},
    crew::Crew,
    flame::Label,
    socket::Owner,
    usage::Account,
};

/// Scripts that may be unloaded for each that is loaded, and besides, before what LuaJIT compiled of them is thrown away.
const TURNOVER: (usize, usize) = (2, 64);

/// What a VM may release.
#[derive(Default)]
pub(crate) struct Retired {
    /// References in the VM's registry: functions and threads.
    pub(crate) references: RefCell<Vec<c_int>>,
    /// Tables of `ngx.ctx` whose requests are over.
    pub(crate) ctx_tables: RefCell<Vec<i32>>,
    /// Numbers for tables of `ngx.ctx` that may be used again.
    pub(crate) ctx_free: RefCell<Vec<i32>>,
    ctx_made: Cell<i32>,
    /// Threads that were made and not dropped yet.
    threads: Cell<usize>,
    /// Scripts that are loaded, and those that were unloaded since somebody last asked.
    loaded: Cell<usize>,
    unloaded: Cell<usize>,
}

impl Retired {
    /// Threads that there are, idle ones among them.
    pub(crate) const fn threads(&self) -> usize {
        self.threads.get()
    }

    /// Whether more scripts were unloaded, since this last said so, than a few times those that are loaded.
    pub(crate) fn has_turned_over(&self) -> bool {
        let has = self.unloaded.get() > self.loaded.get() * TURNOVER.0 + TURNOVER.1;
        if has {
            self.unloaded.set(0);
        }
        has
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.references.borrow().is_empty() && self.ctx_tables.borrow().is_empty()
    }
}

/// A loaded script. Clones are the same one; it is unloaded when the last is dropped.
#[derive(Clone)]
pub struct Handler(Rc<Loaded>);

struct Loaded {
    reference: Reference,
    /// Why it cannot run, if it cannot.
    failure: Option<ScriptError>,
}

impl Handler {
    pub(crate) fn new(number: c_int, retired: &Rc<Retired>) -> Self {
        let reference = Reference { number, retired: Rc::clone(retired) };
        retired.loaded.set(retired.loaded.get() + 1);
        Self(Rc::new(Loaded { reference, failure: None }))
    }

    /// One that fails whenever it is started.
    pub(crate) fn failing(failure: ScriptError, retired: &Rc<Retired>) -> Self {
        let reference = Reference { number: ffi::LUA_NOREF, retired: Rc::clone(retired) };
        Self(Rc::new(Loaded { reference, failure: Some(failure) }))
    }

    pub(crate) fn reference(&self) -> c_int {
        self.0.reference.number
    }

    pub(crate) fn failure(&self) -> Option<&ScriptError> {
        self.0.failure.as_ref()
    }

    pub(crate) fn belongs_to(&self, retired: &Rc<Retired>) -> bool {
        Rc::ptr_eq(&self.0.reference.retired, retired)
    }
}

impl Drop for Loaded {
    fn drop(&mut self) {
        if self.failure.is_none() {
            let retired = &self.reference.retired;
            retired.loaded.set(retired.loaded.get() - 1);
            retired.unloaded.set(retired.unloaded.get() + 1);
        }
    }
}

impl fmt::Debug for Handler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handler").finish_non_exhaustive()
    }
}

/// Keeps a value in the registry of a VM.
pub(crate) struct Reference {
    number: c_int,
    retired: Rc<Retired>,
}

impl Drop for Reference {
    fn drop(&mut self) {
        self.retired.references.borrow_mut().push(self.number);
    }
}

/// A Lua thread and what keeps it alive.
pub(crate) struct Thread {
    pub(crate) state: *mut lua_State,
    reference: Reference,
}

impl Thread {
    pub(crate) fn new(state: *mut lua_State, number: c_int, retired: &Rc<Retired>) -> Self {
        retired.threads.set(retired.threads.get() + 1);
        Self { state, reference: Reference { number, retired: Rc::clone(retired) } }
    }

    pub(crate) const fn number(&self) -> c_int {
        self.reference.number
    }
}

impl Drop for Thread {
    fn drop(&mut self) {
        let threads = &self.reference.retired.threads;
        threads.set(threads.get() - 1);
    }
}

/// A run that waits. Dropping it abandons the run: nothing of it is executed any more.
#[must_use = "dropping a task abandons it"]
pub struct Task {
    pub(crate) phase: Phase,
    pub(crate) run: Run,
}

/// What there is of a run.
pub(crate) enum Run {
    /// Only its entry thread, with what that waits for until somebody has asked.
    Single(Thread, Option<Op>),
    Crew(Box<Crew>),
}

impl Task {
    /// What is to be begun or ended now, one after the other. Whenever something that was begun is done,
    /// [`Vm::resume`](crate::Vm::resume) is told.
    pub fn order(&mut self) -> Option<Order> {
        match &mut self.run {
            Run::Single(_, op) => op.take().map(|op| Order::Begin(Ticket::ENTRY, op)),
            Run::Crew(crew) => crew.order(),
        }
    }

    /// What is to be begun, if it is all that the run waits for and will wait for until it is done.
    pub fn sole_op(&mut self) -> Option<Op> {
        match &mut self.run {
            Run::Single(_, op) => op.take(),
            Run::Crew(_) => None,
        }
    }

    pub(crate) fn belongs_to(&self, retired: &Rc<Retired>) -> bool {
        let thread = match &self.run {
            Run::Single(thread, _) => thread,
            Run::Crew(crew) => crew.any(),
        };
        Rc::ptr_eq(&thread.reference.retired, retired)
    }
}

impl fmt::Debug for Task {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Task").field("phase", &self.phase).finish_non_exhaustive()
    }
}

/// What the host keeps of a request between phases; lives in the proxy's exchange.
///
/// [`Vm::finish`](crate::Vm::finish) releases it at once. Dropping it is just as good, only that the
/// table of `ngx.ctx` then stays in memory until the VM is used next.
pub struct RequestState {
    pub(crate) ctx: Option<CtxSlot>,
    /// The sockets that it has opened.
    pub(crate) sockets: Option<Owner>,
    pub arguments: Arguments,
    /// The client's connection, on its way to the script.
    pub lent: Option<Lent>,
    /// The client, if it speaks TLS.
    pub hello: Option<Arc<Hello>>,
    /// The certificate that it gets, while that can be chosen.
    pub choosing: Option<Box<Choosing>>,
    /// What a table of `ngx.ctx` shows of another that was there before it.
    pub heritage: Option<Heritage>,
    /// A body that a script puts together.
    pub(crate) draft: Option<Draft>,
    /// The requests that it makes.
    pub(crate) captures: Captures,
    /// What the balancer phase decides on, from its first run on.
    pub choice: Option<Box<Choice>>,
    /// Where the script that has just ended sends the request.
    pub jump: Option<Jump>,
    /// What its Lua may use up, beside what bounds every run.
    pub budget: Budget,
    /// What a stretch of it may take at most, where that is less than for every run: scripts like it have run away.
    pub left_to_stretch: Option<Duration>,
    /// The route that it is served by, for recordings.
    pub label: Label,
    pub(crate) account: Account,
}

impl Default for RequestState {
    fn default() -> Self {
        Self {
            ctx: None,
            sockets: None,
            arguments: Arguments::default(),
            lent: None,
            hello: None,
            choosing: None,
            heritage: None,
            draft: None,
            captures: Captures::default(),
            choice: None,
            jump: None,
            budget: Budget::NONE,
            left_to_stretch: None,
            label: Label::default(),
            account: Account::default(),
        }
    }
}

impl RequestState {
    /// Of a request, or a handshake, whose client speaks TLS if there is what it said first.
    pub fn with_client(hello: Option<Arc<Hello>>) -> Self {
        Self { hello, ..Self::default() }
    }

    /// What its Lua took since this was asked last.
    #[inline]
    pub fn take_usage(&mut self) -> Usage {
        self.account.take()
    }
}

impl fmt::Debug for RequestState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestState").field("ctx", &self.ctx.is_some()).finish_non_exhaustive()
    }
}

/// The table of `ngx.ctx` of a handshake, which requests of the connection see through theirs.
#[derive(Clone)]
pub struct Heritage(Rc<CtxSlot>);

impl Heritage {
    /// Takes it from a run that has ended.
    pub fn of(state: &mut RequestState) -> Option<Self> {
        state.ctx.take().map(|slot| Self(Rc::new(slot)))
    }

    pub(crate) fn slot(&self) -> &CtxSlot {
        &self.0
    }
}

impl fmt::Debug for Heritage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Heritage").finish_non_exhaustive()
    }
}

/// The right to one table of `ngx.ctx`.
pub(crate) struct CtxSlot {
    number: i32,
    retired: Rc<Retired>,
}

impl CtxSlot {
    pub(crate) fn new(retired: &Rc<Retired>) -> Self {
        let free = retired.ctx_free.borrow_mut().pop();
        let number = free.unwrap_or_else(|| {
            let made = retired.ctx_made.get() + 1;
            retired.ctx_made.set(made);
            made
        });
        Self { number, retired: Rc::clone(retired) }
    }

    pub(crate) const fn number(&self) -> i32 {
        self.number
    }

    pub(crate) fn belongs_to(&self, retired: &Rc<Retired>) -> bool {
        Rc::ptr_eq(&self.retired, retired)
    }
}

impl Drop for CtxSlot {
    fn drop(&mut self) {
        self.retired.ctx_tables.borrow_mut().push(self.number);
    }
}
