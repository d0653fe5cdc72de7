//! Everything that `tidegate up` runs, from the first socket to the last instance.
//!
//! The main thread runs the control plane, because the kernel ties the life of the instances to the
//! thread that starts them. Workers and the Admin API have threads of their own.
//!
//! Before anything is bound, a gateway that runs already with the same state directory is asked for its sockets
//! ([`handover`]); it goes on until it is told to stop.
//!
//! Stopping: not ready → no new connections → requests finish → instances drain → exit.

use std::{
    env,
    net::{SocketAddr, TcpListener},
    path::{Path, PathBuf},
    sync::Arc,
    thread,
};

use anyhow::{Context, anyhow};
use tidegate_control::{ConfigSource, Control, Handle, LoadError, Options};
use tidegate_core::{
    Telemetry,
    snapshot::{Snapshot, Workers},
};
use tidegate_proxy::{
    Node, StartError,
    handover::{self, Succession},
};
use tokio::{
    runtime::{Builder, Runtime},
    signal::unix::{Signal, SignalKind, signal},
    sync::oneshot,
};
use tokio_util::sync::CancellationToken;

use crate::{exit::Failure, instance::threads::Threads, logging, workers};

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
    succession: Succession,
    runtime: Runtime,
    signals: Signals,
}

/// Where sockets are handed over, in the state directory.
const HANDOVER: &str = "handover.sock";

impl Gateway {
    /// Reads the configuration, and listens. `hpa`: the target of HPA's rule, if that decides.
    pub(crate) fn start(
        config: ConfigSource,
        state_dir: Option<PathBuf>,
        hpa: Option<f64>,
    ) -> Result<Self, Failure> {
        let program = env::current_exe().context("cannot find this program").map_err(Failure::Environment)?;
        let sources = tidegate_sources::Poller::start().map_err(Failure::environment)?;
        let (threads, sources) = (Arc::new(Threads), Arc::new(sources));
        let options = Options { config, program, threads, sources, state_dir };
        let mut logs = Ok(());
        let configure = |snapshot: &Snapshot| {
            let file = snapshot.error_log.file.as_deref().unwrap_or(Path::new("")).display();
            logs = logging::configure(&snapshot.error_log)
                .with_context(|| format!("cannot open the error log {file}"));
        };
        let mut control = Control::load_telling(options, configure).map_err(load_failure)?;
        logs.map_err(Failure::Environment)?;
        if let Some(target) = hpa {
            control = control.following_hpa(target);
        }
        let snapshot = Arc::clone(&control.snapshots().borrow());
        let (workers, most) = worker_count(snapshot.workers);
        let telemetry = Telemetry::with_room(workers, most);
        let runtime = Builder::new_current_thread().enable_all().build().map_err(Failure::environment)?;
        // Before anybody can see that this process is ready, and may want to tell it something.
        let signals = runtime.block_on(async { Signals::listen() }).map_err(Failure::environment)?;
        let handle = control.handle();
        let place = handle.state().map(|state| state.join(HANDOVER));
        let mut handed = place.as_deref().map(|place| handover::ask(place, &snapshot)).unwrap_or_default();
        // First, because it does not share its port: a second gateway that was handed nothing ends here.
        let address = snapshot.admin.address;
        let admin = handed.take_admin().map_or_else(|| TcpListener::bind(address), Ok);
        let admin = admin
            .and_then(|listener| tidegate_admin::Server::start_on(listener, handle, Arc::clone(&telemetry)))
            .with_context(|| format!("cannot serve the Admin API on {address}; is another gateway running?"))
            .map_err(Failure::Environment)?;
        let telemetry_of_node = Arc::clone(&telemetry);
        let node = Node::succeed(&control.snapshots(), &control.roster(), telemetry_of_node, &mut handed)
            .map_err(|error| match error {
                StartError::Lua(_) | StartError::Tls(_) => Failure::input(error),
                StartError::Listen { .. }
                | StartError::AccessLog(_)
                | StartError::Worker(_)
                | StartError::Full => Failure::environment(error),
            })?;
        let superseded = admin.superseded();
        let succession = Succession::begin(place.as_deref(), &node, admin.listener(), handed, superseded);
        if let Workers::Fleet { .. } = snapshot.workers {
            control = control.employing(workers::Workers::of(&node));
        }
        for address in node.listeners() {
            tracing::info!(%address, workers, "listening");
        }
        tracing::info!(address = %admin.address(), "admin");
        Ok(Self { control, node, telemetry, admin, succession, runtime, signals })
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
        let Self { control, node, telemetry, admin, succession, runtime, signals } = self;
        let driven = drive(control, (node, succession), telemetry, &admin, signals, errand);
        runtime.block_on(driven).map_err(Failure::Environment)
    }
}

async fn drive(
    control: Control,
    (node, succession): (Node, Succession),
    telemetry: Arc<Telemetry>,
    admin: &tidegate_admin::Server,
    mut signals: Signals,
    errand: Option<Errand>,
) -> anyhow::Result<()> {
    let stop = CancellationToken::new();
    let (draining, drains) = oneshot::channel();
    let handle = control.handle();
    let supervise = async {
        until_asked_to_stop(&mut signals, &handle, &node, errand).await;
        // Before anybody can see the drain, and not want to wait for it.
        if let Ok(again) = signal(SignalKind::interrupt()) {
            let _ = draining.send(again);
        }
        tracing::info!("draining");
        admin.begin_drain();
        if *admin.superseded().borrow() {
            handle.entrust();
        }
        node.drain(&succession.end());
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
    let drained = async { tokio::join!(supervise, control.run(telemetry, stop.clone())).0 };
    tokio::select! {
        outcome = drained => outcome,
        outcome = interrupted_again(drains) => outcome,
    }
}

/// Fails when somebody at the keyboard does not want to wait for the drain.
async fn interrupted_again(drains: oneshot::Receiver<Signal>) -> anyhow::Result<()> {
    match drains.await {
        Ok(mut interrupt) => drop(interrupt.recv().await),
        Err(_) => std::future::pending().await,
    }
    Err(anyhow!("interrupted once more: what had not been drained was cut"))
}

async fn until_asked_to_stop(signals: &mut Signals, handle: &Handle, node: &Node, errand: Option<Errand>) {
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
        let asked = tokio::select! {
            asked = signals.next() => asked,
            () = &mut finished => return,
        };
        match (asked, &wish) {
            (Asked::Reload, _) => {
                reopen_logs(node);
                handle.reload();
            }
            (Asked::Reopen, _) => reopen_logs(node),
            (Asked::Upgrade, _) => tracing::warn!(
                "SIGUSR2 has no effect: start the new program beside this one with the same configuration, and end this one \
                 with SIGTERM"
            ),
            (Asked::Stop, Some(stop)) if !stop.is_cancelled() => stop.cancel(),
            (Asked::Stop, _) => return,
        }
    }
}

/// They may have been rotated away.
fn reopen_logs(node: &Node) {
    logging::reopen();
    node.reopen_access_log();
}

/// What the process listens to; a signal that nobody listens to would end it. Those of nginx are among them, since scripts
/// that rotate its logs or end it send them.
struct Signals {
    hangup: Signal,
    interrupt: Signal,
    terminate: Signal,
    quit: Signal,
    user1: Signal,
    user2: Signal,
    /// A file has become as large as it may be. Who writes it is told by an error then.
    _file_size: Signal,
}

/// What a signal asks for.
enum Asked {
    Reload,
    Reopen,
    Upgrade,
    Stop,
}

impl Signals {
    fn listen() -> std::io::Result<Self> {
        Ok(Self {
            hangup: signal(SignalKind::hangup())?,
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            quit: signal(SignalKind::quit())?,
            user1: signal(SignalKind::user_defined1())?,
            user2: signal(SignalKind::user_defined2())?,
            _file_size: signal(SignalKind::from_raw(rustix::process::Signal::XFSZ.as_raw()))?,
        })
    }

    async fn next(&mut self) -> Asked {
        tokio::select! {
            _ = self.hangup.recv() => Asked::Reload,
            _ = self.user1.recv() => Asked::Reopen,
            _ = self.user2.recv() => Asked::Upgrade,
            _ = self.interrupt.recv() => Asked::Stop,
            _ = self.terminate.recv() => Asked::Stop,
            _ = self.quit.recv() => Asked::Stop,
        }
    }
}

/// How many workers there are at first, and how many there may be.
fn worker_count(workers: Workers) -> (usize, usize) {
    match workers {
        Workers::Auto => {
            let count = thread::available_parallelism().map_or(1, usize::from);
            (count, count)
        }
        Workers::Fixed(count) => (count.get() as usize, count.get() as usize),
        Workers::Fleet { min, max } => (min.get() as usize, max.get() as usize),
    }
}

fn load_failure(error: LoadError) -> Failure {
    match error {
        LoadError::Config(diagnostics) => {
            let list: Vec<_> = diagnostics.iter().map(ToString::to_string).collect();
            Failure::Input(anyhow!("the configuration cannot be used\n\n{}", list.join("\n\n")))
        }
        LoadError::StateDir { .. } => Failure::environment(error),
    }
}
