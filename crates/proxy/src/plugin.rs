//! A script at its place: what runs, and whom it is counted for.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tidegate_core::{Timestamp, telemetry::Tally};
use tidegate_lua::{Handler, Long, RequestState, Usage};

use crate::{exchange::Exchange, site::Route, worker::Worker};

/// A script that ran for so long may have kept the thread from counting for how long it is busy.
const HELD_FOR_LONG: Duration = Duration::from_millis(10);

/// A script of a route, or of all of them, in one phase.
#[derive(Debug, Clone)]
pub(crate) struct Plugin {
    pub(crate) handler: Handler,
    pub(crate) tally: Arc<Tally>,
}

impl Plugin {
    /// Counts what its Lua took since this was done last, and tells others where it held them up: at its route, and where
    /// the client's request came in, for that is what is known of a request before it is begun.
    pub(crate) fn charge(&self, worker: &Worker, route: &Route, exchange: &mut Exchange) {
        let Usage { taken, long } = exchange.lua.take_usage();
        self.tally.add(worker.index, &taken);
        route.series.shard(worker.index).lua(&taken);
        if let Some(long) = long {
            let now = worker.timestamp(Instant::now());
            judge(route, long, now);
            exchange.entry.iter().for_each(|entry| worker.telemetry.route(entry).slowness.tell(now));
        }
        if taken.cpu() >= HELD_FOR_LONG {
            worker.held_until(Instant::now());
        }
    }
}

/// Remembers of a route that a script of it took long.
#[cold]
fn judge(route: &Route, long: Long, now: Timestamp) {
    let slowness = &route.series.slowness;
    match long {
        Long::Ended(took) => {
            slowness.tell(now);
            slowness.ended(took);
        }
        Long::CutOff => {
            if slowness.cut_off(now)
                && let Some(left) = slowness.left(|| now)
            {
                let route = &route.name;
                tracing::warn!(%route, "Lua runs away: it was cut off again, and until it has not been for a while its runs have {left:?} at most");
            }
        }
    }
}

/// What Lua took for no request. What a timer holds up, the route does whose script has set it.
pub(crate) fn charge_alone(tally: &Tally, worker: &Worker, state: &mut RequestState) {
    let Usage { taken, long } = state.take_usage();
    tally.add(worker.index, &taken);
    if long.is_some()
        && let Some(route) = worker.berths.route(state.label)
    {
        route.slowness.tell(worker.timestamp(Instant::now()));
    }
}
