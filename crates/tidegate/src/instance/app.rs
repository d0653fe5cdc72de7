//! A Lua app that serves: a node of one worker and one route, which executes it for every request.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Instant,
};

use tidegate_control::{InstanceSpec, instance::protocol::Status};
use tidegate_core::{
    Roster, RouteId, Snapshot, Telemetry,
    snapshot::{Admin, Answers, ErrorLog, Hooks, Listener, Route, Timeouts, Workers},
};
use tidegate_proxy::Node;
use tokio::sync::watch;

pub(super) struct App {
    node: Node,
    meter: Meter,
    /// The node keeps serving what these hold last.
    _snapshots: watch::Sender<Arc<Snapshot>>,
    _roster: watch::Sender<Arc<Roster>>,
}

/// Reads what an app does.
#[derive(Clone)]
pub(super) struct Meter {
    telemetry: Arc<Telemetry>,
    began: Instant,
}

impl App {
    /// Returns when it accepts requests.
    pub(super) fn start(spec: &InstanceSpec) -> anyhow::Result<Self> {
        let telemetry = Telemetry::new(1);
        let (snapshots, receiver) = watch::channel(Arc::new(snapshot(spec)?));
        let (roster, nobody) = watch::channel(Arc::new(Roster::default()));
        let node = Node::start(&receiver, &nobody, Arc::clone(&telemetry))?;
        let meter = Meter { telemetry, began: Instant::now() };
        Ok(Self { node, meter, _snapshots: snapshots, _roster: roster })
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
        self.node.drain();
        self.node.join();
    }
}

impl Meter {
    pub(super) fn status(&self) -> Status {
        let worker = &self.telemetry.workers()[0];
        let totals = self.telemetry.routes().into_iter().map(|(_, totals)| totals).next().unwrap_or_default();
        Status {
            busy_micros: worker.busy_us.load(Relaxed),
            up_micros: self.began.elapsed().as_micros() as u64,
            in_flight: u32::try_from(totals.in_flight()).unwrap_or(u32::MAX),
            served: totals.ended,
            lua_bytes: worker.lua_bytes.load(Relaxed),
        }
    }
}

/// Everything goes to the app.
fn snapshot(spec: &InstanceSpec) -> anyhow::Result<Snapshot> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let route = Route {
        hooks: Hooks { content: Some(spec.app.clone()), ..Hooks::default() },
        ..Route::new(RouteId::new("app")?)
    };
    Ok(Snapshot {
        generation: 1,
        listeners: vec![Listener { address }],
        admin: Admin { address },
        workers: Workers::Auto,
        state: None,
        access_log: None,
        error_log: ErrorLog::default(),
        answers: Answers::default(),
        // The gateway decides when a connection has been unused for long enough; if the instance did,
        // a request could meet the closing connection half-way.
        timeouts: Timeouts {
            drain: spec.grace,
            keep_alive: spec.timeouts.upstream_keep_alive * 2,
            ..spec.timeouts.clone()
        },
        limits: spec.limits.clone(),
        trusted_proxies: vec![IpAddr::V4(Ipv4Addr::LOCALHOST).into()],
        lua: spec.lua.clone(),
        vars: Vec::new(),
        sources: BTreeMap::new(),
        fleets: BTreeMap::new(),
        upstreams: BTreeMap::new(),
        routes: vec![route],
    })
}
