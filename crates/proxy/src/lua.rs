//! Runs Lua phases: starts the code, performs what it waits for, resumes it.

use std::time::Instant;

use tidegate_lua::{Handler, Op, Phase, Reply, Step, Verdict};

use crate::{error::Error, exchange::Exchange, site::Route, worker::Worker};

/// Sleeps are precise, unlike the limits on waits, so they go through tokio's timer.
async fn sleep(span: std::time::Duration) -> Reply {
    tokio::time::sleep(span).await;
    Reply::Done
}

/// Runs `handler` to its end. What it waits for, other than time, `perform` does.
pub(crate) async fn run(
    worker: &Worker,
    route: &Route,
    handler: &Handler,
    phase: Phase,
    exchange: &mut Exchange,
    mut perform: impl AsyncFnMut(&mut Exchange, Op) -> Result<Reply, Error>,
) -> Result<Verdict, Error> {
    let mut step = worker.vm.start(handler, phase, exchange);
    loop {
        match step {
            Step::Done(verdict) => return Ok(verdict),
            Step::Failed(error) => {
                route.series.shard(worker.index).lua_error();
                worker.log.failure(route, phase, exchange, &error);
                return Err(Error::Lua);
            }
            Step::Wait(task, op) => {
                let reply = match op {
                    Op::Sleep(span) => sleep(span).await,
                    Op::Detached(work) => work.await,
                    op => perform(exchange, op).await?,
                };
                worker.set_lua_clock(Instant::now());
                step = worker.vm.resume(task, reply, exchange);
            }
        }
    }
}

/// The same in a phase in which there is nothing to read from or to write to the client.
pub(crate) async fn run_detached(
    worker: &Worker,
    route: &Route,
    handler: &Handler,
    phase: Phase,
    exchange: &mut Exchange,
) -> Result<Verdict, Error> {
    let refuse = async |_: &mut Exchange, _| Ok(Reply::Failed("not possible in this phase".into()));
    run(worker, route, handler, phase, exchange, refuse).await
}
