//! Timers of a script: they run while it does, and those that still wait when it ends run at once, as premature.

use std::{
    rc::{Rc, Weak},
    time::Duration,
};

use tidegate_lua::{RequestState, Timer, Vm};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{run, set_now};

/// Waits for the timers of one VM.
pub(super) struct Timers {
    tasks: TaskTracker,
    ending: CancellationToken,
}

impl Timers {
    pub(super) fn of(vm: &Rc<Vm>) -> Self {
        let timers = Self { tasks: TaskTracker::new(), ending: CancellationToken::new() };
        let (owner, tasks, ending) = (Rc::downgrade(vm), timers.tasks.clone(), timers.ending.clone());
        vm.set_timer_sink(move |timer| {
            tasks.spawn_local(keep(owner.clone(), tasks.clone(), ending.clone(), timer));
        });
        timers
    }

    /// Returns when no timer runs any more.
    pub(super) async fn end(self, vm: &Vm) {
        vm.set_exiting(true);
        self.ending.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

async fn keep(vm: Weak<Vm>, tasks: TaskTracker, ending: CancellationToken, timer: Timer) {
    loop {
        let premature = tokio::select! {
            biased;
            () = tokio::time::sleep(timer.delay.min(LONGEST)) => false,
            () = ending.cancelled() => true,
        };
        let Some(vm) = vm.upgrade() else { return };
        let last = premature || !timer.repeats;
        let run = expire(vm, timer, premature, last);
        if last {
            return run.await;
        }
        // As a task of its own, so that the next time does not wait for it.
        tasks.spawn_local(run);
    }
}

/// No program waits longer, and no clock overflows.
const LONGEST: Duration = Duration::from_hours(24 * 365);

async fn expire(vm: Rc<Vm>, timer: Timer, premature: bool, last: bool) {
    set_now(&vm);
    let Some(running) = vm.expire(timer.id, last) else { return };
    let mut state = RequestState::default();
    let step = vm.start_timer(&running, premature, last, &mut state);
    if let Err(error) = run::drive(&vm, step, &mut state).await {
        eprintln!("[error] lua entry thread aborted: runtime error: {error}\n{}", error.traceback());
    }
}
