//! Comparisons: which contender cost what on which trace, in a form that people and programs read.

use serde::{Deserialize, Serialize};
use tidegate_core::policy::Policy;

use crate::{
    demand::Demand,
    figures::Figures,
    hpa::{self, Hpa},
    live::{Known, Live},
    tuned::{self, TunedLoop},
    world::{Conditions, World, run},
};

/// Largest share of requests that may be violated by a run that counts as holding the objective.
pub const OBJECTIVE: f64 = 0.001;

/// Who is run.
#[derive(Debug, Clone, PartialEq)]
pub enum Contender {
    /// HPA at every target of its sweep.
    Hpa,
    /// The tuned loop at every setting of its sweep.
    Loop,
    /// A fleet's own policy, under its name.
    Policy { name: String, policy: Box<Policy>, known: Known },
}

/// One run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Run {
    pub trace: String,
    pub start_up_seconds: u32,
    pub buffer_seconds: u32,
    /// `hpa`, `loop`, or the name of a fleet.
    pub policy: String,
    /// Share of capacity that was aimed at, where that is a knob.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub target: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub hold_seconds: Option<u32>,
    #[serde(flatten)]
    pub figures: Figures,
}

/// All runs of a comparison.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    pub runs: Vec<Run>,
}

impl Report {
    /// Adds the runs of `contender` through `demand`, which came from `trace`.
    pub fn add(&mut self, trace: &str, demand: &Demand, conditions: Conditions, contender: &Contender) {
        let mut push = |policy: &str, target, hold_seconds, figures| {
            let Conditions { start_up, buffer } = conditions;
            let (trace, policy) = (trace.to_owned(), policy.to_owned());
            let (start_up_seconds, buffer_seconds) = (start_up, buffer);
            self.runs.push(Run {
                trace,
                start_up_seconds,
                buffer_seconds,
                policy,
                target,
                hold_seconds,
                figures,
            });
        };
        match contender {
            Contender::Hpa => {
                for target in hpa::TARGETS {
                    push("hpa", Some(target), None, run(demand, conditions, &mut Hpa::new(target)));
                }
            }
            Contender::Loop => {
                for (target, hold) in tuned::settings() {
                    let figures = run(demand, conditions, &mut TunedLoop::new(target, hold));
                    push("loop", Some(target), Some(hold), figures);
                }
            }
            Contender::Policy { name, policy, known } => {
                let mut live = Live::new((**policy).clone()).knowing(*known);
                let world = World { supply: &policy.supply, ..World::of(demand, conditions) };
                push(name, None, None, world.run(&mut live, |_, _, _| {}));
            }
        }
    }

    /// The cheapest run of `policy` on `trace` that violates no more than `share` of the requests.
    pub fn cheapest(&self, trace: &str, policy: &str, conditions: Conditions, share: f64) -> Option<&Run> {
        let same = |run: &&Run| {
            let under = Conditions { start_up: run.start_up_seconds, buffer: run.buffer_seconds };
            run.trace == trace && run.policy == policy && under == conditions
        };
        let holds = self.runs.iter().filter(same).filter(|run| run.figures.violated_requests <= share);
        holds.min_by(|one, other| one.figures.cost_over_floor.total_cmp(&other.figures.cost_over_floor))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::Value;
    use tidegate_core::{Trace, policy::Headroom};

    use super::*;

    const CONDITIONS: Conditions = Conditions { start_up: 5, buffer: 0 };

    fn report() -> Report {
        let demand = Demand::new((0..3_000_u32).map(|second| 500 + 100 * (second / 300 % 5)).collect());
        let mut report = Report::default();
        for contender in [Contender::Hpa, Contender::Loop] {
            report.add("a.csv", &demand, CONDITIONS, &contender);
        }
        report
    }

    #[test]
    fn the_form_is_the_documented_one() {
        let json = serde_json::to_value(report()).unwrap();
        let keys = |run: &Value| run.as_object().unwrap().keys().cloned().collect::<Vec<_>>().join(" ");
        let figures = "floorInstanceHours instanceHours costOverFloor violatedRequests violatedTime \
                       actionsPerDay reversalsPerDay thetaU thetaO tauU tauO upsilon";
        let head = "trace startUpSeconds bufferSeconds policy target";
        assert_eq!(keys(&json["runs"][0]), format!("{head} {figures}"));
        assert_eq!(keys(&json["runs"][36]), format!("{head} holdSeconds {figures}"));
        assert_eq!(json["runs"][0]["target"], 0.3);
        let again: Report = serde_json::from_value(json).unwrap();
        assert_eq!(again.runs.len(), 7 + 30);
    }

    #[test]
    fn headroom_keeps_its_objective_at_about_the_cost_of_a_loop_tuned_in_hindsight() {
        // Six hours of minutes that jump up and sag, by up to a half of the mean.
        let jump = |minute: u32| f64::from(minute.wrapping_mul(2_654_435_761) >> 20) / 4_096.0;
        let rates = (0..360).map(|minute| 40.0 + 20.0 * jump(minute / 7) + 10.0 * jump(minute)).collect();
        let demand = Demand::replay(&Trace::new(Duration::from_mins(1), rates).unwrap(), 5);
        let policy = Policy::keeping(1, 1_000, Headroom { overload: OBJECTIVE, wait: Duration::ZERO });
        for start_up in [5, 30] {
            let conditions = Conditions { start_up, buffer: 0 };
            let fleet = Contender::Policy {
                name: "fleet".to_owned(),
                policy: Box::new(policy.clone()),
                known: Known::default(),
            };
            let mut report = Report::default();
            report.add("a.csv", &demand, conditions, &fleet);
            report.add("a.csv", &demand, conditions, &Contender::Loop);
            let cost =
                |name| report.cheapest("a.csv", name, conditions, OBJECTIVE).unwrap().figures.cost_over_floor;
            assert!(
                cost("fleet") < cost("loop") * 1.1,
                "{} and {} at {start_up}",
                cost("fleet"),
                cost("loop")
            );
        }
    }

    #[test]
    fn the_cheapest_run_that_holds_the_objective_counts() {
        let report = report();
        let best = report.cheapest("a.csv", "hpa", CONDITIONS, OBJECTIVE).unwrap();
        let hpa = report.runs.iter().filter(|run| run.policy == "hpa");
        let better = |run: &&Run| run.figures.cost_over_floor < best.figures.cost_over_floor;
        assert!(hpa.filter(better).all(|run| run.figures.violated_requests > OBJECTIVE));
        assert_eq!(report.cheapest("b.csv", "hpa", CONDITIONS, OBJECTIVE), None);
    }
}
