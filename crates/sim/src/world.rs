//! The world: seconds go by, requests arrive, a policy decides, a fleet follows.
//!
//! Within a second: instances become ready, the policy sees what happened *before* this second and
//! names a count, the fleet launches or stops, then the arrivals of this second are served.

use crate::{
    CAPACITY,
    demand::{Demand, needed},
    figures::{Figures, Second, Tally},
    fleet::Fleet,
    gate::Gate,
};

/// What a policy may know at the beginning of a second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seen {
    /// Seconds since the start.
    pub second: usize,
    /// The second before; `None` in the first.
    pub before: Option<Before>,
    /// The fleet now.
    pub ready: u32,
    pub starting: u32,
    /// How many instances became ready just now.
    pub became_ready: u32,
}

/// What happened in the second before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Before {
    pub arrivals: u32,
    pub served: u32,
    /// Instances that were ready in it.
    pub ready: u32,
    /// Requests that wait since.
    pub queued: u64,
    pub violated: u32,
}

impl Before {
    /// Share of capacity that was used, 0 to 1.
    pub fn utilization(&self) -> f64 {
        f64::from(self.served) / f64::from((self.ready * CAPACITY).max(1))
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
}

/// What a fleet is run under.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Conditions {
    /// Seconds from launch to ready.
    pub start_up: u32,
    /// Seconds that the gateway holds requests.
    pub buffer: u32,
}

/// Runs `autoscaler` through `demand`.
pub fn run<A: Autoscaler>(demand: &Demand, conditions: Conditions, autoscaler: &mut A) -> Figures {
    run_watched(demand, conditions, autoscaler, |_, _| {})
}

/// A second for whoever watches a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    pub arrivals: u32,
    pub violated: u32,
    pub ready: u32,
    /// Ready and starting.
    pub launched: u32,
}

/// As [`run`], and calls `watch` with the number of each second and how it went.
pub fn run_watched<A: Autoscaler>(
    demand: &Demand,
    conditions: Conditions,
    autoscaler: &mut A,
    mut watch: impl FnMut(usize, Moment),
) -> Figures {
    let first = demand.mean_of_first(60) / (f64::from(CAPACITY) * autoscaler.target());
    let mut fleet = Fleet::new(conditions.start_up, (first.ceil() as u32).max(1));
    autoscaler.start(fleet.ready());
    let (mut gate, mut tally, mut before) = (Gate::new(conditions.buffer), Tally::default(), None);
    for (second, &arrivals) in demand.arrivals().iter().enumerate() {
        let became_ready = fleet.advance(second);
        let (ready, starting, launched) = (fleet.ready(), fleet.starting(), fleet.launched());
        let desired = autoscaler.desired(&Seen { second, before, ready, starting, became_ready }).max(1);
        if desired != launched {
            tally.act(launched, desired);
            fleet.resize(second, desired);
        }
        let ready = fleet.ready();
        let outcome = gate.serve(second, arrivals, ready.saturating_mul(CAPACITY));
        let (served, violated) = (outcome.served, outcome.violated);
        before = Some(Before { arrivals, served, ready, queued: gate.held(), violated });
        let launched = fleet.launched();
        tally.add(Second { arrivals, violated, needed: needed(arrivals), ready, launched });
        watch(second, Moment { arrivals, violated, ready, launched });
    }
    tally.strand(gate.close());
    tally.figures(demand.floor(conditions.start_up))
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
        let before = Before { arrivals: 150, served: 150, ready: 2, queued: 0, violated: 0 };
        assert_eq!(spy.0, [None, Some(before)]);
        assert!((before.utilization() - 0.75).abs() < 1e-12);
    }
}
