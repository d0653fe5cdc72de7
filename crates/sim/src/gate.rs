//! The modelled gateway: requests are served, held for a while, or violated.
//!
//! First come, first served. A request that arrived `buffer` seconds ago and is still not served is
//! violated, so without a buffer that is all that exceeds the capacity of its second.

use std::collections::VecDeque;

/// Requests that are held.
#[derive(Debug, Clone)]
pub(crate) struct Gate {
    buffer: u32,
    /// Arrivals of earlier seconds that wait, oldest first, each with its second.
    waiting: VecDeque<(usize, u32)>,
    held: u64,
}

/// What became of the requests in one second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Outcome {
    pub(crate) served: u32,
    pub(crate) violated: u32,
}

impl Gate {
    pub(crate) fn new(buffer: u32) -> Self {
        Self { buffer, waiting: VecDeque::new(), held: 0 }
    }

    /// Requests that wait for capacity.
    pub(crate) fn held(&self) -> u64 {
        self.held
    }

    pub(crate) fn serve(&mut self, second: usize, arrivals: u32, capacity: u32) -> Outcome {
        if self.waiting.is_empty() && arrivals <= capacity {
            return Outcome { served: arrivals, violated: 0 };
        }
        self.waiting.push_back((second, arrivals));
        self.held += u64::from(arrivals);
        let (mut left, mut violated) = (capacity, 0);
        while let Some((arrived, count)) = self.waiting.front_mut() {
            let served = left.min(*count);
            *count -= served;
            left -= served;
            let late = second - *arrived >= self.buffer as usize;
            if *count > 0 && !late {
                break;
            }
            violated += *count;
            self.waiting.pop_front();
        }
        let served = capacity - left;
        self.held -= u64::from(served) + u64::from(violated);
        Outcome { served, violated }
    }

    /// What still waits when the world ends: it counts as violated.
    pub(crate) fn close(self) -> u64 {
        self.held
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn run(buffer: u32, seconds: &[(u32, u32)]) -> Vec<(u32, u32)> {
        let mut gate = Gate::new(buffer);
        let serve = |(second, &(arrivals, capacity)): (usize, &(u32, u32))| {
            let outcome = gate.serve(second, arrivals, capacity);
            (outcome.served, outcome.violated)
        };
        seconds.iter().enumerate().map(serve).collect()
    }

    #[test]
    fn without_a_buffer_the_excess_of_a_second_is_violated() {
        assert_eq!(run(0, &[(150, 100), (0, 100)]), [(100, 50), (0, 0)]);
    }

    #[test]
    fn a_buffer_of_a_second_gives_the_next_second_a_chance() {
        assert_eq!(run(1, &[(250, 100), (50, 100), (0, 100)]), [(100, 0), (100, 50), (50, 0)]);
    }

    #[test]
    fn the_oldest_is_served_first() {
        assert_eq!(
            run(2, &[(10, 0), (10, 0), (10, 15), (0, 5), (0, 5)]),
            [(0, 0), (0, 0), (15, 0), (5, 0), (5, 5)]
        );
        assert_eq!(
            run(2, &[(10, 0), (10, 0), (10, 5), (0, 5), (0, 0)]),
            [(0, 0), (0, 0), (5, 5), (5, 5), (0, 10)]
        );
    }

    proptest! {
        /// The twin keeps every single request.
        #[test]
        fn a_gate_is_a_queue_of_requests(buffer in 0..4_u32, seconds in prop::collection::vec((0..9_u32, 0..9_u32), 1..60)) {
            let (mut gate, mut twin) = (Gate::new(buffer), VecDeque::new());
            for (second, &(arrivals, capacity)) in seconds.iter().enumerate() {
                twin.extend((0..arrivals).map(|_| second));
                let served = twin.drain(..twin.len().min(capacity as usize)).count();
                let waiting = twin.len();
                twin.retain(|&arrived| second - arrived < buffer as usize);
                let violated = waiting - twin.len();
                let outcome = gate.serve(second, arrivals, capacity);
                prop_assert_eq!((outcome.served as usize, outcome.violated as usize), (served, violated));
                prop_assert_eq!(gate.held(), twin.len() as u64);
            }
            prop_assert_eq!(gate.close(), twin.len() as u64);
        }
    }
}
