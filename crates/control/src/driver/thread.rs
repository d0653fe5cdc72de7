//! Instances that are threads of this process, with a Lua VM each.
//!
//! The control plane knows nothing of Lua and sockets: whoever wires the program gives it a
//! [`ThreadHost`]. What remains here is the life of an instance, the same as that of a
//! process.
//!
//! Invariant: the task of an instance ends only when its thread has ended, or cannot be waited for any longer because
//! its Lua does not come to an end; then it says so and leaves the thread behind.

use std::{fmt, net::SocketAddr, pin::pin, sync::Arc};

use tokio::{
    task::spawn_blocking,
    time::{Instant, MissedTickBehavior, interval, timeout, timeout_at},
};

use super::{Duties, END_PATIENCE, ready};
use crate::instance::{
    InstanceSpec,
    protocol::{STATUS_EVERY, Status},
};

/// Starts instances in threads of this process.
pub trait ThreadHost: fmt::Debug + Send + Sync {
    /// Returns when the instance accepts requests, or says why it cannot. May block.
    fn start(&self, spec: InstanceSpec) -> Result<Box<dyn ThreadInstance>, String>;
}

/// A thread that serves.
pub trait ThreadInstance: Send + Sync {
    fn address(&self) -> SocketAddr;

    fn status(&self) -> Status;

    /// Whether it has ended without having been asked to.
    fn has_ended(&self) -> bool;

    /// Lets it finish what it is doing, and returns when it has ended. May block.
    fn end(self: Box<Self>);
}

/// Why a thread cannot be had, or not be got rid of.
pub(super) const ENDLESS: &str = "its Lua does not come to an end";

/// Starts an instance, and looks after it until it is gone.
pub(crate) async fn live(host: Arc<dyn ThreadHost>, spec: InstanceSpec, duties: Duties) {
    let reason = until_gone(host, spec, &duties).await;
    duties.exited(reason).await;
}

/// Returns why the instance is gone.
async fn until_gone(host: Arc<dyn ThreadHost>, spec: InstanceSpec, duties: &Duties) -> String {
    let check = &duties.template.ready;
    let late = |why: &dyn fmt::Display| format!("not ready within {}s: {why}", check.timeout.as_secs_f64());
    let began = Instant::now();
    let starting = timeout_at(began + check.timeout, spawn_blocking(move || host.start(spec)));
    let instance = match starting.await {
        Ok(Ok(Ok(instance))) => instance,
        Ok(Ok(Err(why))) => return why,
        Ok(Err(panic)) => return format!("cannot be started: {panic}"),
        Err(_) => return late(&ENDLESS),
    };
    let address = instance.address();
    let mut wrong = None;
    tokio::select! {
        ready = timeout_at(began + check.timeout, ready::wait(address, check, &mut wrong)) => if ready.is_err() {
            let why = wrong.map_or_else(String::new, |why| why.to_string());
            return end(instance, duties, late(&why)).await;
        },
        () = duties.departure.asked() => return end(instance, duties, "asked to end".to_owned()).await,
    }
    duties.ready(address).await;
    let drained = async {
        loop {
            duties.departure.asked().await;
            if duties.departure.end_after(duties.quiet()).await {
                return;
            }
        }
    };
    match look_after(|| instance.status(), || instance.has_ended(), duties, drained).await {
        Ok(()) => end(instance, duties, "asked to end".to_owned()).await,
        Err(why) => end(instance, duties, why).await,
    }
}

/// Reports what the instance does until `until`; fails when the instance ends first.
pub(super) async fn look_after(
    status: impl Fn() -> Status,
    has_ended: impl Fn() -> bool,
    duties: &Duties,
    until: impl Future<Output = ()>,
) -> Result<(), String> {
    let mut look = interval(STATUS_EVERY);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut until = pin!(until);
    loop {
        tokio::select! {
            () = &mut until => return Ok(()),
            _ = look.tick() => {
                if has_ended() {
                    return Err("its thread has ended".to_owned());
                }
                duties.status(status());
            }
        }
    }
}

/// Ends the instance, and says why it is gone.
async fn end(instance: Box<dyn ThreadInstance>, duties: &Duties, why: String) -> String {
    let within = duties.template.grace + END_PATIENCE;
    match timeout(within, spawn_blocking(move || instance.end())).await {
        Ok(_) => why,
        Err(_) => format!("{why}, in vain: {ENDLESS}"),
    }
}
