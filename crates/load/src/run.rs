//! A run from its first connection to its report.

use std::{
    io,
    net::SocketAddr,
    panic,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::{
    net::{TcpStream, lookup_host},
    select,
    sync::watch,
    task::JoinSet,
    time::{MissedTickBehavior, interval, timeout},
};
use tokio_util::sync::CancellationToken;

use crate::{
    connection::{Shared, connect},
    plan::Plan,
    progress::{Meter, Progress},
    queue::Queue,
    record::Record,
    report::Report,
    worker::{Running, Worker},
};

/// How often progress is published.
pub const PROGRESS_INTERVAL: Duration = Duration::from_millis(250);

/// From when all connections stand until time zero, so that every thread is waiting by then.
const LEAD: Duration = Duration::from_millis(20);

/// Why a run could not begin, or broke down. The environment is at fault each time.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot resolve host {host:?}")]
    Resolve { host: String, source: io::Error },
    #[error("host {0:?} has no address")]
    NoAddress(String),
    #[error("cannot connect to {authority}")]
    Connect { authority: String, source: io::Error },
    #[error("a load thread failed")]
    Thread(#[source] io::Error),
}

/// Sends the load of `plan` and reports what became of it.
///
/// All connections are made first; if one cannot be, nothing is sent. Threads of its own do the
/// work, so whatever else the calling runtime does leaves the measurement alone. Cancelling `stop`,
/// or dropping the future, breaks the run off; the report then covers what was done until then.
pub async fn run(
    plan: Plan,
    progress: watch::Sender<Progress>,
    stop: CancellationToken,
) -> Result<Report, Error> {
    let plan = Arc::new(plan);
    let stop = stop.child_token();
    let _stop_when_dropped = stop.clone().drop_guard();
    let (addresses, connections) = select! {
        biased;
        () = stop.cancelled() => (Vec::new(), Vec::new()),
        opened = open(&plan) => opened?,
    };
    let start = Instant::now() + LEAD;
    let lanes = share(&plan, addresses, connections)?;
    let mut meter =
        Meter::new(Arc::clone(&plan), lanes.iter().map(|lane| Arc::clone(&lane.0)).collect(), start);
    let workers = spawn(lanes, start, &stop).map_err(Error::Thread)?;

    let mut ticks = interval(PROGRESS_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    for Running { thread, mut ended } in workers {
        loop {
            select! {
                _ = &mut ended => break,
                _ = ticks.tick() => progress.send_replace(meter.read()),
            };
        }
        thread.join().unwrap_or_else(|panic| panic::resume_unwind(panic)).map_err(Error::Thread)?;
    }
    // What it came to is there, however seldom anybody looked.
    progress.send_replace(meter.read());
    Ok(meter.report(stop.is_cancelled()))
}

/// Resolves the host and makes all connections at once.
async fn open(plan: &Plan) -> Result<(Vec<SocketAddr>, Vec<TcpStream>), Error> {
    let host = plan.url.host();
    let addresses: Vec<SocketAddr> = lookup_host((host, plan.url.port()))
        .await
        .map_err(|source| Error::Resolve { host: host.to_owned(), source })?
        .collect();
    if addresses.is_empty() {
        return Err(Error::NoAddress(host.to_owned()));
    }
    let refused = |source| Error::Connect { authority: plan.url.authority(), source };
    let mut attempts = JoinSet::new();
    for _ in 0..plan.connections.get() {
        let addresses = addresses.clone();
        let limit = plan.timeout;
        attempts.spawn(async move { timeout(limit, connect(&addresses)).await? });
    }
    let mut connections = Vec::new();
    while let Some(attempt) = attempts.join_next().await {
        let attempt = attempt.map_err(|error| Error::Thread(error.into()))?;
        connections.push(attempt.map_err(refused)?);
    }
    Ok((addresses, connections))
}

/// What one thread shares, and its connections.
type Lane = (Arc<Shared>, Vec<std::net::TcpStream>);

/// Deals the connections out to threads.
fn share(
    plan: &Arc<Plan>,
    addresses: Vec<SocketAddr>,
    connections: Vec<TcpStream>,
) -> Result<Vec<Lane>, Error> {
    let lanes = plan.threads.get().min(connections.len());
    let request: Arc<[u8]> = plan.request.to_bytes(&plan.url).into();
    let addresses: Arc<[SocketAddr]> = addresses.into();
    let new_lane = || {
        let shared = Shared {
            plan: Arc::clone(plan),
            request: Arc::clone(&request),
            addresses: Arc::clone(&addresses),
            queue: Queue::new(plan.queue.div_ceil(plan.threads)),
            record: Record::default(),
        };
        (Arc::new(shared), Vec::new())
    };
    let mut lanes: Vec<Lane> = (0..lanes).map(|_| new_lane()).collect();
    let count = lanes.len();
    for (index, connection) in connections.into_iter().enumerate() {
        let (shared, streams) = &mut lanes[index % count];
        shared.record.lock().connects += 1;
        streams.push(connection.into_std().map_err(Error::Thread)?);
    }
    Ok(lanes)
}

fn spawn(lanes: Vec<Lane>, start: Instant, stop: &CancellationToken) -> io::Result<Vec<Running>> {
    let count = lanes.len();
    let workers = lanes.into_iter().enumerate().map(|(lane, (shared, connections))| {
        Worker { shared, connections, lane, lanes: count, start, stop: stop.clone() }.spawn()
    });
    workers.collect()
}
