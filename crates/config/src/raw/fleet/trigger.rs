//! `triggers`: what turns observations into recommended numbers of instances.

use tidegate_core::{
    RouteId, SourceId,
    policy::{Cron, Metric, TargetMetric, Zone},
};

use crate::{
    decode::{List, Map, record},
    leaf::{
        auto::Auto,
        policy::{BacklogMetric, Date, Expression},
        source::Fallback,
        text,
    },
    raw::Hold,
    units::{
        Amount, DAY, HOUR, Instances, MINUTE, Number, Percent, Positive, Rate, SECOND, Span,
        quantity::Quantity,
    },
};

record! {
    /// A rule that turns what is observed into a number of instances: one of these.
    Trigger {
        /// Keeps a metric, per instance, at a value.
        target: Target = optional,
        /// Adds instances above one value and takes them away below another.
        threshold: Threshold = optional,
        /// A number of instances at certain times.
        schedule: Schedule = optional,
        /// Has capacity ready when demand comes.
        forecast: Forecast = optional,
        /// Works off what waits.
        backlog: Backlog = optional,
        /// A number of instances that is calculated.
        formula: Formula = optional,
        /// Keeps so much more than demand needs that the objective is kept, and no more.
        headroom: Headroom = optional,
    }
    exactly: one
}

record! {
    /// Keeps a metric, per instance, at a value.
    Target {
        /// `utilization`: share of time that instances are busy; `concurrency`: requests in flight and waiting,
        /// per instance; `arrivalRate`: requests that arrive, per instance; `cpu`: cores in use, per instance;
        /// `memory`: resident memory, per instance; `network`: bytes of bodies, both directions, per instance;
        /// `luaMemory`: memory in use by Lua VMs, per instance; `luaCoroutines`: coroutines of Lua in flight, per instance.
        metric: TargetMetric = required("utilization"),
        /// Of this route alone, for `concurrency`, `arrivalRate`, `cpu` (of its Lua in the gateway) and `network`.
        route: RouteId = optional,
        /// Above zero: a percentage for `utilization`, a number for `concurrency`, `cpu` and `luaCoroutines`, a rate
        /// like `100/1s` for `arrivalRate`, a size for `memory` and `luaMemory`, a size in a time like `10MiB/1s` for `network`.
        value: Quantity = required("80%"),
        /// The number stays while the metric is within this share of the value.
        tolerance: Percent<0, 9_900> = default("10%"),
    }
}

record! {
    /// Adds instances above one value and takes them away below another. Either `metric` and `above`, or several
    /// conditions in `all` or `any`.
    Threshold {
        /// `utilization`: mean share of time that instances are busy; `concurrency`: requests in flight, whole
        /// fleet; `arrivalRate`: requests that arrive, whole fleet; `queued`: requests that wait for an instance;
        /// `latencyP50`, `latencyP90`, `latencyP95`, `latencyP99`, `latencyP999`: time until answers are complete;
        /// `errorRate`: share of 5xx and unanswered; `cpu`: cores in use, whole fleet; `memory`: resident memory, whole
        /// fleet; `network`: bytes of bodies, both directions, whole fleet; `luaMemory`: memory in use by Lua VMs, whole
        /// fleet; `luaCoroutines`: coroutines of Lua in flight, whole fleet; `luaCollecting`: mean share of time that
        /// instances collect Lua's garbage; `luaAllocation`: bytes that Lua asks for, whole fleet; `luaDicts`: share of its
        /// capacity that the fullest shared dictionary of an instance has in use.
        metric: Metric = optional,
        /// Of this route alone, for what is counted at the gateway: `concurrency`, `arrivalRate`, `queued`, latencies,
        /// `errorRate`, `network`, and `cpu` and `luaAllocation` of its Lua in the gateway.
        route: RouteId = optional,
        /// Instances are added while the metric is above: a percentage for `utilization`, `errorRate`, `luaCollecting` and
        /// `luaDicts`, a number for `concurrency`, `queued`, `cpu` and `luaCoroutines`, a rate for `arrivalRate`, a
        /// duration for latencies, a size for `memory` and `luaMemory`, a size in a time for `network` and
        /// `luaAllocation`.
        above: Quantity = optional,
        /// Instances are taken away while the metric is below. Not over `above`. Without it, none are.
        below: Quantity = optional,
        /// Instances are added while all of these are above their values.
        all: List<Condition> = optional,
        /// Instances are added while any of these is above its value.
        any: List<Condition> = optional,
        /// How long the metrics must have been beyond their values without a break.
        hold: Hold = default("10s"),
        /// How many are added at a time.
        step_out: Amount = default("1"),
        /// How many are taken away at a time. It takes all conditions to be below, or not above where they have no
        /// `below`.
        step_in: Amount = default("1"),
    }
}

record! {
    /// One metric and the values that it is compared with.
    Condition {
        /// As in `threshold`.
        metric: Metric = required("latencyP99"),
        /// Of this route alone, for what is counted at the gateway.
        route: RouteId = optional,
        /// Calls for more instances while the metric is above.
        above: Quantity = required("250ms"),
        /// Allows fewer instances while the metric is below. Not over `above`.
        below: Quantity = optional,
    }
}

record! {
    /// A number of instances at certain times: `min`, `max`, both, or `exact`.
    Schedule {
        /// When a window begins: minute, hour, day of month, month, day of week. Names, ranges, lists, steps, `L` and
        /// `#` are understood. What falls into an hour that summer time skips begins at its end; what falls
        /// into one that comes twice begins once.
        cron: Cron = required("\"0 8 * * MON-FRI\""),
        /// Whose clock that is: a name of the IANA time zone database.
        time_zone: Zone = default("UTC"),
        /// How long a window is, in real time.
        r#for: Span<MINUTE, { 31 * DAY }> = required("10h"),
        /// At least so many instances, ready when the window begins: they are started early by the time that they
        /// take to start.
        min: Instances = optional,
        /// At most so many instances.
        max: Instances = optional,
        /// So many instances: `min` and `max` at once.
        exact: Instances = optional,
        /// Days on which no window begins.
        exceptions: List<Date> = default("[]"),
    }
}

record! {
    /// Has capacity ready when demand comes. It only ever adds, and only while it has shown that it can tell.
    Forecast {
        /// How far ahead it looks; `auto`: as long as instances take to start.
        horizon: Auto<Span<SECOND, HOUR>> = default("auto"),
        /// After how long demand may repeat itself; `auto`: an hour, a day and a week are looked for.
        period: Auto<Span<{ 10 * MINUTE }, { 14 * DAY }>> = default("auto"),
        /// The quantile of demand to have capacity for. Without it, it follows from `slo.overload`.
        quantile: Percent<5_000, 9_990> = optional,
    }
}

record! {
    /// Works off what waits: `perInstance` or `drain`.
    Backlog {
        /// What waits in this source.
        source: SourceId = optional,
        /// Without `source`, `queued`: requests that wait for an instance; `concurrency`: requests in flight and
        /// waiting. Without either, `queued`.
        metric: BacklogMetric = optional,
        /// So many may wait for each instance.
        per_instance: Positive = optional,
        /// All is to be worked off within this time, while more arrives.
        drain: Span<SECOND, DAY> = optional,
        /// What one instance works off, with `drain`. Without it, as learned from what the fleet works off.
        rate: Rate = optional,
        /// Up to this many, nothing is asked for.
        activation: Number = default("0"),
        /// What counts while it is not known how many wait: `hold` (the number stays), `lastValue`, or at least so many
        /// instances. Whatever it is, the fleet does not shrink then.
        fallback: Fallback = default("hold"),
    }
}

record! {
    /// A number of instances that is calculated.
    Formula {
        /// Numbers, `+ - * / % ^`, comparisons (1 or 0), `&&`, `||`, `min`, `max`, `ceil`, `floor`, `round`, `abs`,
        /// `log`, and names: the metrics of `threshold` in seconds, bytes, shares (0 to 1) and numbers per second;
        /// `route_NAME_METRIC`; `source_NAME`; `ready`, `starting`, `draining`, `failed`, `desired`, `minInstances`, `maxInstances`, `startUp` (seconds), `work`
        /// (busy seconds of a request); and what other triggers recommend: `target`, `threshold`, `schedule`,
        /// `forecast`, `backlog`, `headroom`. At most 1,000 characters.
        expression: Expression = required("\"ceil(arrivalRate / 60) + 1\""),
        /// What names stand for while their value is missing. Without it, the fleet does not shrink then.
        default: Map<text::Text, Number> = default("{}"),
    }
}

record! {
    /// Keeps so much more than demand needs that the objective is kept, and no more. It finds out by itself how
    /// much that is.
    Headroom {
        /// Share of requests that may find no capacity. Without it, that of `slo`.
        overload: Percent<1, 5_000> = optional,
        /// How long a request may wait before it has found none. Without it, that of `slo`.
        wait: Span<0, { 60 * SECOND }> = optional,
    }
}
