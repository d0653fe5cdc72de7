//! Runs Lua phases: starts the code, performs what it waits for, resumes it.
//!
//! A run that waits for one thing at a time awaits just that. One with light threads waits for many: what needs neither
//! the request nor its client runs as local tasks, while what does is done one after the other: only the reading of a body
//! lets others go on meanwhile.

use std::{
    collections::{HashMap, VecDeque},
    time::Instant,
};

use tidegate_core::telemetry::Tally;
use tidegate_lua::{
    Level, Line, Op, Order, Phase, Reply, RequestState, ScriptError, Step, Task, Ticket, Verdict, Vm,
    flame::Label,
};
use tokio::task::{AbortHandle, JoinSet};

use crate::{
    error::Error,
    excerpt::{Excerpt, Mishap},
    exchange::Exchange,
    plugin::{self, Plugin},
    site::Route,
    worker::{Worker, wall_clock},
};

/// Sleeps are precise, unlike the limits on waits, so they go through tokio's timer.
async fn sleep(span: std::time::Duration) -> Reply {
    tokio::time::sleep(span).await;
    Reply::Done
}

/// What the driver of a run asks of who has the request and its client.
pub(crate) enum Demand {
    Perform(Op),
    /// Returns when the client has gone, and may be given up at any time.
    Watch,
}

/// Runs `plugin` to its end. What it waits for, other than time, `perform` does. Where the route says so, a client that
/// goes away ends it, unless it has a function for that.
pub(crate) async fn run(
    worker: &Worker,
    route: &Route,
    plugin: &Plugin,
    phase: Phase,
    exchange: &mut Exchange,
    mut perform: impl AsyncFnMut(&mut Exchange, Demand) -> Result<Reply, Error>,
) -> Result<Verdict, Error> {
    let may_be_aborted = MAY_BE_ABORTED.contains(&phase);
    let vm = &*route.vm;
    let mut step = vm.start(&plugin.handler, phase, exchange);
    let mut waits = None;
    loop {
        plugin.charge(worker, route, exchange);
        match step {
            Step::Done(verdict) => return Ok(verdict),
            Step::Failed(error) => {
                fail(worker, route, phase, exchange, &error);
                return Err(match error.why_unloaded() {
                    Some(why) if may_be_aborted => Error::Unloaded(why),
                    _ => Error::Lua,
                });
            }
            Step::Wait(mut task) => {
                let watches = may_be_aborted && exchange.is_watched;
                let next = match task.sole_op() {
                    Some(Op::Sleep(span)) if !watches => Some((Ticket::ENTRY, sleep(span).await)),
                    Some(Op::Detached(work)) if !watches => Some((Ticket::ENTRY, work.await)),
                    Some(Op::Sleep(span)) => {
                        let slept = unless_gone(exchange, &mut perform, sleep(span)).await;
                        slept.map(|reply| (Ticket::ENTRY, reply))
                    }
                    Some(Op::Detached(work)) => {
                        let done = unless_gone(exchange, &mut perform, work).await;
                        done.map(|reply| (Ticket::ENTRY, reply))
                    }
                    Some(op) => Some((Ticket::ENTRY, perform(exchange, Demand::Perform(op)).await?)),
                    None => {
                        let waits = waits.get_or_insert_with(Waits::default);
                        waits.follow(&mut task);
                        first_done(waits, exchange, &mut perform, watches).await?
                    }
                };
                worker.set_lua_clock(vm, Instant::now());
                step = if let Some((ticket, reply)) = next {
                    vm.resume(task, ticket, &reply, exchange)
                } else {
                    tell_of_departure(worker, exchange);
                    exchange.is_watched = false;
                    vm.abort(task, exchange).map_err(|_| Error::ClientGone)?
                };
            }
        }
    }
}

/// A script of the request has failed: the log is told, and whoever answers it.
#[cold]
fn fail(worker: &Worker, route: &Route, phase: Phase, exchange: &mut Exchange, error: &ScriptError) {
    route.series.shard(worker.index).lua_error();
    let excerpt = Excerpt::of(error, exchange.site.as_deref());
    worker.log.failure(route, phase, exchange, error, &excerpt);
    if exchange.site.as_ref().is_some_and(|site| site.snapshot.answers.shows_lua_errors) {
        exchange.mishap = Some(Mishap::new(error, excerpt));
    }
}

/// Phases in which nginx looks whether the client is still there.
const MAY_BE_ABORTED: [Phase; 5] =
    [Phase::ServerRewrite, Phase::Rewrite, Phase::Access, Phase::Precontent, Phase::Content];

/// Waits for the first to be done of what light threads wait for; `None`: the client has gone.
async fn first_done(
    waits: &mut Waits,
    exchange: &mut Exchange,
    perform: &mut impl AsyncFnMut(&mut Exchange, Demand) -> Result<Reply, Error>,
    watches: bool,
) -> Result<Option<(Ticket, Reply)>, Error> {
    let Some((ticket, op)) = waits.bound.pop_front() else {
        return if watches {
            unless_gone(exchange, perform, waits.next()).await.transpose()
        } else {
            waits.next().await.map(Some)
        };
    };
    if !matches!(op, Op::ReadBody) {
        return Ok(Some((ticket, perform(exchange, Demand::Perform(op)).await?)));
    }
    // What is read of it so far is kept, so others may go on until all of it is there.
    let other = waits.bound.iter().position(|(_, op)| !matches!(op, Op::ReadBody));
    if other.is_none() && waits.tasks.is_empty() {
        return Ok(Some((ticket, perform(exchange, Demand::Perform(op)).await?)));
    }
    let next = async {
        match other {
            Some(_) => Ok(None),
            None => waits.next().await.map(Some),
        }
    };
    let next = tokio::select! {
        biased;
        read = perform(exchange, Demand::Perform(Op::ReadBody)) => return Ok(Some((ticket, read?))),
        next = next => next?,
    };
    let other = other.and_then(|at| waits.bound.remove(at));
    waits.bound.push_front((ticket, op));
    match other {
        None => Ok(next),
        Some((ticket, Op::Socket { .. })) => {
            let refusal = "pending request body reading in some other thread";
            Ok(Some((ticket, Reply::Failed(refusal.into()))))
        }
        Some((ticket, op)) => Ok(Some((ticket, perform(exchange, Demand::Perform(op)).await?))),
    }
}

/// Waits for `work`, as long as the client is there to get something of it; `None`: it has gone.
async fn unless_gone<T>(
    exchange: &mut Exchange,
    perform: &mut impl AsyncFnMut(&mut Exchange, Demand) -> Result<Reply, Error>,
    work: impl Future<Output = T>,
) -> Option<T> {
    tokio::select! {
        biased;
        done = work => Some(done),
        _ = perform(exchange, Demand::Watch) => None,
    }
}

fn tell_of_departure(worker: &Worker, exchange: &Exchange) {
    if worker.log.level >= Level::Info {
        let text = "client prematurely closed connection";
        let at = wall_clock();
        worker.log.write(&Line { level: Level::Info, text, at, phase: None, exchange: Some(exchange) });
    }
}

/// The same in a phase in which there is nothing to read from or to write to the client.
pub(crate) async fn run_detached(
    worker: &Worker,
    route: &Route,
    plugin: &Plugin,
    phase: Phase,
    exchange: &mut Exchange,
) -> Result<Verdict, Error> {
    let refuse = async |_: &mut Exchange, _: Demand| Ok(Reply::Failed("not possible in this phase".into()));
    run(worker, route, plugin, phase, exchange, refuse).await
}

/// Runs Lua for no request to its end; `label` is that of the route whose script wanted it so, if one did.
pub(crate) async fn run_alone(
    worker: &Worker,
    vm: &Vm,
    tally: &Tally,
    label: Label,
    start: impl FnOnce(&Vm, &mut RequestState) -> Step,
) -> Result<Verdict, ScriptError> {
    let mut state = RequestState::default();
    state.label = label;
    let outcome = run_for(worker, vm, tally, &mut state, start).await;
    vm.finish(&mut state);
    outcome
}

/// The same with a state of the caller's, which is not finished here.
pub(crate) async fn run_for(
    worker: &Worker,
    vm: &Vm,
    tally: &Tally,
    state: &mut RequestState,
    start: impl FnOnce(&Vm, &mut RequestState) -> Step,
) -> Result<Verdict, ScriptError> {
    worker.set_lua_clock(vm, Instant::now());
    let mut step = start(vm, state);
    let mut waits = Waits::default();
    loop {
        plugin::charge_alone(tally, worker, state);
        match step {
            Step::Done(verdict) => return Ok(verdict),
            Step::Failed(error) => return Err(error),
            Step::Wait(mut task) => {
                waits.follow(&mut task);
                let (ticket, reply) = match waits.bound.pop_front() {
                    Some((ticket, _)) => (ticket, Reply::Failed("there is no request".into())),
                    None => match waits.next().await {
                        Ok(done) => done,
                        // Nothing is waited for, so the run cannot go on.
                        Err(_) => return Ok(Verdict::Continue),
                    },
                };
                worker.set_lua_clock(vm, Instant::now());
                step = vm.resume_alone(task, ticket, &reply, state);
            }
        }
    }
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

    /// Waits for the first to be done of what needs neither the request nor its client.
    async fn next(&mut self) -> Result<(Ticket, Reply), Error> {
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
