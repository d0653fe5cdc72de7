//! What the data plane counts, for metrics and for the scaler.
//!
//! Every worker writes to a shard of its own with relaxed atomics, so counting costs a few
//! nanoseconds and no cache line moves between cores; readers sum the shards. A series is found by
//! name once per snapshot and worker, never per request. All figures only ever grow, gauges
//! included: what is in flight is what began less what ended.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use crate::{
    DictName, RouteId, UpstreamId,
    histogram::{Counts, Histogram},
};

mod plugins;
mod retry;
mod slowness;

use self::plugins::{LuaCounters, Plugins};
pub use self::{
    plugins::{LuaTotals, PluginId, Tally},
    retry::RetryAfter,
    slowness::Slowness,
};

/// All counters of one node.
#[derive(Debug)]
pub struct Telemetry {
    /// Workers, and behind them as many slow lanes: threads that workers start for requests which would hold them up.
    slots: Box<[WorkerSeries]>,
    workers: usize,
    routes: Mutex<BTreeMap<RouteId, Arc<Series>>>,
    upstreams: Mutex<BTreeMap<UpstreamId, Arc<Series>>>,
    plugins: Plugins,
    alarm: Alarm,
    dicts: Dicts,
}

/// Whom to tell that a request waits for a fleet without instances.
#[derive(Default)]
struct Alarm(OnceLock<Box<dyn Fn() + Send + Sync>>);

impl fmt::Debug for Alarm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Alarm").field(&self.0.get().is_some()).finish()
    }
}

/// What one shared dictionary of Lua holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DictUse {
    pub capacity_bytes: u64,
    /// In pages of memory that hold nothing.
    pub free_bytes: u64,
    /// With those that have expired and were not dropped yet.
    pub items: u64,
    /// Items that were dropped before their time because others needed their memory.
    pub evictions: u64,
}

impl DictUse {
    /// Of its capacity, 0 to 1.
    pub fn share_in_use(&self) -> f64 {
        let used = self.capacity_bytes.saturating_sub(self.free_bytes);
        used as f64 / self.capacity_bytes.max(1) as f64
    }
}

type ReadDicts = Box<dyn Fn() -> Vec<(DictName, DictUse)> + Send + Sync>;

/// Whom to ask for the shared dictionaries.
#[derive(Default)]
struct Dicts(Mutex<Option<ReadDicts>>);

impl fmt::Debug for Dicts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dicts").finish_non_exhaustive()
    }
}

impl Telemetry {
    pub fn new(workers: usize) -> Arc<Self> {
        Self::with_room(workers, workers)
    }

    /// For `workers` at first, and up to `most` later.
    pub fn with_room(workers: usize, most: usize) -> Arc<Self> {
        let series =
            |index| WorkerSeries { works: AtomicBool::new(index < workers), ..WorkerSeries::default() };
        let slots = most.max(workers) * 2;
        Arc::new(Self {
            slots: (0..slots).map(series).collect(),
            workers: most.max(workers),
            routes: Mutex::default(),
            upstreams: Mutex::default(),
            plugins: Plugins::new(slots),
            alarm: Alarm::default(),
            dicts: Dicts::default(),
        })
    }

    /// Has `wake` called whenever a request begins to wait for a fleet that has no instance, so that one can be
    /// started at once and not when the queue is next looked at. It must not block. Only the first call counts.
    pub fn on_waiting(&self, wake: impl Fn() + Send + Sync + 'static) {
        _ = self.alarm.0.set(Box::new(wake));
    }

    /// A request waits for a fleet that has no instance.
    pub fn announce_waiting(&self) {
        if let Some(wake) = self.alarm.0.get() {
            wake();
        }
    }

    /// Has `read` asked for what the shared dictionaries hold, from now on. It must not call back.
    pub fn set_dicts(&self, read: impl Fn() -> Vec<(DictName, DictUse)> + Send + Sync + 'static) {
        *self.dicts.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Box::new(read));
    }

    /// The shared dictionaries that there are, with what they hold now.
    pub fn dicts(&self) -> Vec<(DictName, DictUse)> {
        let read = self.dicts.0.lock().unwrap_or_else(PoisonError::into_inner);
        read.as_ref().map(|read| read()).unwrap_or_default()
    }

    /// Those that there are and those that there may be.
    pub fn workers(&self) -> &[WorkerSeries] {
        &self.slots[..self.workers]
    }

    /// Of the slow lane that each worker may have.
    pub fn lanes(&self) -> &[WorkerSeries] {
        &self.slots[self.workers..]
    }

    /// Of the worker, or behind all workers the lane, with this number.
    pub fn slot(&self, number: usize) -> &WorkerSeries {
        &self.slots[number]
    }

    /// Requests that ended on the worker, or behind all workers the lane, with this number.
    pub fn ended_on(&self, number: usize) -> u64 {
        let routes = self.routes.lock().unwrap_or_else(PoisonError::into_inner);
        routes.values().map(|series| series.shard(number).ended.load(Relaxed)).sum()
    }

    /// Bytes that Lua asked for on the worker or lane with this number.
    pub fn lua_allocated_on(&self, number: usize) -> u64 {
        let routes = self.routes.lock().unwrap_or_else(PoisonError::into_inner);
        routes.values().map(|series| series.shard(number).lua.allocated_bytes()).sum()
    }

    /// Requests that arrived on the worker, or behind all workers the lane, with this number; and those that ended there.
    pub fn requests_on(&self, number: usize) -> (u64, u64) {
        let routes = self.routes.lock().unwrap_or_else(PoisonError::into_inner);
        let shards = routes.values().map(|series| series.shard(number));
        shards.fold((0, 0), |(arrived, ended), shard| {
            (arrived + shard.arrived.load(Relaxed), ended + shard.ended.load(Relaxed))
        })
    }

    /// How many workers there are now.
    pub fn working(&self) -> usize {
        self.workers().iter().filter(|worker| worker.works.load(Relaxed)).count()
    }

    /// The series of a route; made when it is asked for first, kept for the life of the node.
    pub fn route(&self, name: &RouteId) -> Arc<Series> {
        series(&self.routes, name, self.slots.len())
    }

    pub fn upstream(&self, name: &UpstreamId) -> Arc<Series> {
        series(&self.upstreams, name, self.slots.len())
    }

    /// Where to count what the Lua of a plugin takes.
    pub fn plugin(&self, id: PluginId) -> Arc<Tally> {
        self.plugins.tally(id)
    }

    /// Plugins with what their Lua took. Of very many, some are counted together.
    pub fn plugins(&self) -> Vec<(PluginId, LuaTotals)> {
        self.plugins.totals()
    }

    /// Every route that was ever served, with its totals.
    pub fn routes(&self) -> Vec<(RouteId, Totals)> {
        totals(&self.routes)
    }

    /// Every upstream that was ever used, with its totals.
    pub fn upstreams(&self) -> Vec<(UpstreamId, Totals)> {
        totals(&self.upstreams)
    }
}

type Map<K> = Mutex<BTreeMap<K, Arc<Series>>>;

fn series<K: Ord + Clone>(map: &Map<K>, name: &K, shards: usize) -> Arc<Series> {
    let mut map = map.lock().unwrap_or_else(PoisonError::into_inner);
    Arc::clone(map.entry(name.clone()).or_insert_with(|| Arc::new(Series::new(shards))))
}

fn totals<K: Ord + Clone>(map: &Map<K>) -> Vec<(K, Totals)> {
    let map = map.lock().unwrap_or_else(PoisonError::into_inner);
    map.iter().map(|(name, series)| (name.clone(), series.totals())).collect()
}

/// The counters of one route or one upstream, a shard for each worker and each lane.
#[derive(Debug)]
pub struct Series {
    shards: Box<[Shard]>,
    /// Whether requests to it are expected to hold up others.
    pub slowness: Slowness,
    /// What whoever is refused for want of an instance is told.
    pub retry_after: RetryAfter,
}

impl Series {
    fn new(shards: usize) -> Self {
        let shards = (0..shards).map(|_| Shard::default()).collect();
        Self { shards, slowness: Slowness::default(), retry_after: RetryAfter::default() }
    }

    /// The shard that worker number `worker` alone writes to.
    pub fn shard(&self, worker: usize) -> &Shard {
        &self.shards[worker]
    }

    pub fn totals(&self) -> Totals {
        let mut totals = Totals::default();
        for shard in &self.shards {
            shard.add_to(&mut totals);
        }
        totals
    }

    /// As in [`Totals`], without reading all the rest: it is asked for many times a second.
    pub fn in_flight(&self) -> u64 {
        self.sum(|shard| &shard.arrived).saturating_sub(self.sum(|shard| &shard.ended))
    }

    /// As in [`Totals`].
    pub fn waiting(&self) -> u64 {
        self.sum(|shard| &shard.queued).saturating_sub(self.sum(|shard| &shard.unqueued))
    }

    /// Bytes of bodies in both directions.
    pub fn transferred(&self) -> u64 {
        self.sum(|shard| &shard.bytes_in) + self.sum(|shard| &shard.bytes_out)
    }

    fn sum(&self, counter: impl Fn(&Shard) -> &AtomicU64) -> u64 {
        self.shards.iter().map(|shard| counter(shard).load(Relaxed)).sum()
    }
}

/// One worker's part of a [`Series`].
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct Shard {
    arrived: AtomicU64,
    ended: AtomicU64,
    /// By the first digit of the status; the first is "no answer at all".
    statuses: [AtomicU64; 6],
    queued: AtomicU64,
    unqueued: AtomicU64,
    shed: AtomicU64,
    retries: AtomicU64,
    bytes_in: AtomicU64,
    bytes_out: AtomicU64,
    lua_errors: AtomicU64,
    lua: LuaCounters,
    latency: Histogram,
}

impl Shard {
    /// A request begins.
    pub fn arrive(&self) {
        add(&self.arrived, 1);
    }

    /// A request ended after `latency` with `status`, or with none (0).
    pub fn end(&self, status: u16, latency: Duration) {
        add(&self.ended, 1);
        add(&self.statuses[usize::from(status / 100).min(5)], 1);
        self.latency.record(latency);
    }

    /// A request waits for an instance…
    pub fn queue(&self) {
        add(&self.queued, 1);
    }

    /// …and waits no more.
    pub fn unqueue(&self) {
        add(&self.unqueued, 1);
    }

    /// A request was refused because too many wait or it waited too long.
    pub fn shed(&self) {
        add(&self.shed, 1);
    }

    pub fn retry(&self) {
        add(&self.retries, 1);
    }

    pub fn lua_error(&self) {
        add(&self.lua_errors, 1);
    }

    /// What a stretch of a script of the route took.
    #[inline]
    pub fn lua(&self, taken: &LuaTotals) {
        self.lua.add(taken);
    }

    /// Bytes of bodies that came from the client and went to it.
    pub fn transfer(&self, bytes_in: u64, bytes_out: u64) {
        add(&self.bytes_in, bytes_in);
        add(&self.bytes_out, bytes_out);
    }

    fn add_to(&self, totals: &mut Totals) {
        totals.arrived += self.arrived.load(Relaxed);
        totals.ended += self.ended.load(Relaxed);
        for (sum, status) in totals.statuses.iter_mut().zip(&self.statuses) {
            *sum += status.load(Relaxed);
        }
        totals.queued += self.queued.load(Relaxed);
        totals.unqueued += self.unqueued.load(Relaxed);
        totals.shed += self.shed.load(Relaxed);
        totals.retries += self.retries.load(Relaxed);
        totals.bytes_in += self.bytes_in.load(Relaxed);
        totals.bytes_out += self.bytes_out.load(Relaxed);
        totals.lua_errors += self.lua_errors.load(Relaxed);
        self.lua.add_to(&mut totals.lua);
        self.latency.add_to(&mut totals.latency);
    }
}

/// Adds to a counter that this thread alone writes to, which needs no locked instruction.
#[inline]
fn add(counter: &AtomicU64, amount: u64) {
    counter.store(counter.load(Relaxed).wrapping_add(amount), Relaxed);
}

/// A reading of a [`Series`]: sums since the node started.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Totals {
    pub arrived: u64,
    pub ended: u64,
    /// By the first digit of the status; the first is "no answer at all".
    pub statuses: [u64; 6],
    pub queued: u64,
    pub unqueued: u64,
    pub shed: u64,
    pub retries: u64,
    pub bytes_in: u64,
    pub bytes_out: u64,
    pub lua_errors: u64,
    pub lua: LuaTotals,
    pub latency: Counts,
}

impl Totals {
    pub const fn in_flight(&self) -> u64 {
        self.arrived.saturating_sub(self.ended)
    }

    /// Requests that wait for an instance now.
    pub const fn waiting(&self) -> u64 {
        self.queued.saturating_sub(self.unqueued)
    }

    /// Requests that were answered with 5xx or not at all.
    pub const fn errors(&self) -> u64 {
        self.statuses[0] + self.statuses[5]
    }
}

/// What one worker counts of itself.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct WorkerSeries {
    /// There is such a worker, or is to be from the start.
    pub works: AtomicBool,
    /// One run of Lua has held its thread for some time, and still does.
    pub is_held: AtomicBool,
    pub connections_accepted: AtomicU64,
    pub connections_closed: AtomicU64,
    /// TLS handshakes that have come to an end, those that failed among them and those that a ticket made short, and
    /// connections that spoke TLS from then on.
    pub tls_handshakes: AtomicU64,
    pub tls_failed: AtomicU64,
    pub tls_resumed: AtomicU64,
    pub tls_opened: AtomicU64,
    pub tls_closed: AtomicU64,
    /// Requests whose framing or head was refused before a route was looked for.
    pub bad_requests: AtomicU64,
    /// Requests that no route matched.
    pub unrouted_requests: AtomicU64,
    pub access_log_dropped: AtomicU64,
    /// Bytes in use by the Lua VM, as last read.
    pub lua_bytes: AtomicU64,
    /// Timers of Lua that wait, and whose functions run, as last read.
    pub lua_timers_pending: AtomicU64,
    pub lua_timers_running: AtomicU64,
    /// Timers whose functions did not run because too many did.
    pub lua_timers_dropped: AtomicU64,
    /// How long after its time the function of each timer was started.
    pub lua_timers_late: Histogram,
    /// Collections of Lua's garbage that have come to their end.
    pub lua_gc_cycles: AtomicU64,
    /// How long each part of a collection held up everything else.
    pub lua_gc_pauses: Histogram,
    /// Runs of Lua that wait, and their light threads, as last read.
    pub lua_coroutines: AtomicU64,
    /// Microseconds that the worker was not waiting for events.
    pub busy_us: AtomicU64,
    /// Generation of the snapshot that the worker serves.
    pub generation: AtomicU64,
}

impl WorkerSeries {
    /// The worker is gone. Totals stay.
    pub fn retire(&self) {
        let gauges = [
            &self.lua_bytes,
            &self.lua_timers_pending,
            &self.lua_timers_running,
            &self.lua_coroutines,
            &self.generation,
        ];
        for gauge in gauges {
            gauge.store(0, Relaxed);
        }
        self.works.store(false, Relaxed);
    }

    /// Connections that are open now and speak TLS.
    pub fn tls_connections(&self) -> u64 {
        let closed = self.tls_closed.load(Relaxed);
        self.tls_opened.load(Relaxed).saturating_sub(closed)
    }

    /// Time that went into collecting Lua's garbage, as far as it is told apart.
    pub fn lua_gc_time(&self) -> Duration {
        self.lua_gc_pauses.counts().sum()
    }

    /// Connections that are open now.
    pub fn connections(&self) -> u64 {
        // Closed first: one that opens and closes between the two readings must not make it negative.
        let closed = self.connections_closed.load(Relaxed);
        self.connections_accepted.load(Relaxed).saturating_sub(closed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn totals_sum_the_shards_of_all_workers() {
        let telemetry = Telemetry::new(2);
        let orders = RouteId::new("orders").unwrap();
        telemetry.route(&orders).shard(0).arrive();
        telemetry.route(&orders).shard(1).arrive();
        telemetry.route(&orders).shard(1).end(503, Duration::from_millis(5));
        let [(name, totals)] = telemetry.routes().try_into().unwrap();
        assert_eq!(name, orders);
        assert_eq!((totals.arrived, totals.in_flight(), totals.errors()), (2, 1, 1));
        assert_eq!(telemetry.route(&orders).in_flight(), 1);
        assert_eq!(totals.latency.quantile(0.5), Some(Duration::from_millis(5)));
    }

    #[test]
    fn an_unheard_of_status_is_counted_with_the_worst() {
        let telemetry = Telemetry::new(1);
        let series = telemetry.upstream(&UpstreamId::new("u").unwrap());
        series.shard(0).end(999, Duration::ZERO);
        series.shard(0).end(0, Duration::ZERO);
        assert_eq!(series.totals().errors(), 2);
    }
}
