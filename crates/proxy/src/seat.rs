//! The thread of one worker: keeps its sockets and its configuration current, and leaves in good order.

use std::{
    cell::RefCell,
    collections::BTreeMap,
    io,
    net::SocketAddr,
    rc::{Rc, Weak},
    sync::{Arc, atomic::Ordering::Relaxed, mpsc::SyncSender},
    time::Duration,
};

use tidegate_core::{
    Roster, Snapshot,
    snapshot::{Address, StaticAddress, StaticEndpoint, UpstreamTarget},
};
use tidegate_lua::{Vm, flame::Offer};
use tokio::{
    runtime::{Builder, Handle, LocalOptions},
    sync::{mpsc, watch},
    task::JoinSet,
    time::{Instant, MissedTickBehavior},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    access_log::AccessLog,
    admission::{self, Open},
    certificates::Tls,
    chores, connection,
    crew::{Duty, Sharing},
    deadline::{Deadlines, TICK},
    lane::{Crossing, Door, Side},
    node::{IDLE_GRACE, Shared, StartError},
    parting::Colleague,
    rescue::Rescuer,
    script_log::ScriptLog,
    site::{Ground, Site, static_endpoints},
    socket::{Row, Socket},
    upstream::Upstream,
    worker::{Worker, make_vm},
};

/// Time between two looks at unused upstream connections, in ticks.
const REAP_EVERY: u64 = 10;

/// What `exitWorker` may take when the drain time is over.
const EXIT_GRACE: Duration = Duration::from_secs(1);

/// Time between two resolutions of a host name.
const RESOLVE_EVERY: Duration = Duration::from_secs(30);

/// Tasks that an instance of a fleet polls before its loop looks at sockets and timers and counts the time it was busy. Lua
/// may hold each for long: with the usual 61, an instance without a moment to spare is counted as idle for seconds.
/// A gateway's workers keep the usual number, as looking costs a system call.
const POLLS: u32 = 8;

/// What a worker is given.
pub(crate) struct Seat {
    pub(crate) index: usize,
    pub(crate) shared: Arc<Shared>,
    /// And who takes connections from them.
    pub(crate) sockets: Arc<[Row]>,
    pub(crate) sharing: watch::Receiver<Arc<Sharing>>,
    pub(crate) access_log: AccessLog,
    pub(crate) snapshots: watch::Receiver<Arc<Snapshot>>,
    pub(crate) roster: watch::Receiver<Arc<Roster>>,
    pub(crate) duty: watch::Receiver<Duty>,
    pub(crate) stop: CancellationToken,
    /// Connections that others pass on.
    pub(crate) inbox: mpsc::Receiver<Crossing>,
    pub(crate) place: Place,
}

/// Which thread sits there.
#[derive(Debug, Clone)]
pub(crate) enum Place {
    /// A worker, with the way into its inbox.
    Worker(mpsc::Sender<Crossing>),
    /// The slow lane of that worker.
    Lane(Colleague),
}

/// Runs a worker on this thread until it is told to stop; says on `ready` whether it could start. If not, its inbox is
/// given back, for somebody may wait in there.
pub(crate) fn occupy(
    mut seat: Seat,
    ready: &SyncSender<Result<(), StartError>>,
) -> Option<mpsc::Receiver<Crossing>> {
    let mut builder = Builder::new_current_thread();
    if seat.snapshots.borrow().lua.fleet.is_some() {
        builder.event_interval(POLLS);
    }
    let runtime = match builder.enable_all().build_local(LocalOptions::default()) {
        Ok(runtime) => runtime,
        Err(error) => {
            let _ = ready.send(Err(error.into())); // Nobody waits any more: the start has failed.
            return Some(seat.inbox);
        }
    };
    let is_lane = matches!(seat.place, Place::Lane(_));
    runtime.block_on(async {
        let begun = match Prepared::new(&mut seat) {
            Ok(prepared) => Shift::begin(seat, prepared).await,
            Err(error) => Err((error, seat.inbox)),
        };
        match begun {
            Ok(shift) => {
                if is_lane {
                    // Not before: somebody waits for it to start. Where it is refused the lane is as good as a worker.
                    let _ = tidegate_lua::give_way();
                }
                let _ = ready.send(Ok(()));
                shift.run().await;
                None
            }
            Err((error, inbox)) => {
                let _ = ready.send(Err(error));
                Some(inbox)
            }
        }
    })
}

/// What a worker needs before it serves, and what may go wrong.
struct Prepared {
    snapshot: Arc<Snapshot>,
    log: ScriptLog,
    vm: Rc<Vm>,
    deadlines: Rc<Deadlines>,
    site: Site,
    tls: Arc<Tls>,
}

impl Prepared {
    fn new(seat: &mut Seat) -> Result<Self, StartError> {
        let snapshot = Arc::clone(&seat.snapshots.borrow_and_update());
        let (index, shared) = (seat.index, &seat.shared);
        let log = ScriptLog::new(&snapshot.error_log, snapshot.lua.captured_log_bytes);
        let vm = make_vm(index, shared, &snapshot, &log)?;
        let deadlines = Rc::new(Deadlines::default());
        let tls = shared.tls(&snapshot)?;
        let (telemetry, ways) = (&shared.telemetry, &tls.ways);
        let ground = Ground { worker: index, telemetry, vm: &vm, deadlines: &deadlines, ways };
        let site = Site::new(&snapshot, &ground, None)?;
        Ok(Self { snapshot, log, vm, deadlines, site, tls })
    }
}

/// A worker at work.
struct Shift {
    worker: Rc<Worker>,
    /// To be looked at by who makes a flame graph.
    offer: Offer,
    shared: Arc<Shared>,
    connections: TaskTracker,
    accepting: TaskTracker,
    /// Sockets that are accepted from. Gone when this worker is to end.
    sockets: Option<Arc<[Row]>>,
    sharing: watch::Receiver<Arc<Sharing>>,
    /// Those that this worker accepts from, by their row.
    taking: BTreeMap<usize, CancellationToken>,
    resolving: JoinSet<()>,
    snapshots: watch::Receiver<Arc<Snapshot>>,
    roster: watch::Receiver<Arc<Roster>>,
    duty: watch::Receiver<Duty>,
    /// Since when no more connections are taken.
    left: Option<Instant>,
    /// Whether what was served before the last reload, or a lane that has ended, may still take up memory.
    let_go: bool,
    /// What this seat was busy before.
    busy_before_us: u64,
    stop: CancellationToken,
    /// Connections that come from elsewhere; closed when it stops, and `None` when none can come any more.
    inbox: Option<mpsc::Receiver<Crossing>>,
    place: Standing,
}

/// What a worker and a lane have of each other.
#[derive(Debug)]
pub(crate) enum Standing {
    Worker(Arc<Door>),
    Lane(Colleague),
}

impl Shift {
    async fn begin(
        mut seat: Seat,
        prepared: Prepared,
    ) -> Result<Self, (StartError, mpsc::Receiver<Crossing>)> {
        let place = match &seat.place {
            Place::Worker(inbox) => {
                let own = Colleague { index: seat.index, inbox: inbox.clone() };
                Standing::Worker(Arc::new(Door::new(&seat, own)))
            }
            Place::Lane(worker) => Standing::Lane(worker.clone()),
        };
        let side = match &place {
            Standing::Worker(door) => Side::Worker(Arc::clone(door)),
            Standing::Lane(worker) => {
                Side::Lane(RefCell::new(Some(worker.clone())), Arc::clone(&seat.shared))
            }
        };
        let roster = Arc::clone(&seat.roster.borrow_and_update());
        let Prepared { snapshot, log, vm, deadlines, site, tls } = prepared;
        let (shared, access_log) = (Arc::clone(&seat.shared), seat.access_log.another());
        let worker = Worker::new(seat.index, shared, vm, log, Rc::clone(&deadlines), access_log, side);
        let rescuer = Rescuer::new(&seat, &place, Arc::clone(&worker.berths));
        worker.vm.set_onlooker(Box::new(rescuer));
        let Seat { shared, sockets, sharing, snapshots, roster: rosters, duty, stop, inbox, .. } = seat;
        worker.roster.replace(roster);
        let busy_before_us = worker.series().busy_us.load(Relaxed);
        let mut shift = Self {
            offer: worker.vm.offer(),
            worker,
            shared,
            connections: TaskTracker::new(),
            accepting: TaskTracker::new(),
            sockets: Some(sockets),
            sharing,
            taking: BTreeMap::new(),
            resolving: JoinSet::new(),
            snapshots,
            roster: rosters,
            duty,
            left: None,
            let_go: false,
            busy_before_us,
            stop,
            inbox: Some(inbox),
            place,
        };
        shift.worker.set_tls(tls);
        shift.serve(site);
        chores::keep_timers(&shift.worker, &shift.worker.vm);
        if let Some(script) = &snapshot.lua.init_worker {
            chores::init_worker(&shift.worker, script).await;
        }
        shift.accepting.close();
        match (shift.take_sockets(), &mut shift.inbox) {
            (Err(error), inbox) => Err((error.into(), inbox.take().expect("it has just been put there"))),
            _ => Ok(shift),
        }
    }

    /// Accepts from those sockets that are this worker's by now, and from no others.
    fn take_sockets(&mut self) -> io::Result<()> {
        let Some(sockets) = &self.sockets else { return Ok(()) };
        let sharing = Arc::clone(&self.sharing.borrow_and_update());
        self.part(&sharing);
        for (row, listeners) in sockets.iter().enumerate() {
            if sharing.owners.get(row) != Some(&self.worker.index) {
                if let Some(taken) = self.taking.remove(&row) {
                    taken.cancel();
                }
                continue;
            }
            if self.taking.contains_key(&row) {
                continue;
            }
            let listen = |(number, socket): &(usize, Socket)| Ok((*number, socket.try_clone()?.listen()?));
            let listeners = listeners.iter().map(listen).collect::<io::Result<Vec<_>>>()?;
            let taken = CancellationToken::new();
            for listener in listeners {
                let (worker, connections) = (Rc::clone(&self.worker), self.connections.clone());
                let accepting =
                    admission::accept(worker, listener, connections, self.stop.clone(), taken.clone());
                self.accepting.spawn_local(accepting);
            }
            self.taking.insert(row, taken);
        }
        Ok(())
    }

    /// As [`take_sockets`](Self::take_sockets). Connections to those that cannot be had wait until they can.
    fn retake_sockets(&mut self) -> bool {
        let taken = self.take_sockets();
        if let Err(error) = &taken {
            tracing::warn!(%error, worker = self.worker.index, "cannot take over a socket; tries again");
        }
        taken.is_ok()
    }

    /// Passes on connections that are too many here, or all of them where this worker leaves.
    fn part(&self, sharing: &Sharing) {
        if let Standing::Lane(worker) = &self.place {
            let goes = self.left.is_some() && !self.stop.is_cancelled();
            return self.worker.parting.all_go(goes.then(|| worker.clone()).into_iter().collect());
        }
        let (index, telemetry) = (self.worker.index, &self.shared.telemetry);
        let Some(successors) = sharing.successors(index, self.left.is_some()) else {
            let all = sharing.at_work.clone();
            return self.worker.parting.even_out(index, all, |of| telemetry.workers()[of].connections());
        };
        // With nobody to take them, they end as they finish.
        self.worker.draining.set(self.left.is_some() && successors.is_empty());
        self.worker.parting.all_go(successors);
    }

    /// Does what the worker is told; says until when it may take if it is to end.
    fn turn(&mut self) -> Option<Instant> {
        let duty = *self.duty.borrow_and_update();
        self.worker.draining.set(false);
        self.left = (duty != Duty::Work).then(|| self.left.unwrap_or_else(Instant::now));
        let sharing = Arc::clone(&self.sharing.borrow());
        self.part(&sharing);
        (duty == Duty::End).then(|| self.end(self.left.unwrap_or_else(Instant::now)))
    }

    /// Nothing new is begun; what was may go on until the drain time since then is over.
    fn end(&mut self, since: Instant) -> Instant {
        self.sockets = None;
        if let Standing::Worker(door) = &self.place {
            door.shut();
        }
        self.worker.side.close();
        self.inbox.as_mut().map(mpsc::Receiver::close);
        if self.stop.is_cancelled() {
            self.worker.parting.all_go(Vec::new());
        } else {
            self.taking.values().for_each(CancellationToken::cancel);
        }
        self.worker.draining.set(!self.worker.parting.is_due());
        self.worker.vm.set_exiting(true);
        self.worker.exiting.cancel();
        since + self.worker.site().snapshot.timeouts.drain
    }

    async fn run(mut self) {
        let mut ticker = tokio::time::interval(TICK);
        // After a stall the ticks that were missed are made up for, so that deadlines stay true.
        ticker.set_missed_tick_behavior(MissedTickBehavior::Burst);
        let (mut cut_off, mut has_all) = (None, true);
        loop {
            tokio::select! {
                _ = ticker.tick() => {
                    self.tick();
                    has_all = has_all || self.retake_sockets();
                }
                Ok(()) = self.snapshots.changed() => self.reload(),
                Ok(()) = self.roster.changed() => self.enlist(),
                crossing = next(&mut self.inbox) => self.take_over(crossing),
                () = self.offer.asked() => self.worker.vm.attend(&self.offer),
                Ok(()) = self.sharing.changed() => has_all = self.retake_sockets(),
                Ok(()) = self.duty.changed(), if cut_off.is_none() => cut_off = self.turn(),
                () = self.stop.cancelled(), if cut_off.is_none() => cut_off = Some(self.end(Instant::now())),
            }
            if self.worker.draining.get() || self.left.is_some() {
                let keep_alive = self.worker.site().snapshot.timeouts.keep_alive;
                // Those that are passed on lose nothing by it.
                let grace = if self.worker.parting.is_due() { Duration::ZERO } else { IDLE_GRACE };
                self.worker.deadlines.end_idle(keep_alive, grace);
            }
            if let Some(cut_off) = cut_off {
                let over =
                    self.accepting.is_empty() && self.connections.is_empty() && self.worker.chores.is_empty();
                if (over && self.inbox.is_none()) || Instant::now() >= cut_off {
                    break;
                }
            }
        }
        if !self.connections.is_empty() {
            tracing::warn!(connections = self.connections.len(), "cut off at the end of the drain time");
        }
        let site = self.worker.site();
        if let Some(script) = &site.snapshot.lua.exit_worker {
            // Whatever is left of the drain time, and a moment even if nothing is.
            let left =
                cut_off.map_or(EXIT_GRACE, |cut_off| cut_off.saturating_duration_since(Instant::now()));
            chores::exit_worker(&self.worker, script, left.max(EXIT_GRACE)).await;
        }
        self.worker.access_log.flush(self.worker.series());
        if let Standing::Worker(door) = &self.place {
            door.join();
        }
    }

    /// A connection comes from elsewhere; `None`: none does any more.
    fn take_over(&mut self, crossing: Option<Crossing>) {
        let Some(crossing) = crossing else {
            self.inbox = None;
            return;
        };
        let worker = Rc::clone(&self.worker);
        self.connections.spawn_local(async move {
            let _open = Open::new(worker.series());
            Box::pin(connection::take_over(Rc::clone(&worker), crossing)).await;
        });
    }

    fn tick(&mut self) {
        let worker = &self.worker;
        worker.deadlines.sweep();
        worker.tick();
        worker.access_log.flush(worker.series());
        let busy = Handle::current().metrics().worker_total_busy_duration(0);
        worker.count_busy(self.busy_before_us + busy.as_micros() as u64);
        if worker.deadlines.now().is_multiple_of(REAP_EVERY) {
            worker.vm.tend();
            if let Standing::Worker(door) = &self.place {
                self.let_go |= door.tend();
            }
            if std::mem::take(&mut self.let_go) {
                tidegate_lua::give_back();
            }
            let site = worker.site();
            for upstream in site.upstreams.values() {
                upstream.reap(site.snapshot.timeouts.upstream_keep_alive);
            }
        }
    }

    fn reload(&mut self) {
        let snapshot = Arc::clone(&self.snapshots.borrow_and_update());
        let worker = Rc::clone(&self.worker);
        let generation = snapshot.generation;
        worker.vm.set_dicts(self.shared.dicts(&snapshot));
        if let Err(error) = self.prepare(&snapshot) {
            return tracing::error!(%error, generation, "configuration is not served: lua");
        }
        if let (Some(settings), 0) = (&snapshot.access_log, worker.index) {
            worker.access_log.open(settings);
        }
        let tls = match self.shared.tls(&snapshot) {
            Ok(tls) => tls,
            Err(error) => {
                return tracing::error!(error = error.told(), generation, "configuration is not served: tls");
            }
        };
        let ground = Ground {
            worker: worker.index,
            telemetry: &self.shared.telemetry,
            vm: &worker.vm,
            deadlines: &worker.deadlines,
            ways: &tls.ways,
        };
        match Site::new(&snapshot, &ground, Some(&worker.site())) {
            Ok(site) => {
                worker.set_tls(Arc::clone(&tls));
                self.serve(site);
                self.let_go = true;
            }
            Err(error) => tracing::error!(%error, generation, "configuration is not served: lua"),
        }
    }

    /// Runs what prepares a worker again, where it is not what has been run.
    fn prepare(&self, snapshot: &Snapshot) -> Result<(), tidegate_lua::Error> {
        let site = self.worker.site();
        let known = &site.snapshot.lua;
        if let Some(script) = snapshot.lua.init.as_ref().filter(|script| known.init.as_ref() != Some(script))
        {
            chores::init(&self.worker.vm, script)?;
        }
        let init_worker = snapshot.lua.init_worker.as_ref();
        if let Some(script) = init_worker.filter(|script| known.init_worker.as_ref() != Some(script)) {
            let (worker, script) = (Rc::clone(&self.worker), script.clone());
            self.worker.chores.spawn_local(async move { chores::init_worker(&worker, &script).await });
        }
        Ok(())
    }

    fn enlist(&mut self) {
        let roster = Arc::clone(&self.roster.borrow_and_update());
        self.worker.roster.replace(roster);
        set_fleet_endpoints(&self.worker, &self.worker.site());
    }

    fn serve(&mut self, site: Site) {
        self.worker.set_site(site);
        let site = self.worker.site();
        if let Standing::Worker(door) = &self.place {
            door.set_wanted(site.routes.len() > 1);
        }
        set_fleet_endpoints(&self.worker, &site);
        for upstream in site.upstreams.values().filter(|upstream| upstream.begin_resolving()) {
            let hosts = match &upstream.settings.borrow().target {
                UpstreamTarget::Fleet(_) => continue,
                UpstreamTarget::Endpoints(hosts) => hosts.clone(),
            };
            let known = hosts.iter().map(|host| (host.clone(), literal(host).into_iter().collect()));
            set_static_endpoints(upstream, &known.collect::<Vec<_>>(), &self.shared);
            if hosts.iter().any(|host| literal(host).is_none()) {
                let shared = Arc::clone(&self.shared);
                self.resolving.spawn_local(resolve(Rc::downgrade(upstream), hosts, shared));
            }
        }
        while self.resolving.try_join_next().is_some() {}
    }
}

/// The next connection from elsewhere.
async fn next(inbox: &mut Option<mpsc::Receiver<Crossing>>) -> Option<Crossing> {
    match inbox {
        Some(inbox) => inbox.recv().await,
        None => std::future::pending().await,
    }
}

fn set_fleet_endpoints(worker: &Worker, site: &Site) {
    let roster = worker.roster.borrow();
    for upstream in site.upstreams.values() {
        if let UpstreamTarget::Fleet(fleet) = &upstream.settings.borrow().target {
            let endpoints = roster.fleets.get(fleet).map_or(&[][..], |endpoints| endpoints);
            upstream.set_endpoints(endpoints, roster.turns.get(fleet));
        }
    }
}

fn set_static_endpoints(upstream: &Upstream, hosts: &[(StaticEndpoint, Vec<Address>)], shared: &Shared) {
    let name = upstream.settings.borrow().name.clone();
    upstream.set_endpoints(&static_endpoints(hosts, |address| shared.load(&name, address)), None);
}

/// The address of what need not be resolved.
fn literal(endpoint: &StaticEndpoint) -> Option<Address> {
    match &endpoint.address {
        StaticAddress::Host { host, port } => {
            let name = host.trim_start_matches('[').trim_end_matches(']');
            name.parse().ok().map(|address| SocketAddr::new(address, *port).into())
        }
        StaticAddress::Unix(path) => Some(Address::Unix(Arc::clone(path))),
    }
}

/// Keeps the addresses of named hosts current for as long as the upstream is in use.
async fn resolve(upstream: Weak<Upstream>, hosts: Vec<StaticEndpoint>, shared: Arc<Shared>) {
    let begin = |host: StaticEndpoint| {
        let known: Vec<Address> = literal(&host).into_iter().collect();
        (host, known)
    };
    let mut known: Vec<_> = hosts.into_iter().map(begin).collect();
    loop {
        for (endpoint, addresses) in &mut known {
            let StaticAddress::Host { host, port } = &endpoint.address else { continue };
            match tokio::net::lookup_host((host.as_str(), *port)).await {
                Ok(found) => {
                    let mut found: Vec<SocketAddr> = found.collect();
                    found.sort_unstable();
                    *addresses = found.into_iter().map(Address::from).collect();
                }
                // The last known addresses are better than none.
                Err(error) => tracing::warn!(host, %error, "cannot be resolved"),
            }
        }
        match upstream.upgrade() {
            Some(upstream) => set_static_endpoints(&upstream, &known, &shared),
            None => return,
        }
        tokio::time::sleep(RESOLVE_EVERY).await;
    }
}
