//! How connections come to a worker from its sockets, and are counted.

use std::{
    future::poll_fn,
    io,
    net::SocketAddr,
    rc::Rc,
    sync::atomic::Ordering::Relaxed,
    task::{Context, Poll, Waker},
};

use tidegate_core::telemetry::WorkerSeries;
use tokio::net::TcpStream;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{connection, deadline::TICK, script_log, socket::Listening, worker::Worker};

/// Accepts from `listener`, which has this number, until told to stop, or until it is somebody else's.
pub(crate) async fn accept(
    worker: Rc<Worker>,
    (number, listener): (usize, Listening),
    connections: TaskTracker,
    stop: CancellationToken,
    taken: CancellationToken,
) {
    let local = listener.destination();
    let admit = |accepted: io::Result<(TcpStream, SocketAddr)>| match accepted {
        Ok((stream, client)) => {
            let worker = Rc::clone(&worker);
            // Another connection's request may hold up the thread before it is this one's turn.
            let mooring = worker.berths.book(client, script_log::next_connection());
            mooring.land(stream, number);
            connections.spawn_local(async move {
                let _open = Open::new(worker.series());
                // Apart, as a task is moved several times before it runs, and this is large.
                Box::pin(connection::serve(Rc::clone(&worker), mooring, number, client, local)).await;
            });
            true
        }
        Err(error) => {
            tracing::warn!(%error, "cannot accept");
            false
        }
    };
    loop {
        let share = worker.site().snapshot.limits.connections.div_ceil(worker.telemetry.working().max(1));
        let full = connections.len() >= share;
        let in_order = tokio::select! {
            () = stop.cancelled() => break,
            // Another worker takes what waits.
            () = taken.cancelled() => return,
            accepted = poll_fn(|cx| listener.poll_accept(cx)), if !full => admit(accepted),
            () = tokio::time::sleep(TICK), if full => true,
        };
        if !in_order {
            tokio::time::sleep(TICK).await; // Out of descriptors, most likely: let some be closed.
        }
    }
    // A closed socket resets what waits in its queue, so that is taken first.
    let mut cx = Context::from_waker(Waker::noop());
    while let Poll::Ready(accepted) = listener.poll_accept(&mut cx) {
        if !admit(accepted) {
            break;
        }
    }
}

/// Counts a connection for as long as it is open.
pub(crate) struct Open<'a>(&'a WorkerSeries);

impl<'a> Open<'a> {
    pub(crate) fn new(series: &'a WorkerSeries) -> Self {
        series.connections_accepted.fetch_add(1, Relaxed);
        Self(series)
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.0.connections_closed.fetch_add(1, Relaxed);
    }
}
