//! What there is to see of a gateway: fleets and sources at this moment, and the way that fleets took here.

use std::{
    collections::{BTreeMap, VecDeque},
    net::SocketAddr,
};

use serde::Deserialize;
use tidegate_core::Timestamp;
use tidegate_scaler::observed::{Instances, Metrics};

use crate::exit::Failure;

/// Most readings of each fleet that are remembered: columns of the widest terminal.
const REMEMBERED: usize = 512;

/// The part of the Admin API's answers that is shown.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
pub(super) struct Shown {
    pub(super) fleets: Vec<Fleet>,
    pub(super) sources: Vec<Source>,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Fleet {
    pub(super) name: String,
    pub(super) mode: String,
    pub(super) desired: u32,
    pub(super) recommended: u32,
    pub(super) instances: Vec<Instance>,
    pub(super) states: Instances,
    pub(super) metrics: Metrics,
    pub(super) last_decision: Option<Decision>,
    pub(super) cost: Cost,
    #[serde(default)]
    pub(super) pools: Vec<Pool>,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Instance {
    pub(super) id: String,
    pub(super) pool: Option<String>,
    pub(super) state: String,
    pub(super) started_at: Timestamp,
    pub(super) in_flight: u32,
    pub(super) utilization: Option<f64>,
    pub(super) cpu_cores: Option<f64>,
    pub(super) memory_bytes: Option<u64>,
    pub(super) reason: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(super) struct Decision {
    pub(super) at: Timestamp,
    pub(super) previous: u32,
    pub(super) desired: u32,
    pub(super) reasons: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(super) struct Cost {
    price: Option<f64>,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(super) struct Pool {
    price: f64,
    starting: u32,
    ready: u32,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(super) struct Source {
    pub(super) name: String,
    pub(super) system: String,
    pub(super) value: Option<f64>,
    pub(super) state: String,
}

impl Fleet {
    /// What its instances cost in an hour, in US dollars, where there are prices.
    pub(super) fn usd_per_hour(&self) -> Option<f64> {
        if self.pools.is_empty() {
            let running = self.states.starting + self.states.ready;
            return self.cost.price.map(|price| price * f64::from(running));
        }
        Some(self.pools.iter().map(|pool| pool.price * f64::from(pool.starting + pool.ready)).sum())
    }
}

/// The course of one fleet, oldest first.
type Course = VecDeque<(f64, u32)>;

#[derive(Debug)]
pub(super) struct Picture {
    pub(super) admin: SocketAddr,
    pub(super) shown: Shown,
    /// Why there is nothing newer.
    pub(super) trouble: Option<String>,
    /// Which fleet is looked at, by its place.
    chosen: usize,
    courses: BTreeMap<String, Course>,
}

impl Picture {
    pub(super) fn new(admin: SocketAddr) -> Self {
        let shown = Shown::default();
        Self { admin, shown, trouble: None, chosen: 0, courses: BTreeMap::new() }
    }

    /// Takes in what was read, or why it could not be.
    pub(super) fn take(&mut self, reading: Result<Shown, Failure>) {
        let shown = match reading {
            Ok(shown) => shown,
            Err(Failure::Input(error) | Failure::Usage(error) | Failure::Environment(error)) => {
                self.trouble = Some(format!("{error:#}"));
                return;
            }
            Err(Failure::Reported(_)) => return,
        };
        self.courses.retain(|name, _| shown.fleets.iter().any(|fleet| fleet.name == *name));
        for fleet in &shown.fleets {
            let course = self.courses.entry(fleet.name.clone()).or_default();
            if course.len() == REMEMBERED {
                course.pop_front();
            }
            course.push_back((fleet.metrics.arrival_rate.unwrap_or_default(), fleet.states.ready));
        }
        // A fleet that came or went does not change which one is looked at.
        let name = self.chosen().map(|fleet| fleet.name.clone());
        let place = name.and_then(|name| shown.fleets.iter().position(|fleet| fleet.name == name));
        self.chosen = place.unwrap_or(0);
        self.shown = shown;
        self.trouble = None;
    }

    pub(super) fn chosen(&self) -> Option<&Fleet> {
        self.shown.fleets.get(self.chosen)
    }

    pub(super) const fn place(&self) -> usize {
        self.chosen
    }

    pub(super) const fn choose_before(&mut self) {
        self.chosen = self.chosen.saturating_sub(1);
    }

    pub(super) fn choose_next(&mut self) {
        self.chosen = (self.chosen + 1).min(self.shown.fleets.len().saturating_sub(1));
    }

    /// The newest `columns` readings of the chosen fleet's demand, in requests per second.
    pub(super) fn demand(&self, columns: usize) -> Vec<u64> {
        self.course(columns, |&(rate, _)| rate.round() as u64)
    }

    /// The same of its ready instances.
    pub(super) fn ready(&self, columns: usize) -> Vec<u64> {
        self.course(columns, |&(_, ready)| ready.into())
    }

    fn course(&self, columns: usize, value: impl Fn(&(f64, u32)) -> u64) -> Vec<u64> {
        let course = self.chosen().and_then(|fleet| self.courses.get(&fleet.name));
        let newest = course.into_iter().flat_map(|course| course.iter().rev().take(columns));
        let mut values: Vec<u64> = newest.map(value).collect();
        values.reverse();
        values
    }
}

#[cfg(test)]
pub(super) mod tests {
    use serde_json::{Value, json};

    use super::*;

    /// A fleet as the Admin API has it, with more than is shown.
    pub(crate) fn fleet(name: &str, ready: u32, rate: f64) -> Value {
        json!({
            "name": name, "mode": "act", "desired": 2, "recommended": 3, "min": 1, "max": 4,
            "instances": [
                {"id": format!("{name}-1"), "state": "ready", "startedAt": "2026-05-01T12:00:00Z", "endpoint": "127.0.0.1:4000",
                 "pid": 17, "inFlight": 5, "utilization": 0.64, "cpuCores": 0.7, "memoryBytes": 31_457_280, "luaBytes": null},
                {"id": format!("{name}-2"), "pool": "spot", "state": "failed", "startedAt": "2026-05-01T12:00:00Z", "endpoint": null,
                 "pid": null, "inFlight": 0, "utilization": null, "cpuCores": null, "memoryBytes": null, "luaBytes": null,
                 "reason": "exit status: 1"},
            ],
            "states": {"starting": 1, "ready": ready, "draining": 0, "failed": 1},
            "metrics": {"arrivalRate": rate, "queued": 3.0, "utilization": 0.64, "latencyP99": 0.0125, "errorRate": 0.001},
            "lastDecision": {"at": "2026-05-01T12:00:05Z", "previous": 1, "desired": 2, "reasons": ["target: much", "pace: slowly"],
                             "recommendations": [], "winner": null, "adjustments": []},
            "cost": {"since": "2026-05-01T08:00:00Z", "price": 0.04},
        })
    }

    pub(crate) fn picture(fleets: &[Value]) -> Picture {
        let mut picture = Picture::new(SocketAddr::from(([127, 0, 0, 1], 9000)));
        picture.take(Ok(shown(fleets)));
        picture
    }

    pub(crate) fn shown(fleets: &[Value]) -> Shown {
        let sources = json!([{"name": "jobs", "system": "redis", "of": "list jobs", "value": 12.0, "state": "ok", "ageSeconds": 0.5}]);
        serde_json::from_value(json!({ "fleets": fleets, "sources": sources })).unwrap()
    }

    #[test]
    fn the_chosen_fleet_stays_chosen_when_others_come_and_go() {
        let [a, b, c] = ["a", "b", "c"].map(|name| fleet(name, 1, 1.0));
        let mut picture = picture(&[b.clone(), c.clone()]);
        picture.choose_next();
        picture.choose_next();
        assert_eq!(picture.chosen().unwrap().name, "c");
        picture.take(Ok(shown(&[a, b.clone(), c])));
        assert_eq!((picture.chosen().unwrap().name.as_str(), picture.place()), ("c", 2));
        picture.take(Ok(shown(&[b])));
        assert_eq!(picture.chosen().unwrap().name, "b");
        picture.take(Ok(shown(&[])));
        picture.choose_before();
        picture.choose_next();
        assert!(picture.chosen().is_none());
    }

    #[test]
    fn a_gateway_that_is_silent_leaves_its_last_picture() {
        let mut picture = picture(&[fleet("a", 2, 8.0)]);
        picture.take(Err(Failure::Environment(anyhow::anyhow!("no gateway answers"))));
        assert_eq!(picture.trouble.as_deref(), Some("no gateway answers"));
        assert_eq!(picture.demand(10), [8]);
        picture.take(Ok(shown(&[fleet("a", 3, 9.4)])));
        assert_eq!(
            (picture.trouble.as_deref(), picture.demand(10), picture.ready(1)),
            (None, vec![8, 9], vec![3])
        );
    }

    #[test]
    fn no_more_is_remembered_than_can_be_shown() {
        let mut picture = picture(&[fleet("a", 0, 0.0)]);
        for rate in 1..=600 {
            picture.take(Ok(shown(&[fleet("a", 1, f64::from(rate))])));
        }
        let demand = picture.demand(10_000);
        assert_eq!((demand.len(), demand[0], demand[REMEMBERED - 1]), (REMEMBERED, 89, 600));
    }

    #[test]
    fn instances_cost_what_their_pools_do() {
        let mut shown = shown(&[fleet("a", 3, 1.0)]);
        assert_eq!(shown.fleets[0].usd_per_hour(), Some(0.16));
        shown.fleets[0].pools =
            vec![Pool { price: 0.1, starting: 1, ready: 2 }, Pool { price: 0.5, starting: 0, ready: 1 }];
        assert!((shown.fleets[0].usd_per_hour().unwrap() - 0.8).abs() < 1e-9);
        shown.fleets[0].pools.clear();
        shown.fleets[0].cost.price = None;
        assert_eq!(shown.fleets[0].usd_per_hour(), None);
    }
}
