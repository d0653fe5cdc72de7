//! What could be done without knowing the future, if one knew the habits of this demand.
//!
//! A table says for each state how many instances are wanted. States are what any policy sees: the level of
//! demand, where it is heading, and how it compares with the largest of the last five minutes. A table is
//! filled with what would have been cheapest for each state, and in demand of hours its entries are then moved one
//! by one for as long as a run gets better by that.
//!
//! [`fitted`] plays tables on the very demand that they were filled from: the advantage of hindsight, which no
//! live policy has. [`learned`] fills a table from one half of the demand and plays it on the other, both ways: what
//! there is to learn, without hindsight, from as much demand again.
//!
//! Not a bound: other states may tell more. The bound is [`crate::clairvoyant`].

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};
use tidegate_sim::{
    CAPACITY, Conditions, Demand,
    world::{Autoscaler, Seen, run},
};

/// Seconds that the level is the mean of, that a trend is told from, and that the largest level is held.
const LEVEL: usize = 5;
const TREND: usize = 20;
const LARGEST: usize = 300;
/// Edges of the trend, as a share of the level, and of the level as a share of the largest.
const TRENDS: [f64; 4] = [-0.1, -0.02, 0.02, 0.1];
const SHARES: [f64; 3] = [0.6, 0.9, 1.0];
/// Sizes for each doubling of the level, from the smallest on, and states for each size.
const FINE: f64 = 4.0;
const SMALLEST: f64 = 25.0;
const EACH: usize = (TRENDS.len() + 1) * (SHARES.len() + 1);
/// What is wanted in a state that never was, as a multiple of its level.
const UNKNOWN: f64 = 1.3;
/// Instance-seconds that a violated request may be worth.
const PRICES: [f64; 9] = [0.1, 0.25, 0.5, 1.0, 2.0, 4.0, 10.0, 30.0, 100.0];
/// Seconds of demand up to which entries are moved one by one, and how often all of them are.
const SHORT: usize = 40_000;
const ROUNDS: usize = 2;

/// How a table did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Outcome {
    pub(crate) cost_over_floor: f64,
    pub(crate) violated_requests: f64,
}

/// The best table at each price of a violated request.
pub(crate) fn fitted(demand: &Demand, conditions: Conditions) -> Vec<Outcome> {
    let states = states(demand.arrivals());
    let game = Game { demand, conditions, states: &states };
    PRICES.map(|price| outcome(&[game.play(&game.best(price))])).to_vec()
}

/// As [`fitted`], with tables from the other half of the demand.
pub(crate) fn learned(demand: &Demand, conditions: Conditions) -> Vec<Outcome> {
    let (early, late) = demand.arrivals().split_at(demand.seconds() / 2);
    let halves = [early, late].map(|half| (Demand::new(half.to_vec()), states(half)));
    let [early, late] = halves.each_ref().map(|(demand, states)| Game { demand, conditions, states });
    let both = |price| outcome(&[late.play(&early.best(price)), early.play(&late.best(price))]);
    PRICES.map(both).to_vec()
}

/// Of those that violate no more than `violated` the cheapest; if there is none, the one that violates the least.
pub(crate) fn cheapest(outcomes: &[Outcome], violated: f64) -> Option<Outcome> {
    let holds = outcomes.iter().filter(|outcome| outcome.violated_requests <= violated);
    let cheapest = holds.min_by(|one, other| one.cost_over_floor.total_cmp(&other.cost_over_floor));
    let least =
        || outcomes.iter().min_by(|one, other| one.violated_requests.total_cmp(&other.violated_requests));
    cheapest.or_else(least).copied()
}

/// Sums of a run, in instance-seconds and requests.
#[derive(Debug, Clone, Copy)]
struct Played {
    paid: f64,
    floor: f64,
    violated: f64,
    requests: f64,
}

fn outcome(played: &[Played]) -> Outcome {
    let sum = |of: fn(&Played) -> f64| played.iter().map(of).sum::<f64>();
    Outcome {
        cost_over_floor: sum(|one| one.paid) / sum(|one| one.floor).max(1.0),
        violated_requests: sum(|one| one.violated) / sum(|one| one.requests).max(1.0),
    }
}

/// Demand, and the state at the beginning of each of its seconds.
struct Game<'a> {
    demand: &'a Demand,
    conditions: Conditions,
    states: &'a [usize],
}

impl Game<'_> {
    fn play(&self, table: &[Option<u32>]) -> Played {
        let mut player = Player {
            table,
            states: self.states,
            start_up: self.conditions.start_up as usize,
            held: VecDeque::new(),
        };
        let figures = run(self.demand, self.conditions, &mut player);
        let requests = self.demand.arrivals().iter().map(|&arrivals| f64::from(arrivals)).sum::<f64>();
        Played {
            paid: figures.instance_hours * 3_600.0,
            floor: figures.floor_instance_hours * 3_600.0,
            violated: figures.violated_requests * requests,
            requests,
        }
    }

    /// The best table where a violated request is worth `price`.
    fn best(&self, price: f64) -> Vec<Option<u32>> {
        let mut table = self.filled(price);
        if self.demand.seconds() > SHORT {
            return table;
        }
        let worth = |table: &[Option<u32>]| {
            let played = self.play(table);
            played.paid + price * played.violated
        };
        let mut least = worth(&table);
        for _ in 0..ROUNDS {
            for state in 0..table.len() {
                let Some(before) = table[state] else { continue };
                for other in [before + 1, before.saturating_sub(1).max(1), before + 4] {
                    table[state] = Some(other);
                    let moved = worth(&table);
                    if moved < least {
                        least = moved;
                        break;
                    }
                    table[state] = Some(before);
                }
            }
        }
        table
    }

    /// For each state that ever was, what would have been cheapest a start-up time after each of its seconds.
    fn filled(&self, price: f64) -> Vec<Option<u32>> {
        let arrivals = self.demand.arrivals();
        let most = arrivals.iter().max().map_or(1, |arrivals| arrivals.div_ceil(CAPACITY).max(1));
        let states = self.states.iter().max().map_or(0, |state| state + 1);
        let mut short = vec![vec![0.0; most as usize + 1]; states];
        let mut seconds = vec![0.0; states];
        let later = arrivals.get(self.conditions.start_up as usize..).unwrap_or_default();
        for (&state, &arrivals) in self.states.iter().zip(later) {
            seconds[state] += 1.0;
            let left = |ready: u32| f64::from(arrivals.saturating_sub(ready * CAPACITY));
            for (ready, short) in (0..).zip(&mut short[state]).take_while(|&(ready, _)| left(ready) > 0.0) {
                *short += left(ready);
            }
        }
        let cheapest = |(short, &seconds): (&Vec<f64>, &f64)| {
            let cost = |ready: u32| f64::from(ready) * seconds + price * short[ready as usize];
            (seconds > 0.0).then(|| (1..=most).min_by(|&one, &other| cost(one).total_cmp(&cost(other))))?
        };
        short.iter().zip(&seconds).map(cheapest).collect()
    }
}

/// The state at the beginning of each second, told from the seconds before it.
fn states(arrivals: &[u32]) -> Vec<usize> {
    let mut sums = vec![0_u64];
    for &arrivals in arrivals {
        sums.push(sums[sums.len() - 1] + u64::from(arrivals));
    }
    let mean = |from: usize, to: usize| (sums[to] - sums[from]) as f64 / ((to - from) as f64).max(1.0);
    let mut largest: VecDeque<(usize, f64)> = VecDeque::new();
    let state = |second: usize| {
        let level = mean(second.saturating_sub(LEVEL), second);
        let middle = second.saturating_sub(TREND / 2);
        let trend = mean(middle, second) - mean(second.saturating_sub(TREND), middle);
        let of_largest = level / slide(&mut largest, second, level, LARGEST).max(1.0);
        let size = (FINE * (level / SMALLEST).max(1.0).log2()) as usize;
        let trend = steps(&TRENDS, trend / level.max(1.0));
        size * EACH + trend * (SHARES.len() + 1) + steps(&SHARES, of_largest)
    };
    (0..arrivals.len()).map(state).collect()
}

/// How many edges `value` has reached.
fn steps(edges: &[f64], value: f64) -> usize {
    edges.iter().filter(|&&edge| edge <= value).count()
}

/// The largest of the last `span` seconds, where `value` is the newest.
fn slide<T: PartialOrd + Copy>(held: &mut VecDeque<(usize, T)>, second: usize, value: T, span: usize) -> T {
    while held.back().is_some_and(|&(_, other)| other <= value) {
        held.pop_back();
    }
    held.push_back((second, value));
    while held.front().is_some_and(|&(at, _)| at + span < second) {
        held.pop_front();
    }
    held[0].1
}

/// Wants what a table says, and holds it for as long as instances take to start.
struct Player<'a> {
    table: &'a [Option<u32>],
    states: &'a [usize],
    start_up: usize,
    held: VecDeque<(usize, u32)>,
}

impl Autoscaler for Player<'_> {
    fn target(&self) -> f64 {
        0.8
    }

    fn start(&mut self, _ready: u32) {}

    fn desired(&mut self, seen: &Seen) -> u32 {
        let state = self.states[seen.second];
        let wanted = self.table.get(state).copied().flatten().unwrap_or_else(|| unknown(self.table, state));
        slide(&mut self.held, seen.second, wanted, self.start_up)
    }
}

/// What a state wants that never was: the most of its size, and no less than its level and something more.
fn unknown(table: &[Option<u32>], state: usize) -> u32 {
    let size = state / EACH;
    let level = SMALLEST * ((size + 1) as f64 / FINE).exp2() * UNKNOWN / f64::from(CAPACITY);
    let known = table.iter().skip(size * EACH).take(EACH).flatten().max();
    known.copied().unwrap_or(0).max(level.ceil() as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every ten minutes half a minute of rising, then a peak, then quiet.
    fn habit(seconds: u32) -> Demand {
        let arrivals = |second: u32| match second % 600 {
            phase @ 0..60 => 300 + 20 * phase,
            60..120 => 1_500,
            _ => 300,
        };
        Demand::new((0..seconds).map(arrivals).collect())
    }

    #[test]
    fn a_habit_is_learned() {
        let (demand, conditions) = (habit(7_200), Conditions { start_up: 30, buffer: 0 });
        for outcomes in [fitted(&demand, conditions), learned(&demand, conditions)] {
            let best = cheapest(&outcomes, 0.002).unwrap();
            assert!(best.violated_requests <= 0.002 && best.cost_over_floor < 1.5, "{best:?}");
        }
    }

    #[test]
    fn hindsight_is_no_disadvantage() {
        let (demand, conditions) = (habit(3_000), Conditions { start_up: 5, buffer: 0 });
        let (fitted, learned) = (fitted(&demand, conditions), learned(&demand, conditions));
        let cost = |outcomes| cheapest(outcomes, 0.001).unwrap().cost_over_floor;
        assert!(cost(&fitted) <= cost(&learned) + 0.01, "{fitted:?}, {learned:?}");
    }

    #[test]
    fn the_cheapest_within_the_limit_counts_or_else_the_least_harmful() {
        let of = |cost_over_floor, violated_requests| Outcome { cost_over_floor, violated_requests };
        let outcomes = [of(1.0, 0.1), of(1.2, 0.02), of(1.4, 0.01)];
        assert_eq!(cheapest(&outcomes, 0.05), Some(outcomes[1]));
        assert_eq!(cheapest(&outcomes, 0.001), Some(outcomes[2]));
        assert_eq!(cheapest(&[], 0.001), None);
    }
}
