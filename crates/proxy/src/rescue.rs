//! Helps those out who wait for a thread that Lua holds up.
//!
//! While a script computes its thread does nothing else, and that may be a second before its budget ends it. So whoever
//! watches over the budget, on a thread of its own, also does this: once a run has gone on for some milliseconds it passes on
//! connections whose clients have just sent something, and those that wait to be accepted, to a worker that is not held up. No
//! Lua state is touched, and no request that has begun; scripts see nothing of it. When the run has proved to be a long
//! one its route is slow for all, and where all workers are held up slow lanes take others' connections too, while
//! requests of slow routes wait there.
//!
//! Nothing is done about requests that have been begun on that thread: they are bound to its VM, and wait.

use std::{
    io,
    os::fd::OwnedFd,
    sync::{Arc, Weak, atomic::Ordering::Relaxed},
    thread,
    time::Duration,
};

use rustix::{
    event::{
        Timespec,
        epoll::{self, CreateFlags, Event, EventData, EventFlags},
    },
    io::Errno,
};
use tidegate_core::{Snapshot, Telemetry, telemetry::Series};
use tidegate_lua::{Onlooker, flame::Label};
use tokio::sync::watch;

use crate::{
    berth::{Berths, Taken},
    crew::Sharing,
    lane::{Crossing, Door, Layer, Permit},
    parting::Colleague,
    script_log,
    seat::{Seat, Standing},
    socket::Row,
    worker::wall_clock,
};

/// Events that are looked at in one go, and connections that are accepted from one socket.
const AT_ONCE: usize = 64;

/// Above these numbers, events are those of listening sockets.
const LISTENERS: u64 = 1 << 32;

/// Of one thread.
pub(crate) struct Rescuer {
    index: usize,
    telemetry: Arc<Telemetry>,
    berths: Arc<Berths>,
    /// They are the node's to close.
    sockets: Weak<[Row]>,
    sharing: watch::Receiver<Arc<Sharing>>,
    snapshots: watch::Receiver<Arc<Snapshot>>,
    refuge: Refuge,
    turn: usize,
    /// While the thread is held up: what its clients do, and the route that it is found to be held up by.
    held: Option<Held>,
}

#[derive(Debug)]
struct Held {
    /// `None`: it cannot be had.
    events: Option<OwnedFd>,
    /// Row, and place in it.
    listeners: Vec<(usize, usize)>,
    by: Option<Arc<Series>>,
}

/// Where connections may go beside other workers.
#[derive(Debug)]
enum Refuge {
    /// From a worker, as a last resort.
    Lane(Arc<Door>),
    /// From a lane, first of all.
    Worker(Colleague),
}

impl Rescuer {
    /// For the thread that sits in `seat`.
    pub(crate) fn new(seat: &Seat, standing: &Standing, berths: Arc<Berths>) -> Self {
        let refuge = match standing {
            Standing::Worker(door) => Refuge::Lane(Arc::clone(door)),
            Standing::Lane(worker) => Refuge::Worker(worker.clone()),
        };
        Self {
            index: seat.index,
            telemetry: Arc::clone(&seat.shared.telemetry),
            berths,
            sockets: Arc::downgrade(&seat.sockets),
            sharing: seat.sharing.clone(),
            snapshots: seat.snapshots.clone(),
            refuge,
            turn: 0,
            held: None,
        }
    }

    /// The thread is held up: sees who waits for it.
    fn begin(&self) -> Held {
        self.telemetry.slot(self.index).is_held.store(true, Relaxed);
        let mut held = Held { events: None, listeners: Vec::new(), by: None };
        match self.listen(&mut held.listeners) {
            Ok(events) => held.events = Some(events),
            Err(error) => tracing::warn!(%error, "who waits for a thread that Lua holds up is not seen"),
        }
        held
    }

    fn listen(&self, listeners: &mut Vec<(usize, usize)>) -> io::Result<OwnedFd> {
        let events = epoll::create(CreateFlags::CLOEXEC)?;
        let owners = &self.sharing.borrow().owners;
        let sockets = self.sockets.upgrade();
        for (row, sockets) in sockets.iter().flat_map(|all| all.iter()).enumerate() {
            if owners.get(row) != Some(&self.index) {
                continue;
            }
            for (place, (_, socket)) in sockets.iter().enumerate() {
                let key = EventData::new_u64(LISTENERS + listeners.len() as u64);
                epoll::add(&events, socket, key, EventFlags::IN)?;
                listeners.push((row, place));
            }
        }
        let mut outcome = Ok(());
        self.berths.each(|key, stream| {
            let key = EventData::new_u64(key as u64);
            outcome = outcome.and(epoll::add(&events, stream, key, EventFlags::IN | EventFlags::ONESHOT));
        });
        outcome?;
        Ok(events)
    }

    /// Passes on who has something to ask, for about so long.
    fn pass_on(&mut self, held: &Held, is_long: bool, within: Duration) {
        let (Some(events), true) = (&held.events, self.find_refuge(is_long).is_some()) else {
            return thread::sleep(within);
        };
        let mut found: Vec<Event> = Vec::with_capacity(AT_ONCE);
        let limit = Timespec { tv_sec: 0, tv_nsec: within.as_nanos() as i64 };
        match epoll::wait(events, rustix::buffer::spare_capacity(&mut found), Some(&limit)) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(_) => return thread::sleep(within),
        }
        for event in found {
            let key = event.data.u64();
            let done = match key.checked_sub(LISTENERS) {
                Some(number) => self.accept(held.listeners[number as usize], is_long),
                None => self.move_waiting(events, key as usize, is_long),
            };
            if done.is_none() {
                return thread::sleep(within); // There is nobody any more who could take them.
            }
        }
    }

    /// Passes on connections that wait to be accepted. `None`: nobody can take them.
    fn accept(&mut self, (row, place): (usize, usize), is_long: bool) -> Option<()> {
        let sockets = self.sockets.upgrade()?;
        let (listener, socket) = &sockets[row][place];
        for _ in 0..AT_ONCE {
            let permit = self.find_refuge(is_long)?;
            let (stream, client) = match socket.accept() {
                Ok(accepted) => accepted,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(_) => return None, // Out of descriptors, most likely.
            };
            // Fails only where the connection is gone.
            if stream.set_nonblocking(true).is_ok() {
                let number = script_log::next_connection();
                let layer = Layer::Fresh(*listener);
                permit.send(Crossing { stream, layer, client, number, count: 0, received: Vec::new() });
            }
        }
        Some(())
    }

    /// Passes on a connection that has something to ask. `None`: nobody can take it.
    fn move_waiting(&mut self, events: &OwnedFd, key: usize, is_long: bool) -> Option<()> {
        let Some(berth) = self.berths.find(key) else { return Some(()) };
        let Some(permit) = self.find_refuge(is_long) else {
            // It is not seen again by itself.
            berth.look(|stream| {
                let flags = EventFlags::IN | EventFlags::ONESHOT;
                let _ = epoll::modify(events, stream, EventData::new_u64(key as u64), flags);
            });
            return None;
        };
        if let Some(Taken { client, listener, count }) = berth.take_away() {
            let _ = epoll::delete(events, client.stream());
            if let Some(mut crossing) = Crossing::of(client, berth.client, (berth.number, count)) {
                if let Some(listener) = listener {
                    crossing.layer = Layer::Fresh(listener);
                }
                permit.send(crossing);
            }
        }
        Some(())
    }

    /// The way to a thread that is not held up and can take one more connection.
    fn find_refuge(&mut self, is_long: bool) -> Option<Permit> {
        let can_take = |one: &&Colleague| !self.telemetry.slot(one.index).is_held.load(Relaxed);
        if let Refuge::Worker(home) = &self.refuge
            && let Some(home) = Some(home).filter(can_take)
        {
            return home.inbox.clone().try_reserve_owned().ok();
        }
        let sharing = Arc::clone(&self.sharing.borrow());
        let limit = self.snapshots.borrow().limits.connections;
        let share = limit.div_ceil(sharing.at_work.len().max(1)) as u64;
        let has_room = |one: &&Colleague| self.telemetry.slot(one.index).connections() < share;
        let others = sharing.at_work.iter().filter(|one| one.index != self.index);
        let others: Vec<_> = others.filter(can_take).filter(has_room).collect();
        self.turn = self.turn.wrapping_add(1);
        if !others.is_empty() {
            return others[self.turn % others.len()].inbox.clone().try_reserve_owned().ok();
        }
        match &self.refuge {
            Refuge::Lane(door) if is_long && !door.is_held() => door.enter(),
            _ => None,
        }
    }
}

impl Onlooker for Rescuer {
    fn look(&mut self, by: Option<Label>, within: Duration) {
        let mut held = self.held.take().unwrap_or_else(|| self.begin());
        if let (Some(label), None) = (by, &held.by) {
            held.by = self.berths.route(label);
            held.by.iter().for_each(|route| route.slowness.hold(wall_clock()));
        }
        self.pass_on(&held, by.is_some(), within);
        self.held = Some(held);
    }

    fn look_away(&mut self) {
        if let Some(held) = self.held.take() {
            self.telemetry.slot(self.index).is_held.store(false, Relaxed);
            held.by.iter().for_each(|route| route.slowness.release());
        }
    }
}

impl Drop for Rescuer {
    fn drop(&mut self) {
        self.look_away();
    }
}
