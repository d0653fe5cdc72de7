//! Instances that are workers of the node itself.
//!
//! As with [threads](super::thread), whoever wires the program gives the control plane a [`WorkerHost`]. A worker
//! that leaves takes no more connections; when those that it has are closed, or their grace is over, it ends. Until
//! then it can be had back.

use std::{fmt, net::SocketAddr, sync::Arc};

use tokio::{
    task::spawn_blocking,
    time::{Instant, sleep, timeout, timeout_at},
};

use super::{DRAIN_POLL, Duties, END_PATIENCE, thread};
use crate::instance::protocol::Status;

/// Has workers of the node.
pub trait WorkerHost: fmt::Debug + Send + Sync {
    /// Takes charge of a worker, a new one if need be; returns when it serves, or says why none does. May block.
    fn start(&self) -> Result<Arc<dyn NodeWorker>, String>;
}

/// One worker.
pub trait NodeWorker: Send + Sync {
    /// Where the node listens.
    fn address(&self) -> SocketAddr;

    fn status(&self) -> Status;

    /// Connections that are open.
    fn connections(&self) -> u64;

    /// Whether it has ended without having been asked to.
    fn has_ended(&self) -> bool;

    /// It takes no more connections.
    fn leave(&self);

    /// It goes on as before.
    fn stay(&self);

    /// Returns when it has ended. May block.
    fn end(&self);
}

/// Starts a worker, and looks after it until it is gone.
pub(crate) async fn live(host: Arc<dyn WorkerHost>, duties: Duties) {
    let reason = until_gone(host, &duties).await;
    duties.exited(reason).await;
}

/// Returns why the worker is gone.
async fn until_gone(host: Arc<dyn WorkerHost>, duties: &Duties) -> String {
    let within = duties.template.ready.timeout;
    let starting = timeout_at(Instant::now() + within, spawn_blocking(move || host.start()));
    let worker = match starting.await {
        Ok(Ok(Ok(worker))) => worker,
        Ok(Ok(Err(why))) => return why,
        Ok(Err(panic)) => return format!("cannot be started: {panic}"),
        Err(_) => return format!("not ready within {}s", within.as_secs_f64()),
    };
    duties.ready(worker.address()).await;
    let left = async {
        loop {
            duties.departure.asked().await;
            worker.leave();
            let closed = timeout(duties.template.grace, until_closed(worker.as_ref()));
            if duties.departure.end_after(closed).await {
                return;
            }
            worker.stay();
        }
    };
    let why = match thread::look_after(|| worker.status(), || worker.has_ended(), duties, left).await {
        Ok(()) => "asked to end".to_owned(),
        Err(why) => why,
    };
    let ending = spawn_blocking(move || worker.end());
    match timeout(END_PATIENCE, ending).await {
        Ok(_) => why,
        Err(_) => format!("{why}, in vain: {}", thread::ENDLESS),
    }
}

async fn until_closed(worker: &dyn NodeWorker) {
    while worker.connections() > 0 {
        sleep(DRAIN_POLL).await;
    }
}
