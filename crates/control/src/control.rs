//! The control plane's one loop.
//!
//! It owns all fleets and does everything in turn, on one thread: it takes what instances report, reads the
//! configuration anew, observes and decides once a second, and brings each fleet closer to what was
//! decided. The middle is values ([`Fleet`], [`Scaler`](tidegate_scaler::Scaler)); this is the rim.
//!
//! Invariants: the roster is published before an instance that left it is told to drain, and a roster
//! that knows a new fleet is published before the snapshot that uses it.

mod havoc;
mod member;
mod plane;
mod reload;

use std::{
    collections::BTreeMap,
    io, mem,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use tidegate_config::Diagnostic;
use tidegate_core::{FleetId, OwnerId, Roster, Snapshot, Telemetry, snapshot::StateFiles};
use tokio::{
    sync::{mpsc, watch},
    time::{Instant, Interval, MissedTickBehavior, interval_at},
};
use tokio_util::sync::CancellationToken;

use self::{member::Member, plane::Plane, reload::Loader};
use crate::{
    clock::Moment,
    driver::{Drivers, Event, exec::fnv, thread::ThreadHost, worker::WorkerHost},
    handle::{Handle, Shared, Wish},
    journal::{
        Writer,
        recover::{self, Recall, Recovered},
    },
    source::ConfigSource,
    sources::{Sources, Watched},
    template::Template,
    view::{RoundsView, View},
};

/// How often requests in flight are counted, and fleets are looked at for what is due.
const SAMPLE_EVERY: Duration = Duration::from_millis(100);

/// How often each fleet is observed and decided upon.
const STEP_EVERY: Duration = Duration::from_secs(1);

/// How often files are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Events that are taken before anything else is done.
const EVENTS_AT_ONCE: usize = 256;

/// Longest part of the host's name in the name of an owner.
const HOST_IN_OWNER: usize = 40;

/// How a control plane is set up.
#[derive(Debug, Clone)]
pub struct Options {
    pub config: ConfigSource,
    /// The program that runs as an instance: Tidegate itself.
    pub program: PathBuf,
    /// Runs an instance in a thread.
    pub threads: Arc<dyn ThreadHost>,
    /// Asks event sources.
    pub sources: Arc<dyn Sources>,
    /// Where the journal is kept, instead of where the configuration says.
    pub state_dir: Option<PathBuf>,
}

/// Why there is no control plane.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    #[error("the configuration cannot be used")]
    Config(Vec<Diagnostic>),
    #[error("the state directory {path:?} cannot be used")]
    StateDir { path: PathBuf, source: io::Error },
}

/// A control plane that has a configuration and is ready to run.
#[derive(Debug)]
pub struct Control {
    loader: Loader,
    program: PathBuf,
    threads: Arc<dyn ThreadHost>,
    sources: Arc<dyn Sources>,
    owner: OwnerId,
    /// The workers of the node, where their number changes.
    workers: Option<Arc<dyn WorkerHost>>,
    /// The target of HPA's rule, if that decides.
    hpa: Option<f64>,
    writer: Option<Writer>,
    recalls: BTreeMap<FleetId, Recall>,
    shared: Arc<Shared>,
    snapshots: watch::Sender<Arc<Snapshot>>,
    roster: watch::Sender<Arc<Roster>>,
}

/// What the loop does next.
enum Turn {
    Stop,
    Event(Event),
    Reload,
    Disturb(Wish),
    Look,
    Sample,
    /// So long after its time.
    Step(Duration),
    Wake,
}

impl Control {
    /// Reads the configuration. Nothing is started yet.
    pub fn load(options: Options) -> Result<Self, LoadError> {
        Self::load_telling(options, |_| ())
    }

    /// The same; `tell` is given the configuration before anything is done by it, or logged.
    pub fn load_telling(options: Options, tell: impl FnOnce(&Snapshot)) -> Result<Self, LoadError> {
        let owner = owner(&options.config);
        let (loader, snapshot) = Loader::load(options.config).map_err(LoadError::Config)?;
        tell(&snapshot);
        let (writer, state, recovered) = keep(options.state_dir, &snapshot)?;
        recovered.say();
        let Recovered { fleets: recalls, journal, .. } = recovered;
        let roster = plane::roster(snapshot.fleets.keys().map(|name| (name, Arc::default())));
        Ok(Self {
            shared: Arc::new(Shared::new(first_view(&loader, &snapshot), journal, state)),
            loader,
            program: options.program,
            threads: options.threads,
            sources: options.sources,
            owner,
            workers: None,
            hpa: None,
            writer,
            recalls,
            snapshots: watch::Sender::new(snapshot),
            roster: watch::Sender::new(Arc::new(roster)),
        })
    }

    /// Has HPA's rule decide in place of what the file says, with the lag that it has there: what that costs, live. It aims
    /// at a utilization of `target`; what the policies of the file decide is recorded and not done.
    #[must_use]
    pub const fn following_hpa(mut self, target: f64) -> Self {
        self.hpa = Some(target);
        self
    }

    /// Whoever has the workers of the node, for the fleet that they are.
    #[must_use]
    pub fn employing(mut self, workers: Arc<dyn WorkerHost>) -> Self {
        self.workers = Some(workers);
        self
    }

    /// The configuration in use, and every one that follows.
    pub fn snapshots(&self) -> watch::Receiver<Arc<Snapshot>> {
        self.snapshots.subscribe()
    }

    /// Who can serve, whenever that changes.
    pub fn roster(&self) -> watch::Receiver<Arc<Roster>> {
        self.roster.subscribe()
    }

    pub fn handle(&self) -> Handle {
        Handle(Arc::clone(&self.shared))
    }

    /// Runs until `stop`, then drains all instances, and returns when the last one is gone.
    ///
    /// To be driven by the thread that lives longest, the process's main thread: the kernel kills
    /// the instances when the thread that started them ends. The future is not `Send` for that reason.
    ///
    /// Stop the data plane first, and cancel `stop` when it has drained: from then on no instance gets
    /// new requests.
    pub async fn run(self, telemetry: Arc<Telemetry>, stop: CancellationToken) {
        let Self {
            mut loader,
            program,
            threads,
            sources,
            owner,
            workers,
            hpa,
            writer,
            recalls,
            shared,
            snapshots,
            roster,
        } = self;
        telemetry.on_waiting({
            let shared = Arc::clone(&shared);
            move || shared.wake.notify_one()
        });
        let (mut plane, mut events) = Plane::new(
            Drivers::new((program, shared.recorders.clone()), threads, workers, owner),
            Watched::new(sources),
            telemetry,
            (writer, recalls),
            Arc::clone(&shared),
            roster,
        );
        plane.hpa = hpa;
        let mut wishes = shared.wishes();
        let mut snapshot = Arc::clone(&snapshots.borrow());
        plane.configure(&snapshot);
        let (mut sample, mut step, mut look) = (every(SAMPLE_EVERY), every(STEP_EVERY), every(LOOK_EVERY));
        let mut matters = true;
        loop {
            if mem::replace(&mut matters, true) {
                plane.settle(&loader);
            }
            let turn = tokio::select! {
                biased;
                () = stop.cancelled() => Turn::Stop,
                Some(event) = events.recv() => Turn::Event(event),
                () = shared.wake.notified() => Turn::Wake,
                Some(wish) = wishes.recv() => Turn::Disturb(wish),
                () = shared.reload.notified() => Turn::Reload,
                _ = sample.tick() => Turn::Sample,
                due = step.tick() => Turn::Step(due.elapsed()),
                _ = look.tick() => Turn::Look,
            };
            match turn {
                Turn::Stop => break,
                Turn::Event(event) => matters = take_all(&mut plane, event, &mut events),
                Turn::Disturb(wish) => plane.grant(wish),
                Turn::Sample => plane.sample(),
                Turn::Step(lag) => plane.step(lag),
                Turn::Wake => plane.wake(),
                Turn::Look if !loader.changed() => {}
                Turn::Look | Turn::Reload => {
                    if let Some(new) = loader.reload(&snapshot) {
                        snapshot = new;
                        plane.configure(&snapshot);
                        plane.settle(&loader);
                        snapshots.send_replace(Arc::clone(&snapshot));
                    }
                }
            }
        }
        end(plane, events, &loader).await;
    }
}

/// Ends all instances, and waits until the last is gone.
async fn end(mut plane: Plane, mut events: mpsc::Receiver<Event>, loader: &Loader) {
    plane.stop(loader);
    while !plane.is_empty() {
        let event = events.recv().await.expect("the plane holds a sender");
        plane.on_while_stopping(event, loader);
    }
}

/// Takes an event and those that came with it: they are looked at together, or many fleets would be looked at for each.
/// Returns whether something follows from them: instances report all the time, and nothing does from that before the next step.
fn take_all(plane: &mut Plane, first: Event, events: &mut mpsc::Receiver<Event>) -> bool {
    let mut matters = first.matters();
    plane.on(first);
    for _ in 0..EVENTS_AT_ONCE {
        let Ok(event) = events.try_recv() else { break };
        matters |= event.matters();
        plane.on(event);
    }
    matters
}

/// Opens what is kept on disk, and reads what there is. Where nobody asked for a certain place, one that
/// cannot be used is no reason not to serve.
fn keep(
    asked_for: Option<PathBuf>,
    snapshot: &Snapshot,
) -> Result<(Option<Writer>, Option<PathBuf>, Recovered), LoadError> {
    let limit = snapshot.state.as_ref().map_or(StateFiles::JOURNAL_BYTES, |state| state.journal_bytes);
    let asked = asked_for.is_some();
    let Some(path) = asked_for.or_else(|| Some(snapshot.state.as_ref()?.path.clone())) else {
        return Ok((None, None, Recovered::default()));
    };
    let names = snapshot.fleets.keys().collect();
    let opened = |path: &Path| Ok((recover::recover(path, &names)?, Writer::new(path, limit)?));
    match opened(&path) {
        Ok((recovered, writer)) => Ok((Some(writer), Some(path), recovered)),
        Err(source) if asked => Err(LoadError::StateDir { path, source }),
        Err(error) => {
            let error: io::Error = error;
            tracing::warn!(%error, path = %path.display(), "no journal is kept: its folder cannot be used");
            Ok((None, None, Recovered::default()))
        }
    }
}

/// Whose instances are those that outlive this process, unless the file says so: they are of this host and this file.
fn owner(config: &ConfigSource) -> OwnerId {
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let tidy = |c: char| if c.is_ascii_alphanumeric() || c == '.' { c } else { '-' };
    let short: String = host.chars().take(HOST_IN_OWNER).map(tidy).collect();
    let path = match config {
        ConfigSource::File(path) => std::path::absolute(path).unwrap_or_else(|_| path.clone()),
        ConfigSource::Text { .. } => PathBuf::new(),
    };
    let path = path.canonicalize().unwrap_or(path);
    let mark = fnv([host.as_str(), &path.to_string_lossy()].into_iter());
    OwnerId::new(&format!("{short}-{mark:016x}")).expect("letters, digits, '.' and '-', and few of them")
}

/// What there is to see before anything runs: fleets without instances.
fn first_view(loader: &Loader, snapshot: &Snapshot) -> View {
    let now = Moment::now();
    let fleet =
        |(name, fleet)| Member::new(name, fleet, Template::new(fleet, snapshot), now, None).shown(now);
    let fleets = snapshot.fleets.iter().map(fleet).collect();
    View {
        at: now.time,
        stopping: false,
        config: loader.status(),
        chaos: snapshot.chaos,
        fleets,
        sources: Vec::new(),
        journal_lost: 0,
        rounds: RoundsView::default(),
    }
}

/// Ticks after each `period`, the first one included.
fn every(period: Duration) -> Interval {
    let mut interval = interval_at(Instant::now() + period, period);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    interval
}
