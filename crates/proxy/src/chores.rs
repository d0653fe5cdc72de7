//! What a worker runs for no request: its timers, and what prepares it and cleans up after it.
//!
//! A timer is a task that sleeps, and then starts the function as a task of its own, so that one which repeats keeps
//! its pace. When the worker is told to leave, timers that still wait are run at once, as premature; what runs is waited
//! for like connections are.

use std::{
    rc::{Rc, Weak},
    sync::atomic::Ordering::Relaxed,
    time::Duration,
};

use tidegate_core::snapshot::Script;
use tidegate_lua::{Error, Level, Line, Phase, RequestState, Step, Timer, Vm};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
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
pub(crate) async fn init_worker(worker: &Rc<Worker>, tasks: &TaskTracker, script: &Script) {
    let (worker, script) = (Rc::clone(worker), script.clone());
    let run = tasks.spawn_local(async move { run(&worker, Phase::InitWorker, &script).await });
    if tokio::time::timeout(INIT_WORKER_LIMIT, run).await.is_err() {
        tracing::warn!(limit = ?INIT_WORKER_LIMIT, "`lua.initWorker` still waits; requests are served meanwhile");
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
    let outcome = lua::run_alone(worker, |vm, state| vm.start_alone(&handler, phase, state)).await;
    if let Err(error) = outcome {
        worker.log.failure_alone(phase, &error);
    }
}

/// Waits for the timers that the worker's scripts set, until `exiting`.
pub(crate) fn keep_timers(worker: &Rc<Worker>, tasks: &TaskTracker, exiting: &CancellationToken) {
    let (worker, tasks, exiting) = (Rc::downgrade(worker), tasks.clone(), exiting.clone());
    let vm = worker.clone();
    let sink =
        move |timer| drop(tasks.spawn_local(keep(worker.clone(), tasks.clone(), exiting.clone(), timer)));
    if let Some(worker) = vm.upgrade() {
        worker.vm.set_timer_sink(sink);
    }
}

async fn keep(worker: Weak<Worker>, tasks: TaskTracker, exiting: CancellationToken, timer: Timer) {
    loop {
        let premature = tokio::select! {
            biased;
            () = tokio::time::sleep(timer.delay) => false,
            () = exiting.cancelled() => true,
        };
        let Some(worker) = worker.upgrade() else { return };
        let last = premature || !timer.repeats;
        let run = expire(worker, timer, premature, last);
        if last {
            return run.await;
        }
        tasks.spawn_local(run);
    }
}

async fn expire(worker: Rc<Worker>, timer: Timer, premature: bool, last: bool) {
    debug(&worker, "lua ngx.timer expired");
    let Some(running) = worker.vm.expire(timer.id, last) else {
        worker.series().lua_timers_dropped.fetch_add(1, Relaxed);
        return;
    };
    let outcome = lua::run_alone(&worker, |vm, state| vm.start_timer(&running, premature, last, state)).await;
    if let Err(error) = outcome {
        worker.log.failure_alone(Phase::Timer, &error);
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
