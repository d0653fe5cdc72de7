//! Timers and semaphores of a worker.

use std::time::Duration;

use crate::{
    Op, Reply,
    abi::{Export, HostPtr},
    host::{MISSING, NO_REQUEST, OK},
    semaphore::Semaphore,
};

/// A wait has been prepared.
const WAIT: i32 = 1;
/// The worker ends.
const EXITING: i32 = -6;

pub(super) fn exports() -> Vec<Export> {
    vec![
        Export::new("timer_arm", timer_arm as extern "C" fn(_, _, _) -> _),
        Export::new("timer_pending", timer_pending as extern "C" fn(_) -> _),
        Export::new("timer_running", timer_running as extern "C" fn(_) -> _),
        Export::new("semaphore_new", semaphore_new as extern "C" fn(_, _) -> _),
        Export::new("semaphore_post", semaphore_post as extern "C" fn(_, _, _) -> _),
        Export::new("semaphore_count", semaphore_count as extern "C" fn(_, _) -> _),
        Export::new("semaphore_wait", semaphore_wait as extern "C" fn(_, _, _) -> _),
        Export::new("semaphore_release", semaphore_release as extern "C" fn(_, _) -> _),
    ]
}

/// The timer's number, or why there is none.
extern "C" fn timer_arm(host: HostPtr, seconds: f64, repeats: i32) -> i32 {
    let host = host.get();
    if host.block.exiting.get() != 0 && seconds > 0.0 {
        return EXITING;
    }
    let delay = Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX);
    let label = host.with_state(|state| state.label).unwrap_or_default();
    host.timers.arm(delay, repeats != 0, label).map_or(MISSING, |id| id.0.cast_signed())
}

fn count(count: usize) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}

extern "C" fn timer_pending(host: HostPtr) -> i32 {
    count(host.get().timers.pending.get())
}

extern "C" fn timer_running(host: HostPtr) -> i32 {
    count(host.get().timers.running.get())
}

/// The number of a new semaphore.
extern "C" fn semaphore_new(host: HostPtr, resources: f64) -> i32 {
    let mut semaphores = host.get().semaphores.borrow_mut();
    i32::try_from(semaphores.insert(Semaphore::new(resources))).unwrap_or(MISSING)
}

extern "C" fn semaphore_post(host: HostPtr, number: i32, resources: f64) -> i32 {
    // Those it wakes are resumed later, so nothing uses the host meanwhile.
    let semaphores = host.get().semaphores.borrow();
    let Some(semaphore) = semaphores.get(number.cast_unsigned() as usize) else { return MISSING };
    semaphore.post(resources);
    OK
}

/// What is there, less those who wait for it; in the block.
extern "C" fn semaphore_count(host: HostPtr, number: i32) -> f64 {
    let semaphores = host.get().semaphores.borrow();
    semaphores.get(number.cast_unsigned() as usize).map_or(0.0, Semaphore::count)
}

/// Takes one, now or in the wait that it prepares.
extern "C" fn semaphore_wait(host: HostPtr, number: i32, seconds: f64) -> i32 {
    let host = host.get();
    let semaphore = host.semaphores.borrow().get(number.cast_unsigned() as usize).cloned();
    let Some(semaphore) = semaphore else { return MISSING };
    if semaphore.try_take() {
        return OK;
    }
    if seconds <= 0.0 {
        return MISSING;
    }
    let span = Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX);
    let taken = semaphore.take();
    let wait = async move {
        match tokio::time::timeout(span, taken).await {
            Ok(()) => Reply::Done,
            Err(_) => Reply::Failed("timeout".into()),
        }
    };
    match host.wait_for(Op::Detached(Box::pin(wait))) {
        OK => WAIT,
        _ => NO_REQUEST,
    }
}

/// Nobody can get at it any more; whoever waits still does.
extern "C" fn semaphore_release(host: HostPtr, number: i32) -> i32 {
    let released = host.get().semaphores.borrow_mut().try_remove(number.cast_unsigned() as usize);
    drop(released);
    OK
}
