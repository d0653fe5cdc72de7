//! Fleets and the policies they scale by.

use std::{collections::BTreeSet, time::Duration};

use tidegate_core::{
    FleetId, RouteId,
    policy::{Amount, Headroom, Pace, PaceLimit, Policy, Slo, Trigger},
    snapshot::{Driver, Fleet, ReadyCheck, Run},
};

use crate::{
    decode::{Field, List, Located},
    raw::{self, fleet},
    report::{Place, Report},
    resolve::{Resolver, exclude},
    units::Instances,
};

mod trigger;

use trigger::Triggers;

/// How long shrinking waits, unless said otherwise.
const STABILIZATION: Duration = Duration::from_mins(1);

/// The routes that triggers may look at; `None` when there is no telling.
type Known<'a> = Option<&'a BTreeSet<&'a RouteId>>;

impl Resolver<'_, '_> {
    pub(super) fn fleet(&mut self, name: &FleetId, raw: &raw::Fleet) -> Option<Fleet> {
        let run = raw.run.value().and_then(|run| self.run(run));
        if let (Some(Located { value: Driver::Thread, place }), Some(Run::Command(_))) =
            (raw.driver.given(), &run)
        {
            let message = "a thread runs Lua, not a command";
            self.report.error(*place, message, "use `driver: process`, or `run: { lua: app.lua }`");
        }
        let scale = raw.scale.value();
        let routes = self.route_names.as_ref();
        let policy = scale.and_then(|scale| policy(scale, routes, self.report));
        let candidate = scale.and_then(|scale| candidate(scale, routes, self.report));
        let ready = raw.ready.value().and_then(ready);
        Some(Fleet {
            name: name.clone(),
            run: run?,
            driver: *raw.driver.value()?,
            ready: ready?,
            grace: raw.grace.value()?.0,
            policy: policy?,
            mode: *scale?.mode.value()?,
            candidate: candidate?,
            price: scale?.price.optional()?.map(|price| price.value.0),
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

/// What `scale` and a candidate have in common.
struct Parts<'a> {
    /// Fewest and most, and the place of the first.
    bounds: Option<(u32, u32)>,
    idle: Option<Duration>,
    slo: Option<Slo>,
    triggers: &'a Field<List<fleet::Trigger>>,
    behavior: &'a Field<fleet::Behavior>,
}

impl Parts<'_> {
    fn resolve(&self, routes: Known<'_>, report: &mut Report<'_>) -> Option<Policy> {
        let default = self.triggers.is_absent();
        let behavior = self.behavior.value();
        let scale_out = behavior
            .and_then(|raw| raw.scale_out.value())
            .and_then(|raw| pace(Some(raw.stabilization.value()?.0), &raw.limits, report));
        let scale_in = behavior.and_then(|raw| raw.scale_in.value()).and_then(|raw| {
            // The default policy holds by itself, and knows for how long.
            let usual = if default { Duration::ZERO } else { STABILIZATION };
            let stabilization =
                raw.stabilization.optional().map(|given| given.map_or(usual, |given| given.value.0));
            pace(stabilization, &raw.limits, report)
        });
        let slo = self.slo.unwrap_or_default();
        let bounds = self.bounds.unwrap_or((1, u32::MAX));
        let triggers = match self.triggers.optional()? {
            None => Some(vec![Trigger::Headroom(Headroom { overload: slo.overload, wait: slo.wait })]),
            Some(list) => {
                let mut triggers = Triggers { bounds, slo, routes, report };
                list.value.resolve(|raw, place| triggers.resolve(raw, place))
            }
        };
        let (min, max) = self.bounds?;
        Some(Policy {
            min,
            max,
            idle: self.idle?,
            slo: self.slo?,
            triggers: triggers?,
            scale_out: scale_out?,
            scale_in: scale_in?,
        })
    }
}

pub(super) fn policy(raw: &fleet::Scale, routes: Known<'_>, report: &mut Report<'_>) -> Option<Policy> {
    let bounds = bounds(raw.min.given(), raw.max.given(), report);
    let slo = raw.slo.value().and_then(slo);
    let idle = raw.idle.value().map(|idle| idle.0);
    Parts { bounds, idle, slo, triggers: &raw.triggers, behavior: &raw.behavior }.resolve(routes, report)
}

/// The candidate of `scale`, if there is one.
#[expect(clippy::option_option, reason = "no candidate differs from a broken one")]
fn candidate(raw: &fleet::Scale, routes: Known<'_>, report: &mut Report<'_>) -> Option<Option<Policy>> {
    let Some(Located { value: candidate, .. }) = raw.candidate.optional()? else {
        return Some(None);
    };
    let min = candidate.min.optional()?.or_else(|| raw.min.given());
    let max = candidate.max.optional()?.or_else(|| raw.max.given());
    let bounds = bounds(min, max, report);
    let idle = candidate.idle.optional()?.map(|given| &given.value).or_else(|| raw.idle.value());
    let idle = idle.map(|idle| idle.0);
    let slo = candidate.slo.optional()?.map(|given| &given.value).or_else(|| raw.slo.value()).and_then(slo);
    let parts = Parts { bounds, idle, slo, triggers: &candidate.triggers, behavior: &candidate.behavior };
    parts.resolve(routes, report).map(Some)
}

fn slo(raw: &fleet::Slo) -> Option<Slo> {
    Some(Slo {
        overload: raw.overload.value()?.0,
        wait: raw.wait.value()?.0,
        latency_p99: raw.latency_p99.optional()?.map(|latency| latency.value.0),
    })
}

fn bounds(
    min: Option<&Located<fleet::Fewest>>,
    max: Option<&Located<Instances>>,
    report: &mut Report<'_>,
) -> Option<(u32, u32)> {
    let (min, max) = (min?, max?);
    let (fewest, most) = (min.value.as_u32(), max.value.as_u32());
    if fewest > most {
        let message = format!("`min` is {fewest} and above `max`, which is {most}");
        report.error(min.place, message, "raise `max` (10 unless given) or lower `min`");
        return None;
    }
    Some((fewest, most))
}

fn pace(
    stabilization: Option<Duration>,
    limits: &Field<List<fleet::PaceLimit>>,
    report: &mut Report<'_>,
) -> Option<Pace> {
    let limits =
        limits.value().and_then(|limits| limits.resolve(|raw, place| pace_limit(raw, place, report)));
    Some(Pace { stabilization: stabilization?, limits: limits? })
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
