//! Runs of handlers, and of the light threads in them.
//!
//! A run with one thread goes the short way: it is resumed, and whatever it yields ends the call. With the first
//! light thread it becomes a [`Crew`], and a call goes on until none of its threads can.
//!
//! Threads are resumed from here alone, never from each other, so that they may nest as deep as they like and any may
//! wait. Values pass between them from stack to stack.

use std::{
    ffi::{CStr, c_int},
    mem::MaybeUninit,
    ptr,
    rc::Rc,
};

use mlua::ffi;

use super::{POOLED_THREADS, Vm};
use crate::{
    Exchange, Handler, Level, Op, Phase, Reply, RequestState, RunningTimer, ScriptError, Step, Task, Ticket,
    Timer, TimerId, Verdict,
    crew::{Crew, Wait},
    host::{Pending, Scene},
    task::{Run, Thread},
};

impl Vm {
    /// Runs a handler for a request until it ends or waits.
    pub fn start(&self, handler: &Handler, phase: Phase, exchange: &mut dyn Exchange) -> Step {
        self.begin(handler, phase, Scene::Request(exchange))
    }

    /// The same for no request; `state` is the run's own, and to be passed whenever it is resumed.
    pub fn start_alone(&self, handler: &Handler, phase: Phase, state: &mut RequestState) -> Step {
        self.begin(handler, phase, Scene::Alone(state))
    }

    /// Takes up a task with the outcome of what one of its threads waited for.
    pub fn resume(&self, task: Task, ticket: Ticket, reply: &Reply, exchange: &mut dyn Exchange) -> Step {
        self.go_on(task, ticket, reply, Scene::Request(exchange))
    }

    /// The same for a task that [`Vm::start_alone`] has begun.
    pub fn resume_alone(&self, task: Task, ticket: Ticket, reply: &Reply, state: &mut RequestState) -> Step {
        self.go_on(task, ticket, reply, Scene::Alone(state))
    }

    /// The client has gone away: goes on with the function that the run has for that. Gives the task back if it has none.
    pub fn abort(&self, task: Task, exchange: &mut dyn Exchange) -> Result<Step, Task> {
        if self.running.get() || !task.belongs_to(&self.host.retired) {
            return Err(task);
        }
        let Task { run, phase } = task;
        let Run::Crew(mut crew) = run else { return Err(Task { phase, run }) };
        if !crew.wake() {
            return Err(Task { phase, run: Run::Crew(crew) });
        }
        self.sweep();
        self.host.crew.replace(Some(crew));
        Ok(self.within(phase, Scene::Request(exchange), |vm| vm.run_crew(phase)))
    }

    fn begin(&self, handler: &Handler, phase: Phase, scene: Scene<'_>) -> Step {
        if self.running.get() || !handler.belongs_to(&self.host.retired) {
            return misuse();
        }
        if let Some(failure) = handler.failure() {
            return Step::Failed(failure.clone());
        }
        self.sweep();
        let thread = self.idle_thread();
        // SAFETY: a pooled thread is idle with an empty stack, which has room for one value.
        unsafe { ffi::lua_rawgeti_(thread.state, ffi::LUA_REGISTRYINDEX, handler.reference()) };
        self.within(phase, scene, |vm| vm.run_single(thread, 0, phase))
    }

    fn go_on(&self, task: Task, ticket: Ticket, reply: &Reply, scene: Scene<'_>) -> Step {
        if self.running.get() || !task.belongs_to(&self.host.retired) {
            return misuse();
        }
        self.sweep();
        let Task { run, phase } = task;
        match run {
            Run::Single(thread, _) => {
                // SAFETY: the thread is suspended in a yield.
                let arguments = unsafe { push_reply(thread.state, reply) };
                self.within(phase, scene, |vm| vm.run_single(thread, arguments, phase))
            }
            Run::Crew(mut crew) => {
                // Nobody waits any more if the thread was killed.
                if let Some(stack) = crew.take_up(ticket) {
                    // SAFETY: the thread is suspended in a yield.
                    let arguments = unsafe { push_reply(stack, reply) };
                    crew.post(ticket, arguments);
                }
                self.host.crew.replace(Some(crew));
                self.within(phase, scene, |vm| vm.run_crew(phase))
            }
        }
    }

    /// Starts the function of a timer whose time has come, or, `premature`, will not come.
    pub fn start_timer(
        &self,
        timer: &RunningTimer,
        premature: bool,
        last: bool,
        state: &mut RequestState,
    ) -> Step {
        if self.running.get() {
            return misuse();
        }
        self.sweep();
        let thread = self.idle_thread();
        let Some(arguments) = self.push_timer(timer.id, premature, last, &thread) else {
            self.recycle(thread);
            return Step::Failed(ScriptError::new("there is no such timer".into(), String::new()));
        };
        self.within(Phase::Timer, Scene::Alone(state), |vm| vm.run_single(thread, arguments, Phase::Timer))
    }

    /// The time of a timer has come, for the last time or not. Tells the right to run it, unless too many run.
    pub fn expire(&self, timer: TimerId, last: bool) -> Option<RunningTimer> {
        let timers = &self.host.timers;
        if last {
            timers.pending.set(timers.pending.get().saturating_sub(1));
        }
        if timers.running.get() < timers.running_limit {
            return Some(RunningTimer::new(timer, &timers.running));
        }
        let place = if self.running.get() { String::new() } else { self.timer_place(timer, last) };
        let limit = timers.running_limit;
        let message = format!(
            "lua failed to run timer with function defined at {place}: {limit} lua_max_running_timers are not enough"
        );
        self.host.log(Level::Alert, &message);
        None
    }

    /// Takes timers that scripts set: the one who waits for them.
    pub fn set_timer_sink(&self, sink: impl Fn(Timer) + 'static) {
        self.host.timers.set_sink(sink);
    }

    /// Timers that wait, and that run.
    pub fn timer_counts(&self) -> (usize, usize) {
        (self.host.timers.pending.get(), self.host.timers.running.get())
    }

    /// Puts the function of a timer, with its arguments, onto the stack of a thread; says how many these are.
    fn push_timer(&self, id: TimerId, premature: bool, last: bool, to: &Thread) -> Option<c_int> {
        // SAFETY: the main thread is idle, and is left as it was. An idle thread has an empty stack, for which room is
        // made.
        unsafe {
            let top = ffi::lua_gettop(self.main);
            let found = self.call_timer(id, premature, last, ffi::LUA_MULTRET);
            let values = ffi::lua_gettop(self.main) - top;
            let fits = found && ffi::lua_checkstack(to.state, values) != 0;
            if fits {
                ffi::lua_xmove(self.main, to.state, values);
            }
            ffi::lua_settop(self.main, top);
            fits.then_some(values - 1)
        }
    }

    /// Where the function of a timer that does not run was written.
    fn timer_place(&self, id: TimerId, last: bool) -> String {
        // SAFETY: the main thread is idle, and is left as it was. What is asked about is the function on top of it,
        // whose source is a text for as long as it lives.
        unsafe {
            let top = ffi::lua_gettop(self.main);
            let mut about = MaybeUninit::<ffi::lua_Debug>::zeroed();
            let known = self.call_timer(id, false, last, 1) && {
                ffi::lua_pushvalue(self.main, -1);
                ffi::lua_getinfo(self.main, c">S".as_ptr(), about.as_mut_ptr()) != 0
            };
            let mut place = String::new();
            if known {
                let about = about.assume_init_ref();
                let source = CStr::from_ptr(about.source).to_string_lossy();
                place = format!("{source}:{}", about.linedefined);
            }
            ffi::lua_settop(self.main, top);
            place
        }
    }

    /// Leaves on the main thread what a timer calls, or why that failed.
    ///
    /// # Safety
    ///
    /// The main thread is idle.
    unsafe fn call_timer(&self, id: TimerId, premature: bool, last: bool, results: c_int) -> bool {
        // SAFETY: by the caller's word; an idle thread has room for a function and its three arguments.
        unsafe {
            ffi::lua_rawgeti_(self.main, ffi::LUA_REGISTRYINDEX, self.timer);
            ffi::lua_pushnumber(self.main, f64::from(id.0));
            ffi::lua_pushboolean(self.main, c_int::from(premature));
            ffi::lua_pushboolean(self.main, c_int::from(last));
            ffi::lua_pcall(self.main, 3, results, 0) == ffi::LUA_OK
        }
    }

    /// Resumes a run's only thread, which has a function or the answer to a yield on its stack.
    fn run_single(&self, thread: Thread, mut arguments: c_int, phase: Phase) -> Outcome {
        loop {
            // SAFETY: the thread is alive (it is in the registry) and not running, and has what it is resumed
            // with on top of its stack. Lua errors inside of it come back as a status.
            let status = unsafe { self.resume_thread(thread.state, arguments) };
            let pending = self.host.pending.take();
            if status != ffi::LUA_YIELD {
                self.forget(pending.as_ref());
            }
            if status == ffi::LUA_OK {
                self.recycle(thread);
                return Outcome::Step(Step::Done(verdict(pending.as_ref())));
            }
            if status != ffi::LUA_YIELD {
                return Outcome::Failed(thread);
            }
            let meaning = if self.yielded_to_host(thread.state) { pending } else { None };
            if let Some(Pending::Spawn(ticket) | Pending::Watch(ticket)) = meaning {
                let state = thread.state;
                self.host.crew.replace(Some(Box::new(Crew::new(thread))));
                match meaning {
                    Some(Pending::Watch(_)) => self.keep(Ticket::ENTRY, state, ticket),
                    _ => self.spawn(Ticket::ENTRY, state, ticket),
                }
                return self.run_crew(phase);
            }
            // SAFETY: the thread has just yielded; all of its visible stack are values that nobody wants.
            unsafe { ffi::lua_settop(thread.state, 0) };
            match meaning {
                Some(Pending::Exit(status)) => return Outcome::Step(Step::Done(Verdict::Exit(status))),
                Some(Pending::Wait(op) | Pending::Capture(op)) => {
                    return Outcome::Step(Step::Wait(Task { phase, run: Run::Single(thread, Some(op)) }));
                }
                // A yield that is not meant for the host has nobody to go to: as in OpenResty the handler goes on,
                // with nothing.
                _ => arguments = 0,
            }
        }
    }

    /// Resumes the threads of the crew that are ready until none is, or the run is over.
    fn run_crew(&self, phase: Phase) -> Outcome {
        loop {
            let next = self.with_crew(Crew::next_ready).flatten();
            let Some((ticket, state, arguments)) = next else { break };
            // SAFETY: as in `run_single`; the member holds the thread.
            let status = unsafe { self.resume_thread(state, arguments) };
            if let Some(step) = self.settle(ticket, state, status) {
                self.host.crew.take();
                return step;
            }
        }
        let Some(crew) = self.host.crew.take() else { return Outcome::Step(misuse()) };
        if crew.is_waiting() {
            return Outcome::Step(Step::Wait(Task { phase, run: Run::Crew(crew) }));
        }
        let stuck =
            ScriptError::new("light threads wait for nothing that could happen".into(), String::new());
        Outcome::Step(Step::Failed(stuck))
    }

    /// What a thread's coming to a halt means; `Some` when the run is over.
    fn settle(&self, ticket: Ticket, state: *mut ffi::lua_State, status: c_int) -> Option<Outcome> {
        let pending = self.host.pending.take();
        if status != ffi::LUA_YIELD {
            self.forget(pending.as_ref());
            return self.settle_end(ticket, status, pending.as_ref());
        }
        let meaning = if self.yielded_to_host(state) { pending } else { None };
        if let Some(Pending::Spawn(child)) = meaning {
            self.spawn(ticket, state, child);
            return None;
        }
        if let Some(Pending::Watch(child)) = meaning {
            self.keep(ticket, state, child);
            return None;
        }
        // SAFETY: as above; nobody wants what it yielded.
        unsafe { ffi::lua_settop(state, 0) };
        match meaning {
            Some(Pending::Exit(status)) => {
                let sleepers = self.with_crew(|crew| crew.sleepers()).unwrap_or(0);
                (0..sleepers).for_each(|_| self.host.tell_of_sleep());
                return Some(Outcome::Step(Step::Done(Verdict::Exit(status))));
            }
            Some(Pending::Wait(op)) => {
                let wait = if matches!(op, Op::Sleep(_)) { Wait::Sleep } else { Wait::Other };
                self.with_crew(|crew| crew.wait(ticket, op, wait))
            }
            Some(Pending::Capture(op)) => self.with_crew(|crew| crew.wait(ticket, op, Wait::Captures)),
            Some(Pending::Join) => self.with_crew(|crew| crew.join(ticket)),
            Some(Pending::Collect(child)) => {
                self.deliver(child, ticket);
                None
            }
            _ => self.with_crew(|crew| crew.post(ticket, 0)),
        };
        None
    }

    /// A thread has ended that wanted to wait, but could not.
    fn forget(&self, pending: Option<&Pending>) {
        if let Some(Pending::Wait(Op::Sleep(_))) = pending {
            self.host.tell_of_sleep();
        }
    }

    fn settle_end(&self, ticket: Ticket, status: c_int, pending: Option<&Pending>) -> Option<Outcome> {
        let well = status == ffi::LUA_OK;
        if ticket == Ticket::ENTRY {
            if !well {
                let entry = self.host.crew.take().and_then(|crew| crew.into_entry(false));
                return entry.map(Outcome::Failed);
            }
            self.with_crew(|crew| crew.verdict = verdict(pending));
        } else if !well {
            self.log_abort(ticket);
        }
        let parent = self.with_crew(|crew| crew.end(ticket, well)).flatten();
        if let Some(parent) = parent {
            self.deliver(ticket, parent);
        }
        if !self.with_crew(|crew| crew.is_over()).unwrap_or(true) {
            return None;
        }
        let crew = self.host.crew.take()?;
        let verdict = crew.verdict;
        if let Some(entry) = crew.into_entry(true) {
            self.recycle(entry);
        }
        Some(Outcome::Step(Step::Done(verdict)))
    }

    /// Makes what the thread yielded after the token a light thread: itself a coroutine, and its arguments. It goes
    /// first; who spawned it goes on when its turn comes.
    fn spawn(&self, parent: Ticket, state: *mut ffi::lua_State, ticket: Ticket) {
        // SAFETY: the thread has just yielded these values, so they are all of its visible stack. The coroutine is new:
        // only its function is on its stack. The reference keeps it alive.
        let (thread, arguments) = unsafe {
            let arguments = ffi::lua_gettop(state) - 2;
            let child = ffi::lua_tothread(state, 2);
            let room = !child.is_null() && ffi::lua_checkstack(child, arguments) != 0;
            if !room {
                ffi::lua_settop(state, 0);
                self.with_crew(|crew| crew.post_next(parent, 0));
                return;
            }
            ffi::lua_xmove(state, child, arguments);
            let number = ffi::luaL_ref(state, ffi::LUA_REGISTRYINDEX);
            ffi::lua_settop(state, 0);
            (Thread::new(child, number, &self.host.retired), arguments)
        };
        self.with_crew(|crew| {
            crew.add(ticket, thread);
            crew.post(parent, 0);
            crew.post_next(ticket, arguments);
        });
    }

    /// Keeps the coroutine that the thread yielded after the token for when the client goes away.
    fn keep(&self, parent: Ticket, state: *mut ffi::lua_State, ticket: Ticket) {
        // SAFETY: the thread has just yielded these values, so they are all of its visible stack. The coroutine is new:
        // only its function is on its stack. The reference keeps it alive.
        let thread = unsafe {
            let child = ffi::lua_tothread(state, 2);
            ffi::lua_settop(state, 2);
            let number = ffi::luaL_ref(state, ffi::LUA_REGISTRYINDEX);
            ffi::lua_settop(state, 0);
            (!child.is_null()).then(|| Thread::new(child, number, &self.host.retired))
        };
        self.with_crew(|crew| {
            if let Some(thread) = thread {
                crew.keep(ticket, thread);
            }
            crew.post_next(parent, 0);
        });
    }

    /// Gives the results of a child that has ended to the thread that asked for them, which goes first.
    fn deliver(&self, child: Ticket, parent: Ticket) {
        let ended = self.with_crew(|crew| Some((crew.collect(child)?, crew.thread(parent)?.state))).flatten();
        let Some(((thread, well), to)) = ended else { return };
        // SAFETY: the child has ended, so its visible stack are its results, or what it raised is on top of it. The
        // parent is suspended in a yield and its stack takes what that returns, for which room is made.
        let results = unsafe {
            if !well {
                keep_raised(thread.state);
            }
            let results = if well { ffi::lua_gettop(thread.state) } else { 1 };
            let room = ffi::lua_checkstack(to, results + 1) != 0;
            ffi::lua_pushboolean(to, c_int::from(well && room));
            if room {
                ffi::lua_xmove(thread.state, to, results);
                results
            } else {
                0
            }
        };
        self.with_crew(|crew| crew.post_next(parent, results + 1));
    }

    /// A light thread that fails does no harm to others, so nobody but the log may get to know.
    fn log_abort(&self, ticket: Ticket) {
        let dead = self.with_crew(|crew| crew.thread(ticket).map(|thread| (thread.state, thread.number())));
        let Some((state, number)) = dead.flatten() else { return };
        // SAFETY: the thread has just failed. The member holds it.
        let error = unsafe { self.describe(state, number) };
        // Whatever made text of an error may have wanted to wait, which was refused.
        drop(self.host.pending.take());
        let message =
            format!("lua user thread aborted: runtime error: {}\n{}", error.message(), error.traceback());
        self.host.log(Level::Error, &message);
    }

    fn with_crew<R>(&self, f: impl FnOnce(&mut Crew) -> R) -> Option<R> {
        self.host.crew.borrow_mut().as_deref_mut().map(f)
    }

    /// Whether the thread yielded the token.
    fn yielded_to_host(&self, state: *mut ffi::lua_State) -> bool {
        // SAFETY: the thread has just yielded, so all of its visible stack are the yielded values.
        let token = unsafe { ffi::lua_touserdata(state, 1) };
        ptr::eq(token, Rc::as_ptr(&self.host).cast())
    }

    fn recycle(&self, thread: Thread) {
        // SAFETY: the thread has ended without an error; only its results are on its stack.
        unsafe { ffi::lua_settop(thread.state, 0) };
        let mut pool = self.pool.borrow_mut();
        if pool.len() < POOLED_THREADS {
            pool.push(thread);
        }
    }

    fn idle_thread(&self) -> Thread {
        let pooled = self.pool.borrow_mut().pop();
        pooled.unwrap_or_else(|| self.new_thread())
    }

    fn new_thread(&self) -> Thread {
        // SAFETY: the main thread is idle, has room for four values, and is left as it was. The reference keeps the
        // new thread alive.
        unsafe {
            let state = ffi::lua_newthread(self.main);
            ffi::lua_rawgeti_(self.main, ffi::LUA_REGISTRYINDEX, self.waiting);
            ffi::lua_pushvalue(self.main, -2);
            ffi::lua_pushboolean(self.main, 1);
            ffi::lua_rawset(self.main, -3);
            ffi::lua_settop(self.main, -2);
            Thread::new(state, ffi::luaL_ref(self.main, ffi::LUA_REGISTRYINDEX), &self.host.retired)
        }
    }
}

/// How a resumed run came to a halt.
pub(super) enum Outcome {
    Step(Step),
    /// Its entry thread failed.
    Failed(Thread),
}

/// What an entry thread that ended by itself wanted: the header filter says so without yielding.
const fn verdict(pending: Option<&Pending>) -> Verdict {
    match pending {
        Some(Pending::Exit(status)) => Verdict::Exit(*status),
        _ => Verdict::Continue,
    }
}

/// Pushes what a wait returns in Lua, and says how much it is.
///
/// # Safety
///
/// `state` is suspended in a yield, so its stack takes what that yield returns.
unsafe fn push_reply(state: *mut ffi::lua_State, reply: &Reply) -> c_int {
    // SAFETY: by the caller's word. The string is copied.
    unsafe {
        match reply {
            Reply::Done => {
                ffi::lua_pushboolean(state, 1);
                1
            }
            Reply::Failed(why) => {
                ffi::lua_pushboolean(state, 0);
                ffi::lua_pushlstring_(state, why.as_ptr().cast(), why.len());
                2
            }
        }
    }
}

/// `error` put a place before the text that it was given: whoever waits for the thread gets the text alone, as in OpenResty.
/// (There, whoever waits for a thread that failed otherwise gets nothing; here it gets the message.)
///
/// # Safety
///
/// `state` is dead, with what was raised on top of its stack.
unsafe fn keep_raised(state: *mut ffi::lua_State) {
    // SAFETY: by the caller's word; what is below the message is what the function that raised it was called with.
    unsafe {
        let mut about = MaybeUninit::<ffi::lua_Debug>::zeroed();
        let is_raised = ffi::lua_getstack(state, 0, about.as_mut_ptr()) != 0
            && ffi::lua_getinfo(state, c"S".as_ptr(), about.as_mut_ptr()) != 0
            && CStr::from_ptr(about.assume_init_ref().what) == c"C";
        if !is_raised
            || ffi::lua_gettop(state) < 2
            || ffi::lua_type(state, -1) != ffi::LUA_TSTRING
            || ffi::lua_type(state, -2) != ffi::LUA_TSTRING
        {
            return;
        }
        let bytes = |index| {
            let mut length = 0;
            let bytes = ffi::lua_tolstring(state, index, &raw mut length);
            std::slice::from_raw_parts(bytes.cast::<u8>(), length)
        };
        if bytes(-1).strip_suffix(bytes(-2)).is_some_and(|place| place.ends_with(b": ")) {
            ffi::lua_settop(state, -2);
        }
    }
}

/// The VM was used from inside of itself, or with what another VM made.
fn misuse() -> Step {
    Step::Failed(ScriptError::new(
        "the handler or task is not one that this VM can run now".into(),
        String::new(),
    ))
}
