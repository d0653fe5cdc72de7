//! Everything that is known, as metrics.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use tidegate_control::{
    View, usage,
    view::{FleetView, SourceView},
};
use tidegate_core::{
    RouteId, Telemetry, Timestamp,
    histogram::Histogram,
    policy::Mode,
    telemetry::{DictUse, LuaTotals, PluginId, Totals, WorkerSeries},
};

use super::{
    Metric,
    text::{Text, Value},
};

/// What the counts by status stand for, in their order.
const CLASSES: [&str; 6] = ["none", "1xx", "2xx", "3xx", "4xx", "5xx"];

/// The whole page.
pub(super) fn report(telemetry: &Telemetry, view: &View) -> String {
    let mut text = Text::default();
    text.family(Metric::BuildInfo).sample(&[("version", env!("CARGO_PKG_VERSION"))], 1_u64);
    routes(&mut text, telemetry);
    plugins(&mut text, telemetry);
    upstreams(&mut text, telemetry);
    workers(&mut text, telemetry);
    dicts(&mut text, telemetry);
    fleets(&mut text, &view.fleets);
    sources(&mut text, &view.sources);
    config(&mut text, view);
    process(&mut text);
    text.finish()
}

fn routes(text: &mut Text, telemetry: &Telemetry) {
    let routes: Vec<(String, Totals)> = named(telemetry.routes());
    classes(text, Metric::Requests, "route", &routes);
    durations(text, Metric::RequestDuration, "route", &routes);
    each(text, Metric::RequestsInFlight, "route", &routes, Totals::in_flight);
    each(text, Metric::RequestBodyBytes, "route", &routes, |totals| totals.bytes_in);
    each(text, Metric::ResponseBodyBytes, "route", &routes, |totals| totals.bytes_out);
    each(text, Metric::LuaErrors, "route", &routes, |totals| totals.lua_errors);
    each(text, Metric::RouteShed, "route", &routes, |totals| totals.shed);
}

fn plugins(text: &mut Text, telemetry: &Telemetry) {
    let plugins = telemetry.plugins();
    let mut each = |metric, value: fn(&LuaTotals) -> Value| {
        let mut family = text.family(metric);
        for (PluginId { route, phase, script }, totals) in &plugins {
            let route = route.as_ref().map_or("", RouteId::as_str);
            family.sample(&[("route", route), ("phase", phase), ("plugin", script)], value(totals));
        }
    };
    each(Metric::LuaCpu, |totals| totals.cpu().as_secs_f64().into());
    each(Metric::LuaAllocatedBytes, |totals| totals.allocated_bytes.into());
    each(Metric::LuaYields, |totals| totals.yields.into());
    each(Metric::LuaWait, |totals| totals.waited().as_secs_f64().into());
}

fn upstreams(text: &mut Text, telemetry: &Telemetry) {
    let upstreams: Vec<(String, Totals)> = named(telemetry.upstreams());
    classes(text, Metric::UpstreamRequests, "upstream", &upstreams);
    durations(text, Metric::UpstreamDuration, "upstream", &upstreams);
    each(text, Metric::UpstreamInFlight, "upstream", &upstreams, Totals::in_flight);
    each(text, Metric::UpstreamRetries, "upstream", &upstreams, |totals| totals.retries);
    each(text, Metric::Queued, "upstream", &upstreams, Totals::waiting);
    each(text, Metric::Shed, "upstream", &upstreams, |totals| totals.shed);
}

fn named<N: ToString>(series: Vec<(N, Totals)>) -> Vec<(String, Totals)> {
    series.into_iter().map(|(name, totals)| (name.to_string(), totals)).collect()
}

/// One sample for each series and class of status.
fn classes(text: &mut Text, metric: Metric, label: &str, series: &[(String, Totals)]) {
    let mut family = text.family(metric);
    for (name, totals) in series {
        for (class, count) in CLASSES.into_iter().zip(totals.statuses) {
            family.sample(&[(label, name), ("class", class)], count);
        }
    }
}

fn durations(text: &mut Text, metric: Metric, label: &str, series: &[(String, Totals)]) {
    let mut family = text.family(metric);
    for (name, totals) in series {
        family.histogram(&[(label, name)], &totals.latency);
    }
}

/// One sample for each series.
fn each<V: Into<Value>>(
    text: &mut Text,
    metric: Metric,
    label: &str,
    series: &[(String, Totals)],
    value: impl Fn(&Totals) -> V,
) {
    let mut family = text.family(metric);
    for (name, totals) in series {
        family.sample(&[(label, name)], value(totals));
    }
}

fn workers(text: &mut Text, telemetry: &Telemetry) {
    let numbered = |name: &str, slots: &'_ [WorkerSeries]| {
        (0..slots.len()).map(|index| format!("{name}{index}")).collect::<Vec<_>>()
    };
    // Those that are gone keep their totals; those that never were have none.
    let known = |worker: &WorkerSeries| worker.works.load(Relaxed) || worker.busy_us.load(Relaxed) > 0;
    let workers = numbered("", telemetry.workers()).into_iter().zip(telemetry.workers());
    let workers = workers.filter(|(_, worker)| known(worker));
    // A slow lane that has never been started serves nothing.
    let lanes = numbered("lane-", telemetry.lanes()).into_iter().zip(telemetry.lanes());
    let has_been = |lane: &WorkerSeries| lane.generation.load(Relaxed) > 0 || known(lane);
    let started: Vec<_> = workers.chain(lanes.filter(|(_, lane)| has_been(lane))).collect();
    let read = |counter: &AtomicU64| counter.load(Relaxed);
    let mut each = |metric, value: &dyn Fn(&WorkerSeries) -> Value| {
        let mut family = text.family(metric);
        for (name, worker) in &started {
            family.sample(&[("worker", name)], value(worker));
        }
    };
    each(Metric::WorkerConnections, &|worker| worker.connections().into());
    each(Metric::WorkerAccepted, &|worker| read(&worker.connections_accepted).into());
    each(Metric::WorkerTlsConnections, &|worker| worker.tls_connections().into());
    each(Metric::WorkerTlsHandshakes, &|worker| read(&worker.tls_handshakes).into());
    each(Metric::WorkerTlsFailed, &|worker| read(&worker.tls_failed).into());
    each(Metric::WorkerTlsResumed, &|worker| read(&worker.tls_resumed).into());
    each(Metric::WorkerBadRequests, &|worker| read(&worker.bad_requests).into());
    each(Metric::WorkerUnrouted, &|worker| read(&worker.unrouted_requests).into());
    each(Metric::WorkerBusy, &|worker| Duration::from_micros(read(&worker.busy_us)).as_secs_f64().into());
    each(Metric::WorkerGeneration, &|worker| read(&worker.generation).into());
    each(Metric::LuaVmBytes, &|worker| read(&worker.lua_bytes).into());
    each(Metric::LuaTimersPending, &|worker| read(&worker.lua_timers_pending).into());
    each(Metric::LuaTimersRunning, &|worker| read(&worker.lua_timers_running).into());
    each(Metric::LuaTimersDropped, &|worker| read(&worker.lua_timers_dropped).into());
    each(Metric::LuaGcCycles, &|worker| read(&worker.lua_gc_cycles).into());
    each(Metric::LuaCoroutines, &|worker| read(&worker.lua_coroutines).into());
    each(Metric::AccessLogDropped, &|worker| read(&worker.access_log_dropped).into());
    let mut histograms = |metric, of: fn(&WorkerSeries) -> &Histogram| {
        let mut family = text.family(metric);
        for (name, worker) in &started {
            family.histogram(&[("worker", name)], &of(worker).counts());
        }
    };
    histograms(Metric::LuaTimersLate, |worker| &worker.lua_timers_late);
    histograms(Metric::LuaGcPauses, |worker| &worker.lua_gc_pauses);
}

fn dicts(text: &mut Text, telemetry: &Telemetry) {
    let dicts = telemetry.dicts();
    let mut each = |metric, value: fn(&DictUse) -> u64| {
        let mut family = text.family(metric);
        for (name, usage) in &dicts {
            family.sample(&[("dict", name.as_str())], value(usage));
        }
    };
    each(Metric::LuaDictCapacity, |usage| usage.capacity_bytes);
    each(Metric::LuaDictFree, |usage| usage.free_bytes);
    each(Metric::LuaDictItems, |usage| usage.items);
    each(Metric::LuaDictEvictions, |usage| usage.evictions);
}

fn sources(text: &mut Text, sources: &[SourceView]) {
    let mut each = |metric, value: &dyn Fn(&SourceView) -> Option<Value>| {
        let mut family = text.family(metric);
        for source in sources {
            family.maybe(&[("source", source.name.as_str())], value(source));
        }
    };
    each(Metric::SourceMessages, &|source| source.value.map(Value::from));
    each(Metric::SourceUp, &|source| Some(u64::from(source.state == "ok").into()));
    each(Metric::SourceAge, &|source| source.age_seconds.map(Value::from));
    each(Metric::SourcePolls, &|source| Some(source.polls.into()));
    each(Metric::SourceFailures, &|source| Some(source.failures.into()));
}

fn fleets(text: &mut Text, fleets: &[Arc<FleetView>]) {
    let mut instances = text.family(Metric::FleetInstances);
    for fleet in fleets {
        let FleetView { name, states, .. } = &**fleet;
        let states = [
            ("starting", states.starting),
            ("ready", states.ready),
            ("draining", states.draining),
            ("failed", states.failed),
        ];
        for (state, count) in states {
            instances.sample(&[("fleet", name.as_str()), ("state", state)], count);
        }
    }
    pools(text, fleets);
    let mut messages = text.family(Metric::FleetMessages);
    for fleet in fleets {
        let Some(counts) = fleet.messages else { continue };
        let outcomes =
            [("done", counts.done), ("failed", counts.failed), ("dead", counts.dead), ("lost", counts.lost)];
        for (outcome, count) in outcomes {
            messages.sample(&[("fleet", fleet.name.as_str()), ("outcome", outcome)], count);
        }
    }
    let mut each = |metric, value: &dyn Fn(&FleetView) -> Option<Value>| {
        let mut family = text.family(metric);
        for fleet in fleets {
            family.maybe(&[("fleet", fleet.name.as_str())], value(fleet));
        }
    };
    each(Metric::FleetDesired, &|fleet| Some(fleet.desired.into()));
    each(Metric::FleetMin, &|fleet| Some(fleet.min.into()));
    each(Metric::FleetMax, &|fleet| Some(fleet.max.into()));
    each(Metric::FleetUtilization, &|fleet| fleet.metrics.utilization.map(Value::from));
    each(Metric::FleetArrivals, &|fleet| fleet.metrics.arrival_rate.map(Value::from));
    each(Metric::FleetConcurrency, &|fleet| fleet.metrics.concurrency.map(Value::from));
    each(Metric::FleetCpu, &|fleet| fleet.metrics.cpu.map(Value::from));
    each(Metric::FleetMemory, &|fleet| fleet.metrics.memory.map(Value::from));
    each(Metric::FleetLuaBytes, &|fleet| {
        let known = fleet.instances.iter().filter_map(|instance| instance.lua_bytes);
        known.reduce(|sum, bytes| sum + bytes).map(Value::from)
    });
    each(Metric::FleetStartUp, &|fleet| fleet.start_up_seconds.map(Value::from));
    each(Metric::FleetInstanceSeconds, &|fleet| Some(fleet.instance_seconds.into()));
    each(Metric::FleetRestarts, &|fleet| Some(fleet.restarts.into()));
    each(Metric::FleetDecisions, &|fleet| Some(fleet.changes.into()));
    each(Metric::FleetRecommended, &|fleet| Some(fleet.recommended.into()));
    each(Metric::FleetActs, &|fleet| Some(u64::from(fleet.mode == Mode::Act).into()));
    each(Metric::FleetCandidate, &|fleet| Some(fleet.candidate.as_ref()?.desired.into()));
    each(Metric::FleetCapacity, &|fleet| fleet.learned.rate.map(Value::from));
    each(Metric::FleetSafeUtilization, &|fleet| Some(fleet.learned.safe_utilization.into()));
    each(Metric::FleetForecastTrust, &|fleet| {
        let trusted = fleet.forecasts.iter().any(|forecast| forecast.trust.is_earned());
        (!fleet.forecasts.is_empty()).then(|| u64::from(trusted).into())
    });
    each(Metric::FleetCost, &|fleet| fleet.cost.usd.map(Value::from));
    each(Metric::FleetOnDemandCost, &|fleet| fleet.cost.on_demand_usd.map(Value::from));
    each(Metric::FleetBudget, &|fleet| Some(fleet.budget?.monthly_usd.into()));
    each(Metric::FleetBudgetSpent, &|fleet| Some(fleet.budget?.spent_usd.into()));
    each(Metric::FleetBudgetAlarm, &|fleet| Some(u64::from(fleet.budget?.alarm).into()));
    each(Metric::FleetHpaSeconds, &|fleet| {
        fleet.cost.hpa_instance_hours.map(|hours| (hours * 3_600.0).into())
    });
    each(Metric::FleetCandidateSeconds, &|fleet| {
        fleet.cost.candidate_instance_hours.map(|hours| (hours * 3_600.0).into())
    });
}

fn pools(text: &mut Text, fleets: &[Arc<FleetView>]) {
    let all =
        || fleets.iter().flat_map(|fleet| fleet.pools.iter().map(move |pool| (fleet.name.as_str(), pool)));
    let mut instances = text.family(Metric::FleetPool);
    for (fleet, pool) in all() {
        let states = [("desired", pool.desired), ("starting", pool.starting), ("ready", pool.ready)];
        for (state, count) in states {
            instances.sample(&[("fleet", fleet), ("pool", pool.name.as_str()), ("state", state)], count);
        }
    }
    let mut prices = text.family(Metric::FleetPoolPrice);
    for (fleet, pool) in all() {
        prices.sample(&[("fleet", fleet), ("pool", pool.name.as_str())], pool.price);
    }
}

fn config(text: &mut Text, view: &View) {
    let rounds = &view.rounds;
    text.family(Metric::ControlRounds).sample(&[], rounds.count);
    text.family(Metric::ControlLate).sample(&[], rounds.late);
    text.family(Metric::ControlLag).sample(&[], rounds.lag_seconds);
    text.family(Metric::ControlRound).sample(&[], rounds.seconds);
    let config = &view.config;
    text.family(Metric::ConfigGeneration).sample(&[], config.generation);
    let mut reloads = text.family(Metric::ConfigReloads);
    reloads.sample(&[("result", "ok")], config.reloads.ok);
    reloads.sample(&[("result", "failed")], config.reloads.failed);
    text.family(Metric::ConfigLastError).maybe(&[], config.last_error_at.map(Timestamp::as_secs_f64));
    text.family(Metric::JournalLost).sample(&[], view.journal_lost);
}

fn process(text: &mut Text) {
    let usage = usage::read(std::process::id());
    text.family(Metric::ProcessCpu).maybe(&[], usage.map(|usage| usage.cpu.as_secs_f64()));
    text.family(Metric::ProcessMemory).maybe(&[], usage.map(|usage| usage.memory));
}
