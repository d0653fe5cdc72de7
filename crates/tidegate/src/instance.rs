//! `tidegate instance`: one member of a fleet, started by the control plane and by nobody else.
//!
//! A Lua instance gets its orders as one line on standard input, reports on standard output, and lives no
//! longer than its parent. A command instance (`--exec`) becomes the command. A keeper (`--keep`) ends what both left behind.

mod app;
pub(crate) mod threads;

use std::{ffi::OsString, process, sync::mpsc::Receiver, thread};

use tidegate_control::instance::{
    InstanceReport, bind_to_parent,
    exec::exec,
    keep::keep,
    protocol::{Order, Part, STATUS_EVERY},
    receive, report,
};
use tidegate_core::snapshot::ErrorLog;
use tidegate_lua::flame;
use tokio::signal::unix::{SignalKind, signal};

use self::app::{App, Meter};
use crate::{exit::Failure, logging};

#[derive(Debug, clap::Args)]
pub(crate) struct Instance {
    /// Become the program that follows, bound to the life of the parent.
    #[arg(long, requires = "command")]
    exec: bool,
    /// End what instances leave behind when the gateway has ended.
    #[arg(long, conflicts_with = "exec")]
    keep: bool,
    /// The program and its arguments.
    #[arg(last = true)]
    command: Vec<OsString>,
}

impl Instance {
    pub(crate) fn run(self) -> Result<(), Failure> {
        if self.exec {
            return Err(Failure::environment(exec(&self.command)));
        }
        if self.keep {
            return keep().map_err(Failure::environment);
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
    let (spec, orders) = receive()?;
    bind_to_parent(spec.parent)?;
    // Always as fields: the parent makes lines of them.
    logging::configure(&ErrorLog { level: spec.error_log.level, ..ErrorLog::default() })?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    // Before anything is announced: from then on the parent may ask for an end.
    let mut terminate = runtime.block_on(async { signal(SignalKind::terminate()) })?;
    // A whole unit may be sent what is for the gateway (`systemctl kill`); who is to end is told by the parent.
    let _unheeded = runtime.block_on(async {
        let kinds = [
            SignalKind::hangup(),
            SignalKind::interrupt(),
            SignalKind::quit(),
            SignalKind::user_defined1(),
            SignalKind::user_defined2(),
        ];
        kinds.map(signal)
    });
    let app = App::start(&spec)?;
    report(&InstanceReport::Listening { address: app.address() })?;
    thread::Builder::new().name("orders".into()).spawn(move || obey(&orders))?;
    let meter = app.meter();
    thread::Builder::new().name("status".into()).spawn(move || report_status(&meter))?;
    runtime.block_on(terminate.recv());
    app.end();
    Ok(())
}

/// Does one thing after the other that the parent wants besides requests being served.
fn obey(orders: &Receiver<Order>) {
    for Order::Record { number, wish } in orders {
        // Nobody else records in this process.
        let recording = flame::record(&wish).unwrap_or_default();
        if Part::all(number, recording).any(|part| report(&InstanceReport::Recorded(part)).is_err()) {
            process::exit(3); // Nobody reads: the parent is gone.
        }
    }
}

fn report_status(meter: &Meter) {
    loop {
        thread::sleep(STATUS_EVERY);
        if report(&InstanceReport::Status(meter.status())).is_err() {
            process::exit(3); // Nobody reads: the parent is gone.
        }
    }
}
