//! Ends runs that take too much CPU time, or whose VM holds too much memory.
//!
//! A thread beside the VM's looks every now and then whether the same run still goes on. If so it sends a signal, whose
//! handler is on the VM's own thread and, where a bound is crossed, installs a hook: LuaJIT is built such that compiled
//! loops heed it. The hook raises an error at whatever is executed next, again and again, until the run has ended, so
//! `pcall` does not help. A run that ends soon costs two stores.
//!
//! What is bounded is the time between two waits, because that is what holds up others. A function of C is not
//! interrupted; the error comes when it returns.

use std::{
    cell::Cell,
    ffi::{CStr, c_int},
    io::Write as _,
    mem::MaybeUninit,
    ptr,
    sync::{
        Arc, Condvar, Mutex, Once, PoisonError,
        atomic::{AtomicBool, AtomicPtr, AtomicU32, AtomicU64, Ordering::Relaxed},
    },
    thread::JoinHandle,
    time::Duration,
};

use mlua::ffi;

use crate::{
    background::{self, Yielding},
    flame::{Label, probe},
    usage::Limits,
};

/// Urgent data on a socket: nobody uses it, and who gets it unasked ignores it.
pub(crate) const SIGNAL: c_int = libc::SIGURG;

/// Looks in a budget's time. More would find an overrun sooner.
const LOOKS: u64 = 4;

/// Time between two looks, within this.
const LOOK_EVERY: (Duration, Duration) = (Duration::from_millis(2), Duration::from_millis(50));

/// Time between two looks where somebody is told of runs that hold up their thread, while there are any runs; and for how
/// many looks that goes on after the last.
const LOOK_CLOSELY: Duration = Duration::from_millis(2);
const CLOSE_LOOKS: u32 = 500;

/// A run that uses so much is found to hold up its thread: one that goes on from one close look to the next.
const HELD: Duration = Duration::from_micros(1_500);

/// A run that held up its thread for less than that has only runs which are long found to do so for as long after it: where
/// each takes some milliseconds it would cost more to help those out who wait than to have them wait.
const HELD_APART: Duration = Duration::from_millis(100);

/// A run that uses so much without a wait is long: others notice. One that is no longer than the time between two
/// looks may not be found out.
const LONG: Duration = Duration::from_millis(10);

thread_local! {
    /// Of the VM that runs on this thread.
    static RUNNING: Cell<*const Watched> = const { Cell::new(ptr::null()) };
}

/// Watches one VM.
pub(crate) struct Watch {
    watched: Arc<Watched>,
    stop: Arc<Stop>,
    watchdog: Option<JoinHandle<()>>,
}

/// What the VM's thread, its signal handler and the watchdog share.
struct Watched {
    /// Odd while a run goes on, and never the same for two.
    run: AtomicU64,
    /// The run that has used up its time.
    overdue: AtomicU64,
    /// The last run that was seen to be long.
    long: AtomicU64,
    hooked: AtomicBool,
    main: AtomicPtr<ffi::lua_State>,
    /// What tells the prelude that the run is being ended; of the VM's thread alone.
    ending: AtomicPtr<i32>,
    /// What the run may use in nanoseconds; 0: all it wants.
    cpu_ns: AtomicU64,
    /// The bounds as the script is told them.
    told_ns: AtomicU64,
    told_bytes: AtomicU64,
    /// The time there would be for what has not run away; 0: this has not.
    instead_of_ns: AtomicU64,
    /// Time between two looks.
    pause_ns: AtomicU64,
    /// Whose run it is.
    label: AtomicU32,
    /// Which of the two bounds was crossed.
    is_large: AtomicBool,
}

impl Watch {
    /// For the VM of `main` on the thread that calls; `None` if there can be no thread. `ending` is written to while runs
    /// are ended, and lives as long as the VM.
    pub(crate) fn new(
        main: *mut ffi::lua_State,
        ending: *mut i32,
        onlooker: Option<Box<dyn Onlooker>>,
    ) -> Option<Self> {
        handle_signal();
        let watched = Arc::new(Watched {
            run: AtomicU64::new(0),
            overdue: AtomicU64::new(0),
            long: AtomicU64::new(0),
            hooked: AtomicBool::new(false),
            main: AtomicPtr::new(main),
            ending: AtomicPtr::new(ending),
            cpu_ns: AtomicU64::new(0),
            told_ns: AtomicU64::new(0),
            told_bytes: AtomicU64::new(0),
            instead_of_ns: AtomicU64::new(0),
            pause_ns: AtomicU64::new(nanos(LOOK_EVERY.1)),
            label: AtomicU32::new(0),
            is_large: AtomicBool::new(false),
        });
        let stop: Arc<Stop> = Arc::default();
        // SAFETY: it has no precondition. The thread it names lives for as long as the VM, which joins the watchdog.
        let thread = unsafe { (libc::pthread_self(), libc::gettid()) };
        let (shared, stopped) = (Arc::clone(&watched), Arc::clone(&stop));
        let watchdog = std::thread::Builder::new()
            .name("lua-watchdog".into())
            .spawn(move || watch(&shared, thread, &stopped, onlooker))
            .ok()?;
        Some(Self { watched, stop, watchdog: Some(watchdog) })
    }

    /// A run begins that may use so much. Memory is not for this to watch, but to tell about.
    pub(crate) fn begin(&self, limits: &Limits, label: Label) {
        let watched = &*self.watched;
        watched.label.store(label.number(), Relaxed);
        let cpu = nanos(limits.next.cpu);
        watched.cpu_ns.store(cpu, Relaxed);
        watched.told_ns.store(nanos(limits.told.cpu), Relaxed);
        watched.told_bytes.store(limits.told.memory_bytes, Relaxed);
        watched.instead_of_ns.store(nanos(limits.instead_of), Relaxed);
        // What runs away is looked at closely anyway, and others should not be.
        if cpu > 0 && limits.instead_of.is_zero() && cpu / LOOKS < watched.pause_ns.load(Relaxed) {
            watched.pause_ns.store((cpu / LOOKS).max(nanos(LOOK_EVERY.0)), Relaxed);
        }
        RUNNING.set(Arc::as_ptr(&self.watched));
        watched.run.store(watched.run.load(Relaxed) + 1, Relaxed);
        if limits.next.cpu == Limits::SPENT {
            watched.interrupt(false);
        }
    }

    /// Something begins that is no run, and bounded by nothing, but that holds up the thread as one does.
    pub(crate) fn begin_chore(&self) {
        self.watched.cpu_ns.store(0, Relaxed);
        self.watched.run.store(self.watched.run.load(Relaxed) + 1, Relaxed);
    }

    /// What was begun has ended.
    pub(crate) fn end(&self) -> Ended {
        let run = self.watched.run.load(Relaxed);
        self.watched.run.store(run + 1, Relaxed);
        RUNNING.set(ptr::null());
        // Set on this thread alone, by its signal handler, which does nothing once the run has ended.
        let hooked = self.watched.hooked.load(Relaxed);
        if hooked {
            self.watched.hooked.store(false, Relaxed);
            // SAFETY: the state lives and is of this thread, and does not run. Nobody else looks at the flag now.
            unsafe {
                ffi::lua_sethook(self.watched.main.load(Relaxed), None, 0, 0);
                *self.watched.ending.load(Relaxed) = 0;
            }
        }
        if hooked {
            Ended::CutOff
        } else if self.watched.long.load(Relaxed) == run {
            Ended::Late
        } else {
            Ended::Soon
        }
    }

    /// What a run is told that holds too much.
    pub(crate) fn too_large(&self) -> String {
        format!("memory limit of {} KiB reached", self.watched.told_bytes.load(Relaxed) >> 10)
    }
}

/// How a run came to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    Soon,
    /// It was a long one.
    Late,
    /// It crossed a bound and was made to end.
    CutOff,
}

fn nanos(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}

impl Drop for Watch {
    fn drop(&mut self) {
        *self.stop.0.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.stop.1.notify_all();
        if let Some(watchdog) = self.watchdog.take() {
            let _ = watchdog.join(); // It does not panic, and if it did there is nothing to watch any more.
        }
    }
}

/// Who is told, on a thread of its own, of runs that hold up the thread they are on.
pub trait Onlooker: Send {
    /// A run has used some milliseconds and goes on; called again and again while it does. May take about as long as
    /// `within`. If the run is long enough to be told from others, `by` says whose it is.
    fn look(&mut self, by: Option<Label>, within: Duration);

    /// The last such run has ended.
    fn look_away(&mut self);
}

type Stop = (Mutex<bool>, Condvar);

/// Waits for so long; says whether there is nothing to watch any more.
fn has_stopped(stop: &Stop, within: Duration) -> bool {
    let stopped = stop.0.lock().unwrap_or_else(PoisonError::into_inner);
    *stopped || *stop.1.wait_timeout(stopped, within).unwrap_or_else(PoisonError::into_inner).0
}

fn watch(
    watched: &Watched,
    (thread, number): (libc::pthread_t, libc::pid_t),
    stop: &Stop,
    mut onlooker: Option<Box<dyn Onlooker>>,
) {
    // Refused, it comes when it comes.
    let _ = background::come_first();
    let (mut seen, mut since) = (0, Duration::ZERO);
    // While a run holds up the thread, that lets others have the processor if it can.
    let (mut close_looks, mut held, mut released) = (0, None, None);
    loop {
        let usual = Duration::from_nanos(watched.pause_ns.load(Relaxed));
        let pause = if close_looks > 0 { usual.min(LOOK_CLOSELY) } else { usual };
        if held.is_none() && has_stopped(stop, pause) {
            return;
        }
        let run = watched.run.load(Relaxed);
        if run != seen || run.is_multiple_of(2) {
            if let (Some(onlooker), Some((_, from))) = (&mut onlooker, held.take()) {
                onlooker.look_away();
                let now = elapsed_time();
                released = (now.saturating_sub(from) < HELD_APART).then_some(now);
            }
            let goes_on = run != seen && onlooker.is_some();
            close_looks = if goes_on { CLOSE_LOOKS } else { close_looks.saturating_sub(1) };
            (seen, since) = (run, if run.is_multiple_of(2) { since } else { cpu_time(thread) });
            continue;
        }
        let used = cpu_time(thread).saturating_sub(since);
        // With close looks much more would be found to be long.
        let is_long = used >= if onlooker.is_some() { LONG.max(usual) } else { LONG };
        if is_long {
            watched.long.store(run, Relaxed);
        }
        let allowed = watched.cpu_ns.load(Relaxed);
        if allowed > 0 && nanos(used) >= allowed {
            watched.overdue.store(run, Relaxed);
            // SAFETY: the thread lives: the VM, which is of it, joins this one before it is gone.
            unsafe { libc::pthread_kill(thread, SIGNAL) };
        }
        if let Some(onlooker) = &mut onlooker {
            if held.is_none() && used >= held_from(released) {
                held = Some((Yielding::new(number), elapsed_time()));
            }
            if held.is_some() {
                onlooker.look(is_long.then(|| Label::of(watched.label.load(Relaxed))), pause);
                if has_stopped(stop, Duration::ZERO) {
                    return;
                }
            }
        }
    }
}

/// What a run uses that holds up its thread, where the last that did so for a short time ended then.
fn held_from(released: Option<Duration>) -> Duration {
    let is_soon = released.is_some_and(|at| elapsed_time().saturating_sub(at) < HELD_APART);
    if is_soon { LONG } else { HELD }
}

/// Time that passes; from when on is not said. Only what runs take is measured by it: scripts see the worker's clock.
pub(crate) fn elapsed_time() -> Duration {
    clock(libc::CLOCK_MONOTONIC)
}

fn clock(id: libc::clockid_t) -> Duration {
    let mut time = MaybeUninit::<libc::timespec>::zeroed();
    // SAFETY: it writes to what it is given and nothing else. A zeroed time is one.
    let time = unsafe {
        libc::clock_gettime(id, time.as_mut_ptr());
        time.assume_init()
    };
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or_default())
}

/// What the thread that calls has used of its processor's time.
pub(crate) fn own_cpu_time() -> Duration {
    // SAFETY: it has no precondition.
    cpu_time(unsafe { libc::pthread_self() })
}

/// What a thread has used of its processor's time.
pub(crate) fn cpu_time(thread: libc::pthread_t) -> Duration {
    let mut id = 0;
    // SAFETY: the thread lives, as above; it writes to what it is given and nothing else.
    if unsafe { libc::pthread_getcpuclockid(thread, &raw mut id) } != 0 {
        return Duration::ZERO;
    }
    clock(id)
}

pub(crate) fn handle_signal() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // SAFETY: the action is zeroed, which is valid, and then filled in; its handler only does what a handler may.
        unsafe {
            let mut action = MaybeUninit::<libc::sigaction>::zeroed().assume_init();
            action.sa_sigaction = on_signal as extern "C" fn(c_int) as libc::sighandler_t;
            action.sa_flags = libc::SA_RESTART;
            libc::sigemptyset(&raw mut action.sa_mask);
            libc::sigaction(SIGNAL, &raw const action, ptr::null_mut());
        }
    });
}

/// On the VM's thread, wherever it is: reads and writes a few words and nothing else.
extern "C" fn on_signal(_: c_int) {
    if probe::is_sampling() {
        return;
    }
    probe::tick();
    let running = RUNNING.get();
    // SAFETY: it is set only while its VM runs on this thread, and that holds it.
    let Some(watched) = (unsafe { running.as_ref() }) else { return };
    let run = watched.run.load(Relaxed);
    if !run.is_multiple_of(2) && watched.overdue.load(Relaxed) == run {
        if probe::is_on() && watched.hooked.load(Relaxed) {
            // LuaJIT forgets a hook that is installed while it begins to take a sample.
            watched.hook();
        }
        watched.interrupt(false);
    }
}

/// The run on this thread holds more memory than it may.
pub(crate) fn too_large() {
    let running = RUNNING.get();
    // SAFETY: as above.
    if let Some(watched) = unsafe { running.as_ref() } {
        watched.interrupt(true);
    }
}

impl Watched {
    fn interrupt(&self, is_large: bool) {
        if self.hooked.load(Relaxed) {
            return;
        }
        self.is_large.store(is_large, Relaxed);
        self.hooked.store(true, Relaxed);
        self.hook();
    }

    fn hook(&self) {
        let mask = ffi::LUA_MASKCALL | ffi::LUA_MASKRET | ffi::LUA_MASKCOUNT;
        // SAFETY: the state lives and is of this thread. LuaJIT's own interpreter installs hooks from a signal handler,
        // so that can be done at any point of a run.
        unsafe { ffi::lua_sethook(self.main.load(Relaxed), Some(raise), mask, 1) };
    }

    /// Why the run is ended, as a text of C in `buffer`.
    fn reason<'b>(&self, buffer: &'b mut [u8; 128]) -> &'b CStr {
        let mut rest = &mut buffer[..];
        let time = |of: &AtomicU64| Duration::from_nanos(of.load(Relaxed));
        let (told, instead_of) = (time(&self.told_ns), time(&self.instead_of_ns));
        let told = if self.is_large.load(Relaxed) {
            write!(rest, "memory limit of {} KiB reached\0", self.told_bytes.load(Relaxed) >> 10)
        } else if instead_of.is_zero() {
            write!(rest, "CPU budget of {told:?} used up\0")
        } else {
            write!(
                rest,
                "CPU budget of {told:?} used up, which is {instead_of:?} where Lua has not run away of late\0"
            )
        };
        let text = told.ok().and_then(|()| CStr::from_bytes_until_nul(buffer).ok());
        text.unwrap_or(c"budget used up")
    }
}

/// Raises an error where the run is, unless that is the host's own code or a function of C, which soon end.
unsafe extern "C-unwind" fn raise(state: *mut ffi::lua_State, place: *mut ffi::lua_Debug) {
    // SAFETY: a hook is called with room on the stack and with a place that can be asked about; its source is a text.
    // Nothing here has to be dropped when the error unwinds it; the flag outlives the run.
    unsafe {
        let Some(watched) = RUNNING.get().as_ref() else { return };
        let known = ffi::lua_getinfo(state, c"S".as_ptr(), place) != 0;
        let source = if known { CStr::from_ptr((*place).source).to_bytes() } else { b"" };
        if source.starts_with(b"=ngx.") || source == b"=[C]" {
            return;
        }
        *watched.ending.load(Relaxed) = 1;
        let mut buffer = [0; 128];
        let text = watched.reason(&mut buffer);
        ffi::luaL_where(state, 0);
        ffi::lua_pushstring_(state, text.as_ptr());
        ffi::lua_concat(state, 2);
        ffi::lua_error(state)
    }
}
