//! The tour itself: waits for the fleet, sends the day, and shows how it goes.

use std::{
    io::{self, IsTerminal, Write},
    net::SocketAddr,
    num::NonZeroUsize,
    sync::Arc,
    time::Duration,
};

use tidegate_control::View;
use tidegate_load::{Plan, Progress, run, url};
use tokio::{
    select,
    sync::watch,
    time::{Instant, MissedTickBehavior, interval},
};
use tokio_util::sync::CancellationToken;

use super::{config::FLEET, day, lines::Lines, scene::Scene, screen, summary::Summary};
use crate::{
    cli::Format,
    screen::{Key, Screen},
};

/// How long the day takes unless something else is asked for.
pub(crate) const DURATION: Duration = Duration::from_mins(2);

/// Connections that the load comes over.
const CONNECTIONS: NonZeroUsize = const { NonZeroUsize::new(32).unwrap() };

/// The longest that a request may take, and so the longest that the tour goes on after its day.
const TIMEOUT: Duration = Duration::from_secs(20);

/// The longest that the first instance may take to start.
const START_LIMIT: Duration = Duration::from_secs(30);

/// How often the fleet is looked at before it is ready.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// How a tour goes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Options {
    /// How long the day takes.
    pub(crate) duration: Duration,
    /// With `Json` standard output is left to the summary.
    pub(crate) format: Format,
}

/// Why there is no summary.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("no instance became ready within {} s{}", START_LIMIT.as_secs(), because(.0.as_deref()))]
    NotReady(Option<String>),
    #[error("the gateway's address makes no URL")]
    Url(#[from] url::Error),
    #[error("cannot send load")]
    Load(#[from] run::Error),
    #[error("cannot show the tour")]
    Show(#[from] io::Error),
}

fn because(reason: Option<&str>) -> String {
    reason.map(|reason| format!(": {reason}")).unwrap_or_default()
}

/// Sends a day of demand to the gateway at `gateway` and shows what the fleet does meanwhile.
///
/// Cancelling `stop` breaks the day off, as a key on the terminal does; the summary then covers what
/// there was of it. Nothing else may change the fleet.
pub(crate) async fn tour(
    gateway: SocketAddr,
    view: impl Fn() -> Arc<View>,
    options: Options,
    stop: CancellationToken,
) -> Result<Summary, Error> {
    select! {
        biased;
        () = stop.cancelled() => {}
        ready = ready(&view) => ready?,
    }
    play(gateway, &view, options.duration, stop, Stage::open(options.format)?).await
}

/// The day, on a stage.
async fn play(
    gateway: SocketAddr,
    view: &impl Fn() -> Arc<View>,
    duration: Duration,
    stop: CancellationToken,
    stage: Stage,
) -> Result<Summary, Error> {
    let url = format!("http://{gateway}/").parse()?;
    let schedule = day::schedule(duration);
    let plan = Plan { connections: CONNECTIONS, timeout: TIMEOUT, ..Plan::new(url, schedule) };
    let mut scene = Scene::new(&view());
    let (sender, receiver) = watch::channel(Progress::default());
    let stop = stop.child_token();
    let run = tidegate_load::run(plan, sender, stop.clone());
    let (report, shown) = tokio::join!(run, show(&mut scene, receiver, view, stage, &stop));
    let report = report?;
    shown?;
    scene.look(&view());
    Ok(Summary::new(&report, &scene))
}

/// Waits until the fleet can serve.
async fn ready(view: &impl Fn() -> Arc<View>) -> Result<(), Error> {
    let deadline = Instant::now() + START_LIMIT;
    let mut looks = interval(LOOK_EVERY);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        looks.tick().await;
        let view = view();
        let fleet = view.fleets.iter().find(|fleet| fleet.name.as_str() == FLEET);
        if fleet.is_some_and(|fleet| fleet.states.ready > 0) {
            return Ok(());
        }
        if Instant::now() >= deadline {
            let failure = fleet.and_then(|fleet| fleet.last_failure.as_ref());
            return Err(Error::NotReady(failure.map(|failure| failure.reason.clone())));
        }
    }
}

/// Where the day is shown.
enum Stage {
    Screen(Screen),
    Lines(Lines<Box<dyn Write + Send>>),
}

impl Stage {
    fn open(format: Format) -> io::Result<Self> {
        match format {
            Format::Text if io::stdout().is_terminal() => Screen::open().map(Self::Screen),
            Format::Text => Ok(Self::Lines(Lines::new(Box::new(io::stdout())))),
            Format::Json => Ok(Self::Lines(Lines::new(Box::new(io::stderr())))),
        }
    }

    fn show(&mut self, scene: &Scene) -> io::Result<()> {
        match self {
            Self::Screen(view) => view.show(|frame| screen::draw(frame, scene)),
            Self::Lines(lines) => lines.show(scene),
        }
    }

    fn is_left(&self) -> io::Result<bool> {
        match self {
            Self::Screen(_) => {
                let mut left = false;
                while let Some(key) = Screen::pressed()? {
                    left |= key == Key::Leave;
                }
                Ok(left)
            }
            Self::Lines(_) => Ok(false),
        }
    }
}

/// Follows the load until it ends. What cannot be shown ends it as well.
async fn show(
    scene: &mut Scene,
    mut progress: watch::Receiver<Progress>,
    view: &impl Fn() -> Arc<View>,
    mut stage: Stage,
    stop: &CancellationToken,
) -> io::Result<()> {
    let _stop_on_error = stop.clone().drop_guard();
    while progress.changed().await.is_ok() {
        let now = progress.borrow_and_update().clone();
        scene.update(now, &view());
        stage.show(scene)?;
        if stage.is_left()? {
            stop.cancel();
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
