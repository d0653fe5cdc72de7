//! What is possible: the least that any policy leaves undone at a cost, with what it can know.
//!
//! For each second, a policy that serves it has decided before instances began to start. This bound gives it the
//! level and the direction of demand at that moment and, in hindsight, the distribution of what came after each such
//! state; it lets the count be another one every second and bills no start. In each state the best count is then a
//! quantile, the same for all by the price of a request (a newsvendor), and that price is set so that the cost
//! is met. A policy that decides by level and direction cannot leave less undone at that cost. Only what
//! is not in the bound can beat it: other knowledge, such as the time of day.
//!
//! Only without a buffer, where seconds do not depend on each other.

use tidegate_sim::{CAPACITY, Demand};

/// Seconds that level and direction are told from, each half.
const HALF: usize = 5;
/// States by level, and by direction.
const LEVELS: usize = 12;
const DIRECTIONS: usize = 3;

/// The share of requests that are violated at least, at `instance_seconds`.
pub(crate) fn violated_at(demand: &Demand, start_up: u32, instance_seconds: f64) -> f64 {
    let states = states(demand.arrivals(), start_up as usize);
    let all: f64 = demand.arrivals().iter().map(|&arrivals| f64::from(arrivals)).sum();
    let (mut cheap, mut dear) = (1.0_f64, 1e6_f64);
    for _ in 0..50 {
        let price = (cheap * dear).sqrt();
        if outcome(&states, price).0 > instance_seconds { dear = price } else { cheap = price }
    }
    // The dearer side, which violates less: a bound stays one.
    outcome(&states, dear).1 / all
}

/// What arrived in the seconds after each state, ascending.
fn states(arrivals: &[u32], start_up: usize) -> Vec<Vec<u32>> {
    let known = 2 * HALF;
    let first = known + start_up + 1;
    let sum = |from: usize| arrivals[from..from + HALF].iter().sum::<u32>();
    let seen: Vec<(u32, i64, u32)> = (first..arrivals.len())
        .map(|second| {
            let end = second - start_up;
            let (late, early) = (sum(end - HALF), sum(end - known));
            (late, i64::from(late) - i64::from(early), arrivals[second])
        })
        .collect();
    let mut levels: Vec<u32> = seen.iter().map(|&(level, ..)| level).collect();
    levels.sort_unstable();
    let mut states = vec![Vec::new(); LEVELS * DIRECTIONS];
    for (level, change, after) in seen {
        let rank = levels.partition_point(|&other| other < level);
        let noise = 2.0 * (2.0 * f64::from(level)).sqrt();
        let direction = usize::from(change as f64 > -noise) + usize::from(change as f64 > noise);
        states[rank * LEVELS / levels.len() * DIRECTIONS + direction].push(after);
    }
    for state in &mut states {
        state.sort_unstable();
    }
    states
}

/// Instance-seconds and violated requests where a violated instance-second is worth `price` paid ones.
fn outcome(states: &[Vec<u32>], price: f64) -> (f64, f64) {
    let (mut cost, mut violated) = (0.0, 0.0);
    for state in states.iter().filter(|state| !state.is_empty()) {
        let enough = ((1.0 - 1.0 / price) * state.len() as f64) as usize;
        let count = state[enough.min(state.len() - 1)].div_ceil(CAPACITY).max(1);
        let capacity = count * CAPACITY;
        cost += f64::from(count) * state.len() as f64;
        violated += state.iter().map(|&arrivals| f64::from(arrivals.saturating_sub(capacity))).sum::<f64>();
    }
    (cost, violated)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jumps_from_nowhere_cost_what_stands_by() {
        // Every hundred seconds one of four instances' worth, elsewhere one: to meet all of them costs four.
        let demand =
            Demand::new((0..20_000_u32).map(|second| if second % 100 == 0 { 400 } else { 90 }).collect());
        assert!(violated_at(&demand, 30, 4.0 * 20_000.0) <= 0.0);
        let missed = violated_at(&demand, 30, 1.0 * 20_000.0);
        assert!(missed < 0.04, "{missed}");
    }

    #[test]
    fn steady_demand_costs_itself() {
        let demand = Demand::new(vec![1_000; 5_000]);
        assert!(violated_at(&demand, 30, 10.0 * 5_000.0) <= 0.0);
    }
}
