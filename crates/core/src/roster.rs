//! Who can serve right now: the live endpoints of every fleet.
//!
//! The control plane publishes a new [`Roster`] whenever an instance becomes ready or starts to
//! drain; the data plane balances over it. The one thing both sides touch is an endpoint's
//! [`Load`], a few counters that all workers share so that balancing sees the whole node.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    num::NonZeroU32,
    sync::{
        Arc,
        atomic::{AtomicU32, AtomicU64, Ordering::Relaxed},
    },
};

use crate::{FleetId, InstanceId};

/// The endpoints of all fleets that may get new requests. A fleet without any is listed, empty.
#[derive(Debug, Clone, Default)]
pub struct Roster {
    pub fleets: BTreeMap<FleetId, Arc<[Endpoint]>>,
}

/// An address that serves requests.
#[derive(Debug, Clone)]
pub struct Endpoint {
    pub id: InstanceId,
    pub address: SocketAddr,
    /// Share of requests relative to the other endpoints.
    pub weight: NonZeroU32,
    pub load: Arc<Load>,
}

/// What one endpoint is doing for all workers of this node together.
#[derive(Debug, Default)]
pub struct Load {
    in_flight: AtomicU32,
    served: AtomicU64,
    failed: AtomicU64,
}

impl Load {
    /// Counts one request in until the returned guard is dropped.
    pub fn begin(self: &Arc<Self>) -> InFlight {
        self.in_flight.fetch_add(1, Relaxed);
        InFlight(Arc::clone(self))
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
        self.0.in_flight.fetch_sub(1, Relaxed);
        self.0.served.fetch_add(1, Relaxed);
    }
}

#[cfg(test)]
mod tests {
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
}
