//! Triggers: values in the unit of their metric, names that exist, keys that go together.

use tidegate_core::{
    RouteId, SourceId,
    policy::{
        Backlog, Condition, Forecast, Formula, Headroom, Join, Metric, Pressure, Schedule, Signal, Slo,
        Target, Threshold, Trigger, Variable,
    },
};

use super::Known;
use crate::{
    decode::{Field, List, Located, Mistake},
    nearest::suggestion,
    raw::fleet::trigger,
    report::{Place, Report, quote},
    resolve::{exclude, look_up},
    units::quantity::Quantity,
};

/// Highest quantile of demand that a forecast is asked for where the objective would ask for more: beyond
/// it there is too little to learn from.
const HIGHEST_QUANTILE: f64 = 0.99;

/// What all triggers of a policy are checked with.
pub(super) struct Triggers<'a, 'r> {
    /// Fewest and most instances of the policy.
    pub(super) bounds: (u32, u32),
    pub(super) slo: Slo,
    pub(super) known: Known<'a>,
    pub(super) report: &'a mut Report<'r>,
}

impl Triggers<'_, '_> {
    pub(super) fn resolve(&mut self, raw: &trigger::Trigger, place: Place) -> Option<Trigger> {
        if let Some(raw) = raw.target.value() {
            return self.target(raw).map(Trigger::Target);
        }
        if let Some(raw) = raw.threshold.given() {
            return self.threshold(&raw.value, place).map(Trigger::Threshold);
        }
        if let Some(raw) = raw.schedule.value() {
            return self.schedule(raw, place).map(Trigger::Schedule);
        }
        if let Some(raw) = raw.forecast.value() {
            return self.forecast(raw).map(Trigger::Forecast);
        }
        if let Some(raw) = raw.backlog.value() {
            return self.backlog(raw, place).map(Trigger::Backlog);
        }
        if let Some(raw) = raw.formula.value() {
            return self.formula(raw).map(Trigger::Formula);
        }
        raw.headroom.value().and_then(|raw| self.headroom(raw)).map(Trigger::Headroom)
    }

    fn target(&mut self, raw: &trigger::Target) -> Option<Target> {
        let metric = *raw.metric.value()?;
        let route = self.route(&raw.route, metric.whole());
        let value = self.quantity(raw.value.given()?, metric.whole())?;
        if value <= 0.0 {
            let place = raw.value.given()?.place;
            self.report.error(
                place,
                "a target must be above zero",
                "write the value that each instance is to have",
            );
            return None;
        }
        Some(Target { metric, route: route?, value, tolerance: raw.tolerance.value()?.0 })
    }

    fn threshold(&mut self, raw: &trigger::Threshold, place: Place) -> Option<Threshold> {
        exclude(("metric", &raw.metric), ("all", &raw.all), self.report);
        exclude(("metric", &raw.metric), ("any", &raw.any), self.report);
        exclude(("all", &raw.all), ("any", &raw.any), self.report);
        let (join, conditions) = if let Some(list) = raw.all.given() {
            (Join::All, self.conditions(raw, list))
        } else if let Some(list) = raw.any.given() {
            (Join::Any, self.conditions(raw, list))
        } else {
            if raw.all.is_absent() && raw.any.is_absent() {
                self.need("metric", &raw.metric, "latencyP99", place);
                self.need("above", &raw.above, "250ms", place);
            }
            let condition = self.condition(&raw.metric, &raw.route, &raw.above, &raw.below);
            (Join::Any, condition.map(|condition| vec![condition]))
        };
        Some(Threshold {
            conditions: conditions?,
            join,
            hold: raw.hold.value()?.0,
            step_out: raw.step_out.value()?.0,
            step_in: raw.step_in.value()?.0,
        })
    }

    fn conditions(
        &mut self,
        raw: &trigger::Threshold,
        list: &Located<List<trigger::Condition>>,
    ) -> Option<Vec<Condition>> {
        let beside = [
            raw.route.given().map(|given| ("route", given.place)),
            raw.above.given().map(|given| ("above", given.place)),
            raw.below.given().map(|given| ("below", given.place)),
        ];
        for (key, place) in beside.into_iter().flatten() {
            let message = format!("`{key}` has no metric that it is about");
            self.report.error(place, message, "write it into the condition that it belongs to");
        }
        if list.value.is_empty() {
            let help = "add one, like `{ metric: latencyP99, above: 250ms }`";
            self.report.error(list.place, "no conditions", help);
            return None;
        }
        list.value.resolve(|raw, _| self.condition(&raw.metric, &raw.route, &raw.above, &raw.below))
    }

    fn condition(
        &mut self,
        metric: &Field<Metric>,
        route: &Field<RouteId>,
        above: &Field<Quantity>,
        below: &Field<Quantity>,
    ) -> Option<Condition> {
        let metric = *metric.value()?;
        let route = self.route(route, metric);
        let above = above.given().and_then(|above| self.quantity(above, metric));
        let below = match below.optional()? {
            None => None,
            Some(below) => {
                let value = self.quantity(below, metric);
                if let (Some(value), Some(above)) = (value, above)
                    && value > above
                {
                    let message = format!("`below` is {} and over `above`", below.value.text());
                    let help = "leave a gap between them: `below` is the smaller one";
                    self.report.error(below.place, message, help);
                    return None;
                }
                Some(value?)
            }
        };
        let signal = match route? {
            Some(route) => Signal::Route(route, metric),
            None => Signal::Fleet(metric),
        };
        Some(Condition { signal, above: above?, below })
    }

    fn schedule(&mut self, raw: &trigger::Schedule, place: Place) -> Option<Schedule> {
        exclude(("exact", &raw.exact), ("min", &raw.min), self.report);
        exclude(("exact", &raw.exact), ("max", &raw.max), self.report);
        if raw.exact.is_absent() && raw.min.is_absent() && raw.max.is_absent() {
            let help = "say how many instances there should be then, like `min: 6`";
            self.report.error(place, "neither `min` nor `max` nor `exact`", help);
            return None;
        }
        let (fewest, most) = self.bounds;
        for given in [raw.min.given(), raw.max.given(), raw.exact.given()].into_iter().flatten() {
            let count = given.value.as_u32();
            if !(fewest..=most).contains(&count) {
                let message = format!("{count} is outside of what the fleet may have, {fewest} to {most}");
                self.report.error(given.place, message, "choose a number within the fleet's `min` and `max`");
            }
        }
        let count = |field: &Field<crate::units::Instances>| field.value().map(|count| count.as_u32());
        let (floor, ceiling) = (count(&raw.exact).or(count(&raw.min)), count(&raw.exact).or(count(&raw.max)));
        if let (Some(floor), Some(ceiling), Some(min)) = (floor, ceiling, raw.min.given())
            && floor > ceiling
        {
            let message = format!("`min` is {floor} and above `max`, which is {ceiling}");
            self.report.error(min.place, message, "raise `max` or lower `min`");
        }
        Some(Schedule {
            cron: raw.cron.value()?.clone(),
            zone: raw.time_zone.value()?.clone(),
            lasts: raw.r#for.value()?.0,
            floor,
            ceiling,
            except: raw.exceptions.value()?.resolve(|date, _| Some(date.0))?,
        })
    }

    fn forecast(&mut self, raw: &trigger::Forecast) -> Option<Forecast> {
        let horizon = raw.horizon.value()?.given().map(|span| span.0);
        let follows = (1.0 - self.slo.overload).min(HIGHEST_QUANTILE);
        Some(Forecast {
            horizon,
            period: raw.period.value()?.given().map(|span| span.0),
            quantile: raw.quantile.optional()?.map_or(follows, |given| given.value.0),
        })
    }

    fn backlog(&mut self, raw: &trigger::Backlog, place: Place) -> Option<Backlog> {
        exclude(("source", &raw.source), ("metric", &raw.metric), self.report);
        exclude(("perInstance", &raw.per_instance), ("drain", &raw.drain), self.report);
        exclude(("perInstance", &raw.per_instance), ("rate", &raw.rate), self.report);
        if raw.per_instance.is_absent() && raw.drain.is_absent() {
            let help = "say how many may wait for each instance, like `perInstance: 20`, or how soon none should, \
                        like `drain: 30s`";
            self.report.error(place, "neither `perInstance` nor `drain`", help);
            return None;
        }
        let rate = raw.rate.optional()?.map(|rate| rate.value.0);
        let drain = raw.drain.value().map(|span| Pressure::Drain { within: span.0, rate });
        let per_instance = raw.per_instance.value().map(|count| Pressure::PerInstance(count.0));
        let signal = match raw.source.optional()? {
            Some(source) => {
                look_up(source, self.known.sources, self.report);
                Signal::Source(source.value.clone())
            }
            None => Signal::Fleet(raw.metric.optional()?.map_or(Metric::Queued, |metric| metric.value.0)),
        };
        Some(Backlog {
            signal,
            pressure: per_instance.or(drain)?,
            activation: raw.activation.value()?.0,
            fallback: raw.fallback.value()?.0,
        })
    }

    fn formula(&mut self, raw: &trigger::Formula) -> Option<Formula> {
        let Located { value: expression, place } = raw.expression.given()?;
        let expression = expression.0.clone();
        let mut variables = Vec::new();
        let mut known = true;
        for name in expression.names() {
            if let Some(variable) = self.variable(&name) {
                variables.push((name, variable));
            } else {
                self.unknown_variable(&name, *place);
                known = false;
            }
        }
        let default = raw.default.value()?.resolve(|name, place, value| {
            if known && !variables.iter().any(|(used, _)| *used == name.0) {
                let message = format!("{} does not stand in the expression", quote(&name.0));
                self.report.error(place, message, "remove it, or use it");
            }
            Some(value.0)
        })?;
        let default = default.into_iter().map(|(name, value)| (name.0, value)).collect();
        known.then(|| Formula { expression, variables: variables.into_iter().collect(), default })
    }

    fn headroom(&mut self, raw: &trigger::Headroom) -> Option<Headroom> {
        Some(Headroom {
            overload: raw.overload.optional()?.map_or(self.slo.overload, |given| given.value.0),
            wait: raw.wait.optional()?.map_or(self.slo.wait, |given| given.value.0),
        })
    }

    /// What a name in a formula stands for.
    fn variable(&self, name: &str) -> Option<Variable> {
        if let Some(metric) = Metric::ALL.into_iter().find(|metric| metric.name() == name) {
            return Some(Variable::Signal(Signal::Fleet(metric)));
        }
        if let Some((_, variable)) = FLEET.iter().find(|(fleet, _)| *fleet == name) {
            return Some(variable.clone());
        }
        if RECOMMENDED.contains(&name) {
            return Some(Variable::Recommended(name.to_owned()));
        }
        if let Some(name) = name.strip_prefix("source_") {
            let source = self.known.sources?.iter().find(|known| spelled(known.as_str()) == name)?;
            return Some(Variable::Signal(Signal::Source(SourceId::clone(source))));
        }
        let (route, metric) = name.strip_prefix("route_")?.rsplit_once('_')?;
        let metric = Metric::ALL.into_iter().find(|one| one.of_routes() && one.name() == metric)?;
        let route = self.known.routes?.iter().find(|known| spelled(known.as_str()) == route)?;
        Some(Variable::Signal(Signal::Route((*route).clone(), metric)))
    }

    fn unknown_variable(&mut self, name: &str, place: Place) {
        let known = self.known;
        if (name.starts_with("route_") && known.routes.is_none())
            || (name.starts_with("source_") && known.sources.is_none())
        {
            return;
        }
        let routes: Vec<String> =
            known.routes.into_iter().flatten().map(|route| spelled(route.as_str())).collect();
        let of_routes = routes.iter().flat_map(|route| {
            let metrics = Metric::ALL.into_iter().filter(|metric| metric.of_routes());
            metrics.map(move |metric| format!("route_{route}_{}", metric.name()))
        });
        let of_sources = known.sources.into_iter().flatten();
        let of_sources = of_sources.map(|source| format!("source_{}", spelled(source.as_str())));
        let of_routes: Vec<String> = of_routes.chain(of_sources).collect();
        let names = Metric::ALL.iter().map(|metric| metric.name());
        let names = names.chain(FLEET.iter().map(|(name, _)| *name)).chain(RECOMMENDED);
        let names = names.chain(of_routes.iter().map(String::as_str));
        let message = format!("{} is nothing that a formula can see{}", quote(name), suggestion(name, names));
        let help = "use a metric like `arrivalRate`, `ready`, `desired`, `startUp`, another trigger like `target`, \
                    `route_NAME_METRIC`, or `source_NAME`";
        self.report.error(place, message, help);
    }

    /// A route that exists, where one is given and its metric is one of routes.
    #[expect(clippy::option_option, reason = "no route differs from a wrong one")]
    fn route(&mut self, raw: &Field<RouteId>, metric: Metric) -> Option<Option<RouteId>> {
        let Some(route) = raw.optional()? else {
            return Some(None);
        };
        look_up(route, self.known.routes, self.report);
        if !metric.of_routes() {
            let message = format!("`{}` is not known of a route", metric.name());
            let help = "remove `route`, or choose a metric that is counted at the gateway, like `latencyP99`";
            self.report.error(route.place, message, help);
            return None;
        }
        Some(Some(route.value.clone()))
    }

    fn quantity(&mut self, raw: &Located<Quantity>, metric: Metric) -> Option<f64> {
        let mistake = |Mistake { message, help }| self.report.error(raw.place, message, help);
        raw.value.of(metric).map_err(mistake).ok()
    }

    fn need<T>(&mut self, key: &str, field: &Field<T>, example: &str, place: Place) {
        if field.is_absent() {
            self.report.error(
                place,
                format!("missing key `{key}`"),
                format!("add it, like `{key}: {example}`"),
            );
        }
    }
}

/// What a formula sees of the fleet.
const FLEET: [(&str, Variable); 9] = [
    ("ready", Variable::Ready),
    ("starting", Variable::Starting),
    ("draining", Variable::Draining),
    ("failed", Variable::Failed),
    ("desired", Variable::Desired),
    ("minInstances", Variable::Min),
    ("maxInstances", Variable::Max),
    ("startUp", Variable::StartUp),
    ("work", Variable::Work),
];

/// The triggers whose recommendations a formula sees.
const RECOMMENDED: [&str; 6] = ["target", "threshold", "schedule", "forecast", "backlog", "headroom"];

/// A route or a source as a formula spells it: names there have no `-` and no `.`.
fn spelled(name: &str) -> String {
    name.replace(['-', '.'], "_")
}
