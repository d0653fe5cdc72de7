//! `tidegate instance`: one member of a fleet, started by the control plane and by nobody else.
//!
//! A Lua instance is a node of one worker and one route, which executes the app for every request. It
//! gets its orders as one line on standard input, reports on standard output, and lives no longer
//! than its parent. A command instance (`--exec`) becomes the command.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    process,
    sync::{Arc, atomic::Ordering::Relaxed},
    thread,
    time::Instant,
};

use tidegate_control::instance::{
    InstanceReport, InstanceSpec, bind_to_parent,
    exec::exec,
    protocol::{STATUS_EVERY, Status},
    receive, report,
};
use tidegate_core::{
    Roster, RouteId, Snapshot, Telemetry,
    snapshot::{Admin, ErrorLog, Hooks, Listener, Route, Timeouts, Workers},
};
use tidegate_proxy::Node;
use tokio::sync::watch;

use crate::{exit::Failure, logging};

#[derive(Debug, clap::Args)]
pub(crate) struct Instance {
    /// Become the program that follows, bound to the life of the parent.
    #[arg(long, requires = "command")]
    exec: bool,
    /// The program and its arguments.
    #[arg(last = true)]
    command: Vec<OsString>,
}

impl Instance {
    pub(crate) fn run(self) -> Result<(), Failure> {
        if self.exec {
            return Err(Failure::environment(exec(&self.command)));
        }
        logging::start("info");
        match serve() {
            Ok(()) => Ok(()),
            Err(error) => {
                // The parent shows the reason; its log gets it as well.
                let _ = report(&InstanceReport::Failed(format!("{error:#}")));
                Err(Failure::Input(error))
            }
        }
    }
}

fn serve() -> anyhow::Result<()> {
    let spec = receive()?;
    bind_to_parent(spec.parent)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    // Before anything is announced: from then on the parent may ask for an end.
    let mut terminate = runtime
        .block_on(async { tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) })?;
    let telemetry = Telemetry::new(1);
    let (_snapshots, snapshots) = watch::channel(Arc::new(snapshot(&spec)?));
    let (_roster, roster) = watch::channel(Arc::new(Roster::default()));
    let node = Node::start(&snapshots, &roster, Arc::clone(&telemetry))?;
    report(&InstanceReport::Listening { address: node.addresses()[0] })?;
    thread::Builder::new().name("lifeline".into()).spawn(watch_lifeline)?;
    thread::Builder::new().name("status".into()).spawn(move || report_status(&telemetry))?;
    runtime.block_on(terminate.recv());
    node.drain();
    node.join();
    Ok(())
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
        access_log: None,
        error_log: ErrorLog::default(),
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
        fleets: BTreeMap::new(),
        upstreams: BTreeMap::new(),
        routes: vec![route],
    })
}

/// Standard input stays open for as long as the parent lives.
fn watch_lifeline() {
    let ended = io::copy(&mut io::stdin().lock(), &mut io::sink());
    tracing::warn!(?ended, "the parent is gone");
    process::exit(3);
}

fn report_status(telemetry: &Telemetry) {
    let began = Instant::now();
    loop {
        thread::sleep(STATUS_EVERY);
        let worker = &telemetry.workers()[0];
        let totals = telemetry.routes().into_iter().map(|(_, totals)| totals).next().unwrap_or_default();
        let status = Status {
            busy_micros: worker.busy_us.load(Relaxed),
            up_micros: began.elapsed().as_micros() as u64,
            in_flight: u32::try_from(totals.in_flight()).unwrap_or(u32::MAX),
            served: totals.ended,
            lua_bytes: worker.lua_bytes.load(Relaxed),
        };
        if report(&InstanceReport::Status(status)).is_err() {
            process::exit(3); // Nobody reads: the parent is gone.
        }
    }
}
