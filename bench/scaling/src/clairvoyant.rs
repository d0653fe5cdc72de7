//! What a fleet that knows the future would pay: the limit of every policy, by dynamic programming.
//!
//! A plan names the ready instances of each second. It pays for them, and for the start-up time of each that
//! becomes ready: where it would stop an instance and need it again within that time, keeping it is
//! cheaper, so this is what the simulated fleet pays. Prices on violated requests and on changes (Lagrange's
//! multipliers) turn the limits on both into cost. The cheapest plan at any such prices, less the prices of the
//! limits themselves, is a bound from below: no policy within the limits is cheaper, whatever it knows.
//!
//! Not here: gateways that hold requests.

use tidegate_sim::{CAPACITY, Demand};

/// Passes through the demand for each price that is sought.
const PASSES: usize = 12;
/// How often the two prices are sought in turn.
const ROUNDS: usize = 2;
/// Instance-seconds that a violated request and a change may cost at least and at most.
const REQUEST: (f64, f64) = (1e-3, 100.0);
const CHANGE: (f64, f64) = (1.0, 1e5);

/// What a plan may do.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Requests that may be violated.
    pub(crate) violated: f64,
    /// Changes of the count, if they are limited. Those in which one instance is stopped in the second in which
    /// another is launched are two.
    pub(crate) changes: Option<f64>,
}

/// Instance-seconds.
#[derive(Debug, Clone, Copy, Default)]
struct Prices {
    request: f64,
    change: f64,
}

/// The cheapest plan up to now that ends with some number of ready instances.
#[derive(Debug, Clone, Copy, Default)]
struct Plan {
    priced: f64,
    violated: f64,
    changes: f64,
}

impl Plan {
    const NONE: Self = Self { priced: f64::INFINITY, violated: 0.0, changes: 0.0 };

    fn or(self, other: Self) -> Self {
        if other.priced < self.priced { other } else { self }
    }
}

/// Instance-seconds that no policy within `limits` can do without.
pub(crate) fn bound(demand: &Demand, start_up: u32, limits: Limits) -> f64 {
    let (mut prices, mut bound) = (Prices::default(), 0.0_f64);
    let changes = limits.changes.unwrap_or(0.0);
    let mut ask = |prices: Prices| {
        let plan = cheapest(demand, start_up, prices);
        bound = bound.max(plan.priced - prices.request * limits.violated - prices.change * changes);
        plan
    };
    for _ in 0..if limits.changes.is_some() { ROUNDS } else { 1 } {
        let request = |request| ask(Prices { request, ..prices }).violated > limits.violated;
        prices.request = sought(REQUEST, request);
        if limits.changes.is_some() {
            let change = |change| ask(Prices { change, ..prices }).changes > changes;
            prices.change = sought(CHANGE, change);
        }
    }
    bound
}

/// The price at which `exceeded` turns false, by halving on a logarithmic scale.
fn sought((cheapest, dearest): (f64, f64), mut exceeded: impl FnMut(f64) -> bool) -> f64 {
    let (mut low, mut high) = (cheapest.ln(), dearest.ln());
    for _ in 0..PASSES {
        let middle = f64::midpoint(low, high);
        if exceeded(middle.exp()) {
            low = middle;
        } else {
            high = middle;
        }
    }
    high.exp()
}

/// The cheapest plan at `prices`.
fn cheapest(demand: &Demand, start_up: u32, prices: Prices) -> Plan {
    let needed = demand.arrivals().iter().map(|arrivals| arrivals.div_ceil(CAPACITY));
    let mut plans = vec![Plan::default(); needed.max().unwrap_or(1).max(1) as usize];
    let mut shrunk = plans.clone();
    for &arrivals in demand.arrivals() {
        // The best plan that had more ready instances than this one has from now on.
        let mut best = Plan::NONE;
        for (plan, shrunk) in plans.iter().zip(&mut shrunk).rev() {
            *shrunk = best;
            best = best.or(*plan);
        }
        // The best that had fewer: each that it launched has cost a start-up.
        let (mut grown, mut ready) = (Plan::NONE, 0);
        for (plan, shrunk) in plans.iter_mut().zip(&shrunk) {
            grown.priced += f64::from(start_up);
            let mut moved = grown.or(*shrunk);
            grown = grown.or(*plan);
            moved.priced += prices.change;
            moved.changes += 1.0;
            *plan = plan.or(moved);
            ready += 1;
            let violated = f64::from(arrivals.saturating_sub(ready * CAPACITY));
            plan.priced += f64::from(ready) + prices.request * violated;
            plan.violated += violated;
        }
    }
    plans.into_iter().reduce(Plan::or).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tidegate_core::policy::{Headroom, Policy};
    use tidegate_sim::{Conditions, Contender, Report};

    use super::*;

    /// Half an hour of level, ramps, jumps and spikes.
    fn demand(seed: u32) -> Demand {
        let dice = |second: u32, every: u32| {
            f64::from((second / every).wrapping_add(seed).wrapping_mul(2_654_435_761) >> 16) / 65_536.0
        };
        let arrivals = |second: u32| {
            let ramp = f64::from(second % 900) * 0.6;
            let jump = 600.0 * dice(second, 240);
            let spike = if dice(second, 30) > 0.95 { 900.0 } else { 0.0 };
            (300.0 + ramp + jump + spike + 60.0 * dice(second, 1)) as u32
        };
        Demand::new((0..1_800).map(arrivals).collect())
    }

    #[test]
    fn nobody_is_cheaper_than_who_knows_the_future() {
        for (seed, start_up) in [(1, 0), (2, 5), (3, 30)] {
            let (demand, under) = (demand(seed), Conditions { start_up, buffer: 0 });
            let policy = Box::new(Policy::keeping(1, 99, Headroom { overload: 0.001, wait: Duration::ZERO }));
            let mut report = Report::default();
            let own = Contender::Policy { name: "default".to_owned(), policy };
            for contender in [Contender::Hpa, Contender::Loop, own] {
                report.add("it", &demand, under, &contender);
            }
            let requests: f64 = demand.arrivals().iter().map(|&arrivals| f64::from(arrivals)).sum();
            // The default policy, and some of the baselines' settings.
            for run in report.runs.iter().rev().step_by(4) {
                let violated = run.figures.violated_requests * requests;
                let paid = run.figures.instance_hours * 3_600.0;
                let least = bound(&demand, start_up, Limits { violated, changes: None });
                assert!(least <= paid + 1e-6, "{least} at {start_up}, {run:?}");
                let changes = Some(run.figures.actions_per_day * 1_800.0 / 86_400.0);
                let calm = bound(&demand, start_up, Limits { violated, changes });
                assert!((least - 1e-6..=paid + 1e-6).contains(&calm), "{calm} at {start_up}, {run:?}");
            }
        }
    }

    #[test]
    fn without_violations_it_is_the_floor() {
        for start_up in [0, 5, 30] {
            let demand = demand(7);
            let mut report = Report::default();
            report.add("it", &demand, Conditions { start_up, buffer: 0 }, &Contender::Hpa);
            let floor = report.runs[0].figures.floor_instance_hours * 3_600.0;
            let bound = bound(&demand, start_up, Limits { violated: 0.0, changes: None });
            // What starts before the beginning is free in a plan.
            assert!(bound <= floor + 1e-6 && bound > floor * 0.99, "{bound} of {floor}");
        }
    }

    #[test]
    fn worked_out_by_hand() {
        // Two, then four for three seconds, then two again: launched two seconds early, and both changes.
        let arrivals = [[200; 5].as_slice(), &[400; 3], &[200; 5]].concat();
        let demand = Demand::new(arrivals);
        let least = |violated, changes| bound(&demand, 2, Limits { violated, changes });
        let close =
            |value: f64, expected: f64| assert!((value - expected).abs() < 0.05, "{value}, {expected}");
        close(least(0.0, None), 26.0 + 2.0 * (3.0 + 2.0));
        // Half of the peak may be violated: one instance is not launched, or both for half of the time.
        close(least(300.0, None), 26.0 + 5.0);
        close(least(600.0, None), 26.0);
        close(least(0.0, Some(2.0)), 36.0);
        assert!(least(0.0, Some(1.0)) > 36.5, "one change is too few");
    }
}
