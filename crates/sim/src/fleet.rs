//! The modelled fleet: instances that are billed from launch and serve once they are ready.
//!
//! Stopping is immediate. Shrinking cancels instances that still start, the youngest first, before
//! it takes ready ones.

use std::collections::VecDeque;

/// Instances by readiness.
#[derive(Debug, Clone)]
pub(crate) struct Fleet {
    start_up: u32,
    ready: u32,
    starting: u32,
    /// When how many become ready; the youngest last.
    launches: VecDeque<(usize, u32)>,
}

impl Fleet {
    pub(crate) fn new(start_up: u32, ready: u32) -> Self {
        Self { start_up, ready, starting: 0, launches: VecDeque::new() }
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

    /// Begins `second`: what was launched long enough ago is ready. Returns how many became so.
    pub(crate) fn advance(&mut self, second: usize) -> u32 {
        let mut became_ready = 0;
        while self.launches.front().is_some_and(|&(at, _)| at <= second) {
            became_ready += self.launches.pop_front().map_or(0, |(_, count)| count);
        }
        self.ready += became_ready;
        self.starting -= became_ready;
        became_ready
    }

    /// Launches or stops instances so that there are `count`, at the beginning of `second`.
    pub(crate) fn resize(&mut self, second: usize, count: u32) {
        if count > self.launched() {
            let launched = count - self.launched();
            self.launches.push_back((second + self.start_up as usize, launched));
            self.starting += launched;
            self.advance(second);
        }
        while count < self.launched() {
            let surplus = self.launched() - count;
            let Some((_, youngest)) = self.launches.back_mut() else {
                self.ready -= surplus;
                return;
            };
            let cancelled = surplus.min(*youngest);
            *youngest -= cancelled;
            self.starting -= cancelled;
            if *youngest == 0 {
                self.launches.pop_back();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_instance_is_ready_after_its_start_up() {
        let mut fleet = Fleet::new(5, 2);
        fleet.resize(10, 6);
        assert_eq!((fleet.advance(14), fleet.ready(), fleet.launched()), (0, 2, 6));
        assert_eq!((fleet.advance(15), fleet.ready(), fleet.launched()), (4, 6, 6));
    }

    #[test]
    fn the_youngest_start_is_cancelled_first() {
        let mut fleet = Fleet::new(5, 2);
        fleet.resize(10, 4);
        fleet.resize(12, 6);
        fleet.resize(13, 3);
        assert_eq!((fleet.ready(), fleet.starting()), (2, 1));
        assert_eq!(fleet.advance(15), 1, "the one that is left was launched first");
        fleet.resize(16, 1);
        assert_eq!((fleet.ready(), fleet.starting()), (1, 0));
    }

    proptest! {
        /// The twin is a list of the seconds at which each instance is ready.
        #[test]
        fn a_fleet_is_a_list_of_instances(start_up in 0..8_u32, counts in prop::collection::vec(0..20_u32, 1..60)) {
            let (mut fleet, mut twin) = (Fleet::new(start_up, 3), vec![0; 3]);
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
