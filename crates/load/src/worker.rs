//! One thread of a run: a clock that puts requests into the queue when they are due, and the
//! connections that take them out.
//!
//! The clock never waits for a connection, which is what makes the load open-loop: a server that
//! answers slowly gets its requests all the same, and they wait at its cost.

use std::{
    io, mem, net,
    sync::Arc,
    thread::{self, JoinHandle},
    time::Instant,
};

use tokio::{net::TcpStream, runtime, select, sync::oneshot, task::JoinSet};
use tokio_util::sync::CancellationToken;

use crate::{
    connection::{Connection, Shared},
    record::Failure,
    timer::Timer,
};

/// How many requests that are already due are queued before connections get a turn.
const BURST: u32 = 32;

/// A part of the load, and the connections that carry it.
#[derive(Debug)]
pub(crate) struct Worker {
    pub(crate) shared: Arc<Shared>,
    pub(crate) connections: Vec<net::TcpStream>,
    /// Takes every `lanes`th request, from this one on.
    pub(crate) lane: usize,
    pub(crate) lanes: usize,
    /// Time zero of the schedule.
    pub(crate) start: Instant,
    pub(crate) stop: CancellationToken,
}

/// A worker's thread, which must be joined once `ended` says so.
#[derive(Debug)]
pub(crate) struct Running {
    pub(crate) thread: JoinHandle<io::Result<()>>,
    pub(crate) ended: oneshot::Receiver<()>,
}

impl Worker {
    pub(crate) fn spawn(self) -> io::Result<Running> {
        let (end, ended) = oneshot::channel::<()>();
        let thread = thread::Builder::new().name(format!("load-{}", self.lane)).spawn(move || {
            let _end = end; // Dropped, which is the message, on every way out.
            runtime::Builder::new_current_thread().enable_all().build()?.block_on(self.run())
        })?;
        Ok(Running { thread, ended })
    }

    /// Returns when every request has ended, or at once when told to stop.
    async fn run(mut self) -> io::Result<()> {
        let stop = self.stop.clone();
        let mut tasks = JoinSet::new();
        for stream in mem::take(&mut self.connections) {
            let stream = TcpStream::from_std(stream)?;
            let connection = Connection::new(Arc::clone(&self.shared), stream);
            tasks.spawn(async {
                connection.serve().await;
                Ok(())
            });
        }
        // A task like any other, because waking the outermost future costs a system call each time.
        tasks.spawn(self.dispatch());
        loop {
            let ended = select! {
                biased;
                () = stop.cancelled() => return Ok(()),
                ended = tasks.join_next() => ended,
            };
            match ended {
                None => return Ok(()),
                // A panic is not to be expected, and must not go unseen.
                Some(result) => result??,
            }
        }
    }

    /// Queues every request when it is due, and closes the queue at the end of the schedule.
    async fn dispatch(self) -> io::Result<()> {
        let mut timer = Timer::new()?;
        let mut burst = 0;
        let schedule = &self.shared.plan.schedule;
        for moment in schedule.moments().skip(self.lane).step_by(self.lanes) {
            let due = self.start + moment;
            if due > Instant::now() {
                timer.wait_until(due).await?;
                burst = 0;
            } else if burst == BURST {
                tokio::task::yield_now().await;
                burst = 0;
            }
            burst += 1;
            self.offer(due);
        }
        timer.wait_until(self.start + schedule.demand.duration()).await?;
        self.shared.queue.close();
        Ok(())
    }

    fn offer(&self, due: Instant) {
        self.shared.record.lock().offer(due.elapsed());
        if !self.shared.queue.push(due) {
            self.shared.record.lock().end(Err(Failure::Overflow));
        }
    }
}
