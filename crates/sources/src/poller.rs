//! Asks every source in its own time, on one thread.

use std::{
    collections::BTreeMap,
    fmt, io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
    time::Instant,
};

use tidegate_control::sources::{Reading, Sources};
use tidegate_core::{SourceId, snapshot::Source};
use tokio::{
    sync::mpsc,
    time::{MissedTickBehavior, interval, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    error::{Error, Result},
    system::Gauge,
};

type Wake = Arc<dyn Fn() + Send + Sync>;

/// Sets of sources that may wait to be taken over: reloads that come faster wait.
const ORDERS: usize = 4;

/// Asks event sources. Ends, with its thread, when it is dropped.
#[derive(Debug)]
pub struct Poller {
    readings: Arc<Mutex<BTreeMap<SourceId, Reading>>>,
    orders: mpsc::Sender<Order>,
}

struct Order {
    sources: BTreeMap<SourceId, Source>,
    wake: Wake,
}

impl fmt::Debug for Order {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Order").field("sources", &self.sources).finish_non_exhaustive()
    }
}

impl Poller {
    pub fn start() -> io::Result<Self> {
        let readings = Arc::default();
        let (orders, receiver) = mpsc::channel(ORDERS);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let kept = Arc::clone(&readings);
        thread::Builder::new().name("sources".into()).spawn(move || runtime.block_on(run(receiver, kept)))?;
        Ok(Self { readings, orders })
    }
}

impl Sources for Poller {
    fn watch(&self, sources: &BTreeMap<SourceId, Source>, wake: Wake) {
        let order = Order { sources: sources.clone(), wake };
        if self.orders.try_send(order).is_err() {
            tracing::error!("event sources are not taken over: the thread that asks them does not answer");
        }
    }

    fn readings(&self) -> BTreeMap<SourceId, Reading> {
        lock(&self.readings).clone()
    }
}

type Readings = Arc<Mutex<BTreeMap<SourceId, Reading>>>;

fn lock(readings: &Mutex<BTreeMap<SourceId, Reading>>) -> MutexGuard<'_, BTreeMap<SourceId, Reading>> {
    // Nothing panics while it holds one of these.
    readings.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Keeps a task for each source; one that did not change goes on.
async fn run(mut orders: mpsc::Receiver<Order>, readings: Readings) {
    let mut running: BTreeMap<SourceId, (Source, CancellationToken)> = BTreeMap::new();
    let tasks = TaskTracker::new();
    while let Some(Order { sources, wake }) = orders.recv().await {
        running.retain(|name, (source, stop)| {
            let stays = sources.get(name) == Some(source);
            if !stays {
                stop.cancel();
                lock(&readings).remove(name);
            }
            stays
        });
        for (name, source) in sources {
            running.entry(name).or_insert_with_key(|name| {
                let stop = CancellationToken::new();
                lock(&readings).insert(name.clone(), Reading::default());
                let asked = ask(source.clone(), stop.clone(), Arc::clone(&readings), Arc::clone(&wake));
                tasks.spawn(asked);
                (source, stop)
            });
        }
    }
    for (_, stop) in running.values() {
        stop.cancel();
    }
}

/// Asks one source until `stop`.
async fn ask(source: Source, stop: CancellationToken, readings: Readings, wake: Wake) {
    let mut ticks = interval(source.interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut gauge = Gauge::new(&source);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = ticks.tick() => {}
        }
        let answer = tokio::select! {
            () = stop.cancelled() => return,
            answer = timeout(source.timeout, gauge.read()) => answer,
        };
        let answer = answer.unwrap_or(Err(Error::Late(source.timeout)));
        if answer.is_err() {
            // What comes next on that connection may be an answer that nobody waits for any more.
            gauge = Gauge::new(&source);
        }
        if note(&source, answer, &readings) {
            wake();
        }
    }
}

/// Keeps an answer, and says whether something waits where nothing did.
fn note(source: &Source, answer: Result<f64>, readings: &Readings) -> bool {
    let mut readings = lock(readings);
    // It may have left meanwhile.
    let Some(reading) = readings.get_mut(&source.name) else { return false };
    reading.polls += 1;
    match answer {
        Ok(value) => {
            if reading.error.take().is_some() {
                tracing::info!(source = %source.name, value, "the source answers again");
            }
            let before = reading.value.replace((value, Instant::now()));
            value > 0.0 && before.is_none_or(|(before, _)| before <= 0.0)
        }
        Err(error) => {
            reading.failures += 1;
            let error = error.to_string();
            // Said once, not with every question.
            if reading.error.as_ref() != Some(&error) {
                tracing::warn!(source = %source.name, %error, "the source does not answer");
            }
            reading.error = Some(error);
            false
        }
    }
}
