//! LuaJIT's profiler at one VM.
//!
//! By itself it has a timer of the process, whose signal reaches any thread, and its handler changes the VM from there.
//! Here the timer is stopped at once and the handler taken away: it is called on the VM's own thread alone, when
//! somebody has [prodded](Victim::prod) that and Lua runs on it. The handler has LuaJIT call [`on_sample`] before the
//! next instruction, in compiled code as well.
//!
//! Invariant: who holds [`OWNED`] is the only one in the process who uses the profiler (scripts have no `jit.profile`),
//! and on its VM's thread. No bound of the budget is set while a sample is taken, because LuaJIT would lose it; the
//! watchdog tries again.

use std::{
    cell::{Cell, RefCell},
    ffi::{CStr, c_char, c_int, c_void},
    mem::MaybeUninit,
    ptr,
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use mlua::ffi::{self, lua_State};
use tidegate_core::{
    RouteId,
    flame::{Recording, Subject},
};

use super::{Label, frame};
use crate::{Phase, budget, host::Host};

/// Frames of a stack that are told; those further out are left out.
const DEPTH: c_int = 128;

/// Milliseconds between two signals of LuaJIT's own timer, which never comes to the first.
const NEVER: &CStr = c"li1000000";

type Callback = unsafe extern "C" fn(*mut c_void, *mut lua_State, c_int, c_int);

unsafe extern "C-unwind" {
    fn luaJIT_profile_start(
        state: *mut lua_State,
        mode: *const c_char,
        callback: Callback,
        data: *mut c_void,
    );
    fn luaJIT_profile_stop(state: *mut lua_State);
}

/// Whether a VM of the process has the profiler.
static OWNED: AtomicBool = AtomicBool::new(false);

thread_local! {
    /// At the VM of this thread.
    static PROBE: Cell<*const Probe> = const { Cell::new(ptr::null()) };
    static SAMPLING: Cell<bool> = const { Cell::new(false) };
}

/// A thread that samples are taken of.
pub(super) struct Victim {
    thread: libc::pthread_t,
    /// Nanoseconds that it has worked for, and no sample stands for yet.
    due: Arc<AtomicU64>,
}

impl Victim {
    pub(super) fn this_thread() -> Self {
        budget::handle_signal();
        // SAFETY: it has no precondition.
        Self { thread: unsafe { libc::pthread_self() }, due: Arc::default() }
    }

    /// What the thread, which has to live, has used of its processor's time.
    pub(super) fn cpu_time(&self) -> Duration {
        budget::cpu_time(self.thread)
    }

    /// Has the thread, which has to live, take a sample of what it does, that stands for so much of its time.
    pub(super) fn prod(&self, worked: Duration) {
        self.due.fetch_add(worked.as_nanos() as u64, Relaxed);
        // SAFETY: by the caller's word.
        unsafe { libc::pthread_kill(self.thread, budget::SIGNAL) };
    }
}

/// A VM that is looked at. It belongs to the VM's thread.
pub(crate) struct Probe {
    host: Rc<Host>,
    subject: Subject,
    due: Arc<AtomicU64>,
    /// What LuaJIT's timer would call.
    trigger: extern "C" fn(c_int),
    /// Of Lua that runs, for which no sample was taken yet; and of all else.
    pending_ns: Cell<u64>,
    other_ns: Cell<u64>,
    /// Of collecting between two runs.
    collected_ns: Cell<u64>,
    found: RefCell<Recording>,
    stack: RefCell<String>,
}

impl Probe {
    /// Takes the profiler, on the thread of the host's VM. `None`: it is taken.
    pub(super) fn begin(host: &Rc<Host>, victim: &Victim, subject: Subject) -> Option<Box<Self>> {
        let main = host.main()?;
        if OWNED.swap(true, Relaxed) {
            return None;
        }
        let mut probe = Box::new(Self {
            host: Rc::clone(host),
            subject,
            due: Arc::clone(&victim.due),
            trigger: nothing,
            pending_ns: Cell::new(0),
            other_ns: Cell::new(0),
            collected_ns: Cell::new(0),
            found: RefCell::default(),
            stack: RefCell::default(),
        });
        victim.due.store(0, Relaxed);
        // SAFETY: the state is valid, of this thread, and idle. The probe stays where it is until it is dropped, which
        // takes the callback away.
        unsafe {
            luaJIT_profile_start(main, NEVER.as_ptr(), on_sample, (&raw const *probe).cast_mut().cast());
        }
        probe.trigger = take_handler();
        PROBE.set(&raw const *probe);
        Some(probe)
    }

    /// Gives the profiler back, and tells what was seen.
    pub(super) fn end(self: Box<Self>) -> Recording {
        PROBE.set(ptr::null());
        let mut found = self.found.take();
        // What no sample was taken for any more.
        found.time.other += (self.other_ns.get() + self.collected_ns.get() + self.pending_ns.get()) / 1_000;
        found
    }

    /// The thread was prodded.
    fn tick(&self) {
        let worked = self.due.swap(0, Relaxed);
        if worked == 0 {
            return;
        }
        if self.host.block.phase.get() == 0 {
            let of = if self.host.is_collecting.get() { &self.collected_ns } else { &self.other_ns };
            of.set(of.get() + worked);
            return;
        }
        self.pending_ns.set(self.pending_ns.get() + worked);
        (self.trigger)(libc::SIGPROF);
    }

    /// Notes what is executed now.
    ///
    /// # Safety
    ///
    /// `state` is of this VM, and about to execute an instruction.
    unsafe fn sample(&self, state: *mut lua_State, vm_state: u8) {
        let micros = self.pending_ns.take() / 1_000;
        let mut found = self.found.borrow_mut();
        let label = self.host.with_state(|state| state.label).unwrap_or_default();
        let route = self.host.flame.route(label);
        if !self.is_wanted(route.as_ref()) {
            found.time.other_lua += micros;
            return;
        }
        let times = &mut found.time;
        let part = match vm_state {
            b'N' => &mut times.compiled,
            b'C' => &mut times.functions_of_c,
            b'G' => &mut times.garbage_collector,
            b'J' => &mut times.compiler,
            _ => &mut times.interpreted,
        };
        *part += micros;
        let mut stack = self.stack.borrow_mut();
        stack.clear();
        self.write_origin(route.as_ref(), Phase::from_bit(self.host.block.phase.get()), &mut stack);
        // SAFETY: by the caller's word.
        unsafe { write_frames(state, &self.host.flame.prefix, &mut stack) };
        match vm_state {
            b'G' => stack.push_str(";[garbage collector]"),
            b'J' => stack.push_str(";[compiler]"),
            _ => {}
        }
        found.samples += 1;
        found.add(&stack, micros);
    }

    /// Notes the time of collecting after a run of this route, in this phase.
    pub(crate) fn note_collection(&self, label: Label, phase: Phase) {
        let micros = self.collected_ns.take() / 1_000;
        if micros == 0 {
            return;
        }
        let mut found = self.found.borrow_mut();
        let route = self.host.flame.route(label);
        if !self.is_wanted(route.as_ref()) {
            found.time.other_lua += micros;
            return;
        }
        found.time.garbage_collector += micros;
        let mut stack = String::new();
        self.write_origin(route.as_ref(), Some(phase), &mut stack);
        stack.push_str(";[garbage collector]");
        found.samples += 1;
        found.add(&stack, micros);
    }

    /// Whether what runs for that route is what is looked at.
    fn is_wanted(&self, route: Option<&RouteId>) -> bool {
        self.host.flame.fleet.is_some() || self.subject.route().is_none_or(|of| Some(of) == route)
    }

    /// For whom it runs, and in which phase.
    fn write_origin(&self, route: Option<&RouteId>, phase: Option<Phase>, to: &mut String) {
        match (&self.host.flame.fleet, route) {
            (Some(fleet), _) => {
                to.push_str("fleet ");
                to.push_str(fleet.as_str());
            }
            (None, Some(route)) => {
                to.push_str("route ");
                to.push_str(route.as_str());
            }
            (None, None) => to.push_str("worker"),
        }
        to.push(';');
        to.push_str(phase.map_or("-", Phase::name));
    }
}

impl Drop for Probe {
    fn drop(&mut self) {
        PROBE.set(ptr::null());
        if let Some(main) = self.host.main() {
            // SAFETY: the VM, which holds this, lives, and is idle; and this is its thread.
            unsafe { luaJIT_profile_stop(main) };
        }
        OWNED.store(false, Relaxed);
    }
}

/// A signal has come, on whatever thread.
pub(crate) fn tick() {
    // SAFETY: it is set only while the probe lives, which is of this thread.
    if let Some(probe) = unsafe { PROBE.get().as_ref() } {
        probe.tick();
    }
}

/// Whether the VM of this thread is looked at.
pub(crate) fn is_on() -> bool {
    !PROBE.get().is_null()
}

/// Whether a sample is being taken on this thread.
pub(crate) fn is_sampling() -> bool {
    SAMPLING.get()
}

/// Stops the timer that LuaJIT has just started, and takes what it calls.
fn take_handler() -> extern "C" fn(c_int) {
    // SAFETY: both calls read and write what they are given and nothing else; zeroed values are valid, and mean no time,
    // and no action. What LuaJIT has just installed is such a function.
    unsafe {
        let never = MaybeUninit::<libc::itimerval>::zeroed().assume_init();
        libc::setitimer(libc::ITIMER_PROF, &raw const never, ptr::null_mut());
        let mut action = MaybeUninit::<libc::sigaction>::zeroed().assume_init();
        action.sa_sigaction = libc::SIG_IGN;
        let mut theirs = MaybeUninit::<libc::sigaction>::zeroed();
        if libc::sigaction(libc::SIGPROF, &raw const action, theirs.as_mut_ptr()) != 0 {
            return nothing;
        }
        match theirs.assume_init().sa_sigaction {
            libc::SIG_DFL | libc::SIG_IGN => nothing,
            handler => std::mem::transmute::<libc::sighandler_t, extern "C" fn(c_int)>(handler),
        }
    }
}

extern "C" fn nothing(_: c_int) {}

unsafe extern "C" fn on_sample(data: *mut c_void, state: *mut lua_State, _: c_int, vm_state: c_int) {
    SAMPLING.set(true);
    // SAFETY: LuaJIT calls it with what it was given, which lives for as long as it may; before the next instruction.
    unsafe { (*data.cast::<Probe>()).sample(state, vm_state as u8) };
    SAMPLING.set(false);
}

/// Appends the frames of a stack, the outermost first, and the line of the innermost.
///
/// # Safety
///
/// `state` is about to execute an instruction.
unsafe fn write_frames(state: *mut lua_State, prefix: &str, to: &mut String) {
    let mut about = MaybeUninit::<ffi::lua_Debug>::zeroed();
    // SAFETY: by the caller's word; a level that there is can be asked about, for what takes no room on the stack.
    let mut ask = |level: c_int, what: &CStr| unsafe {
        let is_there = ffi::lua_getstack(state, level, about.as_mut_ptr()) != 0;
        let known = is_there && ffi::lua_getinfo(state, what.as_ptr(), about.as_mut_ptr()) != 0;
        known.then_some(about.as_ptr())
    };
    let mut depth = 0;
    while depth <= DEPTH && ask(depth, c"S").is_some() {
        depth += 1;
    }
    if depth > DEPTH {
        to.push_str(";(further out)");
        depth = DEPTH;
    }
    for level in (0..depth).rev() {
        let Some(about) = ask(level, c"Snl") else { break };
        // SAFETY: it was just filled in; its texts live for as long as the functions that are being executed.
        let (about, text) = unsafe { (&*about, |text| CStr::from_ptr(text).to_string_lossy()) };
        let name = (!about.name.is_null()).then(|| text(about.name));
        let source = text(about.source);
        to.push(';');
        let is_outermost = level == depth - 1 && depth < DEPTH;
        let frame = frame::Frame {
            name: name.as_deref(),
            what: &text(about.what),
            source: &source,
            line: about.linedefined,
            is_outermost,
        };
        frame::write(&frame, prefix, to);
        if level == 0 {
            let before = to.len();
            to.push(';');
            if !frame::write_line(&source, about.currentline, prefix, to) {
                to.truncate(before);
            }
        }
    }
}
