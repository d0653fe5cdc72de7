//! The demand that a gateway recorded of its own fleet, for instances that serve what its own do.
//!
//! Simulated instances serve [`CAPACITY`] requests/s each. Where real ones serve another number, demand and what a
//! policy says about arrivals are scaled by the same factor, so counts and hours are those of the real fleet.

use tidegate_core::policy::{Metric, Policy, Signal, TargetMetric, Trigger};

use crate::{CAPACITY, demand::Demand, random::Random};

/// Arrivals in each second, from means over steps of `step` seconds. `capacity` is what a real instance
/// serves. Within steps longer than a second arrivals are drawn, because a mean over a minute says nothing of
/// its seconds.
pub fn demand(rates: &[f64], step: u64, capacity: f64, seed: u64) -> Demand {
    let (mut random, scale) = (Random::new(seed), f64::from(CAPACITY) / capacity);
    let arrivals = rates.iter().flat_map(|&rate| std::iter::repeat_n(rate, step as usize)).map(|rate| {
        let arrivals = if step > 1 { f64::from(random.poisson(rate)) } else { rate };
        (arrivals * scale).round() as u32
    });
    Demand::new(arrivals.collect())
}

/// `policy` for simulated instances, and whether all that it says could be scaled: formulas cannot.
pub fn scaled(mut policy: Policy, capacity: f64) -> (Policy, bool) {
    let scale = f64::from(CAPACITY) / capacity;
    let mut whole = true;
    for trigger in &mut policy.triggers {
        match trigger {
            Trigger::Target(target) if target.metric == TargetMetric::ArrivalRate => target.value *= scale,
            Trigger::Threshold(threshold) => {
                let arrivals = |signal: &Signal| matches!(signal, Signal::Fleet(Metric::ArrivalRate));
                for one in threshold.conditions.iter_mut().filter(|one| arrivals(&one.signal)) {
                    one.above *= scale;
                    one.below = one.below.map(|below| below * scale);
                }
            }
            Trigger::Formula(_) => whole = false,
            _ => {}
        }
    }
    (policy, whole)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tidegate_core::policy::{Headroom, Target};

    use super::*;

    #[test]
    fn seconds_are_taken_as_they_are_and_minutes_are_drawn_around_their_mean() {
        assert_eq!(demand(&[3.0, 0.5], 1, 50.0, 1).arrivals(), [6, 1]);
        let drawn = demand(&[200.0; 60], 60, 100.0, 1);
        assert_eq!(drawn.seconds(), 3_600);
        assert!((drawn.mean_of_first(3_600) - 200.0).abs() < 2.0, "{}", drawn.mean_of_first(3_600));
        assert_ne!(drawn.arrivals()[0], drawn.arrivals()[1]);
        assert_eq!(drawn, demand(&[200.0; 60], 60, 100.0, 1));
    }

    #[test]
    fn what_a_policy_says_about_arrivals_is_scaled_with_them() {
        let target = Target { metric: TargetMetric::ArrivalRate, route: None, value: 8.0, tolerance: 0.1 };
        let headroom = Headroom { overload: 0.001, wait: Duration::ZERO };
        let mut policy = Policy::keeping(1, 9, headroom);
        policy.triggers.push(Trigger::Target(target.clone()));
        let (scaled, whole) = scaled(policy, 10.0);
        let expected = Trigger::Target(Target { value: 80.0, ..target });
        assert_eq!((&scaled.triggers[1], whole), (&expected, true));
    }
}
