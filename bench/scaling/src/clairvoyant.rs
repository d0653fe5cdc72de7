//! What a fleet that knows the future would pay: the limit of every policy, by dynamic programming.
//!
//! A plan names the ready instances of each second. It begins with as many as a run does, pays for them, and for the
//! start-up time of each that becomes ready: where it would stop an instance and need it again within that time,
//! keeping it is cheaper, so this is what the simulated fleet pays. Prices on violated requests and on changes
//! (Lagrange's multipliers) turn the limits on both into cost. The cheapest plan at any such prices, less the prices
//! of the limits themselves, is a bound from below: no policy within the limits is cheaper, whatever it knows.
//!
//! Where the gateway holds requests, a plan also knows how many wait. That is all there is to know of them: who is served
//! first came first, so the youngest wait, and those that came in the last seconds are the ones that still may. Plans that differ
//! in nothing else are a [`Front`]; where one becomes long, neighbours are joined into what is better than either, which
//! lowers the bound and leaves it one.

mod front;

use std::collections::VecDeque;

use tidegate_sim::{CAPACITY, Conditions, Demand};

use front::{Front, Plan};

/// Passes through the demand for each price that is sought.
const PASSES: usize = 12;
/// Of two prices each changes the other, so both are sought again, within so many times of what they were.
const NEAR: f64 = 8.0;
const PASSES_AGAIN: usize = 6;
const PASSES_OF_WEEKS: usize = 5;
/// Instance-seconds that a violated request and a change may cost at least and at most.
const REQUEST: (f64, f64) = (1e-3, 100.0);
const CHANGE: (f64, f64) = (1.0, 1e5);
/// Plans with the same number of instances that are kept apart; and in demand of more than so many seconds, three weeks.
const LONGEST: usize = 24;
const LONGEST_OF_WEEKS: usize = 6;
const WEEKS: usize = 21 * 86_400;

/// What a plan may do.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Instances that are ready at first.
    pub(crate) first: u32,
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

/// Instance-seconds that no policy within `limits` can do without.
pub(crate) fn bound(demand: &Demand, conditions: Conditions, limits: Limits) -> f64 {
    let (mut prices, mut bound) = (Prices::default(), 0.0_f64);
    let changes = limits.changes.unwrap_or(0.0);
    let mut ask = |prices: Prices| {
        let plan = Search::cheapest(demand, conditions, limits.first, prices);
        bound = bound.max(plan.priced - prices.request * limits.violated - prices.change * changes);
        plan
    };
    if conditions.buffer > 0 && demand.seconds() > WEEKS {
        // Long demand is gone through as seldom as can be: the price is near that of who may let nobody wait.
        let at_once = Conditions { buffer: 0, ..conditions };
        let exceeds = |request| {
            let prices = Prices { request, ..prices };
            Search::cheapest(demand, at_once, limits.first, prices).violated > limits.violated
        };
        let price = sought(REQUEST, PASSES, exceeds);
        let request = |request| ask(Prices { request, ..prices }).violated > limits.violated;
        sought((price / NEAR, price * NEAR), PASSES_OF_WEEKS, request);
        return bound;
    }
    let request = |request| ask(Prices { request, ..prices }).violated > limits.violated;
    prices.request = sought(REQUEST, PASSES, request);
    if limits.changes.is_some() {
        let change = |change| ask(Prices { change, ..prices }).changes > changes;
        prices.change = sought(CHANGE, PASSES, change);
        let near = |price: f64| (price / NEAR, price * NEAR);
        let request = |request| ask(Prices { request, ..prices }).violated > limits.violated;
        prices.request = sought(near(prices.request), PASSES_AGAIN, request);
        let change = |change| ask(Prices { change, ..prices }).changes > changes;
        sought(near(prices.change), PASSES_AGAIN, change);
    }
    bound
}

/// The price at which `exceeded` turns false, by halving on a logarithmic scale.
fn sought((cheapest, dearest): (f64, f64), passes: usize, mut exceeded: impl FnMut(f64) -> bool) -> f64 {
    let (mut low, mut high) = (cheapest.ln(), dearest.ln());
    for _ in 0..passes {
        let middle = f64::midpoint(low, high);
        if exceeded(middle.exp()) {
            low = middle;
        } else {
            high = middle;
        }
    }
    high.exp()
}

/// For each second, how many of those that came may still wait after it.
fn patient(arrivals: &[u32], buffer: usize) -> Vec<u32> {
    let mut patient = 0;
    let each = |second: usize| {
        patient += arrivals[second];
        patient -= second.checked_sub(buffer).map_or(0, |gone| arrivals[gone]);
        patient
    };
    (0..arrivals.len()).map(each).collect()
}

/// For each second, the instances up to which it may be worth growing: what keeps busy until a change has paid for
/// itself. What is busy later only might as well be launched later.
fn useful(arrivals: &[u32], patient: &[u32], change: f64) -> Vec<u32> {
    let busy = |second: usize| {
        let waiting = second.checked_sub(1).map_or(0, |before| patient[before]);
        (arrivals[second] + waiting).div_ceil(CAPACITY).max(1)
    };
    let (span, mut largest) = (change.ceil() as usize, VecDeque::<(usize, u32)>::new());
    let mut useful = vec![1; arrivals.len()];
    for second in (0..arrivals.len()).rev() {
        let busy = busy(second);
        while largest.back().is_some_and(|&(_, other)| other <= busy) {
            largest.pop_back();
        }
        largest.push_back((second, busy));
        while largest.front().is_some_and(|&(at, _)| at > second + span) {
            largest.pop_front();
        }
        useful[second] = largest[0].1;
    }
    useful
}

/// Goes through the demand second by second, with the plans that may still be the best.
struct Search {
    start_up: u32,
    prices: Prices,
    /// Plans that are kept apart.
    longest: usize,
    /// By ready instances, less one.
    fronts: Vec<Front>,
    /// Those of the second before.
    before: Vec<Front>,
    carried: Front,
    spare: Front,
}

impl Search {
    /// The cheapest plan at `prices`.
    fn cheapest(demand: &Demand, conditions: Conditions, first: u32, prices: Prices) -> Plan {
        let arrivals = demand.arrivals();
        let patient = patient(arrivals, conditions.buffer as usize);
        let useful = useful(arrivals, &patient, prices.change);
        let most = useful.iter().copied().fold(first.max(1), u32::max) as usize;
        let mut search = Self {
            start_up: conditions.start_up,
            prices,
            longest: if arrivals.len() > WEEKS { LONGEST_OF_WEEKS } else { LONGEST },
            fronts: vec![Front::default(); most],
            before: vec![Front::default(); most],
            carried: Front::default(),
            spare: Front::default(),
        };
        search.fronts[first.max(1) as usize - 1].push(Plan::default(), prices.request);
        for (second, &arrivals) in arrivals.iter().enumerate() {
            let may_grow = second >= conditions.start_up as usize;
            search.resize(may_grow.then_some(useful[second]));
            search.serve(arrivals, patient[second]);
            search.prune();
        }
        let plans = search.fronts.iter().flat_map(Front::plans).copied();
        let close = |plan: Plan| Plan {
            priced: plan.priced + prices.request * plan.queue,
            violated: plan.violated + plan.queue,
            ..plan
        };
        let ended = plans.map(close).min_by(|one, other| one.priced.total_cmp(&other.priced));
        ended.unwrap_or_default()
    }

    /// Any plan may go on with any other number of ready instances, up to `useful` if there was time to launch them.
    fn resize(&mut self, useful: Option<u32>) {
        let Prices { request, change } = self.prices;
        std::mem::swap(&mut self.fronts, &mut self.before);
        let highest = self.before.iter().rposition(|front| !front.is_empty()).unwrap_or_default();
        let top = useful.map_or(0, |useful| useful as usize - 1).clamp(highest, self.fronts.len() - 1);
        for front in &mut self.fronts {
            front.clear();
        }
        let (counts, spare) = (0..=top, &mut self.spare);
        self.carried.clear();
        for at in counts.clone().rev() {
            self.fronts[at].clone_from(&self.before[at]);
            self.fronts[at].merge(&self.carried, change, 1.0, request, spare);
            self.carried.merge(&self.before[at], 0.0, 0.0, request, spare);
        }
        self.carried.clear();
        for at in counts.take_while(|_| useful.is_some()) {
            for plan in self.carried.iter_mut() {
                plan.priced += f64::from(self.start_up);
            }
            self.fronts[at].merge(&self.carried, change, 1.0, request, spare);
            self.carried.merge(&self.before[at], 0.0, 0.0, request, spare);
        }
    }

    /// First come, first served. Of those that still wait, no more than `patient` may.
    fn serve(&mut self, arrivals: u32, patient: u32) {
        let request = self.prices.request;
        for (front, ready) in self.fronts.iter_mut().zip(1_u32..) {
            self.spare.clear();
            for plan in front.plans() {
                let left = plan.queue + f64::from(arrivals) - f64::from(ready * CAPACITY);
                let violated = (left - f64::from(patient)).max(0.0);
                let queue = left.clamp(0.0, f64::from(patient));
                let priced = plan.priced + f64::from(ready) + request * violated;
                let violated = plan.violated + violated;
                self.spare.push(Plan { queue, priced, violated, ..*plan }, request);
            }
            self.spare.shorten(self.longest);
            std::mem::swap(front, &mut self.spare);
        }
    }

    /// Drops plans that another one could become in the next second for no more.
    fn prune(&mut self) {
        let Prices { request, change } = self.prices;
        let mut lower: Option<usize> = None;
        for at in 0..self.fronts.len() {
            let (below, front) = self.fronts.split_at_mut(at);
            if let Some(lower) = lower {
                let price = f64::from(self.start_up) * (at - lower) as f64 + change;
                front[0].drop_worse(&below[lower], price, request);
            }
            if !front[0].is_empty() {
                lower = Some(at);
            }
        }
        let mut upper: Option<usize> = None;
        for at in (0..self.fronts.len()).rev() {
            let (front, above) = self.fronts.split_at_mut(at + 1);
            if let Some(upper) = upper {
                front[at].drop_worse(&above[upper - at - 1], change, request);
            }
            if !front[at].is_empty() {
                upper = Some(at);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;
    use tidegate_core::policy::{Headroom, Policy};
    use tidegate_sim::{
        Contender, Report,
        live::{Known, USUAL_TARGET},
    };

    use super::*;

    /// Ten minutes of level, ramps, jumps and spikes.
    fn demand(seed: u32) -> Demand {
        let dice = |second: u32, every: u32| {
            f64::from((second / every).wrapping_add(seed).wrapping_mul(2_654_435_761) >> 16) / 65_536.0
        };
        let arrivals = |second: u32| {
            let ramp = f64::from(second % 300) * 1.5;
            let jump = 600.0 * dice(second, 80);
            let spike = if dice(second, 30) > 0.95 { 900.0 } else { 0.0 };
            (300.0 + ramp + jump + spike + 60.0 * dice(second, 1)) as u32
        };
        Demand::new((0..600).map(arrivals).collect())
    }

    #[test]
    fn nobody_is_cheaper_than_who_knows_the_future() {
        for (seed, start_up, buffer) in [(1, 0, 0), (2, 30, 0), (3, 5, 1), (4, 30, 5)] {
            let (demand, under) = (demand(seed), Conditions { start_up, buffer });
            let wait = Duration::from_secs(buffer.into());
            let policy = Box::new(Policy::keeping(1, 99, Headroom { overload: 0.001, wait }));
            let mut report = Report::default();
            let own = Contender::Policy { name: "default".to_owned(), policy, known: Known::default() };
            for contender in [Contender::Hpa, Contender::Loop, own] {
                report.add("it", &demand, under, &contender);
            }
            let requests: f64 = demand.arrivals().iter().map(|&arrivals| f64::from(arrivals)).sum();
            // The default policy, and some of the baselines' settings.
            for run in report.runs.iter().rev().step_by(12) {
                let violated = run.figures.violated_requests * requests;
                let paid = run.figures.instance_hours * 3_600.0;
                let target = run.target.unwrap_or(USUAL_TARGET);
                let first = demand.first_instances(f64::from(CAPACITY), target);
                let least = bound(&demand, under, Limits { first, violated, changes: None });
                assert!(least <= paid + 1e-6, "{least} under {under:?}, {run:?}");
                let changes = Some(run.figures.actions_per_day * 600.0 / 86_400.0);
                let calm = bound(&demand, under, Limits { first, violated, changes });
                assert!((least - 1e-6..=paid + 1e-6).contains(&calm), "{calm} under {under:?}, {run:?}");
            }
        }
    }

    #[test]
    fn without_violations_it_is_the_floor() {
        for start_up in [0, 5, 30] {
            let demand = demand(7);
            let mut report = Report::default();
            let under = Conditions { start_up, buffer: 0 };
            report.add("it", &demand, under, &Contender::Hpa);
            let floor = report.runs[0].figures.floor_instance_hours * 3_600.0;
            let bound = bound(&demand, under, Limits { first: 40, violated: 0.0, changes: None });
            // What is ready at first is free in a plan.
            assert!(bound <= floor + 1e-6 && bound > floor * 0.99, "{bound} of {floor}");
        }
    }

    #[test]
    fn worked_out_by_hand() {
        // Two, then four for three seconds, then two again: launched two seconds early, and both changes.
        let arrivals = [[200; 5].as_slice(), &[400; 3], &[200; 5]].concat();
        let demand = Demand::new(arrivals);
        let under = Conditions { start_up: 2, buffer: 0 };
        let least = |violated, changes| bound(&demand, under, Limits { first: 2, violated, changes });
        let close =
            |value: f64, expected: f64| assert!((value - expected).abs() < 0.05, "{value}, {expected}");
        close(least(0.0, None), 26.0 + 2.0 * (3.0 + 2.0));
        // Half of the peak may be violated: one instance is not launched, or both for half of the time.
        close(least(300.0, None), 26.0 + 5.0);
        close(least(600.0, None), 26.0);
        close(least(0.0, Some(2.0)), 36.0);
        assert!(least(0.0, Some(1.0)) > 36.5, "one change is too few");
    }

    /// The cheapest of all plans there are, with every single request in a queue.
    fn tried(arrivals: &[u32], conditions: Conditions, first: u32, prices: Prices) -> f64 {
        // So many could serve all of them at once, also those that waited.
        let most = arrivals.iter().sum::<u32>().div_ceil(CAPACITY).max(first);
        let plans = most.pow(arrivals.len() as u32);
        let priced = |mut plan: u32| {
            let (mut last, mut price, mut waiting) = (first, 0.0, Vec::new());
            for (second, &arrivals) in arrivals.iter().enumerate() {
                let ready = plan % most + 1;
                plan /= most;
                if ready > last && second < conditions.start_up as usize {
                    return f64::INFINITY;
                }
                price += f64::from(ready) + f64::from(conditions.start_up * ready.saturating_sub(last));
                price += if ready == last { 0.0 } else { prices.change };
                last = ready;
                waiting.extend((0..arrivals).map(|_| second));
                waiting.drain(..waiting.len().min((ready * CAPACITY) as usize));
                let waited = waiting.len();
                waiting.retain(|&arrived| second - arrived < conditions.buffer as usize);
                price += prices.request * (waited - waiting.len()) as f64;
            }
            price + prices.request * waiting.len() as f64
        };
        (0..plans).map(priced).reduce(f64::min).unwrap()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn the_search_finds_the_cheapest_of_all_plans(
            arrivals in prop::collection::vec(0..250_u32, 1..5),
            start_up in 0..4_u32,
            buffer in 0..4_u32,
            first in 1..4_u32,
            request in prop_oneof![Just(0.005), Just(0.02), Just(0.3)],
            change in prop_oneof![Just(0.0), Just(1.5)],
        ) {
            let (conditions, prices) = (Conditions { start_up, buffer }, Prices { request, change });
            let found = Search::cheapest(&Demand::new(arrivals.clone()), conditions, first, prices);
            let tried = tried(&arrivals, conditions, first, prices);
            prop_assert!((found.priced - tried).abs() < 1e-6, "{found:?} against {tried}");
        }
    }
}
