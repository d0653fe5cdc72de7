//! Picks the endpoint of a request.
//!
//! `roundRobin` is the smooth weighted round robin of nginx (M. Dounin, 2012): every pick raises each
//! endpoint's score by its weight and lowers the winner's by the sum, so that weights 5, 1, 1 give
//! `a a b a c a a` and not `a a a a a b c`. `leastConnections` takes the endpoint with the fewest
//! requests in flight on the whole node in relation to its weight; ties go round.
//!
//! Not here: which endpoints are known to be down. The caller says which ones are usable.

use tidegate_core::{Endpoint, snapshot::Balance};

/// One worker's balancing state for one upstream.
#[derive(Debug)]
pub struct Balancer {
    kind: Balance,
    /// Round robin: a score for each endpoint, in their order.
    scores: Vec<i64>,
    /// Least connections: where the search for the smallest begins.
    start: usize,
}

impl Balancer {
    /// Workers start at different endpoints when `seed` differs, so that they do not march in step.
    pub const fn new(kind: Balance, seed: usize) -> Self {
        Self { kind, scores: Vec::new(), start: seed }
    }

    /// The index of an endpoint for which `usable` holds; `None` if there is none.
    ///
    /// The scores follow the indices, so they start anew when the number of endpoints changes.
    pub fn pick(&mut self, endpoints: &[Endpoint], usable: impl Fn(usize) -> bool) -> Option<usize> {
        match self.kind {
            Balance::RoundRobin => self.round_robin(endpoints, usable),
            Balance::LeastConnections => self.least_connections(endpoints, usable),
        }
    }

    fn round_robin(&mut self, endpoints: &[Endpoint], usable: impl Fn(usize) -> bool) -> Option<usize> {
        if self.scores.len() != endpoints.len() {
            self.scores = vec![0; endpoints.len()];
            for _ in 0..self.start.checked_rem(endpoints.len()).unwrap_or(0) {
                smooth(&mut self.scores, endpoints, |_| true);
            }
        }
        smooth(&mut self.scores, endpoints, usable)
    }

    fn least_connections(&mut self, endpoints: &[Endpoint], usable: impl Fn(usize) -> bool) -> Option<usize> {
        self.start = self.start.wrapping_add(1);
        let count = endpoints.len();
        let order = (0..count).map(|step| (self.start % count + step) % count).filter(|&index| usable(index));
        // Load a on weight v is lighter than load b on weight w when a·w < b·v: no division, no rounding.
        order.reduce(|best, next| {
            let load = |index: usize| u64::from(endpoints[index].load.in_flight());
            let weight = |index: usize| u64::from(endpoints[index].weight.get());
            if load(next) * weight(best) < load(best) * weight(next) { next } else { best }
        })
    }
}

fn smooth(scores: &mut [i64], endpoints: &[Endpoint], usable: impl Fn(usize) -> bool) -> Option<usize> {
    let (mut total, mut best) = (0, None);
    for (index, endpoint) in endpoints.iter().enumerate().filter(|&(index, _)| usable(index)) {
        let weight = i64::from(endpoint.weight.get());
        total += weight;
        scores[index] += weight;
        if best.is_none_or(|best: usize| scores[index] > scores[best]) {
            best = Some(index);
        }
    }
    scores[best?] -= total;
    best
}

#[cfg(test)]
mod tests {
    use std::{num::NonZeroU32, sync::Arc};

    use proptest::prelude::*;
    use tidegate_core::{InstanceId, roster::Load};

    use super::*;

    fn endpoints(weights: &[u32]) -> Vec<Endpoint> {
        let endpoint = |(index, &weight): (usize, &u32)| Endpoint {
            id: InstanceId::new(&format!("e{index}")).unwrap(),
            address: std::net::SocketAddr::from(([127, 0, 0, 1], 80)).into(),
            host: None,
            weight: NonZeroU32::new(weight).unwrap(),
            load: Arc::new(Load::default()),
        };
        weights.iter().enumerate().map(endpoint).collect()
    }

    #[test]
    fn round_robin_spreads_a_heavy_endpoint_out() {
        let endpoints = endpoints(&[5, 1, 1]);
        let mut balancer = Balancer::new(Balance::RoundRobin, 0);
        let picks: Vec<_> = (0..7).filter_map(|_| balancer.pick(&endpoints, |_| true)).collect();
        assert_eq!(picks, [0, 0, 1, 0, 2, 0, 0]);
    }

    #[test]
    fn workers_start_at_different_endpoints() {
        let endpoints = endpoints(&[1, 1, 1]);
        let first = |seed| Balancer::new(Balance::RoundRobin, seed).pick(&endpoints, |_| true);
        assert_eq!([first(0), first(1), first(2), first(3)], [Some(0), Some(1), Some(2), Some(0)]);
    }

    #[test]
    fn least_connections_weighs_load_by_weight() {
        let endpoints = endpoints(&[1, 4]);
        let _held: Vec<_> = (0..3).map(|_| endpoints[1].load.begin()).collect();
        let one = endpoints[0].load.begin();
        let mut balancer = Balancer::new(Balance::LeastConnections, 0);
        assert_eq!(balancer.pick(&endpoints, |_| true), Some(1), "3/4 is less than 1/1");
        drop(one);
        assert_eq!(balancer.pick(&endpoints, |_| true), Some(0));
    }

    #[test]
    fn idle_endpoints_take_turns() {
        let endpoints = endpoints(&[1, 1, 1]);
        let mut balancer = Balancer::new(Balance::LeastConnections, 0);
        let mut picks: Vec<_> = (0..3).filter_map(|_| balancer.pick(&endpoints, |_| true)).collect();
        picks.sort_unstable();
        assert_eq!(picks, [0, 1, 2]);
    }

    proptest! {
        #[test]
        fn round_robin_serves_each_in_proportion_to_its_weight(
            weights in prop::collection::vec(1..8_u32, 1..6), seed in 0..9_usize,
        ) {
            let endpoints = endpoints(&weights);
            let mut balancer = Balancer::new(Balance::RoundRobin, seed);
            let mut served = vec![0; weights.len()];
            for _ in 0..weights.iter().sum::<u32>() * 10 {
                served[balancer.pick(&endpoints, |_| true).unwrap()] += 1;
            }
            for (&served, &weight) in served.iter().zip(&weights) {
                prop_assert!((weight * 10).abs_diff(served) <= 1, "{served} of {}", weight * 10);
            }
        }

        #[test]
        fn only_usable_endpoints_are_picked(
            usable in prop::collection::vec(any::<bool>(), 0..6), least in any::<bool>(), seed in any::<usize>(),
        ) {
            let endpoints = endpoints(&vec![1; usable.len()]);
            let kind = if least { Balance::LeastConnections } else { Balance::RoundRobin };
            let mut balancer = Balancer::new(kind, seed);
            for _ in 0..10 {
                match balancer.pick(&endpoints, |index| usable[index]) {
                    Some(picked) => prop_assert!(usable[picked]),
                    None => prop_assert!(!usable.contains(&true)),
                }
            }
        }
    }
}
