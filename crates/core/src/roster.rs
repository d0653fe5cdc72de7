//! Who can serve right now: the live endpoints of every fleet.
//!
//! The control plane publishes a new [`Roster`] whenever an instance becomes ready or starts to
//! drain; the data plane balances over it. The one thing both sides touch is an endpoint's
//! [`Load`], a few counters that all workers share so that balancing sees the whole node, and that no instance
//! gets more requests at a time than it may.

use std::{
    collections::BTreeMap,
    num::NonZeroU32,
    sync::{
        Arc,
        atomic::{
            AtomicU32, AtomicU64,
            Ordering::{Relaxed, SeqCst},
        },
    },
};

use crate::{FleetId, InstanceId, snapshot::Address, turns::Turns};

/// The endpoints of all fleets that may get new requests. A fleet without any is listed, empty.
#[derive(Debug, Clone, Default)]
pub struct Roster {
    pub fleets: BTreeMap<FleetId, Arc<[Endpoint]>>,
    /// Of fleets whose instances get no more than so many requests at a time: who waits for a place at one.
    pub turns: BTreeMap<FleetId, Arc<Turns>>,
}

/// An address that serves requests.
#[derive(Debug, Clone)]
pub struct Endpoint {
    pub id: InstanceId,
    pub address: Address,
    /// The name that it was found by, if it has one.
    pub host: Option<Arc<str>>,
    /// Share of requests relative to the other endpoints.
    pub weight: NonZeroU32,
    pub load: Arc<Load>,
}

/// What one endpoint is doing for all workers of this node together.
#[derive(Debug, Default)]
pub struct Load {
    in_flight: AtomicU32,
    /// How many requests it may have at a time. Zero: any number.
    limit: AtomicU32,
    served: AtomicU64,
    failed: AtomicU64,
    /// Who waits for a place at this very endpoint. Places that become free are theirs first.
    own: Arc<Turns>,
    /// Who waits for a place at any endpoint of the fleet.
    fleet: Arc<Turns>,
}

impl Load {
    /// Of an instance of a fleet for which requests wait in `turns`.
    pub fn of_fleet(turns: &Arc<Turns>) -> Self {
        Self { fleet: Arc::clone(turns), ..Self::default() }
    }

    /// How many requests it may have at a time from now on; `None`: any number. Whoever raises it has those look who wait.
    pub fn set_limit(&self, limit: Option<NonZeroU32>) {
        self.limit.store(limit.map_or(0, NonZeroU32::get), SeqCst);
    }

    pub fn limit(&self) -> Option<NonZeroU32> {
        NonZeroU32::new(self.limit.load(Relaxed))
    }

    /// Counts one request in until the returned guard is dropped, whatever the limit.
    pub fn begin(self: &Arc<Self>) -> InFlight {
        self.in_flight.fetch_add(1, Relaxed);
        InFlight(Arc::clone(self))
    }

    /// Counts one request in until the returned guard is dropped, unless there are as many as there may be.
    pub fn try_begin(self: &Arc<Self>) -> Option<InFlight> {
        let Some(limit) = self.limit() else { return Some(self.begin()) };
        let one_more = |count| (count < limit.get()).then(|| count + 1);
        // In one order with those who wait: see `Turns`.
        self.in_flight.fetch_update(SeqCst, SeqCst, one_more).ok()?;
        Some(InFlight(Arc::clone(self)))
    }

    /// Whether a request that wants no particular endpoint may begin here.
    pub fn has_room(&self) -> bool {
        self.limit().is_none_or(|limit| self.in_flight.load(SeqCst) < limit.get() && self.own.is_empty())
    }

    /// Who waits for a place here and nowhere else.
    pub const fn own_turns(&self) -> &Arc<Turns> {
        &self.own
    }

    /// There may be a place: whoever waits for it is called.
    pub fn call(&self) {
        _ = self.own.call() || self.fleet.call();
    }

    pub fn in_flight(&self) -> u32 {
        self.in_flight.load(Relaxed)
    }

    /// Requests that ended, well or not.
    pub fn served(&self) -> u64 {
        self.served.load(Relaxed)
    }

    /// Requests that this endpoint failed to answer: refused, reset, timed out.
    pub fn failed(&self) -> u64 {
        self.failed.load(Relaxed)
    }
}

/// One request that an endpoint is working on.
#[derive(Debug)]
pub struct InFlight(Arc<Load>);

impl InFlight {
    /// Counts this request as failed by the endpoint.
    pub fn fail(self) {
        self.0.failed.fetch_add(1, Relaxed);
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        let load = &self.0;
        load.served.fetch_add(1, Relaxed);
        if load.limit().is_none() {
            load.in_flight.fetch_sub(1, Relaxed);
        } else {
            load.in_flight.fetch_sub(1, SeqCst);
            load.call();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[test]
    fn a_request_is_in_flight_until_its_guard_goes() {
        let load = Arc::new(Load::default());
        let (first, second) = (load.begin(), load.begin());
        assert_eq!((load.in_flight(), load.served()), (2, 0));
        drop(first);
        second.fail();
        assert_eq!((load.in_flight(), load.served(), load.failed()), (0, 2, 1));
    }

    #[test]
    fn no_more_begin_than_there_may_be_and_who_waits_is_called() {
        let turns = Arc::<Turns>::default();
        let load = Arc::new(Load::of_fleet(&turns));
        load.set_limit(NonZeroU32::new(1));
        let first = load.try_begin().unwrap();
        assert!(load.try_begin().is_none() && !load.has_room());
        let called = |turn: &crate::turns::Turn| {
            turn.poll_called(&std::task::Context::from_waker(std::task::Waker::noop())).is_ready()
        };
        let (any, own) = (turns.line_up(5), load.own_turns().line_up(0));
        drop(first);
        assert!(called(&own) && !called(&any), "who wants this one comes before who wants any");
        assert!(!load.has_room(), "its place is not for others");
        let second = load.try_begin().unwrap();
        drop(own);
        drop(second);
        assert!(called(&any) && load.has_room());
        load.set_limit(None);
        assert_eq!([(); 3].map(|()| load.try_begin().is_some()), [true; 3]);
    }

    #[test]
    fn threads_together_never_exceed_the_limit() {
        let (load, limit) = (Arc::new(Load::default()), 3);
        load.set_limit(NonZeroU32::new(limit));
        let most = |_| {
            let load = Arc::clone(&load);
            thread::spawn(move || {
                let begun = (0..20_000).filter_map(|_| load.try_begin().map(|held| (load.in_flight(), held)));
                begun.map(|(count, _held)| count).max()
            })
        };
        let most: Vec<_> = [0; 4].map(most).into_iter().map(|thread| thread.join().unwrap()).collect();
        assert!(most.iter().flatten().all(|&count| count <= limit), "{most:?}");
        assert!(most.iter().flatten().count() > 0 && load.in_flight() == 0);
    }
}
