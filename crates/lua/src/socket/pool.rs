//! Connections that are kept for others to use, by name.
//!
//! A pool has a size. As in OpenResty, that bounds how many connections are kept; only a pool with a backlog
//! bounds how many there are at all, and lets so many more wait for their turn. A connection counts from when it is
//! asked for until it is closed, which its [`Ticket`] sees to.
//!
//! Invariant: a pool is in the list as long as there are tickets of it, and has no waiter while one of
//! its places is free.

use std::{
    cell::{Cell, RefCell},
    collections::{HashMap, VecDeque},
    rc::{Rc, Weak},
    time::Duration,
};

use tokio::{sync::oneshot, time::Instant};

use super::link::Link;

#[derive(Default)]
pub(crate) struct Pools {
    by_name: RefCell<HashMap<Box<[u8]>, Rc<Pool>>>,
    /// The one that was found last, which mostly is the next one too.
    last: RefCell<Option<Rc<Pool>>>,
}

impl Pools {
    pub(crate) fn find(&self, name: &[u8]) -> Option<Rc<Pool>> {
        let last =
            self.last.borrow().as_ref().filter(|last| last.is_listed.get() && *last.name == *name).cloned();
        last.or_else(|| {
            let found = self.by_name.borrow().get(name).cloned();
            self.last.borrow_mut().clone_from(&found);
            found
        })
    }

    /// Makes a pool, which lasts while it has connections.
    pub(crate) fn make(self: &Rc<Self>, name: &[u8], size: usize, backlog: Option<usize>) -> Rc<Pool> {
        let pool = Rc::new(Pool {
            name: name.into(),
            size,
            backlog,
            connections: Cell::new(0),
            idle: RefCell::default(),
            waiting: RefCell::default(),
            pools: Rc::downgrade(self),
            is_listed: Cell::new(true),
        });
        if let Some(replaced) = self.by_name.borrow_mut().insert(name.into(), Rc::clone(&pool)) {
            replaced.is_listed.set(false);
        }
        pool
    }

    /// Closes kept connections whose time is over or that the peer has closed.
    pub(crate) fn sweep(&self) {
        let pools: Vec<_> = self.by_name.borrow().values().cloned().collect();
        let now = Instant::now();
        for pool in pools {
            let (gone, kept): (VecDeque<_>, _) =
                pool.idle.take().into_iter().partition(|idle| idle.is_over(now) || !idle.link.is_quiet());
            pool.idle.replace(kept);
            // Only now: closing changes the pool.
            drop(gone);
        }
    }

    pub(crate) fn close_all(&self) {
        let pools: Vec<_> = self.by_name.borrow().values().cloned().collect();
        for pool in pools {
            drop(pool.idle.take());
        }
    }
}

pub(crate) struct Pool {
    pub(crate) name: Box<[u8]>,
    pub(crate) size: usize,
    /// How many may wait for a connection; `None`: nobody has to.
    backlog: Option<usize>,
    connections: Cell<usize>,
    /// The one that was used last comes first.
    idle: RefCell<VecDeque<Idle>>,
    waiting: RefCell<VecDeque<oneshot::Sender<()>>>,
    pools: Weak<Pools>,
    is_listed: Cell<bool>,
}

struct Idle {
    link: Rc<Link>,
    until: Option<Instant>,
}

impl Idle {
    fn is_over(&self, now: Instant) -> bool {
        self.until.is_some_and(|until| until <= now)
    }
}

/// What comes of asking a pool for a connection.
pub(crate) enum Place {
    /// One can be made.
    Free(Ticket),
    /// One can be made or taken when the turn comes.
    Queued(Turn),
    /// Too many wait already.
    Full,
}

impl Pool {
    /// Takes the connection that was used last and is still good.
    pub(crate) fn take(&self) -> Option<Rc<Link>> {
        let now = Instant::now();
        loop {
            let idle = self.idle.borrow_mut().pop_front()?;
            if !idle.is_over(now) && idle.link.is_quiet() {
                idle.link.reused.set(idle.link.reused.get() + 1);
                return Some(idle.link);
            }
        }
    }

    pub(crate) fn enter(self: &Rc<Self>) -> Place {
        let Some(backlog) = self.backlog else { return Place::Free(Ticket::new(self)) };
        let connections = self.connections.get();
        if connections >= self.size.saturating_add(backlog) {
            return Place::Full;
        }
        let mut ticket = Ticket::new(self);
        if connections < self.size {
            return Place::Free(ticket);
        }
        let (call, called) = oneshot::channel();
        self.waiting.borrow_mut().push_back(call);
        ticket.waits = true;
        Place::Queued(Turn { ticket: Some(ticket), called })
    }

    /// Keeps a connection, for a time or as long as it lives. The one that has been kept the longest makes room.
    pub(crate) fn keep(self: &Rc<Self>, link: Rc<Link>, span: Option<Duration>) {
        let mut idle = self.idle.borrow_mut();
        let oldest = if idle.len() >= self.size { idle.pop_back() } else { None };
        if link.ticket.borrow().is_none() {
            link.ticket.replace(Some(Ticket::new(self)));
        }
        let until = span.and_then(|span| Instant::now().checked_add(span));
        idle.push_front(Idle { link, until });
        drop(idle);
        drop(oldest);
        self.call_next();
    }

    /// Tells whoever has waited the longest, and still does, that it is its turn.
    fn call_next(&self) {
        loop {
            let Some(turn) = self.waiting.borrow_mut().pop_front() else { return };
            if turn.send(()).is_ok() {
                return;
            }
        }
    }
}

/// A connection, or the wish for one, that its pool counts.
pub(crate) struct Ticket {
    pool: Rc<Pool>,
    /// It is in the queue, so giving it up frees no place.
    waits: bool,
}

impl Ticket {
    fn new(pool: &Rc<Pool>) -> Self {
        pool.connections.set(pool.connections.get() + 1);
        Self { pool: Rc::clone(pool), waits: false }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let pool = &self.pool;
        pool.connections.set(pool.connections.get() - 1);
        if !self.waits {
            pool.call_next();
        }
        if pool.connections.get() == 0
            && let Some(pools) = pool.pools.upgrade()
        {
            // One that was replaced by another of its name is not in the list any more.
            if pool.is_listed.replace(false) {
                pools.by_name.borrow_mut().remove(&pool.name);
            }
        }
    }
}

/// A place in the queue of a pool.
pub(crate) struct Turn {
    ticket: Option<Ticket>,
    called: oneshot::Receiver<()>,
}

impl Turn {
    /// Waits until it comes.
    pub(crate) async fn come(mut self) -> Ticket {
        // The caller is the pool, which its ticket keeps alive.
        let _ = (&mut self.called).await;
        let mut ticket = self.ticket.take().expect("a turn comes once");
        ticket.waits = false;
        ticket
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        // Called and gone meanwhile: it is the next one's turn.
        if let Some(ticket) = &mut self.ticket {
            ticket.waits = self.called.try_recv().is_err();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queued(pool: &Rc<Pool>) -> Turn {
        match pool.enter() {
            Place::Queued(turn) => turn,
            Place::Free(_) | Place::Full => panic!("no place is free and the queue is not full"),
        }
    }

    fn free(pool: &Rc<Pool>) -> Ticket {
        match pool.enter() {
            Place::Free(ticket) => ticket,
            Place::Queued(_) | Place::Full => panic!("a place is free"),
        }
    }

    #[test]
    fn a_pool_with_a_backlog_bounds_connections_and_those_who_wait() {
        let pools = Rc::new(Pools::default());
        let pool = pools.make(b"a", 1, Some(2));
        let first = free(&pool);
        let (mut second, mut third) = (queued(&pool), queued(&pool));
        assert!(matches!(pool.enter(), Place::Full));
        assert!(second.called.try_recv().is_err());
        drop(first);
        assert!(second.called.try_recv().is_ok());
        assert!(third.called.try_recv().is_err());
    }

    #[test]
    fn who_gives_up_waiting_frees_no_place_and_passes_on_a_call_that_it_missed() {
        let pools = Rc::new(Pools::default());
        let pool = pools.make(b"a", 1, Some(3));
        let first = free(&pool);
        let (second, third, mut fourth) = (queued(&pool), queued(&pool), queued(&pool));
        drop(second);
        assert!(fourth.called.try_recv().is_err());
        drop(first);
        drop(third);
        assert!(fourth.called.try_recv().is_ok());
    }

    #[test]
    fn a_pool_lasts_as_long_as_its_connections() {
        let pools = Rc::new(Pools::default());
        let pool = pools.make(b"a", 1, None);
        let (first, second) = (free(&pool), free(&pool));
        drop(first);
        assert!(pools.find(b"a").is_some());
        drop(second);
        assert!(pools.find(b"a").is_none());
        let (other, _held) = (pools.make(b"a", 2, None), pool);
        assert!(pools.find(b"a").is_some_and(|found| Rc::ptr_eq(&found, &other)));
        let another = pools.make(b"a", 3, None);
        assert!(pools.find(b"a").is_some_and(|found| Rc::ptr_eq(&found, &another)));
    }
}
