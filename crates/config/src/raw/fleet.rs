//! `fleets`: what runs, and how far it scales.

use schemars::json_schema;
use tidegate_core::{
    policy::{Metric, TargetMetric},
    snapshot::Driver,
};

use crate::{
    decode::{Leaf, List, Mistake, record},
    leaf::text,
    raw::{Hold, Period},
    units::{Amount, Count, HOUR, Instances, Percent, Share, Span, quantity::Quantity},
    yaml::node::Scalar,
};

record! {
    /// A set of interchangeable instances that grows and shrinks.
    Fleet {
        /// What an instance executes.
        run: Run = required("{ lua: app.lua }"),
        /// Who starts, watches and stops instances. `process`: child processes of Tidegate; `thread`: threads of
        /// Tidegate with a Lua VM each, which start in milliseconds.
        driver: Driver = default("process"),
        /// How it is found out that an instance can serve.
        ready: Ready = default("{}"),
        /// How long a draining instance may finish its requests before it is killed.
        grace: Hold = default("30s"),
        /// How far, on what grounds and how fast the number of instances changes.
        scale: Scale = default("{}"),
    }
    later: ["pools", "budget"]
}

record! {
    /// What an instance executes: one of the two.
    Run {
        /// Lua file that is executed for each request, relative to the folder of the configuration.
        lua: text::File = optional,
        /// Program and arguments. `{port}` in an argument, and the variable `PORT`, is the port to serve.
        command: List<text::Text> = optional,
    }
    later: ["consume"]
    exactly: one
}

record! {
    /// How it is found out that an instance can serve.
    Ready {
        /// `GET` of it must answer 2xx or 3xx. Without it, a TCP connection is enough.
        path: text::RequestPath = optional,
        /// An instance that is not ready after this long has failed.
        timeout: Span<100, HOUR> = default("30s"),
    }
}

record! {
    /// How far, on what grounds and how fast the number of instances changes.
    Scale {
        /// Fewest instances.
        min: Fewest = default("1"),
        /// Most instances. Not below `min`.
        max: Instances = default("10"),
        /// Each recommends a number of instances; the largest counts. An empty list keeps the number at `min`.
        triggers: List<Trigger> = default("[{ target: { metric: utilization, value: 80% } }]"),
        /// How fast the number may change.
        behavior: Behavior = default("{}"),
    }
    later: ["slo", "budget", "pools", "standby"]
}

record! {
    /// A rule that turns what is observed into a number of instances: one of these.
    Trigger {
        /// Keeps a metric, per instance, at a value.
        target: Target = optional,
        /// Adds instances above one value and takes them away below another.
        threshold: Threshold = optional,
    }
    later: ["schedule", "forecast", "backlog", "formula"]
    exactly: one
}

record! {
    /// Keeps a metric, per instance, at a value.
    Target {
        /// `utilization`: share of time that instances are busy; `concurrency`: requests in flight and waiting,
        /// per instance; `arrivalRate`: requests that arrive, per instance.
        metric: TargetMetric = required("utilization"),
        /// Above zero: a percentage for `utilization`, a number for `concurrency`, a rate like `100/1s` for
        /// `arrivalRate`.
        value: Quantity = required("80%"),
        /// The number stays while the metric is within this share of the value.
        tolerance: Percent<0, 9_900> = default("10%"),
    }
}

record! {
    /// Adds instances above one value and takes them away below another.
    Threshold {
        /// `utilization`: mean share of time that instances are busy; `concurrency`: requests in flight, whole
        /// fleet; `arrivalRate`: requests that arrive, whole fleet; `queued`: requests that wait for an instance;
        /// `latencyP50`, `latencyP99`: time until answers are complete; `errorRate`: share of 5xx and unanswered;
        /// `cpu`: cores in use, whole fleet; `memory`: resident memory, whole fleet.
        metric: Metric = required("latencyP99"),
        /// Instances are added while the metric is above: a percentage for `utilization` and `errorRate`, a number
        /// for `concurrency`, `queued` and `cpu`, a rate for `arrivalRate`, a duration for latencies, a size
        /// for `memory`.
        above: Quantity = required("250ms"),
        /// Instances are taken away while the metric is below. Not over `above`. Without it, none are.
        below: Quantity = optional,
        /// How long the metric must have been beyond the value without a break.
        hold: Hold = default("10s"),
        /// How many are added at a time.
        step_out: Amount = default("1"),
        /// How many are taken away at a time.
        step_in: Amount = default("1"),
    }
    later: ["all", "any"]
}

record! {
    /// How fast the number of instances may change.
    Behavior {
        /// When it grows.
        scale_out: ScaleOut = default("{}"),
        /// When it shrinks.
        scale_in: ScaleIn = default("{}"),
    }
}

record! {
    /// How fast the number of instances may grow.
    ScaleOut {
        /// Only what every recommendation of this span agrees on is acted upon.
        stabilization: Hold = default("0s"),
        /// The most permissive of these holds; without any there is no limit.
        limits: List<PaceLimit> = default("[]"),
    }
}

record! {
    /// How fast the number of instances may shrink.
    ScaleIn {
        /// Only what every recommendation of this span agrees on is acted upon.
        stabilization: Hold = default("60s"),
        /// The most permissive of these holds; without any there is no limit.
        limits: List<PaceLimit> = default("[]"),
    }
}

record! {
    /// The most that the number of instances may change in a period: `instances` or `share`.
    PaceLimit {
        /// As a number of instances.
        instances: Instances = optional,
        /// As a share of the instances there are.
        share: Share = optional,
        /// The period.
        period: Period = required("15s"),
    }
}

/// As [`Instances`]; zero has a message of its own.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fewest(pub(crate) Instances);

impl Leaf for Fewest {
    const WHAT: &'static str = Instances::WHAT;
    const EXAMPLE: &'static str = "1";

    fn read(scalar: &Scalar) -> Result<Self, Mistake> {
        match Count::<0, 0>::read(scalar) {
            Ok(_) => Err(Mistake::new(
                "scaling to zero is not supported yet",
                "keep at least 1 instance: `min: 1`",
            )),
            Err(_) => Instances::read(scalar).map(Self),
        }
    }

    fn form() -> schemars::Schema {
        json_schema!({ "allOf": [Instances::form()] })
    }

    fn bounds() -> Option<String> {
        Instances::bounds()
    }
}
