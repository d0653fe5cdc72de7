//! A Lua app that serves: a node of one worker and one route, which executes it for every request.

use std::{
    collections::BTreeMap,
    fs::File,
    io::Read as _,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    process,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Instant,
};

use tidegate_control::{InstanceSpec, instance::protocol::Status};
use tidegate_core::{
    Roster, RouteId, Snapshot, Telemetry,
    snapshot::{Admin, Answers, Hooks, Limits, Listener, LuaSettings, Route, Script, Timeouts, Workers},
    telemetry::WorkerSeries,
};
use tidegate_proxy::Node;
use tidegate_sources::{Counter, Worker};
use tokio::sync::watch;

pub(super) struct App {
    node: Node,
    meter: Meter,
    /// Takes messages, if the app works on some.
    worker: Option<Worker>,
    /// The node keeps serving what these hold last.
    _snapshots: watch::Sender<Arc<Snapshot>>,
    _roster: watch::Sender<Arc<Roster>>,
}

/// Reads what an app does.
#[derive(Clone)]
pub(super) struct Meter {
    telemetry: Arc<Telemetry>,
    began: Instant,
    messages: Option<Counter>,
}

impl App {
    /// Returns when it accepts requests.
    pub(super) fn start(spec: &InstanceSpec) -> anyhow::Result<Self> {
        let telemetry = Telemetry::new(1);
        let token = token()?;
        let (snapshots, receiver) = watch::channel(Arc::new(snapshot(spec, &token)?));
        let (roster, nobody) = watch::channel(Arc::new(Roster::default()));
        let node = Node::start(&receiver, &nobody, Arc::clone(&telemetry))?;
        let start = |consume| {
            let identity = format!("{}@{}", spec.id, process::id());
            Worker::start(consume, &identity, node.addresses()[0], &token)
        };
        let worker = spec.consume.as_ref().map(start).transpose()?;
        let messages = worker.as_ref().map(Worker::counter);
        let meter = Meter { telemetry, began: Instant::now(), messages };
        Ok(Self { node, meter, worker, _snapshots: snapshots, _roster: roster })
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.node.addresses()[0]
    }

    pub(super) fn meter(&self) -> Meter {
        self.meter.clone()
    }

    pub(super) fn has_ended(&self) -> bool {
        self.node.has_ended()
    }

    /// Lets requests finish, and returns when none is left.
    pub(super) fn end(self) {
        if let Some(worker) = self.worker {
            worker.end();
        }
        self.node.drain(&[]);
        self.node.join();
    }
}

impl Meter {
    pub(super) fn status(&self) -> Status {
        // The worker, and its slow lane with a VM of its own.
        let [worker, lane] = [&self.telemetry.workers()[0], &self.telemetry.lanes()[0]];
        let both = |one: fn(&WorkerSeries) -> &AtomicU64| one(worker).load(Relaxed) + one(lane).load(Relaxed);
        let totals = self.telemetry.routes().into_iter().map(|(_, totals)| totals).next().unwrap_or_default();
        Status {
            busy_micros: worker.busy_us.load(Relaxed),
            up_micros: self.began.elapsed().as_micros() as u64,
            in_flight: u32::try_from(totals.in_flight()).unwrap_or(u32::MAX),
            served: totals.ended,
            lua_bytes: both(|series| &series.lua_bytes),
            lua_coroutines: both(|series| &series.lua_coroutines),
            lua_gc_micros: (worker.lua_gc_time() + lane.lua_gc_time()).as_micros() as u64,
            lua_allocated: totals.lua.allocated_bytes,
            lua_dicts_ppm: fullest(&self.telemetry),
            messages: self.messages.as_ref().map(Counter::read),
        }
    }
}

/// How full the fullest shared dictionary is, in millionths of its capacity.
pub(crate) fn fullest(telemetry: &Telemetry) -> Option<u32> {
    let dicts = telemetry.dicts();
    dicts.iter().map(|(_, usage)| (usage.share_in_use() * 1e6) as u32).max()
}

/// What only this instance knows: who has it may send messages.
fn token() -> anyhow::Result<String> {
    let mut bytes = [0; 16];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(format!("{:032x}", u128::from_ne_bytes(bytes)))
}

/// The app as it is executed: for a request as it is, for a message as a function of it. Lines keep their numbers.
fn script(spec: &InstanceSpec, token: &str) -> Script {
    if spec.consume.is_none() {
        return spec.app.clone();
    }
    let source = format!(
        "local message = require('tidegate.message').take('{token}') if not message then return end \
         local function run(...) {}\nend \
         require('tidegate.message').settle(message, xpcall(run, debug.traceback, message))",
        spec.app.source
    );
    Script { source: source.into(), ..spec.app.clone() }
}

/// Everything goes to the app.
fn snapshot(spec: &InstanceSpec, token: &str) -> anyhow::Result<Snapshot> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let route = Route {
        hooks: Hooks { content: Some(script(spec, token)), ..Hooks::default() },
        // Of a message that takes too long: nobody waits for it any more.
        check_client_abort: spec.consume.is_some(),
        ..Route::new(RouteId::new("app")?)
    };
    Ok(Snapshot {
        generation: 1,
        listeners: vec![Listener { address: address.into(), tls: None }],
        admin: Admin { address },
        workers: Workers::Auto,
        state: None,
        access_log: None,
        error_log: spec.error_log.clone(),
        answers: Answers::default(),
        // The gateway decides when a connection has been unused for long enough; if the instance did,
        // a request could meet the closing connection half-way.
        timeouts: Timeouts {
            drain: spec.grace,
            keep_alive: spec.timeouts.upstream_keep_alive * 2,
            ..spec.timeouts.clone()
        },
        // A message is in memory anyway.
        limits: match spec.consume {
            Some(_) => Limits { client_body_buffer: spec.limits.lua_body_bytes, ..spec.limits.clone() },
            None => spec.limits.clone(),
        },
        chaos: false,
        trusted_proxies: vec![IpAddr::V4(Ipv4Addr::LOCALHOST).into()],
        lua: LuaSettings { fleet: Some(spec.fleet.clone()), ..spec.lua.clone() },
        vars: Vec::new(),
        sources: BTreeMap::new(),
        fleets: BTreeMap::new(),
        upstreams: BTreeMap::new(),
        routes: vec![route],
    })
}
