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
    ffi::{CStr, CString, c_int},
    mem::MaybeUninit,
    ptr,
    sync::{
        Arc, Condvar, Mutex, Once, PoisonError,
        atomic::{AtomicBool, AtomicPtr, AtomicU64, Ordering::Relaxed},
    },
    thread::JoinHandle,
    time::Duration,
};

use mlua::ffi;
use tidegate_core::snapshot::Budget;

/// Urgent data on a socket: nobody uses it, and who gets it unasked ignores it.
const SIGNAL: c_int = libc::SIGURG;

/// Looks in a budget's time. More would find an overrun sooner.
const LOOKS: u32 = 4;

/// Time between two looks, within this.
const LOOK_EVERY: (Duration, Duration) = (Duration::from_millis(2), Duration::from_millis(50));

thread_local! {
    /// Of the VM that runs on this thread.
    static RUNNING: Cell<*const Watched> = const { Cell::new(ptr::null()) };
}

/// Watches one VM.
pub(crate) struct Watch {
    watched: Arc<Watched>,
    stop: Arc<(Mutex<bool>, Condvar)>,
    watchdog: Option<JoinHandle<()>>,
}

/// What the VM's thread, its signal handler and the watchdog share.
struct Watched {
    /// Odd while a run goes on, and never the same for two.
    run: AtomicU64,
    /// The run that has used up its time.
    overdue: AtomicU64,
    hooked: AtomicBool,
    main: AtomicPtr<ffi::lua_State>,
    memory_kib: c_int,
    too_long: CString,
    too_large: CString,
    /// Which of the two it is.
    is_large: AtomicBool,
}

impl Watch {
    /// For the VM of `main` on the thread that calls; `None` if nothing is bounded.
    pub(crate) fn new(budget: &Budget, main: *mut ffi::lua_State) -> Option<Self> {
        if budget.cpu.is_zero() && budget.memory_bytes == 0 {
            return None;
        }
        handle_signal();
        let memory_kib = match budget.memory_bytes >> 10 {
            0 => c_int::MAX,
            kib => c_int::try_from(kib).unwrap_or(c_int::MAX),
        };
        let text = |text: String| CString::new(text).unwrap_or_default();
        let watched = Arc::new(Watched {
            run: AtomicU64::new(0),
            overdue: AtomicU64::new(0),
            hooked: AtomicBool::new(false),
            main: AtomicPtr::new(main),
            memory_kib,
            too_long: text(format!("CPU budget of {:?} used up", budget.cpu)),
            too_large: text(format!("memory limit of {} KiB reached", budget.memory_bytes >> 10)),
            is_large: AtomicBool::new(false),
        });
        let stop: Arc<(Mutex<bool>, Condvar)> = Arc::default();
        // SAFETY: it has no precondition. The thread it names lives for as long as the VM, which joins the watchdog.
        let thread = unsafe { libc::pthread_self() };
        let (shared, stopped, cpu) = (Arc::clone(&watched), Arc::clone(&stop), budget.cpu);
        let watchdog = std::thread::Builder::new()
            .name("lua-watchdog".into())
            .spawn(move || watch(&shared, thread, cpu, &stopped))
            .ok()?;
        Some(Self { watched, stop, watchdog: Some(watchdog) })
    }

    /// A run begins.
    pub(crate) fn begin(&self) {
        RUNNING.set(Arc::as_ptr(&self.watched));
        self.watched.run.store(self.watched.run.load(Relaxed) + 1, Relaxed);
    }

    /// The run has ended. Says whether it was made to.
    pub(crate) fn end(&self) -> bool {
        self.watched.run.store(self.watched.run.load(Relaxed) + 1, Relaxed);
        RUNNING.set(ptr::null());
        // Set on this thread alone, by its signal handler, which does nothing once the run has ended.
        let hooked = self.watched.hooked.load(Relaxed);
        if hooked {
            self.watched.hooked.store(false, Relaxed);
            // SAFETY: the state lives and is of this thread, and does not run.
            unsafe { ffi::lua_sethook(self.watched.main.load(Relaxed), None, 0, 0) };
        }
        hooked
    }
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

fn watch(watched: &Watched, thread: libc::pthread_t, cpu: Duration, stop: &(Mutex<bool>, Condvar)) {
    let pause = (cpu / LOOKS).clamp(LOOK_EVERY.0, LOOK_EVERY.1);
    let (mut seen, mut since) = (0, Duration::ZERO);
    let mut stopped = stop.0.lock().unwrap_or_else(PoisonError::into_inner);
    while !*stopped {
        stopped = stop.1.wait_timeout(stopped, pause).unwrap_or_else(PoisonError::into_inner).0;
        let run = watched.run.load(Relaxed);
        if run.is_multiple_of(2) {
            continue;
        }
        let now = cpu_time(thread);
        if run != seen {
            (seen, since) = (run, now);
            continue;
        }
        if !cpu.is_zero() && now.saturating_sub(since) >= cpu {
            watched.overdue.store(run, Relaxed);
        }
        // SAFETY: the thread lives: the VM, which is of it, joins this one before it is gone.
        unsafe { libc::pthread_kill(thread, SIGNAL) };
    }
}

/// What a thread has used of its processor's time.
fn cpu_time(thread: libc::pthread_t) -> Duration {
    let mut clock = 0;
    let mut time = MaybeUninit::<libc::timespec>::zeroed();
    // SAFETY: the thread lives, as above; both calls write to what they are given and nothing else. A zeroed time is
    // one.
    let time = unsafe {
        if libc::pthread_getcpuclockid(thread, &raw mut clock) != 0 {
            return Duration::ZERO;
        }
        libc::clock_gettime(clock, time.as_mut_ptr());
        time.assume_init()
    };
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or_default())
}

fn handle_signal() {
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
    let running = RUNNING.get();
    // SAFETY: it is set only while its VM runs on this thread, and that holds it.
    let Some(watched) = (unsafe { running.as_ref() }) else { return };
    let run = watched.run.load(Relaxed);
    let main = watched.main.load(Relaxed);
    if run.is_multiple_of(2) || watched.hooked.load(Relaxed) {
        return;
    }
    // SAFETY: the state lives and is of this thread. The count reads one word; LuaJIT's own interpreter installs hooks
    // from a signal handler, so that can be done at any point of a run.
    unsafe {
        let is_large = ffi::lua_gc(main, ffi::LUA_GCCOUNT, 0) > watched.memory_kib;
        if is_large || watched.overdue.load(Relaxed) == run {
            watched.is_large.store(is_large, Relaxed);
            watched.hooked.store(true, Relaxed);
            let mask = ffi::LUA_MASKCALL | ffi::LUA_MASKRET | ffi::LUA_MASKCOUNT;
            ffi::lua_sethook(main, Some(raise), mask, 1);
        }
    }
}

/// Raises an error where the run is, unless that is the host's own code or a function of C, which soon end.
unsafe extern "C-unwind" fn raise(state: *mut ffi::lua_State, place: *mut ffi::lua_Debug) {
    // SAFETY: a hook is called with room on the stack and with a place that can be asked about; its source is a text.
    // Nothing here has to be dropped when the error unwinds it; the texts outlive the run.
    unsafe {
        let Some(watched) = RUNNING.get().as_ref() else { return };
        let known = ffi::lua_getinfo(state, c"S".as_ptr(), place) != 0;
        let source = if known { CStr::from_ptr((*place).source).to_bytes() } else { b"" };
        if source.starts_with(b"=ngx.") || source == b"=[C]" {
            return;
        }
        let text = if watched.is_large.load(Relaxed) { &watched.too_large } else { &watched.too_long };
        ffi::luaL_where(state, 0);
        ffi::lua_pushstring_(state, text.as_ptr());
        ffi::lua_concat(state, 2);
        ffi::lua_error(state)
    }
}
