//! One member of a fleet.

use std::{net::SocketAddr, sync::Arc, time::Instant};

use tidegate_core::{InstanceId, Timestamp, roster::Load};
use tokio_util::sync::CancellationToken;

use super::Action;
use crate::clock::Moment;

#[derive(Debug)]
pub(crate) struct Instance {
    pub(crate) id: InstanceId,
    pub(super) revision: u64,
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
    pub(crate) drain: CancellationToken,
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
            state: State::Starting,
            launched: now.instant,
            started_at: now.time,
            pid: None,
            reports_status: false,
            address: None,
            load: Arc::default(),
            drain: CancellationToken::new(),
            failures,
            reason: None,
        }
    }

    pub(super) fn drain(&mut self) -> Action {
        self.state = State::Draining;
        Action::Drain(self.id.clone())
    }

    pub(crate) const fn is_ready(&self) -> bool {
        matches!(self.state, State::Ready { .. })
    }

    pub(crate) const fn is_failed(&self) -> bool {
        matches!(self.state, State::Failed { .. })
    }

    /// Counts towards what there should be.
    pub(crate) const fn is_active(&self) -> bool {
        !matches!(self.state, State::Draining)
    }

    /// Has a process.
    pub(crate) const fn runs(&self) -> bool {
        !self.is_failed()
    }
}
