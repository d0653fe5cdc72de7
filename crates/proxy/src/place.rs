//! A place for a request at an endpoint, or among those that wait for one.
//!
//! Who finds nobody that can take its request waits in the [`Hold`](crate::hold::Hold) of its upstream, and where instances
//! take only so many requests at a time also in one line for all workers, whose turns come in order. A client that leaves
//! meanwhile frees its place and passes its turn on.

use std::{rc::Rc, task::Poll, time::Duration};

use tidegate_core::{
    roster::{InFlight, Load},
    turns::Turn,
};
use tidegate_traffic::queue::{Full, Room, Ticket};

use crate::{
    connection::Connection,
    error::Error,
    site::{Route, Site},
    upstream::{Member, Upstream},
    wait::{Fault, Limit},
};

/// How long a request waits for the roster to change before it tries known endpoints again.
const RECHECK: Duration = Duration::from_secs(1);

/// A place at an endpoint that has not been tried, as soon as there is one.
pub(crate) async fn pick(
    connection: &Connection,
    site: &Site,
    route: &Route,
    upstream: &Upstream,
    tried: &mut Vec<Rc<Member>>,
    give_up: Duration,
) -> Result<(Rc<Member>, InFlight), Error> {
    let mut place: Option<Place<'_>> = None;
    loop {
        let turn = place.as_ref().and_then(|place| place.turn.as_ref());
        if upstream.is_turn_of(turn)
            && let Some(found) = upstream.pick(tried)
        {
            return Ok(found);
        }
        if tried.is_empty() || upstream.is_fleet() {
            let place = match &mut place {
                Some(place) => place,
                None => place.insert(Place::take(connection, site, route, upstream)?),
            };
            if place.turn.is_none() {
                place.turn = upstream.line_up(route.queue.priority);
                if place.turn.is_some() {
                    // A place may have become free before it lined up, and nobody called it then.
                    continue;
                }
            }
            await_endpoint(connection, place, give_up).await?;
        }
        tried.clear();
    }
}

/// A place at `member`, which may have only so many requests at a time, as soon as there is one.
pub(crate) async fn enter(
    connection: &Connection,
    site: &Site,
    route: &Route,
    upstream: &Upstream,
    member: &Member,
    give_up: Duration,
) -> Result<InFlight, Error> {
    let load = &member.endpoint.load;
    if load.own_turns().is_empty()
        && let Some(in_flight) = load.try_begin()
    {
        return Ok(in_flight);
    }
    // Whoever was the last of those that wait here leaves what there is to those that wait for any.
    let _leaves = Leaves(load);
    let mut place = Place::take(connection, site, route, upstream)?;
    place.turn = Some(load.own_turns().line_up(route.queue.priority));
    loop {
        let is_next = place.turn.as_ref().is_none_or(Turn::is_first);
        if is_next && let Some(in_flight) = load.try_begin() {
            return Ok(in_flight);
        }
        await_endpoint(connection, &place, give_up).await?;
    }
}

/// Has those look that wait for a place, when this is dropped.
struct Leaves<'a>(&'a Load);

impl Drop for Leaves<'_> {
    fn drop(&mut self) {
        self.0.call();
    }
}

/// Waits until the endpoints change, its turn has come, or a moment has passed in which those that failed may recover. A
/// client that leaves meanwhile frees its place.
async fn await_endpoint(connection: &Connection, place: &Place<'_>, give_up: Duration) -> Result<(), Error> {
    let worker = &connection.line.worker;
    let left = give_up.saturating_sub(worker.deadlines.elapsed());
    if left.is_zero() {
        return Err(if place.upstream.is_fleet() { Error::NoInstance } else { Error::NoAddress });
    }
    let Place { upstream, ticket, turn, .. } = place;
    if upstream.is_asleep() {
        worker.telemetry.announce_waiting();
    }
    let seen = upstream.hold.changes();
    let limit = Limit { deadline: &connection.line.front, span: left.min(RECHECK) };
    let client = &connection.line.stream;
    let waited = limit.bound(|cx| {
        if turn.as_ref().is_some_and(|turn| turn.poll_called(cx).is_ready()) {
            return Poll::Ready(Ok(()));
        }
        match upstream.hold.poll_changed(*ticket, seen, cx) {
            Poll::Pending => client.poll_gone(cx).map(|()| Err(Error::ClientGone)),
            Poll::Ready(outcome) => Poll::Ready(outcome.map_err(|Full| Error::QueueFull)),
        }
    });
    match waited.await {
        Ok(outcome) => outcome,
        Err(Fault::Timeout) => Ok(()),
        Err(Fault::Io(error)) => Err(Error::Connect(error)),
    }
}

/// A place among the requests that wait for an endpoint, kept until one is found.
struct Place<'a> {
    upstream: &'a Upstream,
    route: &'a Route,
    ticket: Ticket,
    worker: usize,
    /// Among those that wait on all workers, where instances take only so many requests at a time.
    turn: Option<Turn>,
}

impl<'a> Place<'a> {
    fn take(
        connection: &Connection,
        site: &Site,
        route: &'a Route,
        upstream: &'a Upstream,
    ) -> Result<Self, Error> {
        let limits = &site.snapshot.limits;
        let room = Room { requests: limits.queue, bytes: limits.queue_bytes };
        let bytes = connection.line.upload.len();
        let joined = upstream.hold.join(route.queue.priority, bytes, room);
        let ticket = joined.map_err(|Full| Error::QueueFull)?;
        let worker = connection.line.worker.index;
        for series in [&upstream.series, &route.series] {
            series.shard(worker).queue();
        }
        Ok(Self { upstream, route, ticket, worker, turn: None })
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.upstream.hold.leave(self.ticket);
        for series in [&self.upstream.series, &self.route.series] {
            series.shard(self.worker).unqueue();
        }
    }
}
