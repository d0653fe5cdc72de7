//! `tidegate up`: gateway, scaler and control plane in one process.
//!
//! The main thread runs the control plane, because the kernel ties the life of the instances to the
//! thread that starts them. Workers and the Admin API have threads of their own.
//!
//! Stopping: not ready → no new connections → requests finish → instances drain → exit.

use std::{env, net::SocketAddr, path::PathBuf, sync::Arc, thread, time::Duration};

use anyhow::{Context, anyhow};
use tidegate_control::{ConfigSource, Control, Handle, LoadError, Options};
use tidegate_core::{Telemetry, snapshot::Workers};
use tidegate_proxy::{Node, StartError};
use tokio::{
    runtime::Builder,
    signal::unix::{Signal, SignalKind, signal},
    sync::oneshot,
};
use tokio_util::sync::CancellationToken;

use crate::{cli::Format, demo, exit::Failure, logging};

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  tidegate up tidegate.yaml\n\nSignals: SIGTERM and SIGINT drain and exit, SIGHUP reloads."
)]
pub(crate) struct Up {
    /// The configuration.
    #[arg(default_value = "tidegate.yaml")]
    file: PathBuf,
    /// Keep the journal of decisions in this folder.
    #[arg(long, value_name = "FOLDER")]
    state_dir: Option<PathBuf>,
    /// Take the tour: a built-in app, a day of demand in two minutes, and what the scaler makes of it.
    #[arg(long, conflicts_with = "file")]
    demo: bool,
    /// Seconds that the day of the tour takes.
    #[arg(long, hide = true, requires = "demo", value_parser = clap::value_parser!(u64).range(5..=3600))]
    demo_duration: Option<u64>,
    /// How the tour prints its summary.
    #[arg(long, value_enum, requires = "demo", default_value_t)]
    format: Format,
}

impl Up {
    pub(crate) fn run(self) -> Result<(), Failure> {
        if self.demo {
            let duration = self.demo_duration.map_or(demo::DURATION, Duration::from_secs);
            return demo::run(demo::Options { duration, format: self.format }, self.state_dir);
        }
        logging::start("info");
        Gateway::start(ConfigSource::File(self.file), self.state_dir)?.run(None)
    }
}

/// Something that the gateway runs for: it ends when that does.
pub(crate) struct Errand {
    pub(crate) finished: oneshot::Receiver<()>,
    /// Cancelled when a signal asks for an end.
    pub(crate) stop: CancellationToken,
}

/// Everything that `tidegate up` runs.
pub(crate) struct Gateway {
    control: Control,
    node: Node,
    telemetry: Arc<Telemetry>,
    admin: tidegate_admin::Server,
}

impl Gateway {
    pub(crate) fn start(config: ConfigSource, state_dir: Option<PathBuf>) -> Result<Self, Failure> {
        let program = env::current_exe().context("cannot find this program").map_err(Failure::Environment)?;
        let control = Control::load(Options { config, program, state_dir }).map_err(load_failure)?;
        let snapshot = Arc::clone(&control.snapshots().borrow());
        let telemetry = Telemetry::new(worker_count(snapshot.workers));
        // First, because it does not share its port: a second gateway on the same file ends here.
        let address = snapshot.admin.address;
        let admin = tidegate_admin::Server::start(address, control.handle(), Arc::clone(&telemetry))
            .with_context(|| format!("cannot serve the Admin API on {address}; is another gateway running?"))
            .map_err(Failure::Environment)?;
        let node = Node::start(&control.snapshots(), &control.roster(), Arc::clone(&telemetry)).map_err(
            |error| match error {
                StartError::Lua(_) => Failure::input(error),
                StartError::Listen { .. } | StartError::Worker(_) => Failure::environment(error),
            },
        )?;
        for address in node.addresses() {
            tracing::info!(%address, workers = telemetry.workers().len(), "listening");
        }
        tracing::info!(address = %admin.address(), "admin");
        Ok(Self { control, node, telemetry, admin })
    }

    /// Where the data plane listens.
    pub(crate) fn addresses(&self) -> &[SocketAddr] {
        self.node.addresses()
    }

    pub(crate) fn admin_address(&self) -> SocketAddr {
        self.admin.address()
    }

    pub(crate) fn handle(&self) -> Handle {
        self.control.handle()
    }

    /// Runs until a signal or the end of the errand, and until everything has been drained.
    pub(crate) fn run(self, errand: Option<Errand>) -> Result<(), Failure> {
        let runtime = Builder::new_current_thread().enable_all().build().map_err(Failure::environment)?;
        runtime.block_on(self.drive(errand)).map_err(Failure::Environment)
    }

    async fn drive(self, errand: Option<Errand>) -> anyhow::Result<()> {
        let Self { control, node, telemetry, admin } = self;
        let stop = CancellationToken::new();
        let handle = control.handle();
        let mut hangup = signal(SignalKind::hangup())?;
        let mut terminate = Termination::new()?;
        let supervise = async {
            let (wish, finished) = match errand {
                Some(Errand { finished, stop }) => (Some(stop), Some(finished)),
                None => (None, None),
            };
            let finished = async {
                match finished {
                    Some(finished) => finished.await.unwrap_or_default(),
                    None => std::future::pending().await,
                }
            };
            tokio::pin!(finished);
            loop {
                tokio::select! {
                    _ = hangup.recv() => handle.reload(),
                    () = terminate.received() => match &wish {
                        Some(stop) if !stop.is_cancelled() => stop.cancel(),
                        _ => break,
                    },
                    () = &mut finished => break,
                }
            }
            tracing::info!("draining");
            admin.begin_drain();
            node.drain();
            let (sender, drained) = oneshot::channel();
            // Workers end in their own time; joining them must not hold up the control plane.
            let joining = thread::Builder::new().name("drain".into()).spawn(move || {
                node.join();
                let _ = sender.send(());
            });
            joining.context("cannot wait for the workers")?;
            let _ = drained.await;
            stop.cancel();
            anyhow::Ok(())
        };
        let (outcome, ()) = tokio::join!(supervise, control.run(telemetry, stop.clone()));
        admin.stop();
        outcome
    }
}

/// Ctrl-C and `SIGTERM`.
struct Termination {
    interrupt: Signal,
    terminate: Signal,
}

impl Termination {
    fn new() -> anyhow::Result<Self> {
        let terminate = signal(SignalKind::terminate())?;
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate })
    }

    async fn received(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

fn worker_count(workers: Workers) -> usize {
    match workers {
        Workers::Auto => thread::available_parallelism().map_or(1, usize::from),
        Workers::Fixed(count) => count.get() as usize,
    }
}

fn load_failure(error: LoadError) -> Failure {
    match error {
        LoadError::Config(diagnostics) => {
            let list: Vec<_> = diagnostics.iter().map(ToString::to_string).collect();
            Failure::Input(anyhow!(
                "the configuration cannot be used

{}",
                list.join(
                    "

"
                )
            ))
        }
        LoadError::StateDir { .. } => Failure::environment(error),
    }
}
