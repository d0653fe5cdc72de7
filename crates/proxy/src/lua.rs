//! Runs Lua phases: starts the code, performs what it waits for, resumes it.
//!
//! A run that waits for one thing at a time awaits just that. One with light threads waits for many: what needs neither
//! the request nor its client runs as local tasks, while what does is done one after the other.

use std::{
    collections::{HashMap, VecDeque},
    time::Instant,
};

use tidegate_lua::{
    Handler, Op, Order, Phase, Reply, RequestState, ScriptError, Step, Task, Ticket, Verdict, Vm,
};
use tokio::task::{AbortHandle, JoinSet};

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
    let mut waits = None;
    loop {
        match step {
            Step::Done(verdict) => return Ok(verdict),
            Step::Failed(error) => {
                route.series.shard(worker.index).lua_error();
                worker.log.failure(route, phase, exchange, &error);
                return Err(Error::Lua);
            }
            Step::Wait(mut task) => {
                let (ticket, reply) = match task.sole_op() {
                    Some(Op::Sleep(span)) => (Ticket::ENTRY, sleep(span).await),
                    Some(Op::Detached(work)) => (Ticket::ENTRY, work.await),
                    Some(op) => (Ticket::ENTRY, perform(exchange, op).await?),
                    None => {
                        let waits = waits.get_or_insert_with(Waits::default);
                        waits.follow(&mut task);
                        waits.next(async |op| perform(exchange, op).await).await?
                    }
                };
                worker.set_lua_clock(Instant::now());
                step = worker.vm.resume(task, ticket, &reply, exchange);
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

/// Runs Lua for no request to its end.
pub(crate) async fn run_alone(
    worker: &Worker,
    start: impl FnOnce(&Vm, &mut RequestState) -> Step,
) -> Result<Verdict, ScriptError> {
    let refuse = async |_| Ok(Reply::Failed("there is no request".into()));
    let mut state = RequestState::default();
    worker.set_lua_clock(Instant::now());
    let mut step = start(&worker.vm, &mut state);
    let mut waits = Waits::default();
    let outcome = loop {
        match step {
            Step::Done(verdict) => break Ok(verdict),
            Step::Failed(error) => break Err(error),
            Step::Wait(mut task) => {
                waits.follow(&mut task);
                // It fails only where nothing is waited for, and then the run cannot go on.
                let Ok((ticket, reply)) = waits.next(refuse).await else { break Ok(Verdict::Continue) };
                worker.set_lua_clock(Instant::now());
                step = worker.vm.resume_alone(task, ticket, &reply, &mut state);
            }
        }
    };
    worker.vm.finish(&mut state);
    outcome
}

/// What the light threads of a run wait for. Dropping it ends all of that.
#[derive(Debug, Default)]
struct Waits {
    tasks: JoinSet<(Ticket, Reply)>,
    aborts: HashMap<Ticket, AbortHandle>,
    /// What needs the request or its client.
    bound: VecDeque<(Ticket, Op)>,
}

impl Waits {
    fn follow(&mut self, task: &mut Task) {
        while let Some(order) = task.order() {
            match order {
                Order::Begin(ticket, Op::Sleep(span)) => self.spawn(ticket, sleep(span)),
                Order::Begin(ticket, Op::Detached(work)) => self.spawn(ticket, work),
                Order::Begin(ticket, op) => self.bound.push_back((ticket, op)),
                Order::End(ticket) => {
                    self.bound.retain(|(of, _)| *of != ticket);
                    if let Some(abort) = self.aborts.remove(&ticket) {
                        abort.abort();
                    }
                }
            }
        }
    }

    fn spawn(&mut self, ticket: Ticket, work: impl Future<Output = Reply> + 'static) {
        let abort = self.tasks.spawn_local(async move { (ticket, work.await) });
        self.aborts.insert(ticket, abort);
    }

    /// Waits for the first to be done. What needs the request, `perform` does.
    async fn next(
        &mut self,
        mut perform: impl AsyncFnMut(Op) -> Result<Reply, Error>,
    ) -> Result<(Ticket, Reply), Error> {
        if let Some((ticket, op)) = self.bound.pop_front() {
            return Ok((ticket, perform(op).await?));
        }
        loop {
            match self.tasks.join_next().await {
                Some(Ok((ticket, reply))) => {
                    self.aborts.remove(&ticket);
                    return Ok((ticket, reply));
                }
                // Somebody ended it.
                Some(Err(_)) => {}
                None => return Err(Error::Lua),
            }
        }
    }
}
