//! How a disk that takes no request bodies is told of in the log: once, and once more when it takes some again.
//!
//! The access log has every request that was not served for it. A disk that is full for large bodies alone takes some and refuses
//! others; so at most one outage is told of in [`APART`].

use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::{Duration, Instant},
};

/// Between the beginnings of two outages.
const APART: Duration = Duration::from_secs(5);

/// What all workers know of the disk.
#[derive(Debug)]
pub(crate) struct Outage {
    origin: Instant,
    /// Bodies that were refused since it was said that they are; 0: all is well.
    refused: AtomicU64,
    /// When that was said, in milliseconds from the origin.
    said: AtomicU64,
}

impl Outage {
    pub(crate) const fn new(origin: Instant) -> Self {
        Self { origin, refused: AtomicU64::new(0), said: AtomicU64::new(0) }
    }

    /// A body was refused. Tells whether that is news.
    pub(crate) fn refuse(&self, now: Instant) -> bool {
        let is_news = self.refused.fetch_add(1, Relaxed) == 0;
        if is_news {
            self.said.store(self.millis(now), Relaxed);
        }
        is_news
    }

    /// A body was taken. Tells how many had been refused, if that is over and news.
    pub(crate) fn accept(&self, now: Instant) -> Option<u64> {
        if self.refused.load(Relaxed) == 0 {
            return None;
        }
        let since = self.millis(now).saturating_sub(self.said.load(Relaxed));
        let is_over = since >= APART.as_millis() as u64;
        // Another worker may have been quicker.
        is_over.then(|| self.refused.swap(0, Relaxed)).filter(|&refused| refused > 0)
    }

    fn millis(&self, now: Instant) -> u64 {
        now.saturating_duration_since(self.origin).as_millis() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outage_is_told_at_its_beginning_and_at_its_end_however_the_disk_wavers() {
        let origin = Instant::now();
        let at = |seconds| origin + Duration::from_secs(seconds);
        let outage = Outage::new(origin);
        assert_eq!(outage.accept(at(1)), None);
        assert!(outage.refuse(at(1)) && !outage.refuse(at(2)));
        assert_eq!(outage.accept(at(3)), None, "some may fit for all that");
        assert!(!outage.refuse(at(4)));
        assert_eq!([outage.accept(at(6)), outage.accept(at(6))], [Some(3), None]);
        assert!(outage.refuse(at(7)), "another one");
        assert_eq!([outage.accept(at(11)), outage.accept(at(12))], [None, Some(1)]);
    }
}
