//! Fleets and the policies they scale by.

use tidegate_core::{
    FleetId,
    policy::{Amount, Metric, Pace, PaceLimit, Policy, Target, TargetMetric, Threshold, Trigger},
    snapshot::{Driver, Fleet, ReadyCheck, Run},
};

use crate::{
    decode::{Field, List, Located, Mistake},
    raw::{self, Hold, fleet},
    report::{Place, Report},
    resolve::{Resolver, exclude},
    units::quantity::Quantity,
};

impl Resolver<'_, '_> {
    pub(super) fn fleet(&mut self, name: &FleetId, raw: &raw::Fleet) -> Option<Fleet> {
        let run = raw.run.value().and_then(|run| self.run(run));
        if let (Some(Located { value: Driver::Thread, place }), Some(Run::Command(_))) =
            (raw.driver.given(), &run)
        {
            let message = "a thread runs Lua, not a command";
            self.report.error(*place, message, "use `driver: process`, or `run: { lua: app.lua }`");
        }
        let policy = raw.scale.value().and_then(|scale| policy(scale, self.report));
        let ready = raw.ready.value().and_then(ready);
        Some(Fleet {
            name: name.clone(),
            run: run?,
            driver: *raw.driver.value()?,
            ready: ready?,
            grace: raw.grace.value()?.0,
            policy: policy?,
        })
    }

    fn run(&mut self, raw: &fleet::Run) -> Option<Run> {
        if let Some(Located { value, place }) = raw.lua.given() {
            return self.scripts.file(&value.0, *place, self.report).map(Run::Lua);
        }
        let Located { value: command, place } = raw.command.given()?;
        let command: Vec<String> = command.resolve(|part, _| Some(part.0.clone()))?;
        if command.first().is_none_or(String::is_empty) {
            self.report.error(
                *place,
                "the command has no program",
                "write it like `[./server, --port, \"{port}\"]`",
            );
            return None;
        }
        Some(Run::Command(command))
    }
}

fn ready(raw: &fleet::Ready) -> Option<ReadyCheck> {
    let path = raw.path.optional()?.map(|path| path.value.0.clone());
    Some(ReadyCheck { path, timeout: raw.timeout.value()?.0 })
}

fn policy(raw: &fleet::Scale, report: &mut Report<'_>) -> Option<Policy> {
    let bounds = bounds(raw, report);
    let triggers = raw.triggers.value().and_then(|list| list.resolve(|raw, _| trigger(raw, report)));
    let behavior = raw.behavior.value();
    let scale_out = behavior
        .and_then(|raw| raw.scale_out.value())
        .and_then(|raw| pace(&raw.stabilization, &raw.limits, report));
    let scale_in = behavior
        .and_then(|raw| raw.scale_in.value())
        .and_then(|raw| pace(&raw.stabilization, &raw.limits, report));
    let (min, max) = bounds?;
    Some(Policy { min, max, triggers: triggers?, scale_out: scale_out?, scale_in: scale_in? })
}

fn bounds(raw: &fleet::Scale, report: &mut Report<'_>) -> Option<(u32, u32)> {
    let (min, max) = (raw.min.given()?, raw.max.given()?);
    let (fewest, most) = (min.value.0.as_u32(), max.value.as_u32());
    if fewest > most {
        let message = format!("`min` is {fewest} and above `max`, which is {most}");
        report.error(min.place, message, "raise `max` (10 unless given) or lower `min`");
        return None;
    }
    Some((fewest, most))
}

fn trigger(raw: &fleet::Trigger, report: &mut Report<'_>) -> Option<Trigger> {
    match (raw.target.value(), raw.threshold.value()) {
        (Some(raw), _) => target(raw, report).map(Trigger::Target),
        (None, Some(raw)) => threshold(raw, report).map(Trigger::Threshold),
        (None, None) => None,
    }
}

fn target(raw: &fleet::Target, report: &mut Report<'_>) -> Option<Target> {
    let metric = *raw.metric.value()?;
    let value = quantity(raw.value.given()?, comparable(metric), report)?;
    if value <= 0.0 {
        let place = raw.value.given()?.place;
        report.error(place, "a target must be above zero", "write the value that each instance is to have");
        return None;
    }
    Some(Target { metric, value, tolerance: raw.tolerance.value()?.0 })
}

const fn comparable(metric: TargetMetric) -> Metric {
    match metric {
        TargetMetric::Utilization => Metric::Utilization,
        TargetMetric::Concurrency => Metric::Concurrency,
        TargetMetric::ArrivalRate => Metric::ArrivalRate,
    }
}

fn threshold(raw: &fleet::Threshold, report: &mut Report<'_>) -> Option<Threshold> {
    let metric = *raw.metric.value()?;
    let above = raw.above.given().and_then(|above| quantity(above, metric, report));
    let below = match raw.below.optional()? {
        None => None,
        Some(below) => {
            let value = quantity(below, metric, report);
            if let (Some(value), Some(above)) = (value, above)
                && value > above
            {
                let message = format!("`below` is {} and over `above`", below.value.text());
                report.error(below.place, message, "leave a gap between them: `below` is the smaller one");
                return None;
            }
            Some(value?)
        }
    };
    Some(Threshold {
        metric,
        above: above?,
        below,
        hold: raw.hold.value()?.0,
        step_out: raw.step_out.value()?.0,
        step_in: raw.step_in.value()?.0,
    })
}

fn quantity(raw: &Located<Quantity>, metric: Metric, report: &mut Report<'_>) -> Option<f64> {
    raw.value.of(metric).map_err(|Mistake { message, help }| report.error(raw.place, message, help)).ok()
}

fn pace(
    stabilization: &Field<Hold>,
    limits: &Field<List<fleet::PaceLimit>>,
    report: &mut Report<'_>,
) -> Option<Pace> {
    let limits =
        limits.value().and_then(|limits| limits.resolve(|raw, place| pace_limit(raw, place, report)));
    Some(Pace { stabilization: stabilization.value()?.0, limits: limits? })
}

fn pace_limit(raw: &fleet::PaceLimit, place: Place, report: &mut Report<'_>) -> Option<PaceLimit> {
    exclude(("instances", &raw.instances), ("share", &raw.share), report);
    if raw.instances.is_absent() && raw.share.is_absent() {
        report.error(
            place,
            "neither `instances` nor `share`",
            "say how much may change in the period, like `instances: 4`",
        );
    }
    let share = raw.share.value().map(|share| Amount::Share(share.0));
    let amount = raw.instances.value().map(|&instances| instances.into()).or(share);
    Some(PaceLimit { amount: amount?, period: raw.period.value()?.0 })
}
