//! The workers of a node: who there is, who takes connections from which socket, who leaves.
//!
//! Each worker that there may be has a seat with a row of sockets of its own, one on each listener's address. The sockets
//! are bound before the first worker starts and closed when the node stops, and not in between: the kernel spreads
//! connections over them whatever happens here, and one that waits in the queue of a closed socket would be reset. So
//! the sockets of a seat without a worker are looked after by the workers that there are, and so are rows that are nobody's
//! seat: a predecessor with more workers has left them.
//!
//! A worker leaves in two steps. First it takes no more connections, and passes those that it has on to others when
//! their requests are finished; that can be taken back. Then it ends, and its seat is free.
//!
//! Invariant: as long as there is a worker that does not leave, each socket is accepted from by one.

use std::{
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::Ordering::Relaxed,
        mpsc::{SyncSender, sync_channel},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use tidegate_core::{Roster, Snapshot, telemetry::WorkerSeries};
use tidegate_lua::Vm;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use crate::{
    access_log::AccessLog,
    lane::{self, Crossing},
    node::{Shared, StartError},
    parting::Colleague,
    seat::{self, Seat},
    socket::Row,
};

/// How long a new worker waits for a seat: workers that end leave one.
const SEAT_WITHIN: Duration = Duration::from_secs(30);

/// Who does what.
#[derive(Debug, Clone, Default)]
pub(crate) struct Sharing {
    /// Who accepts from the sockets of each row: the number of a worker.
    pub(crate) owners: Vec<usize>,
    /// All who are at work.
    pub(crate) at_work: Vec<Colleague>,
}

/// What a worker is to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Duty {
    Work,
    /// Take no more connections.
    Leave,
    End,
}

/// All of them.
#[derive(Debug)]
pub struct Crew {
    shared: Arc<Shared>,
    snapshots: watch::Receiver<Arc<Snapshot>>,
    roster: watch::Receiver<Arc<Roster>>,
    pub(crate) stop: CancellationToken,
    sharing: watch::Sender<Arc<Sharing>>,
    /// How many rows of sockets there are: one for each seat, or more.
    rows: usize,
    seats: Mutex<Seats>,
    freed: Condvar,
}

#[derive(Debug)]
struct Seats {
    all: Vec<Place>,
    /// Empty when the node stops.
    sockets: Arc<[Row]>,
    /// What a new worker writes to. `None` when the node stops.
    access_log: Option<AccessLog>,
}

#[derive(Debug, Default)]
struct Place {
    worker: Option<Employed>,
    /// Somebody is in charge of its worker.
    hired: bool,
}

#[derive(Debug)]
struct Employed {
    duty: watch::Sender<Duty>,
    inbox: mpsc::Sender<Crossing>,
    /// `None`: somebody waits for its end.
    thread: Option<JoinHandle<()>>,
}

impl Crew {
    pub(crate) fn new(
        shared: Arc<Shared>,
        sockets: Vec<Row>,
        access_log: AccessLog,
        snapshots: watch::Receiver<Arc<Snapshot>>,
        roster: watch::Receiver<Arc<Roster>>,
    ) -> Arc<Self> {
        let (count, rows) = (shared.telemetry.workers().len(), sockets.len());
        let seats = Seats {
            all: (0..count).map(|_| Place::default()).collect(),
            sockets: sockets.into(),
            access_log: Some(access_log),
        };
        Arc::new(Self {
            shared,
            snapshots,
            roster,
            stop: CancellationToken::new(),
            sharing: watch::Sender::default(),
            rows,
            seats: Mutex::new(seats),
            freed: Condvar::new(),
        })
    }

    /// Starts workers on the first `count` seats, and returns when all of them serve.
    pub(crate) fn begin(&self, count: usize) -> Result<(), StartError> {
        let (ready, started) = sync_channel(count);
        let mut seats = self.seats();
        for index in 0..count {
            self.employ(&mut seats, index, ready.clone())?;
        }
        self.share_out(&seats);
        drop((seats, ready));
        for _ in 0..count {
            started.recv().unwrap_or_else(|_| Err(StartError::died()))?;
        }
        Ok(())
    }

    /// Takes charge of a worker: of one that runs already, or else of a new one. Returns when it serves.
    pub fn hire(self: &Arc<Self>) -> Result<Worker, StartError> {
        let mut seats = self.seats();
        let running = |place: &Place| !place.hired && place.worker.is_some();
        if let Some(index) = seats.all.iter().position(running) {
            seats.all[index].hired = true;
            return Ok(Worker { crew: Arc::clone(self), index });
        }
        let full = |seats: &mut Seats| seats.free().is_none() && !self.stop.is_cancelled();
        let waited = self.freed.wait_timeout_while(seats, SEAT_WITHIN, full);
        let (mut seats, _) = waited.unwrap_or_else(PoisonError::into_inner);
        let index = seats.free().ok_or(StartError::Full)?;
        seats.all[index].hired = true;
        let (ready, started) = sync_channel(1);
        let outcome = self.employ(&mut seats, index, ready);
        drop(seats);
        let outcome = outcome.and_then(|()| started.recv().unwrap_or_else(|_| Err(StartError::died())));
        let worker = Worker { crew: Arc::clone(self), index };
        match outcome {
            Ok(()) => {
                self.share_out(&self.seats());
                Ok(worker)
            }
            Err(error) => {
                worker.end();
                Err(error)
            }
        }
    }

    /// All sockets.
    pub(crate) fn sockets(&self) -> Arc<[Row]> {
        Arc::clone(&self.seats().sockets)
    }

    /// The node stops: nobody accepts any more but what waits already.
    pub(crate) fn drain(&self) {
        let mut seats = self.seats();
        seats.sockets = Arc::default();
        seats.access_log = None;
        self.stop.cancel();
        self.freed.notify_all();
    }

    pub(crate) fn reopen_access_log(&self) {
        if let Some(log) = &self.seats().access_log {
            log.reopen();
        }
    }

    pub(crate) fn has_ended(&self) -> bool {
        let ended = |place: &Place| place.worker.as_ref().is_some_and(Employed::has_ended);
        self.seats().all.iter().any(ended)
    }

    /// Waits until every worker has ended.
    pub(crate) fn join(&self) {
        let threads: Vec<_> = {
            let mut seats = self.seats();
            let workers = seats.all.iter_mut().filter_map(|place| place.worker.as_mut());
            workers.filter_map(|worker| worker.thread.take()).collect()
        };
        threads.into_iter().for_each(join);
    }

    /// Starts a worker on a free seat.
    fn employ(
        &self,
        seats: &mut Seats,
        index: usize,
        ready: SyncSender<Result<(), StartError>>,
    ) -> Result<(), StartError> {
        let access_log = seats.access_log.as_ref().ok_or(StartError::Full)?.another();
        let (duty, duties) = watch::channel(Duty::Work);
        let (inbox, crossings) = lane::inbox();
        let seat = Seat {
            index,
            shared: Arc::clone(&self.shared),
            sockets: Arc::clone(&seats.sockets),
            sharing: self.sharing.subscribe(),
            access_log,
            snapshots: self.snapshots.clone(),
            roster: self.roster.clone(),
            duty: duties,
            stop: self.stop.clone(),
            inbox: crossings,
            place: seat::Place::Worker(inbox.clone()),
        };
        self.series(index).works.store(true, Relaxed);
        let thread = thread::Builder::new().name(format!("worker-{index}")).stack_size(Vm::STACK_BYTES);
        let thread = thread.spawn(move || drop(seat::occupy(seat, &ready)))?;
        seats.all[index].worker = Some(Employed { duty, inbox, thread: Some(thread) });
        Ok(())
    }

    /// Says who accepts from which socket.
    fn share_out(&self, seats: &Seats) {
        let colleague = |(index, place): (usize, &Place)| {
            let worker = place.worker.as_ref().filter(|worker| worker.is_at_work())?;
            Some(Colleague { index, inbox: worker.inbox.clone() })
        };
        let at_work: Vec<Colleague> = seats.all.iter().enumerate().filter_map(colleague).collect();
        let numbers: Vec<usize> = at_work.iter().map(|one| one.index).collect();
        self.sharing.send_modify(|sharing| {
            // With nobody at work, those who leave keep what they have.
            let owners =
                if numbers.is_empty() { sharing.owners.clone() } else { owners(self.rows, &numbers) };
            *sharing = Arc::new(Sharing { owners, at_work });
        });
    }

    fn series(&self, index: usize) -> &WorkerSeries {
        &self.shared.telemetry.workers()[index]
    }

    fn seats(&self) -> MutexGuard<'_, Seats> {
        self.seats.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Sharing {
    /// Who takes the connections of the worker of this number, where it is not at work or has been told that it `leaves`, which
    /// it may know before the others do.
    pub(crate) fn successors(&self, index: usize, leaves: bool) -> Option<Vec<Colleague>> {
        let others: Vec<_> = self.at_work.iter().filter(|one| one.index != index).cloned().collect();
        let works = !leaves && others.len() < self.at_work.len();
        (!works).then(|| if leaves { others } else { Vec::new() })
    }
}

impl Seats {
    /// The first without a worker: the lowest numbers stay longest.
    fn free(&self) -> Option<usize> {
        self.all.iter().position(|place| place.worker.is_none() && !place.hired)
    }
}

impl Employed {
    fn is_at_work(&self) -> bool {
        *self.duty.borrow() == Duty::Work && !self.has_ended()
    }

    fn has_ended(&self) -> bool {
        self.thread.as_ref().is_some_and(JoinHandle::is_finished)
    }
}

/// Each row's own worker if it is at work, and the others in turn for the rest.
fn owners(rows: usize, at_work: &[usize]) -> Vec<usize> {
    let mut others = at_work.iter().copied().cycle();
    let owner = |row| at_work.contains(&row).then_some(row).or_else(|| others.next());
    (0..rows).filter_map(owner).collect()
}

fn join(thread: JoinHandle<()>) {
    if thread.join().is_err() {
        tracing::error!("a worker panicked");
    }
}

/// A worker that somebody is in charge of.
#[derive(Debug)]
pub struct Worker {
    crew: Arc<Crew>,
    index: usize,
}

impl Worker {
    /// It takes no more connections, and ends those that it has as they finish their requests.
    pub fn leave(&self) {
        self.turn(Duty::Leave);
    }

    /// It goes on as before, after [`leave`](Self::leave).
    pub fn stay(&self) {
        self.turn(Duty::Work);
    }

    /// Whether it has ended without having been asked to.
    pub fn has_ended(&self) -> bool {
        let seats = self.crew.seats();
        !self.crew.stop.is_cancelled()
            && seats.all[self.index].worker.as_ref().is_none_or(Employed::has_ended)
    }

    /// Connections that are open, with those on its slow lane.
    pub fn connections(&self) -> u64 {
        self.series().connections() + self.crew.shared.telemetry.lanes()[self.index].connections()
    }

    /// Requests that ended on it, and on whoever had its seat before.
    pub fn ended(&self) -> u64 {
        self.crew.shared.telemetry.ended_on(self.index)
    }

    /// Bytes that Lua asked for on it, and on whoever had its seat before.
    pub fn lua_allocated(&self) -> u64 {
        self.crew.shared.telemetry.lua_allocated_on(self.index)
    }

    /// What it counts.
    pub fn series(&self) -> &WorkerSeries {
        self.crew.series(self.index)
    }

    /// Ends it, and returns when its seat is free. What it has begun it may finish within the drain time since it
    /// was asked to leave.
    pub fn end(self) {
        self.turn(Duty::End);
        let thread = {
            let mut seats = self.crew.seats();
            seats.all[self.index].worker.as_mut().and_then(|worker| worker.thread.take())
        };
        if let Some(thread) = thread {
            join(thread);
        }
        self.series().retire();
        self.crew.shared.telemetry.lanes()[self.index].retire();
        let mut seats = self.crew.seats();
        seats.all[self.index] = Place::default();
        self.crew.freed.notify_one();
    }

    fn turn(&self, duty: Duty) {
        let seats = self.crew.seats();
        if let Some(worker) = &seats.all[self.index].worker {
            worker.duty.send_replace(duty);
        }
        self.crew.share_out(&seats);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_leaves_passes_on_all_it_has_even_before_the_others_know() {
        let colleague = |index| Colleague { index, inbox: lane::inbox().0 };
        let among = |at_work: &[usize], index, leaves| {
            let at_work = at_work.iter().copied().map(colleague).collect();
            let successors = Sharing { owners: Vec::new(), at_work }.successors(index, leaves);
            successors.map(|all| all.iter().map(|one| one.index).collect::<Vec<_>>())
        };
        assert_eq!(among(&[0, 1, 2], 1, false), None);
        assert_eq!(among(&[0, 1, 2], 1, true), Some(vec![0, 2]));
        assert_eq!(among(&[0, 2], 1, true), Some(vec![0, 2]));
        assert_eq!(among(&[1], 1, true), Some(vec![]));
        assert_eq!(among(&[0, 2], 1, false), Some(vec![]), "it is back before the others know");
    }

    #[test]
    fn every_socket_has_an_owner_who_works_and_each_worker_as_many_as_another() {
        for (seats, rows) in (1..12).flat_map(|seats| [(seats, seats), (seats, 2 * seats + 1)]) {
            for working in 1..(1_usize << seats) {
                let at_work: Vec<usize> = (0..seats).filter(|seat| working & (1 << seat) != 0).collect();
                let owners = owners(rows, &at_work);
                assert_eq!(owners.len(), rows);
                let of = |worker| owners.iter().filter(|&&owner| owner == worker).count();
                let counts: Vec<usize> = at_work.iter().map(|&worker| of(worker)).collect();
                let (least, most) = (counts.iter().min().unwrap(), counts.iter().max().unwrap());
                assert!(most - least <= 1, "{owners:?}");
                assert_eq!(counts.iter().sum::<usize>(), rows);
                assert!(at_work.iter().all(|&worker| owners[worker] == worker), "its own first: {owners:?}");
            }
        }
    }
}
