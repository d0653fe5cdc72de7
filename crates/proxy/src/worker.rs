//! What the connections of one worker, or slow lane, share: its VM, its configuration, its upstreams, its clock.
//!
//! All of it belongs to one thread, so nothing here is locked. The configuration is a [`Site`] that is
//! swapped as a whole; a request keeps the one it began with.

use std::{
    cell::{Cell, OnceCell, RefCell},
    rc::Rc,
    sync::{Arc, atomic::Ordering::Relaxed},
    time::{Instant, SystemTime},
};

use tidegate_core::{
    Roster, Snapshot, Telemetry, Timestamp,
    snapshot::Address,
    telemetry::{PluginId, Tally, WorkerSeries},
};
use tidegate_lua::{Line, Phase, Statistics, Vm, WorkerIdentity};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    access_log::AccessLog,
    berth::Berths,
    buffer::Buffers,
    certificates::{Reception, Tls},
    chores::{self, Keeper},
    clock::Clock,
    complaints::Complaints,
    deadline::{Deadlines, TICK},
    error::Error,
    exchange::Exchange,
    lane::Side,
    node::Shared,
    parting::Parting,
    request_body::Body,
    script_log::ScriptLog,
    site::{Route, Site},
};

/// Time between two looks at what the node has done, in ticks.
const COUNT_EVERY: u64 = 10;

#[derive(Debug)]
pub(crate) struct Worker {
    pub(crate) index: usize,
    pub(crate) telemetry: Arc<Telemetry>,
    pub(crate) shared: Arc<Shared>,
    /// The one that lasts as long as the worker.
    pub(crate) vm: Rc<Vm>,
    pub(crate) log: ScriptLog,
    pub(crate) deadlines: Rc<Deadlines>,
    pub(crate) buffers: Rc<Buffers>,
    /// Connections that wait for a request.
    pub(crate) berths: Arc<Berths>,
    pub(crate) access_log: AccessLog,
    pub(crate) complaints: Complaints,
    pub(crate) roster: RefCell<Arc<Roster>>,
    /// No new requests after the ones that are being served.
    pub(crate) draining: Cell<bool>,
    pub(crate) side: Side,
    pub(crate) parting: Parting,
    /// Timers, and what prepares the worker.
    pub(crate) chores: TaskTracker,
    /// The worker is about to leave.
    pub(crate) exiting: CancellationToken,
    /// What waits for its timers.
    pub(crate) keeper: OnceCell<Keeper>,
    /// What the functions of timers take.
    pub(crate) timer_tally: Arc<Tally>,
    site: RefCell<Option<Rc<Site>>>,
    /// How TLS is spoken, with clients and with upstreams.
    tls: RefCell<Arc<Tls>>,
    /// When it was last counted for how long this thread was busy.
    counted: Cell<Instant>,
    clock: Clock,
    date_line: RefCell<String>,
}

impl Worker {
    pub(crate) fn new(
        index: usize,
        shared: Arc<Shared>,
        vm: Rc<Vm>,
        log: ScriptLog,
        deadlines: Rc<Deadlines>,
        access_log: AccessLog,
        side: Side,
    ) -> Rc<Self> {
        let timers = PluginId { route: None, phase: Phase::Timer.name(), script: String::new() };
        let timer_tally = shared.telemetry.plugin(timers);
        let worker = Self {
            index,
            telemetry: Arc::clone(&shared.telemetry),
            shared,
            vm,
            log,
            deadlines,
            buffers: Rc::default(),
            berths: Arc::default(),
            access_log,
            complaints: Complaints::default(),
            roster: RefCell::default(),
            draining: Cell::new(false),
            side,
            parting: Parting::default(),
            chores: TaskTracker::new(),
            exiting: CancellationToken::new(),
            keeper: OnceCell::new(),
            timer_tally,
            site: RefCell::default(),
            tls: RefCell::default(),
            counted: Cell::new(Instant::now()),
            clock: Clock::new(Instant::now(), wall_clock()),
            date_line: RefCell::default(),
        };
        worker.tick();
        Rc::new(worker)
    }

    pub(crate) fn series(&self) -> &WorkerSeries {
        self.telemetry.slot(self.index)
    }

    pub(crate) fn site(&self) -> Rc<Site> {
        let site = self.site.borrow();
        Rc::clone(site.as_ref().expect("a site is set before the first connection is accepted"))
    }

    /// How TLS is spoken with clients of the listener of this number, if it is.
    pub(crate) fn tls_of(&self, listener: usize) -> Option<Arc<Reception>> {
        self.tls.borrow().listeners.get(listener).cloned().flatten()
    }

    pub(crate) fn tls(&self) -> Arc<Tls> {
        Arc::clone(&self.tls.borrow())
    }

    pub(crate) fn set_tls(&self, tls: Arc<Tls>) {
        self.tls.replace(tls);
    }

    /// What is served, once something is.
    pub(crate) fn present_site(&self) -> Option<Rc<Site>> {
        self.site.borrow().clone()
    }

    pub(crate) fn set_site(&self, site: Site) {
        self.vm.set_thrifty(site.snapshot.routes.iter().any(|route| route.budget.memory_bytes > 0));
        self.berths.set_routes(site.routes.iter().map(|route| (route.label, &route.series)));
        self.series().generation.store(site.snapshot.generation, Relaxed);
        self.site.replace(Some(Rc::new(site)));
    }

    /// The wall clock at `instant`. It follows the monotonic clock from the last [`Worker::tick`].
    pub(crate) fn timestamp(&self, instant: Instant) -> Timestamp {
        self.clock.at(instant)
    }

    /// Shows Lua the time.
    pub(crate) fn set_lua_clock(&self, vm: &Vm, instant: Instant) {
        vm.set_now(self.timestamp(instant), instant);
    }

    /// A VM like the worker's, with what `init` does to it.
    pub(crate) fn make_vm(&self, snapshot: &Snapshot) -> Result<Rc<Vm>, tidegate_lua::Error> {
        make_vm(self.index, &self.shared, snapshot, &self.log)
    }

    /// Where to count a script that runs for no request.
    pub(crate) fn tally_alone(&self, phase: Phase, script: String) -> Arc<Tally> {
        self.telemetry.plugin(PluginId { route: None, phase: phase.name(), script })
    }

    /// Says why a request was not served, or not by that endpoint, unless much has been said already.
    pub(crate) fn complain(
        &self,
        route: &Route,
        exchange: &Exchange,
        endpoint: Option<&Address>,
        error: &Error,
        tried_again: bool,
    ) {
        if let Some(untold) = self.complaints.tell(self.deadlines.elapsed()) {
            self.log.unserved(route, exchange, endpoint, error, tried_again);
            if untold > 0 {
                tracing::warn!(
                    count = untold,
                    "requests that were not served either are not told one by one"
                );
            }
        }
    }

    /// A body that has been read whole. In a file it shows that the disk takes bodies.
    pub(crate) fn kept(&self, body: Body) -> Body {
        if matches!(body, Body::File(_))
            && let Some(refused) = self.shared.outage.accept(Instant::now())
        {
            tracing::info!(refused, "request bodies can be kept in files again");
        }
        body
    }

    /// The line that dates answers made here; kept for a tick.
    pub(crate) fn date_line(&self) -> std::cell::Ref<'_, String> {
        self.date_line.borrow()
    }

    /// Refreshes what only needs to be roughly right.
    pub(crate) fn tick(&self) {
        let wall = wall_clock();
        self.clock.follow(Instant::now(), wall);
        *self.date_line.borrow_mut() = format!("Date: {}\r\n", http_date(wall));
        let series = self.series();
        series.lua_bytes.store(self.vm.memory_bytes() as u64, Relaxed);
        let (pending, running) = self.vm.timer_counts();
        series.lua_timers_pending.store(pending as u64, Relaxed);
        series.lua_timers_running.store(running as u64, Relaxed);
        series.lua_coroutines.store(self.vm.coroutines_in_flight() as u64, Relaxed);
        if self.index == 0 && self.deadlines.now().is_multiple_of(COUNT_EVERY) {
            self.count();
        }
    }

    /// So long this thread was busy until now, by the count of the runtime.
    pub(crate) fn count_busy(&self, busy_us: u64) {
        self.counted.set(Instant::now());
        let busy = &self.series().busy_us;
        busy.store(busy_us.max(busy.load(Relaxed)), Relaxed);
    }

    /// A request has held this thread until `now`. The runtime counts that when its loop comes round, which many such
    /// requests can put off for seconds. But a thread that does not come to its ticks has been busy since they were due.
    pub(crate) fn held_until(&self, now: Instant) {
        let late = now.saturating_duration_since(self.counted.get()).saturating_sub(TICK);
        if late >= TICK {
            self.counted.set(now.checked_sub(TICK).unwrap_or(now));
            let busy = &self.series().busy_us;
            busy.store(busy.load(Relaxed) + late.as_micros() as u64, Relaxed);
        }
    }

    /// Tells libraries that read nginx's counters what the node has done.
    fn count(&self) {
        let sum = |of: fn(&WorkerSeries) -> u64| self.telemetry.workers().iter().map(of).sum::<u64>();
        let accepted = sum(|worker| worker.connections_accepted.load(Relaxed));
        let closed = sum(|worker| worker.connections_closed.load(Relaxed));
        let strays = sum(|worker| {
            worker.bad_requests.load(Relaxed).saturating_add(worker.unrouted_requests.load(Relaxed))
        });
        let routes = self.telemetry.routes();
        let arrived = routes.iter().map(|(_, totals)| totals.arrived).sum::<u64>();
        Statistics {
            accepted,
            requests: strays + arrived,
            active: accepted.saturating_sub(closed),
            writing: routes.iter().map(|(_, totals)| totals.in_flight()).sum(),
        }
        .publish();
    }
}

/// The VM of a worker, with what `init` does to it.
pub(crate) fn make_vm(
    index: usize,
    shared: &Shared,
    snapshot: &Snapshot,
    log: &ScriptLog,
) -> Result<Rc<Vm>, tidegate_lua::Error> {
    let count = shared.telemetry.workers().len();
    let identity = WorkerIdentity { id: index as u32, count: count as u32 };
    let writer = log.clone();
    let write = Arc::new(move |line: &Line<'_>| writer.write(line));
    let vm = Vm::new(&snapshot.lua, shared.dicts(snapshot), identity, write)?;
    vm.set_log_level(log.level);
    if let Some(ring) = &log.ring {
        vm.set_log_ring(Arc::clone(ring));
    }
    let telemetry = Arc::clone(&shared.telemetry);
    vm.set_collection_sink(move |collection| {
        let series = telemetry.slot(index);
        series.lua_gc_cycles.fetch_add(collection.cycles.into(), Relaxed);
        if let Some(pause) = collection.pause {
            series.lua_gc_pauses.record(pause);
        }
    });
    if let Some(script) = &snapshot.lua.init {
        chores::init(&vm, script)?;
    }
    Ok(Rc::new(vm))
}

pub(crate) fn wall_clock() -> Timestamp {
    let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Timestamp::default() + since_epoch
}

/// RFC 9110, 5.6.7: `Sun, 06 Nov 1994 08:49:37 GMT`.
pub(crate) fn http_date(time: Timestamp) -> String {
    let seconds = i64::try_from(time.as_micros() / 1_000_000).unwrap_or(i64::MAX);
    let time = jiff::Timestamp::from_second(seconds).unwrap_or(jiff::Timestamp::MAX);
    let printer = jiff::fmt::rfc2822::DateTimePrinter::new();
    printer.timestamp_to_rfc9110_string(&time).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_the_standard() {
        assert_eq!(http_date(Timestamp::from_secs(784_111_777)), "Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(http_date(Timestamp::from_secs(0)), "Thu, 01 Jan 1970 00:00:00 GMT");
        assert_eq!(http_date(Timestamp::from_secs(1_709_164_800)), "Thu, 29 Feb 2024 00:00:00 GMT");
        assert_eq!(http_date(Timestamp::from_secs(1_735_689_599)), "Tue, 31 Dec 2024 23:59:59 GMT");
    }
}
