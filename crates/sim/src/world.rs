//! The world: seconds go by, requests arrive, a policy decides, a fleet follows.
//!
//! Within a second: what the weather brings happens, instances become ready, the policy sees what happened *before*
//! this second and names a count, the fleet launches or stops, then the arrivals of this second are served. So
//! what is launched in a second is billed from it on, and serves in the second that is a start-up time later.

use tidegate_core::{policy::Supply as Terms, scenario::Event};
use tidegate_scaler::{PoolShare, observed::PoolSeen};

use crate::{
    CAPACITY,
    demand::{Demand, floor, needed},
    figures::{Figures, Second, Tally},
    fleet::Started,
    gate::Gate,
    supply::{Bill, Supply},
    weather::Weather,
};

/// What a policy may know at the beginning of a second.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Seen {
    /// Seconds since the start.
    pub second: usize,
    /// The second before; `None` in the first.
    pub before: Option<Before>,
    /// The fleet now.
    pub ready: u32,
    pub starting: u32,
    /// The instances that became ready just now.
    pub started: Started,
    /// Counts the deployments so far.
    pub generation: u64,
    /// Seconds that the wall clock is ahead of the time that passed.
    pub clock: i64,
    /// Whether no metric can be read.
    pub lost: bool,
}

/// What happened in the second before.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Before {
    pub arrivals: u32,
    pub served: u32,
    /// Instances that were ready in it.
    pub ready: u32,
    /// Requests per second that each of them serves.
    pub capacity: f64,
    /// Requests that wait since.
    pub queued: u64,
    pub violated: u32,
}

impl Before {
    /// Share of capacity that was used, 0 to 1.
    pub fn utilization(&self) -> f64 {
        (self.busy() / f64::from(self.ready.max(1))).min(1.0)
    }

    /// Instances' worth of work.
    pub fn busy(&self) -> f64 {
        f64::from(self.served) / self.capacity
    }
}

/// Something that decides how many instances there should be.
pub trait Autoscaler {
    /// The share of capacity that it aims at, for the fleet that a run starts with.
    fn target(&self) -> f64;

    /// The fleet that a run starts with is `ready`.
    fn start(&mut self, ready: u32);

    /// The count from this second on. Asked once a second.
    fn desired(&mut self, seen: &Seen) -> u32;

    /// What is seen of each pool of the world. Told before [`desired`](Self::desired) is asked.
    fn see(&mut self, _pools: &[PoolSeen]) {}

    /// How many of each pool the last answer means. Empty: pools do not matter.
    fn shares(&self) -> &[PoolShare] {
        &[]
    }
}

/// What a fleet is run under.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Conditions {
    /// Seconds from launch to ready.
    pub start_up: u32,
    /// Seconds that the gateway holds requests.
    pub buffer: u32,
}

/// A second for whoever watches a run.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Moment {
    pub arrivals: u32,
    pub violated: u32,
    pub ready: u32,
    /// Ready and starting.
    pub launched: u32,
    /// What the policy asks for.
    pub desired: u32,
    /// What the arrivals of the second need.
    pub needed: u32,
    /// At the prices of the pools, where there are some.
    pub bill: Bill,
}

/// Runs `autoscaler` through `demand`.
pub fn run<A: Autoscaler>(demand: &Demand, conditions: Conditions, autoscaler: &mut A) -> Figures {
    run_watched(demand, conditions, autoscaler, |_, _| {})
}

/// As [`run`], and calls `watch` with the number of each second and how it went.
pub fn run_watched<A: Autoscaler>(
    demand: &Demand,
    conditions: Conditions,
    autoscaler: &mut A,
    mut watch: impl FnMut(usize, Moment),
) -> Figures {
    World::of(demand, conditions).run(autoscaler, |second, moment, _| watch(second, moment))
}

/// Demand and what it meets.
#[derive(Debug, Clone, Copy)]
pub struct World<'a> {
    pub demand: &'a Demand,
    pub conditions: Conditions,
    /// Requests per second that an instance serves at first.
    pub capacity: f64,
    /// In order of their time.
    pub events: &'a [Event],
    /// Decides which starts fail.
    pub seed: u64,
    /// What instances can be had.
    pub supply: &'a Terms,
}

/// Instances that are all alike.
static ALIKE: Terms = Terms { pools: Vec::new(), budget: None };

impl<'a> World<'a> {
    /// The world of the benchmark, in which nothing happens but demand.
    pub fn of(demand: &'a Demand, conditions: Conditions) -> Self {
        Self { demand, conditions, capacity: f64::from(CAPACITY), events: &[], seed: 0, supply: &ALIKE }
    }

    /// Runs `autoscaler`, and calls `watch` after each second.
    pub fn run<A: Autoscaler>(
        &self,
        autoscaler: &mut A,
        mut watch: impl FnMut(usize, Moment, &A),
    ) -> Figures {
        let Conditions { start_up, buffer } = self.conditions;
        let first = self.demand.first_instances(self.capacity, autoscaler.target());
        let mut fleet = Supply::new(self.supply, start_up, first, self.seed);
        let has_pools = !self.supply.pools.is_empty();
        autoscaler.start(fleet.ready());
        let mut weather = Weather::new(self.capacity, start_up, self.events);
        let (mut gate, mut tally, mut before) = (Gate::new(buffer), Tally::default(), None);
        let mut wanted = fleet.ready();
        let mut all_needed = Vec::with_capacity(self.demand.seconds());
        for (second, &arrivals) in self.demand.arrivals().iter().enumerate() {
            if !weather.is_calm(second) {
                fleet.strike(second, weather.turn(second));
            }
            let started = fleet.advance(second);
            let (ready, starting) = (fleet.ready(), fleet.starting());
            let Weather { generation, clock, lost, capacity, .. } = weather;
            let seen = Seen { second, before, ready, starting, started, generation, clock, lost };
            if has_pools {
                autoscaler.see(&fleet.seen());
            }
            let desired = autoscaler.desired(&seen).max(1);
            if desired != wanted {
                tally.act(wanted, desired);
                wanted = desired;
            }
            // Also where nothing was decided: what died or failed is replaced.
            fleet.resize(second, desired, autoscaler.shares());
            let ready = fleet.ready();
            let outcome = gate.serve(second, arrivals, served(fleet.strength(), capacity));
            let (served, violated) = (outcome.served, outcome.violated);
            before = Some(Before { arrivals, served, ready, capacity, queued: gate.held(), violated });
            let (launched, needed) = (fleet.launched(), needed(arrivals, capacity));
            let bill = if has_pools { fleet.bill(desired) } else { Bill::default() };
            all_needed.push(needed);
            tally.add(Second { arrivals, violated, needed, ready, launched });
            if has_pools {
                tally.charge(bill);
            }
            watch(second, Moment { arrivals, violated, ready, launched, desired, needed, bill }, autoscaler);
        }
        tally.strand(gate.close());
        // The cheapest fleet that serves every second in full here.
        tally.figures(floor(all_needed.len(), start_up, |second| all_needed[second]))
    }
}

/// Requests that `ready` instances serve in a second.
fn served(ready: f64, capacity: f64) -> u32 {
    (ready * capacity) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Follows a script of `(second, count)`.
    struct Script(Vec<(usize, u32)>);

    impl Autoscaler for Script {
        fn target(&self) -> f64 {
            0.8
        }

        fn start(&mut self, _ready: u32) {}

        fn desired(&mut self, seen: &Seen) -> u32 {
            let due = self.0.iter().rev().find(|&&(second, _)| second <= seen.second);
            due.map_or(seen.ready + seen.starting, |&(_, count)| count)
        }
    }

    fn moments(arrivals: &[u32], start_up: u32, script: &[(usize, u32)]) -> (Figures, Vec<(u32, u32, u32)>) {
        let (demand, mut seconds) = (Demand::new(arrivals.to_vec()), Vec::new());
        let conditions = Conditions { start_up, buffer: 0 };
        let figures = run_watched(&demand, conditions, &mut Script(script.to_vec()), |_, moment| {
            seconds.push((moment.ready, moment.launched, moment.violated));
        });
        (figures, seconds)
    }

    #[test]
    fn capacity_arrives_after_the_start_up_and_is_paid_from_launch() {
        // The mean of 200/s at 80 % is two and a half: the run starts with three.
        let (figures, seconds) = moments(&[300, 300, 100, 100, 400, 0], 2, &[(1, 4), (3, 2), (4, 1)]);
        assert_eq!(seconds, [(3, 3, 0), (3, 4, 0), (3, 4, 0), (2, 2, 0), (1, 1, 300), (1, 1, 0)]);
        assert!((figures.violated_requests - 300.0 / 1_200.0).abs() < 1e-12);
        assert!((figures.instance_hours * 3_600.0 - 15.0).abs() < 1e-9);
        // Four must be launched two seconds before they are needed, three are needed at first.
        assert!((figures.floor_instance_hours * 3_600.0 - 19.0).abs() < 1e-9);
    }

    #[test]
    fn instances_that_die_or_never_start_are_replaced() {
        use tidegate_core::{policy::Amount, scenario::Happening};
        let demand = Demand::new(vec![200; 12]);
        let at = |second, what| Event { at: std::time::Duration::from_secs(second), what };
        let two = std::num::NonZeroU32::new(2).unwrap();
        let events = [
            at(1, Happening::FailStarts { share: 1.0, lasts: Some(std::time::Duration::from_secs(2)) }),
            at(2, Happening::Kill(Amount::Instances(two))),
            at(9, Happening::Capacity(50.0)),
        ];
        let conditions = Conditions { start_up: 3, buffer: 0 };
        let world = World { events: &events, ..World::of(&demand, conditions) };
        let mut seconds = Vec::new();
        let figures = world.run(&mut Script(vec![(0, 3)]), |_, moment, _| {
            seconds.push((moment.ready, moment.launched, moment.needed, moment.violated));
        });
        // Two die in second 2. Those launched for them fail in 5, when others are launched, ready in 8.
        let well = (3, 3, 2, 0);
        let short = (1, 3, 2, 100);
        let slow = (3, 3, 4, 50);
        let expected = [[well; 2].as_slice(), &[short; 6], &[well; 1], &[slow; 3]].concat();
        assert_eq!(seconds, expected);
        assert!(figures.actions_per_day.abs() < 1e-9, "nothing was decided");
        // Two are needed, four from 9 on and so from 6 on.
        assert!((figures.floor_instance_hours * 3_600.0 - (6.0 * 2.0 + 6.0 * 4.0)).abs() < 1e-9);
    }

    #[test]
    fn a_policy_sees_only_what_was() {
        struct Spy(Vec<Option<Before>>);
        impl Autoscaler for Spy {
            fn target(&self) -> f64 {
                1.0
            }
            fn start(&mut self, ready: u32) {
                assert_eq!(ready, 2);
            }
            fn desired(&mut self, seen: &Seen) -> u32 {
                self.0.push(seen.before);
                2
            }
        }
        let mut spy = Spy(Vec::new());
        run(&Demand::new(vec![150, 250]), Conditions { start_up: 5, buffer: 1 }, &mut spy);
        let before = Before { arrivals: 150, served: 150, ready: 2, capacity: 100.0, queued: 0, violated: 0 };
        assert_eq!(spy.0, [None, Some(before)]);
        assert!((before.utilization() - 0.75).abs() < 1e-12);
    }
}
