//! Requests that wait until somebody can serve them, for one upstream on one worker.
//!
//! Who is next and who has to go is the [`Queue`]'s business. Here they are told: when the endpoints change, all are woken in
//! the order of the queue, and since a worker does one thing after another, they also go in that order.

use std::{
    cell::{Cell, RefCell},
    task::{Context, Poll, Waker},
};

use tidegate_traffic::{
    Queue,
    queue::{Full, Room, Ticket},
};

#[derive(Debug, Default)]
pub(crate) struct Hold {
    /// `None`: has not been polled since it was woken last.
    queue: RefCell<Queue<Option<Waker>>>,
    /// How often the endpoints have changed.
    changes: Cell<u64>,
}

impl Hold {
    /// Takes a place for a request of `bytes`. Those that have to make room for it are woken, and learn so.
    pub(crate) fn join(&self, priority: u8, bytes: usize, room: Room) -> Result<Ticket, Full> {
        let (ticket, gone) = self.queue.borrow_mut().join(priority, bytes, room, None)?;
        gone.into_iter().flatten().for_each(Waker::wake);
        Ok(ticket)
    }

    pub(crate) fn leave(&self, ticket: Ticket) {
        // Who had to make room has left already.
        drop(self.queue.borrow_mut().leave(ticket));
    }

    pub(crate) const fn changes(&self) -> u64 {
        self.changes.get()
    }

    /// The endpoints have changed: everybody has a look, the next one first.
    pub(crate) fn announce(&self) {
        self.changes.set(self.changes.get() + 1);
        let wakers: Vec<Waker> = self.queue.borrow().iter().flatten().cloned().collect();
        wakers.into_iter().for_each(Waker::wake);
    }

    /// Until there were more than `seen` changes. An error: it had to make room for another.
    pub(crate) fn poll_changed(&self, ticket: Ticket, seen: u64, cx: &Context<'_>) -> Poll<Result<(), Full>> {
        match self.queue.borrow_mut().at(ticket) {
            None => Poll::Ready(Err(Full)),
            Some(_) if self.changes.get() > seen => Poll::Ready(Ok(())),
            Some(waker) => {
                *waker = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::{Arc, Mutex},
        task::Wake,
    };

    use super::*;

    const ROOM: Room = Room { requests: 3, bytes: 100 };

    /// Writes its name down when it is woken.
    struct Name(&'static str, Arc<Mutex<Vec<&'static str>>>);

    impl Wake for Name {
        fn wake(self: Arc<Self>) {
            self.1.lock().unwrap().push(self.0);
        }
    }

    #[test]
    fn all_are_woken_in_order_and_who_had_to_go_learns_it() {
        let (hold, woken) = (Hold::default(), Arc::default());
        let join = |priority, name| {
            let ticket = hold.join(priority, 10, ROOM).unwrap();
            let waker = Waker::from(Arc::new(Name(name, Arc::clone(&woken))));
            assert!(hold.poll_changed(ticket, hold.changes(), &Context::from_waker(&waker)).is_pending());
            ticket
        };
        let (_, late, usual) = (join(1, "early"), join(1, "late"), join(5, "usual"));
        let first = join(9, "first");
        assert_eq!(woken.lock().unwrap().as_slice(), ["late"]);
        let seen = hold.changes();
        hold.announce();
        assert_eq!(woken.lock().unwrap().as_slice(), ["late", "first", "usual", "early"]);
        let cx = Context::from_waker(Waker::noop());
        assert_eq!(hold.poll_changed(late, seen, &cx), Poll::Ready(Err(Full)));
        assert_eq!(hold.poll_changed(first, seen, &cx), Poll::Ready(Ok(())));
        hold.leave(usual);
        assert_eq!(hold.poll_changed(usual, seen, &cx), Poll::Ready(Err(Full)));
    }
}
