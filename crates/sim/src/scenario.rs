//! Scenarios: a policy in a made-up world, and whether it did there what is expected of it.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tidegate_core::{
    policy::Policy,
    scenario::{Band, Expectation, Gauge, Leg, Scenario},
};

use crate::{
    demand::{Demand, floor},
    figures::Figures,
    live::Live,
    random::Random,
    world::{Conditions, Moment, World},
};

/// What became of a scenario.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    pub figures: Figures,
    /// Every second.
    pub moments: Vec<Moment>,
    /// One for each band, in the order of the file.
    pub findings: Vec<Finding>,
}

/// A band and the value that was found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Finding {
    pub from_seconds: usize,
    /// Exclusive.
    pub to_seconds: usize,
    /// What was looked at.
    pub figure: String,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub at_least: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub at_most: Option<f64>,
    /// Of what has to hold in every second, the value that is furthest out.
    pub value: f64,
    pub holds: bool,
}

impl Outcome {
    pub fn holds(&self) -> bool {
        self.findings.iter().all(|finding| finding.holds)
    }
}

/// Plays `scenario` with its own policy, or else with `policy`.
pub fn play(scenario: &Scenario, policy: &Policy) -> Outcome {
    let demand = demand(&scenario.demand, scenario.seed);
    let conditions =
        Conditions { start_up: scenario.start_up.as_secs() as u32, buffer: scenario.buffer.as_secs() as u32 };
    let Scenario { capacity, seed, .. } = *scenario;
    let policy = scenario.policy.as_ref().unwrap_or(policy);
    let supply = &policy.supply;
    let world = World { demand: &demand, conditions, capacity, events: &scenario.events, seed, supply };
    let (figures, seconds) = record(&world, policy);
    let looks = |one: &Expectation| one.bands.iter().any(|(gauge, _)| *gauge == Gauge::Differs);
    let uneventful = if scenario.expectations.iter().any(looks) {
        record(&World { events: &[], ..world }, policy).1
    } else {
        Vec::new()
    };
    let course = Course { start_up: conditions.start_up, seconds: &seconds, uneventful: &uneventful };
    let findings = scenario.expectations.iter().flat_map(|expectation| course.judge(expectation)).collect();
    Outcome { figures, moments: seconds.iter().map(|second| second.moment).collect(), findings }
}

/// Poisson arrivals around the legs.
fn demand(legs: &[Leg], seed: u64) -> Demand {
    let mut random = Random::new(seed);
    let rates = legs.iter().flat_map(|leg| {
        let seconds = leg.lasts.as_secs();
        let at = move |second: u64| (second as f64 + 0.5) / seconds.max(1) as f64;
        (0..seconds).map(move |second| leg.from + (leg.to - leg.from) * at(second))
    });
    Demand::new(rates.map(|rate| random.poisson(rate)).collect())
}

/// A second, and what an instance was believed to serve after it.
#[derive(Debug, Clone, Copy)]
struct Recorded {
    moment: Moment,
    learned: Option<f64>,
}

fn record(world: &World<'_>, policy: &Policy) -> (Figures, Vec<Recorded>) {
    let mut seconds = Vec::with_capacity(world.demand.seconds());
    let figures = world.run(&mut Live::new(policy.clone()), |_, moment, live| {
        seconds.push(Recorded { moment, learned: live.learned().rate });
    });
    (figures, seconds)
}

/// How a run went.
#[derive(Debug, Clone, Copy)]
struct Course<'a> {
    start_up: u32,
    seconds: &'a [Recorded],
    /// The same without events; empty where nobody asks.
    uneventful: &'a [Recorded],
}

impl Course<'_> {
    fn judge(&self, expectation: &Expectation) -> Vec<Finding> {
        let end = self.seconds.len();
        let whole = |span: Duration| span.as_secs() as usize;
        let from = whole(expectation.from).min(end);
        let to = expectation.lasts.map_or(end, |lasts| (from + whole(lasts)).min(end));
        let finding = |&(gauge, band): &(Gauge, Band)| {
            let value = self.value(gauge, band, from, to);
            Finding {
                from_seconds: from,
                to_seconds: to,
                figure: gauge.name().to_owned(),
                at_least: band.at_least,
                at_most: band.at_most,
                value,
                holds: band.contains(value),
            }
        };
        expectation.bands.iter().map(finding).collect()
    }

    fn value(&self, gauge: Gauge, band: Band, from: usize, to: usize) -> f64 {
        let moments = || self.seconds[from..to].iter().map(|second| second.moment);
        let sum = |of: fn(Moment) -> u32| moments().map(|moment| f64::from(of(moment))).sum::<f64>();
        match gauge {
            Gauge::ViolatedRequests => sum(|moment| moment.violated) / sum(|moment| moment.arrivals).max(1.0),
            Gauge::ViolatedTime => sum(|moment| u32::from(moment.violated > 0)) / (to - from).max(1) as f64,
            Gauge::CostOverFloor => {
                let needed = |second: usize| self.seconds[from + second].moment.needed;
                sum(|moment| moment.launched) / (floor(to - from, self.start_up, needed) as f64).max(1.0)
            }
            Gauge::Instances => furthest(band, moments().map(|moment| f64::from(moment.desired))),
            Gauge::Saving => {
                let all = |of: fn(Moment) -> f64| moments().map(of).sum::<f64>();
                1.0 - all(|moment| moment.bill.paid) / all(|moment| moment.bill.on_demand)
            }
            Gauge::Actions => self.changes(from, to, |before, after| before != after),
            Gauge::Shrinks => self.changes(from, to, |before, after| before > after),
            Gauge::LearnedRate => self.seconds[..to].last().and_then(|last| last.learned).unwrap_or(f64::NAN),
            Gauge::Differs => {
                let pairs = self.seconds[from..to].iter().zip(self.uneventful.iter().skip(from));
                pairs.filter(|(one, other)| one.moment.desired != other.moment.desired).count() as f64
            }
        }
    }

    /// How often the count changes so, the first second compared with the one before.
    fn changes(&self, from: usize, to: usize, so: fn(u32, u32) -> bool) -> f64 {
        let counts = self.seconds[from.saturating_sub(1)..to].windows(2);
        counts.filter(|pair| so(pair[0].moment.desired, pair[1].moment.desired)).count() as f64
    }
}

/// The value that a band is least happy with.
fn furthest(band: Band, values: impl Iterator<Item = f64>) -> f64 {
    let (mut least, mut most) = (f64::INFINITY, f64::NEG_INFINITY);
    for value in values {
        (least, most) = (least.min(value), most.max(value));
    }
    match band {
        Band { at_least: Some(bound), .. } if least < bound => least,
        Band { at_most: None, .. } => least,
        _ => most,
    }
}

#[cfg(test)]
mod tests {
    use tidegate_core::policy::{Headroom, Pace, Slo, Supply, Target, TargetMetric, Trigger};
    use tidegate_core::scenario::{Event, Happening};

    use super::*;

    fn policy() -> Policy {
        let target = Target { metric: TargetMetric::Utilization, route: None, value: 0.8, tolerance: 0.1 };
        let pace = Pace { stabilization: Duration::ZERO, limits: Vec::new() };
        let (scale_out, scale_in) = (pace.clone(), pace);
        let triggers = vec![Trigger::Target(target)];
        Policy {
            min: 1,
            max: 100,
            slo: Slo::default(),
            triggers,
            scale_out,
            scale_in,
            idle: Duration::from_mins(5),
            supply: Supply::default(),
        }
    }

    fn scenario(events: Vec<Event>, expectations: Vec<Expectation>) -> Scenario {
        Scenario {
            about: "A step.".to_owned(),
            policy: None,
            demand: [(200.0, 300), (2_000.0, 300)]
                .map(|(rate, lasts)| Leg { lasts: Duration::from_secs(lasts), from: rate, to: rate })
                .to_vec(),
            start_up: Duration::from_secs(30),
            buffer: Duration::ZERO,
            seed: 1,
            capacity: 100.0,
            events,
            expectations,
        }
    }

    fn expect(from: u64, lasts: u64, gauge: Gauge, at_least: f64, at_most: f64) -> Expectation {
        let band = Band { at_least: Some(at_least), at_most: Some(at_most) };
        let (from, lasts) = (Duration::from_secs(from), Some(Duration::from_secs(lasts)));
        Expectation { from, lasts, bands: vec![(gauge, band)] }
    }

    #[test]
    fn bands_are_held_against_their_stretch() {
        let outcome = play(
            &scenario(
                Vec::new(),
                vec![
                    expect(0, 300, Gauge::ViolatedRequests, 0.0, 0.01),
                    // 17 of 20 instances are missing for half a minute.
                    expect(300, 30, Gauge::ViolatedRequests, 0.8, 0.9),
                    expect(300, 30, Gauge::ViolatedTime, 1.0, 1.0),
                    expect(340, 200, Gauge::Instances, 20.0, 30.0),
                    expect(0, 300, Gauge::Instances, 5.0, 9.0),
                    expect(300, 20, Gauge::Shrinks, 0.0, 0.0),
                    expect(300, 20, Gauge::Actions, 1.0, 3.0),
                    expect(500, 60, Gauge::LearnedRate, 95.0, 105.0),
                    expect(400, 200, Gauge::CostOverFloor, 1.1, 1.35),
                ],
            ),
            &policy(),
        );
        let held: Vec<_> = outcome.findings.iter().map(|finding| finding.holds).collect();
        assert_eq!(held, [true, true, true, true, false, true, true, true, true], "{:#?}", outcome.findings);
        assert!((outcome.findings[4].value - 2.0).abs() < 1.1, "the fewest: {:?}", outcome.findings[4]);
        assert_eq!(outcome.moments.len(), 600);
    }

    #[test]
    fn a_world_is_compared_with_itself_without_its_events() {
        let jump = Event { at: Duration::from_secs(350), what: Happening::Clock(3_600) };
        let slow = Event { at: Duration::from_secs(350), what: Happening::Capacity(70.0) };
        let value = |event| {
            let expected = vec![expect(0, 600, Gauge::Differs, 0.0, 0.0)];
            play(&scenario(vec![event], expected), &policy()).findings[0].value
        };
        assert!(value(jump).abs() < 1e-9);
        assert!(value(slow) > 200.0);
    }

    #[test]
    fn the_same_seed_is_the_same_world() {
        let policy = Policy::keeping(1, 100, Headroom { overload: 0.001, wait: Duration::ZERO });
        let one = scenario(Vec::new(), Vec::new());
        assert_eq!(play(&one, &policy), play(&one, &policy));
        assert_ne!(play(&one, &policy).moments, play(&Scenario { seed: 2, ..one }, &policy).moments);
    }
}
