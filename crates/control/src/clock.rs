//! Reads the clocks.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use tidegate_core::Timestamp;

/// One point on both clocks: one to measure with, one to show.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Moment {
    pub(crate) instant: Instant,
    pub(crate) time: Timestamp,
}

impl Moment {
    pub(crate) fn now() -> Self {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let micros = u64::try_from(since_epoch.as_micros()).unwrap_or(u64::MAX);
        Self { instant: Instant::now(), time: Timestamp::from_micros(micros) }
    }
}
