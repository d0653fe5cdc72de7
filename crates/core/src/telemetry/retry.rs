//! After how long somebody who was turned away may find room.
//!
//! The control plane knows when an instance is expected and how fast those that wait are served; the data plane says so with the
//! refusal. In between is a number of seconds.

use std::{
    sync::atomic::{AtomicU32, Ordering::Relaxed},
    time::Duration,
};

/// What is told at most: nobody can say what will be in five minutes.
const LONGEST: Duration = Duration::from_mins(5);

/// What is told where nothing is known is a second.
#[derive(Debug, Default)]
pub struct RetryAfter(AtomicU32);

impl RetryAfter {
    /// There will be room in `wait`, as far as one knows.
    pub fn expect(&self, wait: Duration) {
        let wait = wait.min(LONGEST);
        let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
        self.0.store(u32::try_from(seconds).unwrap_or(u32::MAX), Relaxed);
    }

    /// Whole seconds, at least one.
    pub fn seconds(&self) -> u32 {
        self.0.load(Relaxed).max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_whole_seconds_within_bounds() {
        let retry = RetryAfter::default();
        assert_eq!(retry.seconds(), 1);
        for (millis, seconds) in [(0, 1), (1, 1), (1_000, 1), (1_001, 2), (299_500, 300), (900_000, 300)] {
            retry.expect(Duration::from_millis(millis));
            assert_eq!(retry.seconds(), seconds, "{millis}");
        }
    }
}
