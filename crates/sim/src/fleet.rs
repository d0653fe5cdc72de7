//! The modelled fleet: instances that are billed from launch and serve once they are ready.
//!
//! Stopping is immediate. Shrinking cancels instances that still start, the youngest first, before
//! it takes ready ones. A start that fails is paid for until it was to be ready.

use std::collections::VecDeque;

use crate::random::Random;

/// Instances by readiness.
#[derive(Debug, Clone)]
pub(crate) struct Fleet {
    start_up: u32,
    /// The share of launches that never become ready.
    failing: f64,
    random: Random,
    ready: u32,
    starting: u32,
    /// The youngest last.
    launches: VecDeque<Launch>,
    /// No launch is due before this second.
    due: usize,
    /// What has become ready and was not told yet.
    started: Started,
}

/// Instances that were launched together.
#[derive(Debug, Clone, Copy)]
struct Launch {
    /// When they are ready, or found not to be.
    due: usize,
    count: u32,
    took: u32,
    fails: bool,
}

/// Instances that became ready, and how long the slowest of them took.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Started {
    pub count: u32,
    pub took: u32,
}

impl Fleet {
    pub(crate) fn new(start_up: u32, ready: u32, seed: u64) -> Self {
        let random = Random::new(seed);
        Self {
            start_up,
            failing: 0.0,
            random,
            ready,
            starting: 0,
            launches: VecDeque::new(),
            due: usize::MAX,
            started: Started::default(),
        }
    }

    pub(crate) fn ready(&self) -> u32 {
        self.ready
    }

    pub(crate) fn starting(&self) -> u32 {
        self.starting
    }

    /// Everything that is paid for.
    pub(crate) fn launched(&self) -> u32 {
        self.ready + self.starting
    }

    /// What is launched from now on takes so long.
    pub(crate) fn set_start_up(&mut self, start_up: u32) {
        self.start_up = start_up;
    }

    /// This share of what is launched from now on never becomes ready.
    pub(crate) fn set_failing(&mut self, share: f64) {
        self.failing = share;
    }

    /// So many ready instances are no more.
    pub(crate) fn kill(&mut self, count: u32) {
        self.ready -= count.min(self.ready);
    }

    /// So many are no more, those that still start first.
    pub(crate) fn take(&mut self, count: u32) {
        let count = self.launched().saturating_sub(count);
        self.shrink(count);
    }

    /// Begins `second`: what was launched long enough ago is ready, or has failed. Tells of those that were ready as they were
    /// launched, too.
    #[inline]
    pub(crate) fn advance(&mut self, second: usize) -> Started {
        if second >= self.due {
            self.settle(second);
        }
        std::mem::take(&mut self.started)
    }

    fn settle(&mut self, second: usize) {
        let Self { ready, starting, started, .. } = self;
        self.launches.retain(|launch| {
            if launch.due > second {
                return true;
            }
            *starting -= launch.count;
            if !launch.fails {
                *ready += launch.count;
                started.count += launch.count;
                started.took = started.took.max(launch.took);
            }
            false
        });
        self.due = self.launches.iter().map(|launch| launch.due).min().unwrap_or(usize::MAX);
    }

    /// Launches or stops instances so that there are `count`, at the beginning of `second`.
    pub(crate) fn resize(&mut self, second: usize, count: u32) {
        if count > self.launched() {
            self.launch(second, count - self.launched());
        }
        self.shrink(count);
    }

    fn shrink(&mut self, count: u32) {
        while count < self.launched() {
            let surplus = self.launched() - count;
            let Some(youngest) = self.launches.back_mut() else {
                self.ready -= surplus;
                return;
            };
            let cancelled = surplus.min(youngest.count);
            youngest.count -= cancelled;
            self.starting -= cancelled;
            if youngest.count == 0 {
                self.launches.pop_back();
            }
        }
    }

    fn launch(&mut self, second: usize, count: u32) {
        let failing = if self.failing > 0.0 {
            (0..count).filter(|_| self.random.uniform() < self.failing).count() as u32
        } else {
            0
        };
        let due = second + self.start_up as usize;
        for (count, fails) in [(count - failing, false), (failing, true)] {
            if count > 0 {
                self.launches.push_back(Launch { due, count, took: self.start_up, fails });
            }
        }
        self.starting += count;
        self.due = self.due.min(due);
        self.settle(second);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_instance_is_ready_after_its_start_up() {
        let mut fleet = Fleet::new(5, 2, 1);
        fleet.resize(10, 6);
        assert_eq!((fleet.advance(14).count, fleet.ready(), fleet.launched()), (0, 2, 6));
        assert_eq!((fleet.advance(15).count, fleet.ready(), fleet.launched()), (4, 6, 6));
    }

    #[test]
    fn what_is_there_at_once_is_told_with_the_next_second() {
        let mut fleet = Fleet::new(0, 1, 1);
        assert_eq!(fleet.advance(10), Started::default());
        fleet.resize(10, 4);
        assert_eq!(fleet.ready(), 4);
        assert_eq!(fleet.advance(11), Started { count: 3, took: 0 });
        assert_eq!(fleet.advance(12), Started::default());
    }

    #[test]
    fn the_youngest_start_is_cancelled_first() {
        let mut fleet = Fleet::new(5, 2, 1);
        fleet.resize(10, 4);
        fleet.resize(12, 6);
        fleet.resize(13, 3);
        assert_eq!((fleet.ready(), fleet.starting()), (2, 1));
        assert_eq!(fleet.advance(15).count, 1, "the one that is left was launched first");
        fleet.resize(16, 1);
        assert_eq!((fleet.ready(), fleet.starting()), (1, 0));
    }

    #[test]
    fn starts_may_slow_down_and_fail() {
        let mut fleet = Fleet::new(5, 2, 1);
        fleet.set_start_up(20);
        fleet.resize(0, 4);
        fleet.set_start_up(3);
        fleet.resize(1, 5);
        assert_eq!(fleet.advance(4), Started { count: 1, took: 3 }, "launched later, ready earlier");
        fleet.set_failing(1.0);
        fleet.resize(5, 9);
        assert_eq!((fleet.advance(8), fleet.ready(), fleet.launched()), (Started::default(), 3, 5));
        fleet.kill(7);
        assert_eq!((fleet.advance(20), fleet.ready()), (Started { count: 2, took: 20 }, 2));
        fleet.set_failing(0.5);
        fleet.resize(30, 1_002);
        assert!((450..550).contains(&fleet.advance(33).count), "about a half");
    }

    proptest! {
        /// The twin is a list of the seconds at which each instance is ready.
        #[test]
        fn a_fleet_is_a_list_of_instances(start_up in 0..8_u32, counts in prop::collection::vec(0..20_u32, 1..60)) {
            let (mut fleet, mut twin) = (Fleet::new(start_up, 3, 1), vec![0; 3]);
            for (second, &count) in counts.iter().enumerate() {
                fleet.advance(second);
                fleet.resize(second, count);
                // In order of readiness, so the end is the youngest start or else some ready one.
                twin.resize(count as usize, second + start_up as usize);
                let ready = twin.iter().filter(|&&at| at <= second).count();
                prop_assert_eq!((fleet.ready() as usize, fleet.launched() as usize), (ready, twin.len()));
            }
        }
    }
}
