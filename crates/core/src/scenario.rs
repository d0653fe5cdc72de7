//! A made-up world for a policy, and what is expected of it there.
//!
//! Where a [`Trace`](crate::Trace) is demand alone, a scenario also says what goes wrong meanwhile: instances that
//! become slower, start late, fail or die, metrics that are lost, clocks that jump.

use std::time::Duration;

use crate::policy::{Amount, Policy};

/// One world with its expectations.
#[derive(Debug, Clone, PartialEq)]
pub struct Scenario {
    /// What it shows, for people.
    pub about: String,
    /// Where the scenario brings one; else the policy that needs no file.
    pub policy: Option<Policy>,
    /// One after the other. Not empty.
    pub demand: Vec<Leg>,
    /// From launch until an instance serves, in whole seconds.
    pub start_up: Duration,
    /// How long the gateway holds a request, in whole seconds.
    pub buffer: Duration,
    /// Decides arrivals and which starts fail.
    pub seed: u64,
    /// Requests per second that one instance serves at first.
    pub capacity: f64,
    /// In order of their time.
    pub events: Vec<Event>,
    pub expectations: Vec<Expectation>,
}

/// Demand that stays or changes evenly.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Leg {
    pub lasts: Duration,
    /// Requests per second at its beginning and at its end.
    pub from: f64,
    pub to: f64,
}

/// Something that happens besides demand.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Event {
    pub at: Duration,
    pub what: Happening,
}

/// What happens.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Happening {
    /// Every instance serves so many requests per second from now on, and nobody is told.
    Capacity(f64),
    /// The same, by a deployment: the fleet knows that its instances are others.
    Deploy(f64),
    /// Instances launched from now on take so long to start, until the time is over.
    StartUp { takes: Duration, lasts: Option<Duration> },
    /// This share of the instances launched from now on never becomes ready.
    FailStarts { share: f64, lasts: Option<Duration> },
    /// No metric can be read; the states of instances are known.
    LoseMetrics { lasts: Duration },
    /// So many ready instances die.
    Kill(Amount),
    /// The wall clock jumps by so many seconds.
    Clock(i64),
    /// All instances of a spot pool are taken back so much later: of that number in the policy, or of all.
    Reclaim { pool: Option<usize>, notice: Duration },
}

/// What has to hold in a stretch of a scenario.
#[derive(Debug, Clone, PartialEq)]
pub struct Expectation {
    pub from: Duration,
    /// Without it, until the end.
    pub lasts: Option<Duration>,
    pub bands: Vec<(Gauge, Band)>,
}

/// What is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gauge {
    /// Share of requests.
    ViolatedRequests,
    /// Share of seconds.
    ViolatedTime,
    /// What was paid for, divided by the floor's.
    CostOverFloor,
    /// Wanted, in every second.
    Instances,
    /// Changes of the count.
    Actions,
    /// Changes to a smaller count.
    Shrinks,
    /// Requests per second that the scaler believes an instance to serve, at the end.
    LearnedRate,
    /// Seconds in which the count is not what it is in the same world without its events.
    Differs,
    /// By how much what was paid is below the price on demand, as a share of that.
    Saving,
}

impl Gauge {
    /// As it is written.
    pub const fn name(self) -> &'static str {
        match self {
            Self::ViolatedRequests => "violatedRequests",
            Self::ViolatedTime => "violatedTime",
            Self::CostOverFloor => "costOverFloor",
            Self::Instances => "instances",
            Self::Actions => "actions",
            Self::Shrinks => "shrinks",
            Self::LearnedRate => "learnedRate",
            Self::Differs => "differs",
            Self::Saving => "saving",
        }
    }
}

/// The values that are good; both ends belong to it.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Band {
    pub at_least: Option<f64>,
    pub at_most: Option<f64>,
}

impl Band {
    /// A value that is not a number is outside.
    pub fn contains(self, value: f64) -> bool {
        self.at_least.is_none_or(|least| value >= least)
            && self.at_most.is_none_or(|most| value <= most)
            && !value.is_nan()
    }
}

impl Scenario {
    pub fn lasts(&self) -> Duration {
        self.demand.iter().map(|leg| leg.lasts).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ends_belong_to_a_band() {
        let band = Band { at_least: Some(1.0), at_most: Some(2.0) };
        assert_eq!(
            [0.9, 1.0, 2.0, 2.1, f64::NAN].map(|value| band.contains(value)),
            [false, true, true, false, false]
        );
        assert!(!Band::default().contains(f64::NAN));
        assert!(Band::default().contains(-7.0));
    }
}
