//! Supply: the pools that the decided capacity comes from, and the budget that limits it.
//!
//! The triggers say how many usual instances are wanted; here it is said of which pools they are. A spot pool
//! from which instances were just taken back is not asked again for a while: what makes a market take
//! back one instance makes it take back more. For how long: until what it would have saved meanwhile is what being
//! wrong would cost, the price of one more interruption; and twice as long whenever it was wrong. So all that is tried in
//! vain and all that is not tried costs no more than a small multiple of what knowing better would have. It is asked all the
//! same where the others are too small.
//!
//! A mix that is there stays while it is good enough: another has to be cheaper by more than [`ADVANTAGE`], because
//! moving costs starts.
//!
//! Not here: how the cheapest mix is found (see [`crate::mix`]), and who starts what.

use std::{collections::BTreeMap, fmt::Write as _, time::Duration};

use serde::{Deserialize, Serialize};
use tidegate_core::{
    Flaw, PoolId,
    policy::{Budget, Pool, PoolKind, Supply, WhenSpent},
};

use crate::{
    clock::SteadyClock,
    mix::{self, Offer},
    observed::PoolSeen,
    words::{Words, instances, percent},
};

/// The shortest and the longest time that nothing is started in a spot pool that took an instance back.
const SHUNNED_LEAST: Duration = Duration::from_secs(30);
const SHUNNED_MOST: Duration = Duration::from_hours(1);
/// How long an instance takes to start where neither its pool nor experience says.
const USUAL_START_UP: Duration = Duration::from_secs(30);
/// What an interruption costs besides the time of a start, in seconds of an instance: so much at most, and so many times a
/// start, since little goes wrong in the place of an instance that is there again in two seconds.
const TROUBLE: f64 = 100.0;
const TROUBLE_STARTS: f64 = 10.0 / 3.0;
/// The share by which another mix has to be cheaper than the one that is there.
const ADVANTAGE: f64 = 0.05;
/// Capacities are counted in hundredths.
const PARTS: f64 = 100.0;

/// How many instances of each pool, and why.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Mix {
    /// Of every pool, in the order of the policy.
    pub shares: Vec<PoolShare>,
    /// Whether it is another than in the step before.
    pub moved: bool,
    /// What an hour of it costs, what is committed included, and of as much on demand.
    pub usd_per_hour: f64,
    pub on_demand_usd_per_hour: f64,
    /// One sentence that names pools, prices and the reason.
    pub because: String,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PoolShare {
    pub pool: PoolId,
    pub count: u32,
    /// US dollars for an hour of an instance.
    pub price: f64,
}

/// What is remembered of pools.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Pools {
    /// The last mix, in the order of the policy.
    counts: Vec<u32>,
    /// Until when, in lived time, nothing is started in a pool.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", default)]
    shunned: BTreeMap<PoolId, Duration>,
    /// Pools that took instances back not long ago: for how long each was let alone last, and until when that counts.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", default)]
    pauses: BTreeMap<PoolId, (Duration, Duration)>,
}

impl Pools {
    /// Whether no pool is let alone for longer than pools are.
    pub(crate) fn check(&self, clock: &SteadyClock) -> Result<(), Flaw> {
        let latest = |most: Duration| clock.lived().saturating_add(most);
        for until in self.shunned.values() {
            Flaw::unless_within("shunned", *until, latest(SHUNNED_MOST))?;
        }
        for (pause, until) in self.pauses.values() {
            Flaw::unless_within("pauses", *pause, SHUNNED_MOST)?;
            Flaw::unless_within("pauses", *until, latest(SHUNNED_MOST * 2))?;
        }
        Ok(())
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.counts.is_empty() && self.shunned.is_empty() && self.pauses.is_empty()
    }

    /// The mix for `wanted` usual instances, where there are pools.
    pub(crate) fn choose(
        &mut self,
        supply: &Supply,
        wanted: u32,
        seen: &BTreeMap<PoolId, PoolSeen>,
        (now, start_up): (Duration, Option<Duration>),
        words: Words,
    ) -> Mix {
        let pools = &supply.pools;
        let price = supply.on_demand_price().unwrap_or_default();
        let start_up = start_up.unwrap_or(USUAL_START_UP);
        self.shunned.retain(|_, until| *until > now);
        self.pauses.retain(|_, (_, until)| *until > now);
        let took_back = |pool: &&Pool| seen.get(&pool.name).is_some_and(|seen| seen.reclaimed > 0);
        for pool in pools.iter().filter(|pool| is_spot(pool)).filter(took_back) {
            self.shun(pool, now, first_pause(pool, price, start_up));
        }
        let mut offers: Vec<Offer> = pools.iter().map(|pool| offer(pool, price, start_up)).collect();
        let needed = u64::from(wanted) * PARTS as u64;
        let let_alone = |(pool, offer): (&Pool, &Offer)| {
            let left = seen.get(&pool.name).map_or(0, |seen| seen.ready.saturating_add(seen.starting));
            let most = if self.shunned.contains_key(&pool.name) { left.min(pool.max) } else { pool.max };
            Offer { most, ..*offer }
        };
        let fewer: Vec<Offer> = pools.iter().zip(&offers).map(let_alone).collect();
        // A pool that may take instances back again is better than none.
        let most = |offers: &[Offer]| -> u64 {
            offers.iter().map(|offer| u64::from(offer.capacity) * u64::from(offer.most)).sum()
        };
        let asked_again = most(&fewer) < needed && most(&offers) > most(&fewer);
        if !asked_again {
            offers = fewer;
        }
        let plan = mix::cheapest(&offers, needed);
        let keeps = plan.survives && self.is_good_enough(&offers, needed, cost(&offers, &plan.counts));
        let counts = if keeps { self.counts.clone() } else { plan.counts };
        let moved = counts != std::mem::replace(&mut self.counts, counts.clone());
        let paid = |(pool, &count): (&Pool, &u32)| {
            pool.price * f64::from(if pool.kind == PoolKind::Reserved { pool.max } else { count })
        };
        let usd_per_hour = pools.iter().zip(&counts).map(paid).sum();
        let on_demand_usd_per_hour = price * f64::from(wanted);
        let because = || {
            let costs = (usd_per_hour, on_demand_usd_per_hour);
            self.because(pools, &counts, (wanted, plan.survives, asked_again), costs)
        };
        let because = words.say(because);
        let share =
            |(pool, &count): (&Pool, &u32)| PoolShare { pool: pool.name.clone(), count, price: pool.price };
        let shares = pools.iter().zip(&counts).map(share).collect();
        Mix { shares, moved, usd_per_hour, on_demand_usd_per_hour, because }
    }

    /// Lets a pool alone that took an instance back: for `first`, or twice as long as the last time, if that was not long ago.
    fn shun(&mut self, pool: &Pool, now: Duration, first: Duration) {
        if self.shunned.contains_key(&pool.name) {
            // It was not asked since: this is still what it was let alone for.
            return;
        }
        let last = self.pauses.get(&pool.name);
        let pause = last.map_or(first, |(pause, _)| (*pause * 2).clamp(first, SHUNNED_MOST));
        self.shunned.insert(pool.name.clone(), now + pause);
        // It has to do well for as long again before it is trusted as if nothing had been.
        self.pauses.insert(pool.name.clone(), (pause, now + pause * 2));
    }

    /// The last mix.
    pub(crate) fn shares(&self, pools: &[Pool]) -> Vec<PoolShare> {
        if self.counts.len() != pools.len() {
            return Vec::new();
        }
        let share =
            |(pool, &count): (&Pool, &u32)| PoolShare { pool: pool.name.clone(), count, price: pool.price };
        pools.iter().zip(&self.counts).map(share).collect()
    }

    /// Whether the last mix does as well and costs hardly more.
    fn is_good_enough(&self, offers: &[Offer], needed: u64, least: f64) -> bool {
        let counts = &self.counts;
        if counts.len() != offers.len() || counts.iter().zip(offers).any(|(&count, offer)| count > offer.most)
        {
            return false;
        }
        let size = |(offer, &count): (&Offer, &u32)| u64::from(offer.capacity) * u64::from(count);
        let all: u64 = offers.iter().zip(counts).map(size).sum();
        let spot =
            offers.iter().zip(counts).filter(|(offer, _)| offer.spot).map(size).max().unwrap_or_default();
        all - spot >= needed && cost(offers, counts) <= least * (1.0 + ADVANTAGE)
    }

    fn because(
        &self,
        pools: &[Pool],
        counts: &[u32],
        (wanted, survives, asked_again): (u32, bool, bool),
        (paid, on_demand): (f64, f64),
    ) -> String {
        let mut text = String::new();
        for (pool, count) in pools.iter().zip(counts).filter(|(_, count)| **count > 0) {
            let comma = if text.is_empty() { "" } else { ", " };
            let Pool { name, kind, price, .. } = pool;
            write!(text, "{comma}{count} of {name} ({}, {} USD/h)", kind.word(), dollars(*price))
                .expect("a string takes everything");
        }
        if text.is_empty() {
            return "nothing is wanted".to_owned();
        }
        let reason =
            match (survives, pools.iter().zip(counts).any(|(pool, &count)| count > 0 && is_spot(pool))) {
                (true, true) => {
                    format!("the cheapest that is {} without its largest spot pool too", instances(wanted))
                }
                (true, false) => format!("the cheapest that is surely {}", instances(wanted)),
                (false, _) => {
                    format!(
                        "the pools are too small to be {} without the largest spot pool",
                        instances(wanted)
                    )
                }
            };
        write!(text, ": {reason}; {} USD/h, on demand {}", dollars(paid), dollars(on_demand))
            .expect("a string takes everything");
        for name in self.shunned.keys() {
            let but = if asked_again {
                "asked all the same: the others are too small"
            } else {
                "let alone for a while"
            };
            write!(text, "; {name} took instances back and is {but}").expect("a string takes everything");
        }
        text
    }
}

fn is_spot(pool: &Pool) -> bool {
    pool.kind == PoolKind::Spot
}

/// How long a pool that took an instance back is let alone: until what it would have saved is what one more
/// interruption costs.
fn first_pause(pool: &Pool, on_demand: f64, start_up: Duration) -> Duration {
    let saved = (on_demand - pool.price).max(0.0) / on_demand;
    let seconds = away(pool, start_up) / saved;
    // Without a saving it is never.
    Duration::try_from_secs_f64(seconds).unwrap_or(SHUNNED_MOST).clamp(SHUNNED_LEAST, SHUNNED_MOST)
}

/// What an interruption costs, in seconds of an instance.
fn away(pool: &Pool, start_up: Duration) -> f64 {
    let start_up = pool.start_up.unwrap_or(start_up).as_secs_f64();
    start_up + (start_up * TROUBLE_STARTS).min(TROUBLE)
}

/// What a pool is to a decision. `on_demand` is the price of what stands in for an instance that is taken back.
fn offer(pool: &Pool, on_demand: f64, start_up: Duration) -> Offer {
    let price = match pool.kind {
        PoolKind::Reserved => 0.0,
        PoolKind::OnDemand => pool.price,
        PoolKind::Spot => pool.price + pool.interruption * away(pool, start_up) / 3_600.0 * on_demand,
    };
    let capacity = (pool.capacity * PARTS).round().clamp(1.0, 1e6) as u32;
    Offer { price, capacity, most: pool.max, spot: is_spot(pool) }
}

fn cost(offers: &[Offer], counts: &[u32]) -> f64 {
    offers.iter().zip(counts).map(|(offer, &count)| offer.price * f64::from(count)).sum()
}

/// To a hundredth of a cent, without trailing zeros.
fn dollars(value: f64) -> String {
    let text = format!("{value:.4}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// The most instances that a budget of which `spent` is gone allows, and why; `None`: as many as are wanted.
pub(crate) fn ceiling(
    budget: &Budget,
    spent: Option<f64>,
    desired: u32,
    least: u32,
) -> Option<(u32, String)> {
    let spent = spent.filter(|spent| *spent >= budget.monthly)?;
    let told = format!("{} of {} USD are spent this month", dollars(spent), dollars(budget.monthly));
    match budget.when_spent {
        WhenSpent::Alarm => None,
        WhenSpent::Hold => Some((desired.max(least), format!("{told}, so nothing is added"))),
        WhenSpent::Min => Some((least, format!("{told}, so only the fewest are kept"))),
    }
}

/// What to say before a budget binds, and what comes of it then.
pub(crate) fn warning(budget: &Budget, spent: Option<f64>) -> Option<String> {
    let spent = spent.filter(|spent| *spent >= budget.monthly * budget.alarm)?;
    let share = percent(spent / budget.monthly);
    let then = match (budget.when_spent, spent >= budget.monthly) {
        (WhenSpent::Hold, true) => "so nothing is added",
        (WhenSpent::Min, true) => "so only the fewest instances are kept",
        (WhenSpent::Alarm, true) => "about which the policy does nothing",
        (WhenSpent::Hold, false) => "and nothing is added when all are",
        (WhenSpent::Min, false) => "and only the fewest instances are kept when all are",
        (WhenSpent::Alarm, false) => "and nothing is done about it when all are",
    };
    Some(format!("{share} of this month's {} USD are spent, {then}", dollars(budget.monthly)))
}

#[cfg(test)]
#[path = "supply/tests.rs"]
mod tests;
