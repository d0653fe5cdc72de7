//! What a worker runs for no request: its timers, and what prepares it and cleans up after it.
//!
//! Timers wait in the order in which they are due. Each function runs as a task of its own, so that one which repeats keeps
//! its pace, and they are started for a tenth of a millisecond at a time, so that requests get in between. When the worker is told
//! to leave, timers that still wait are run at once, as premature; what runs is waited for like connections are.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    future::poll_fn,
    mem,
    rc::{Rc, Weak},
    sync::atomic::Ordering::Relaxed,
    task::Poll,
    time::Duration,
};

use tidegate_core::snapshot::Script;
use tidegate_lua::{Error, Level, Line, Phase, RequestState, Step, Timer, Vm, Yielding, flame::Label};
use tokio::{sync::Notify, time::Instant};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    excerpt::Excerpt,
    lua,
    script_log::unloaded_alone,
    worker::{Worker, wall_clock},
};

/// How long `initWorker` may hold up the first request; after that it goes on beside them.
const INIT_WORKER_LIMIT: Duration = Duration::from_secs(10);

/// Runs `lua.init`, which cannot wait.
pub(crate) fn init(vm: &Vm, script: &Script) -> Result<(), Error> {
    let handler = vm.load_shared(script)?;
    let mut state = RequestState::default();
    match vm.start_alone(&handler, Phase::Init, &mut state) {
        Step::Failed(error) => Err(Error::Init(error)),
        Step::Done(_) | Step::Wait(_) => Ok(()),
    }
}

/// Runs `lua.initWorker` before anything is served.
pub(crate) async fn init_worker(worker: &Rc<Worker>, script: &Script) {
    let (of_run, script) = (Rc::clone(worker), script.clone());
    let run = worker.chores.spawn_local(async move { run(&of_run, Phase::InitWorker, &script).await });
    if tokio::time::timeout(INIT_WORKER_LIMIT, run).await.is_err() {
        tracing::warn!(limit = ?INIT_WORKER_LIMIT, "`lua.initWorker` still waits; requests are served meanwhile");
    }
    // Timers for at once begin before the first request, as in OpenResty.
    if let Some(keeper) = worker.keeper.get() {
        keeper.turn().await;
    }
}

/// Runs `lua.exitWorker` when nothing is served any more.
pub(crate) async fn exit_worker(worker: &Worker, script: &Script, limit: Duration) {
    if tokio::time::timeout(limit, run(worker, Phase::ExitWorker, script)).await.is_err() {
        tracing::warn!(?limit, "`lua.exitWorker` was cut off");
    }
}

async fn run(worker: &Worker, phase: Phase, script: &Script) {
    let handler = match worker.vm.load_shared(script) {
        Ok(handler) => handler,
        Err(error) => return unloaded_alone(&worker.log, phase, script, &error),
    };
    let folder = worker.present_site().map(|site| site.snapshot.lua.prefix.clone()).unwrap_or_default();
    let tally = worker.tally_alone(phase, script.label(&folder));
    let start = |vm: &Vm, state: &mut RequestState| vm.start_alone(&handler, phase, state);
    let outcome = lua::run_alone(worker, &worker.vm, &tally, Label::default(), start).await;
    if let Err(error) = outcome {
        let excerpt = Excerpt::of(&error, worker.present_site().as_deref());
        worker.log.failure_alone(phase, &error, &excerpt);
    }
}

/// How long timers are started, and their functions run, before others get their turn: who sets ten thousand holds up nobody.
const TURN: Duration = Duration::from_micros(100);

/// A timer, with the VM that it runs in.
type Set = (Rc<Vm>, Timer);

/// Timers that wait, those that are due first in front, and among those the older.
#[derive(Debug, Default)]
struct Waiting {
    timers: RefCell<BTreeMap<(Instant, u64), Set>>,
    count: Cell<u64>,
    /// One was added that is due before all others.
    changed: Notify,
}

impl Waiting {
    fn add(&self, vm: Rc<Vm>, timer: Timer) {
        let now = Instant::now();
        // Later than anybody looks.
        let due = now.checked_add(timer.delay).unwrap_or_else(|| now + NEVER);
        let (mut timers, number) = (self.timers.borrow_mut(), self.count.get());
        self.count.set(number + 1);
        timers.insert((due, number), (vm, timer));
        if timers.first_key_value().is_some_and(|(first, _)| *first == (due, number)) {
            self.changed.notify_one();
        }
    }

    fn first_due(&self) -> Option<Instant> {
        self.timers.borrow().first_key_value().map(|((due, _), _)| *due)
    }

    /// The next that is due at `now`, with when it was due; with `None`, the next.
    fn take(&self, now: Option<Instant>) -> Option<(Instant, Set)> {
        let mut timers = self.timers.borrow_mut();
        let first = timers.first_entry()?;
        let due = first.key().0;
        now.is_none_or(|now| due <= now).then(|| (due, first.remove()))
    }
}

const NEVER: Duration = Duration::from_hours(24 * 365);

/// Waits for the timers that scripts set in `vm`, until the worker is about to leave.
pub(crate) fn keep_timers(worker: &Rc<Worker>, vm: &Rc<Vm>) {
    let keeper = worker.keeper.get_or_init(|| {
        let (tasks, exiting) = (worker.chores.clone(), worker.exiting.clone());
        let keeper = Keeper { worker: Rc::downgrade(worker), waiting: Rc::default(), tasks, exiting };
        worker.chores.spawn_local(keeper.clone().keep());
        keeper
    });
    let (sink, vm_of_timers) = (keeper.clone(), Rc::downgrade(vm));
    vm.set_timer_sink(move |timer| {
        if let Some(vm) = vm_of_timers.upgrade() {
            sink.add(vm, timer);
        }
    });
}

/// Starts timers when they are due.
#[derive(Debug, Clone)]
pub(crate) struct Keeper {
    worker: Weak<Worker>,
    waiting: Rc<Waiting>,
    tasks: TaskTracker,
    exiting: CancellationToken,
}

impl Keeper {
    async fn keep(self) {
        loop {
            let due = self.waiting.first_due();
            tokio::select! {
                biased;
                () = self.exiting.cancelled() => break,
                () = self.waiting.changed.notified() => continue,
                () = tokio::time::sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {}
            }
            self.start_due().await;
        }
        while let Some((_, (vm, timer))) = self.waiting.take(None) {
            self.start(vm, timer, true);
        }
    }

    /// Starts those that are due, turn by turn, until none is or the worker is about to leave.
    async fn start_due(&self) {
        let mut yielding = None;
        while self.turn().await && !self.exiting.is_cancelled() {
            // For who comes to the sockets, and for who else wants the processor.
            yielding = yielding.or_else(Yielding::here);
            tokio::task::yield_now().await;
        }
    }

    /// Starts those that are due as it begins, one after the other; says whether time was up before all had been.
    async fn turn(&self) -> bool {
        let began = Instant::now();
        while began.elapsed() < TURN {
            let Some((due, (vm, timer))) = self.waiting.take(Some(began)) else { return false };
            self.note_lateness(began - due);
            self.start(vm, timer, false);
            step_back().await;
        }
        true
    }

    fn add(&self, vm: Rc<Vm>, timer: Timer) {
        if self.exiting.is_cancelled() {
            self.start(vm, timer, !timer.delay.is_zero());
        } else {
            self.waiting.add(vm, timer);
        }
    }

    fn note_lateness(&self, late: Duration) {
        if let Some(worker) = self.worker.upgrade() {
            worker.series().lua_timers_late.record(late);
        }
    }

    fn start(&self, vm: Rc<Vm>, timer: Timer, premature: bool) {
        let Some(worker) = self.worker.upgrade() else { return };
        let last = premature || !timer.repeats || vm.is_exiting();
        self.tasks.spawn_local(expire(worker, Rc::clone(&vm), timer, premature, last));
        if !last {
            self.waiting.add(vm, timer);
        }
    }
}

/// Lets the tasks that are in line go first. Nobody looks at sockets for that.
async fn step_back() {
    let mut has_stepped_back = false;
    let step_back = poll_fn(|context| {
        if mem::replace(&mut has_stepped_back, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    });
    step_back.await;
}

async fn expire(worker: Rc<Worker>, vm: Rc<Vm>, timer: Timer, premature: bool, last: bool) {
    debug(&worker, "lua ngx.timer expired");
    let Some(running) = vm.expire(timer.id, last) else {
        worker.series().lua_timers_dropped.fetch_add(1, Relaxed);
        return;
    };
    let start = |vm: &Vm, state: &mut RequestState| vm.start_timer(&running, premature, last, state);
    if let Err(error) = lua::run_alone(&worker, &vm, &worker.timer_tally, timer.label, start).await {
        let excerpt = Excerpt::of(&error, worker.present_site().as_deref());
        worker.log.failure_alone(Phase::Timer, &error, &excerpt);
    }
    debug(&worker, "http lua close fake http connection");
}

/// A line that OpenResty's users know its timers by.
fn debug(worker: &Worker, text: &str) {
    if worker.log.level >= Level::Debug {
        let at = wall_clock();
        worker.log.write(&Line { level: Level::Debug, text, at, phase: None, exchange: None });
    }
}
