//! How much is said in the log of requests that were not served.
//!
//! One broken upstream can fail thousands of requests in a second, each for the same reason. Some of them are told, which is
//! what it takes to find out why; the rest are counted, and the next line that is told says how many they were. The access log
//! and the metrics have all of them.

use std::{cell::Cell, time::Duration};

/// Lines of each worker in a second.
const A_SECOND: u32 = 10;

#[derive(Debug, Default)]
pub(crate) struct Complaints {
    second: Cell<u64>,
    told: Cell<u32>,
    untold: Cell<u64>,
}

impl Complaints {
    /// Whether one more is told at `elapsed`, and how many before it were not.
    pub(crate) fn tell(&self, elapsed: Duration) -> Option<u64> {
        if self.second.replace(elapsed.as_secs()) != elapsed.as_secs() {
            self.told.set(0);
        }
        if self.told.get() == A_SECOND {
            self.untold.set(self.untold.get() + 1);
            return None;
        }
        self.told.set(self.told.get() + 1);
        Some(self.untold.take())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_in_a_second_are_told_and_the_rest_is_counted() {
        let complaints = Complaints::default();
        let at = |tenth: u64| complaints.tell(Duration::from_millis(100 * tenth));
        let told: Vec<_> = (0..15).map(|_| at(3)).collect();
        assert_eq!(told[..10], [Some(0); 10]);
        assert_eq!(told[10..], [None; 5]);
        assert_eq!([at(10), at(11), at(25)], [Some(5), Some(0), Some(0)]);
    }
}
