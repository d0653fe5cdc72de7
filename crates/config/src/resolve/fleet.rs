//! Fleets and the policies they scale by.

use std::{collections::BTreeSet, num::NonZeroU32, time::Duration};

use tidegate_core::{
    FleetId, RouteId, SourceId,
    policy::{
        Amount, Backlog, DEFAULT_IDLE, Fallback, Headroom, Pace, PaceLimit, Policy, Pressure, Signal, Slo,
        Supply, Trigger,
    },
    snapshot::{Driver, Exec, Fleet, ReadyCheck, Run, Worker, WorkerSettings},
};

use crate::{
    decode::{Field, List, Located},
    leaf::text::Text,
    raw::{self, fleet},
    report::{Place, Report},
    resolve::{Resolver, exclude, look_up},
    units::Instances,
};

mod supply;
mod trigger;

use supply::supply;
use trigger::Triggers;

/// How long shrinking waits, unless said otherwise.
const STABILIZATION: Duration = Duration::from_mins(1);

/// Within which time the backlog of a fleet of workers is worked off, unless said otherwise.
const DRAIN: Duration = Duration::from_mins(1);

/// What triggers may look at; `None` when there is no telling.
#[derive(Clone, Copy, Default)]
pub(super) struct Known<'a> {
    pub(super) routes: Option<&'a BTreeSet<&'a RouteId>>,
    pub(super) sources: Option<&'a BTreeSet<&'a SourceId>>,
    /// What the fleet itself works on.
    pub(super) consumed: Option<&'a SourceId>,
}

impl Resolver<'_, '_> {
    pub(super) fn fleet(&mut self, name: &FleetId, raw: &raw::Fleet) -> Option<Fleet> {
        let run = raw.run.value().and_then(|run| self.run(run, &raw.worker));
        let driver = self.driver(raw, run.as_ref());
        let scale = raw.scale.value();
        let consumed = raw.run.value().and_then(|run| run.consume.value());
        let known =
            Known { routes: self.route_names.as_ref(), sources: self.source_names.as_ref(), consumed };
        let policy = scale.and_then(|scale| policy(scale, known, self.report));
        let of_fleet = policy.as_ref().map(|policy| &policy.supply);
        let candidate = scale.and_then(|scale| candidate(scale, of_fleet, known, self.report));
        let ready = raw.ready.value().and_then(ready);
        let concurrency = self.concurrency(raw);
        Some(Fleet {
            name: name.clone(),
            run: run?,
            driver: driver?,
            ready: ready?,
            grace: raw.grace.value()?.0,
            concurrency: concurrency?,
            policy: policy?,
            mode: *scale?.mode.value()?,
            candidate: candidate?,
            price: scale?.price.optional()?.map(|price| price.value.0),
        })
    }

    /// Who starts instances: what is not said follows from what they are.
    fn driver(&mut self, raw: &raw::Fleet, run: Option<&Run>) -> Option<Driver> {
        let Some(Located { value: driver, place }) = raw.driver.optional()? else {
            return Some(if matches!(run, Some(Run::Exec(_))) { Driver::Exec } else { Driver::Process });
        };
        let (message, help) = match (run, driver) {
            (Some(Run::Command(_)), Driver::Thread) => {
                ("a thread runs Lua, not a command", "use `driver: process`, or `run: { lua: app.lua }`")
            }
            (Some(Run::Exec(_)), Driver::Process | Driver::Thread) => {
                ("commands of `run.exec` are driven by `exec` alone", "write `driver: exec`, or leave it out")
            }
            (Some(Run::Lua(_) | Run::Command(_) | Run::Worker(_)), Driver::Exec) => (
                "`exec` has no commands to drive instances with",
                "write `run: { exec: { start: [./start.sh], stop: [./stop.sh], list: [./list.sh] } }`",
            ),
            _ => return Some(*driver),
        };
        self.report.error(*place, message, help);
        None
    }

    /// How many requests an instance gets at a time.
    #[expect(clippy::option_option, reason = "no limit differs from a broken one")]
    fn concurrency(&mut self, raw: &raw::Fleet) -> Option<Option<NonZeroU32>> {
        let Some(Located { value, place }) = raw.concurrency.optional()? else { return Some(None) };
        if raw.run.value().is_some_and(|run| run.consume.given().is_some()) {
            let help =
                "write `worker: { concurrency: 10 }` for how many messages an instance works on at once";
            self.report.error(*place, "this fleet works on messages and gets no requests", help);
            return None;
        }
        Some(NonZeroU32::new(value.as_u32()))
    }

    fn run(&mut self, raw: &fleet::Run, worker: &Field<raw::source::Worker>) -> Option<Run> {
        exclude(("command", &raw.command), ("consume", &raw.consume), self.report);
        exclude(("exec", &raw.exec), ("consume", &raw.consume), self.report);
        if let (Some(worker), true) = (worker.given(), raw.consume.is_absent()) {
            let help = "add `consume: SOURCE` to `run`, or remove `worker`";
            self.report.error(worker.place, "this fleet works on no messages", help);
        }
        if let Some(Located { value, place }) = raw.lua.given() {
            let script = self.scripts.file(&value.0, *place, self.report);
            let Some(Located { value: source, .. }) = raw.consume.optional()? else {
                return script.map(Run::Lua);
            };
            let checked = raw.consume.given().and_then(|source| self.queue(source));
            let settings = match worker.optional()? {
                Some(worker) => settings(&worker.value),
                None => Some(WorkerSettings::default()),
            };
            checked?;
            return Some(Run::Worker(Worker {
                script: script?,
                source: source.clone(),
                settings: settings?,
            }));
        }
        if let Some(Located { value, .. }) = raw.exec.given() {
            return self.exec(value).map(Run::Exec);
        }
        self.command(raw.command.given()?, "write it like `[./server, --port, \"{port}\"]`").map(Run::Command)
    }

    fn exec(&mut self, raw: &fleet::Exec) -> Option<Exec> {
        let mut command = |field: &Field<List<Text>>| {
            field.given().and_then(|given| self.command(given, "write it like `[./start.sh, --fast]`"))
        };
        let (start, stop, list) = (command(&raw.start), command(&raw.stop), command(&raw.list));
        Some(Exec {
            start: start?,
            stop: stop?,
            list: list?,
            interval: raw.interval.value()?.0,
            timeout: raw.timeout.value()?.0,
            parallel: NonZeroU32::new(raw.parallel.value()?.as_u32())?,
            owner: raw.owner.optional()?.map(|owner| owner.value.clone()),
            settings: raw.settings.value()?.resolve(|_, _, text| Some(text.0.clone()))?,
            notice: raw.notice.value()?.0,
            on_exit: *raw.on_exit.value()?,
        })
    }

    /// Program and arguments.
    fn command(&mut self, given: &Located<List<Text>>, help: &str) -> Option<Vec<String>> {
        let command: Vec<String> = given.value.resolve(|part, _| Some(part.0.clone()))?;
        if command.first().is_none_or(String::is_empty) {
            self.report.error(given.place, "the command has no program", help.to_owned());
            return None;
        }
        Some(command)
    }
}

impl Resolver<'_, '_> {
    /// A source that exists and whose messages can be taken.
    fn queue(&mut self, source: &Located<SourceId>) -> Option<()> {
        look_up(source, self.source_names.as_ref(), self.report);
        let sources = self.raw.sources.value()?;
        let entry = sources.0.iter().find(|entry| entry.name.as_ref() == Some(&source.value))?;
        let raw = entry.value.as_ref()?;
        if raw.redis.is_absent() && raw.nats.is_absent() && raw.rabbitmq.is_absent() {
            let message = format!("`{}` has no messages that a worker could take", source.value);
            let help = "consume a source of `redis`, `nats` or `rabbitmq`";
            self.report.error(source.place, message, help);
            return None;
        }
        Some(())
    }
}

fn settings(raw: &raw::source::Worker) -> Option<WorkerSettings> {
    Some(WorkerSettings {
        concurrency: raw.concurrency.value()?.as_u32(),
        attempts: raw.attempts.value()?.as_u32(),
        back_off: raw.back_off.value()?.0,
        back_off_max: raw.back_off_max.value()?.0,
        timeout: raw.timeout.value()?.0,
        dead_letter: raw.dead_letter.optional()?.map(|name| name.value.0.clone()),
    })
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
    /// What decides where nothing else is said; `None`: the default policy.
    usual: Option<Trigger>,
}

impl Parts<'_> {
    fn resolve(&self, known: Known<'_>, report: &mut Report<'_>) -> Option<Policy> {
        let default = self.triggers.is_absent() && self.usual.is_none();
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
            None => Some(vec![self.usual.clone().unwrap_or_else(|| usual(known, slo))]),
            Some(list) => {
                let mut triggers = Triggers { bounds, slo, known, report };
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
            supply: Supply::default(),
        })
    }
}

/// The default policy: what waits is worked off, and requests find room.
fn usual(known: Known<'_>, slo: Slo) -> Trigger {
    match known.consumed {
        Some(source) => Trigger::Backlog(Backlog {
            signal: Signal::Source(source.clone()),
            pressure: Pressure::Drain { within: DRAIN, rate: None },
            activation: 0.0,
            fallback: Fallback::Hold,
        }),
        None => Trigger::Headroom(Headroom { overload: slo.overload, wait: slo.wait }),
    }
}

/// That of the workers of a node.
pub(super) fn worker_policy(
    raw: &raw::ScaledWorkers,
    place: Place,
    known: Known<'_>,
    usual: Trigger,
    report: &mut Report<'_>,
) -> Option<Policy> {
    let (min, max) = (raw.min.value()?.as_u32(), raw.max.value()?.as_u32());
    if min > max {
        let message = format!("`min` is {min} and above `max`, which is {max}");
        report.error(place, message, "raise `max` or lower `min`");
    }
    let parts = Parts {
        bounds: Some((min, max)).filter(|_| min <= max),
        idle: Some(DEFAULT_IDLE),
        slo: Some(Slo::default()),
        triggers: &raw.triggers,
        behavior: &raw.behavior,
        usual: Some(usual),
    };
    parts.resolve(known, report)
}

pub(super) fn policy(raw: &fleet::Scale, known: Known<'_>, report: &mut Report<'_>) -> Option<Policy> {
    let bounds = bounds(raw.min.given(), raw.max.given(), report);
    let slo = raw.slo.value().and_then(slo);
    let idle = raw.idle.value().map(|idle| idle.0);
    let parts = Parts { bounds, idle, slo, triggers: &raw.triggers, behavior: &raw.behavior, usual: None };
    let (policy, supply) = (parts.resolve(known, report), supply(raw, report));
    Some(Policy { supply: supply?, ..policy? })
}

/// The candidate of `scale`, if there is one.
#[expect(clippy::option_option, reason = "no candidate differs from a broken one")]
fn candidate(
    raw: &fleet::Scale,
    of_fleet: Option<&Supply>,
    known: Known<'_>,
    report: &mut Report<'_>,
) -> Option<Option<Policy>> {
    let Some(Located { value: candidate, .. }) = raw.candidate.optional()? else {
        return Some(None);
    };
    let min = candidate.min.optional()?.or_else(|| raw.min.given());
    let max = candidate.max.optional()?.or_else(|| raw.max.given());
    let bounds = bounds(min, max, report);
    let idle = candidate.idle.optional()?.map(|given| &given.value).or_else(|| raw.idle.value());
    let idle = idle.map(|idle| idle.0);
    let slo = candidate.slo.optional()?.map(|given| &given.value).or_else(|| raw.slo.value()).and_then(slo);
    let (triggers, behavior) = (&candidate.triggers, &candidate.behavior);
    let parts = Parts { bounds, idle, slo, triggers, behavior, usual: None };
    let policy = parts.resolve(known, report);
    let supply = supply::candidate(candidate, raw, of_fleet?.clone(), report);
    Some(Some(Policy { supply: supply?, ..policy? }))
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
