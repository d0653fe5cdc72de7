//! A node for one test.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    num::NonZeroU32,
    path::Path,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use tidegate_core::{
    Endpoint, FleetId, InstanceId, Roster, Snapshot, Telemetry, roster::Load, telemetry::Totals, turns::Turns,
};
use tidegate_proxy::{Crew, Node};
use tidegate_testkit::eventually;
use tokio::sync::watch;

/// Longest wait for what ought to happen; only a failing test takes that long.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A node that is stopped when the test is over.
pub(crate) struct Running {
    node: Option<Node>,
    pub(crate) telemetry: Arc<Telemetry>,
    snapshots: watch::Sender<Arc<Snapshot>>,
    roster: watch::Sender<Arc<Roster>>,
    generation: u64,
}

/// Parses `routes` and whatever else, below a listener on a free port unless it has listeners.
fn snapshot(rest: &str, generation: u64) -> Snapshot {
    let listeners =
        if rest.contains("listeners:") { "" } else { "listeners: [{ address: \"127.0.0.1:0\" }]\n" };
    let text = format!("{listeners}workers: 2\n{rest}");
    let read = |path: &Path| {
        if path.is_absolute() {
            return std::fs::read_to_string(path);
        }
        Err(std::io::Error::other(format!("no {} in this test", path.display())))
    };
    let (snapshot, diagnostics) = tidegate_config::parse("tidegate.yaml", &text, &read);
    let mut snapshot = snapshot.unwrap_or_else(|| panic!("{diagnostics:#?}"));
    snapshot.generation = generation;
    // What a test leaves hanging is not waited for.
    if !rest.contains("drain:") {
        snapshot.timeouts.drain = Duration::from_secs(3);
    }
    snapshot
}

impl Running {
    pub(crate) fn start(config: &str) -> Self {
        Self::with_workers(2, config)
    }

    /// So many workers; what there is for each of them is there so many times.
    pub(crate) fn with_workers(workers: usize, config: &str) -> Self {
        Self::with_room(workers, workers, config)
    }

    /// So many workers, and room for more.
    pub(crate) fn with_room(workers: usize, most: usize, config: &str) -> Self {
        Self::serving(workers, most, snapshot(config, 1))
    }

    /// What runs as an instance of a fleet.
    pub(crate) fn instance_of(fleet: FleetId, config: &str) -> Self {
        let mut snapshot = snapshot(config, 1);
        snapshot.lua.fleet = Some(fleet);
        Self::serving(1, 1, snapshot)
    }

    fn serving(workers: usize, most: usize, snapshot: Snapshot) -> Self {
        let (snapshots, snapshot) = watch::channel(Arc::new(snapshot));
        let (roster, served) = watch::channel(Arc::new(Roster::default()));
        let telemetry = Telemetry::with_room(workers, most);
        let node = Node::start(&snapshot, &served, Arc::clone(&telemetry)).unwrap();
        Self { node: Some(node), telemetry, snapshots, roster, generation: 1 }
    }

    /// One route for everything, to these endpoints.
    pub(crate) fn proxying(endpoints: &[SocketAddr]) -> Self {
        Self::proxying_with(endpoints, "")
    }

    /// The same with more of a configuration.
    pub(crate) fn proxying_with(endpoints: &[SocketAddr], rest: &str) -> Self {
        let list: Vec<_> = endpoints.iter().map(|endpoint| format!("\"{endpoint}\"")).collect();
        let list = list.join(", ");
        let routes = "routes: [{ name: all, match: { path: /* }, upstream: up }]";
        Self::start(&format!("upstreams: {{ up: {{ endpoints: [{list}] }} }}\n{routes}\n{rest}"))
    }

    pub(crate) fn crew(&self) -> Arc<Crew> {
        self.node.as_ref().unwrap().crew()
    }

    pub(crate) fn addr(&self) -> SocketAddr {
        self.node.as_ref().unwrap().addresses()[0]
    }

    /// Replaces the configuration, and waits until all workers serve it.
    pub(crate) fn reload(&mut self, config: &str) {
        self.begin_reload(config);
        let served = || {
            let of =
                |worker: &tidegate_core::telemetry::WorkerSeries| worker.generation.load(Ordering::Relaxed);
            self.telemetry.workers().iter().all(|worker| of(worker) == self.generation)
        };
        eventually(PATIENCE, "all workers serve the new configuration", served);
    }

    /// Replaces the configuration; workers serve it as soon as they can.
    pub(crate) fn begin_reload(&mut self, config: &str) {
        self.generation += 1;
        self.snapshots.send_replace(Arc::new(snapshot(config, self.generation)));
    }

    /// These are the instances of the fleet from now on.
    pub(crate) fn enlist(&self, fleet: &str, endpoints: &[SocketAddr]) -> Vec<Arc<Load>> {
        let instances = endpoints.iter().map(|&address| (address, Arc::default())).collect::<Vec<_>>();
        self.enlist_with(fleet, &instances, None);
        instances.into_iter().map(|(_, load)| load).collect()
    }

    /// The same, with loads of theirs, and turns for those that wait for a place.
    pub(crate) fn enlist_with(
        &self,
        fleet: &str,
        instances: &[(SocketAddr, Arc<Load>)],
        turns: Option<&Arc<Turns>>,
    ) {
        let endpoint = |(index, (address, load)): (usize, &(SocketAddr, Arc<Load>))| Endpoint {
            id: InstanceId::new(&format!("{fleet}-{}-{index}", address.port())).unwrap(),
            address: (*address).into(),
            host: None,
            weight: NonZeroU32::MIN,
            load: Arc::clone(load),
        };
        let endpoints: Arc<[_]> = instances.iter().enumerate().map(endpoint).collect();
        let fleet = FleetId::new(fleet).unwrap();
        let turns = turns.map(|turns| (fleet.clone(), Arc::clone(turns))).into_iter().collect();
        self.roster.send_replace(Arc::new(Roster { fleets: BTreeMap::from([(fleet, endpoints)]), turns }));
    }

    pub(crate) fn route(&self, name: &str) -> Totals {
        let routes = self.telemetry.routes();
        let found = routes.into_iter().find(|(route, _)| route.as_str() == name);
        found.unwrap_or_else(|| panic!("no route {name}")).1
    }

    pub(crate) fn upstream(&self, name: &str) -> Totals {
        let upstreams = self.telemetry.upstreams();
        let found = upstreams.into_iter().find(|(upstream, _)| upstream.as_str() == name);
        found.unwrap_or_else(|| panic!("no upstream {name}")).1
    }

    pub(crate) fn begin_drain(&self) {
        self.node.as_ref().unwrap().drain(&[]);
    }

    /// Waits for the end of a drain.
    pub(crate) fn join(mut self) {
        self.node.take().unwrap().join();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(node) = self.node.take() {
            node.drain(&[]);
            node.join();
        }
    }
}
