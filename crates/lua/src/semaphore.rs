//! A counting semaphore for the runs of one worker.
//!
//! Who comes first is served first. A unit that is posted belongs to the first who waits from then on, so nobody who
//! comes in between can take it away; if that one has stopped waiting, it goes to the next.

use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, Waker},
};

#[derive(Clone, Default)]
pub(crate) struct Semaphore(Rc<Inner>);

#[derive(Default)]
struct Inner {
    free: Cell<f64>,
    waiting: RefCell<VecDeque<Rc<Place>>>,
    /// Who has a unit and has not gone on yet.
    served: Cell<usize>,
}

/// Of one who waits.
#[derive(Default)]
struct Place {
    granted: Cell<bool>,
    waker: RefCell<Option<Waker>>,
}

impl Semaphore {
    pub(crate) fn new(free: f64) -> Self {
        let semaphore = Self::default();
        semaphore.0.free.set(free);
        semaphore
    }

    /// Free units, less those who wait.
    pub(crate) fn count(&self) -> f64 {
        self.0.free.get() - self.0.waiting.borrow().len() as f64
    }

    pub(crate) fn post(&self, units: f64) {
        self.0.free.set(self.0.free.get() + units);
        self.0.grant();
    }

    /// Takes a unit, unless others have come before who have yet to go on.
    pub(crate) fn try_take(&self) -> bool {
        let free = self.0.free.get();
        let available = free >= 1.0 && self.0.served.get() == 0 && self.0.waiting.borrow().is_empty();
        if available {
            self.0.free.set(free - 1.0);
        }
        available
    }

    /// Waits for a unit, from now on.
    pub(crate) fn take(&self) -> Taking {
        let place = Rc::new(Place::default());
        self.0.waiting.borrow_mut().push_back(Rc::clone(&place));
        self.0.grant();
        Taking { semaphore: Rc::clone(&self.0), place, over: false }
    }
}

impl Inner {
    fn grant(&self) {
        while self.free.get() >= 1.0 {
            let Some(place) = self.waiting.borrow_mut().pop_front() else { return };
            self.free.set(self.free.get() - 1.0);
            place.granted.set(true);
            self.served.set(self.served.get() + 1);
            if let Some(waker) = place.waker.take() {
                waker.wake();
            }
        }
    }

    fn go_on(&self) {
        self.served.set(self.served.get() - 1);
    }
}

/// A wait for a unit. Dropping it gives up, and passes on what was granted meanwhile.
pub(crate) struct Taking {
    semaphore: Rc<Inner>,
    place: Rc<Place>,
    over: bool,
}

impl Future for Taking {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if self.place.granted.get() {
            self.over = true;
            self.semaphore.go_on();
            return Poll::Ready(());
        }
        self.place.waker.replace(Some(cx.waker().clone()));
        Poll::Pending
    }
}

impl Drop for Taking {
    fn drop(&mut self) {
        if self.over {
            return;
        }
        if self.place.granted.get() {
            self.semaphore.go_on();
            self.semaphore.free.set(self.semaphore.free.get() + 1.0);
            self.semaphore.grant();
        } else {
            self.semaphore.waiting.borrow_mut().retain(|place| !Rc::ptr_eq(place, &self.place));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use super::*;

    fn is_ready(taking: Pin<&mut Taking>) -> bool {
        taking.poll(&mut Context::from_waker(Waker::noop())).is_ready()
    }

    #[test]
    fn who_comes_first_is_served_first() {
        let semaphore = Semaphore::new(1.0);
        assert!(semaphore.try_take() && !semaphore.try_take());
        let (mut first, mut second) = (pin!(semaphore.take()), pin!(semaphore.take()));
        assert_eq!(semaphore.count().to_string(), "-2");
        assert!(!is_ready(first.as_mut()) && !is_ready(second.as_mut()));
        semaphore.post(1.0);
        assert!(!semaphore.try_take(), "it has been granted");
        assert!(!is_ready(second.as_mut()) && is_ready(first.as_mut()));
        semaphore.post(3.0);
        assert!(!semaphore.try_take(), "who came before goes on first");
        let mut third = pin!(semaphore.take());
        assert!(is_ready(second.as_mut()) && is_ready(third.as_mut()));
        assert_eq!(semaphore.count().to_string(), "1");
        assert!(semaphore.try_take() && !semaphore.try_take());
    }

    #[test]
    fn what_is_granted_to_who_left_goes_to_the_next() {
        let semaphore = Semaphore::new(0.0);
        let (gone, left, mut stays) = (semaphore.take(), semaphore.take(), pin!(semaphore.take()));
        drop(gone);
        semaphore.post(1.0);
        drop(left);
        assert!(is_ready(stays.as_mut()));
        assert_eq!(semaphore.count().to_string(), "0");
    }
}
