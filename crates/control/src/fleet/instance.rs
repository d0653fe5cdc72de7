//! One member of a fleet.

use std::{net::SocketAddr, sync::Arc, time::Instant};

use tidegate_core::{InstanceId, PoolId, Timestamp, roster::Load};

use super::Action;
use crate::{clock::Moment, departure::Departure};

#[derive(Debug)]
pub(crate) struct Instance {
    pub(crate) id: InstanceId,
    pub(super) revision: u64,
    /// Where it comes from, if that matters.
    pub(crate) pool: Option<PoolId>,
    pub(crate) state: State,
    pub(crate) launched: Instant,
    pub(crate) started_at: Timestamp,
    pub(crate) pid: Option<u32>,
    /// Whether it tells how busy it is; of a command only the kernel knows.
    pub(crate) reports_status: bool,
    /// Known when it is ready.
    pub(crate) address: Option<SocketAddr>,
    pub(crate) load: Arc<Load>,
    /// Tells whoever runs the process to drain it.
    pub(crate) departure: Departure,
    /// It was there before this process was; it may serve already, whatever it was started from.
    pub(super) found: bool,
    /// It will be taken away, so it is not taken back.
    pub(super) doomed: bool,
    /// Since when it could serve, if it ever could.
    pub(super) served: Option<Instant>,
    /// How often it, and those that it was started in place of, failed in a row.
    pub(super) failures: u32,
    /// Why it failed.
    pub(crate) reason: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    Starting,
    Ready {
        since: Instant,
    },
    /// Will be taken away: it counts no more, and serves until others can, or until then.
    Leaving {
        until: Instant,
    },
    /// Gets no new requests and leaves when it has answered the last.
    Draining,
    /// Its process is gone; another takes its place at `until` or later.
    Failed {
        until: Instant,
    },
}

impl State {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Ready { .. } => "ready",
            Self::Leaving { .. } => "leaving",
            Self::Draining => "draining",
            Self::Failed { .. } => "failed",
        }
    }
}

impl Instance {
    pub(super) fn new(id: InstanceId, revision: u64, failures: u32, now: Moment) -> Self {
        Self {
            id,
            revision,
            pool: None,
            state: State::Starting,
            launched: now.instant,
            started_at: now.time,
            pid: None,
            reports_status: false,
            address: None,
            load: Arc::default(),
            departure: Departure::new(),
            found: false,
            doomed: false,
            served: None,
            failures,
            reason: None,
        }
    }

    pub(super) fn drain(&mut self) -> Action {
        self.state = State::Draining;
        Action::Drain(self.id.clone())
    }

    /// It will be taken away, and not be taken back: what serves does so until `until` at most, what starts need not go on.
    pub(super) fn doom(&mut self, until: Instant) -> Option<Action> {
        if std::mem::replace(&mut self.doomed, true) {
            return None;
        }
        match self.state {
            State::Ready { .. } => {
                self.state = State::Leaving { until };
                None
            }
            State::Starting => Some(self.drain()),
            State::Leaving { .. } | State::Draining | State::Failed { .. } => None,
        }
    }

    /// Makes an instance that is leaving serve on, if it still can.
    pub(super) fn take_back(&mut self) -> bool {
        let may = self.state == State::Draining && !self.doomed;
        let served = self.served.filter(|_| may && self.departure.call_off());
        self.state = served.map_or(self.state, |since| State::Ready { since });
        served.is_some()
    }

    /// Serves, and will.
    pub(crate) const fn is_ready(&self) -> bool {
        matches!(self.state, State::Ready { .. })
    }

    pub(crate) const fn is_leaving(&self) -> bool {
        matches!(self.state, State::Leaving { .. })
    }

    /// May get requests.
    pub(crate) const fn serves(&self) -> bool {
        self.is_ready() || self.is_leaving()
    }

    pub(crate) const fn is_failed(&self) -> bool {
        matches!(self.state, State::Failed { .. })
    }

    /// Counts towards what there should be.
    pub(crate) const fn is_active(&self) -> bool {
        !matches!(self.state, State::Leaving { .. } | State::Draining)
    }

    /// Has a process.
    pub(crate) const fn runs(&self) -> bool {
        !self.is_failed()
    }
}
