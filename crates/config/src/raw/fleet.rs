//! `fleets`: what runs, and how far it scales.

use tidegate_core::{
    OwnerId, PoolId, SettingName, SourceId,
    policy::Mode,
    snapshot::{Driver, OnExit},
};

use crate::{
    decode::{List, Map, record},
    leaf::text,
    raw::{Hold, Period, source::Worker},
    units::{Count, DAY, HOUR, Instances, Number, Percent, SECOND, Share, Span},
};

pub(crate) mod pool;
pub(crate) mod trigger;

pub(crate) use pool::{FleetBudget, Pool};
pub(crate) use trigger::Trigger;

record! {
    /// A set of interchangeable instances that grows and shrinks.
    Fleet {
        /// What an instance executes.
        run: Run = required("{ lua: app.lua }"),
        /// Who starts, watches and stops instances. `process`: child processes of Tidegate; `thread`: threads of
        /// Tidegate with a Lua VM each, which start in milliseconds; `exec`: whatever the commands of `run.exec` drive.
        /// Without it: `exec` where `run.exec` is, else `process`.
        driver: Driver = optional,
        /// How messages are worked on, where `run` has `consume`.
        worker: Worker = optional,
        /// How it is found out that an instance can serve.
        ready: Ready = default("{}"),
        /// How long a draining instance may finish its requests before it is killed.
        grace: Hold = default("30s"),
        /// How many requests an instance gets at a time. More wait until one is done, for as long as `timeouts.queue` allows: the
        /// higher priority first, and among equals whoever came first. What switched protocols, like a WebSocket, counts until its
        /// end. Without it, any number.
        concurrency: Count<1, 100_000> = optional,
        /// How far, on what grounds and how fast the number of instances changes.
        scale: Scale = default("{}"),
    }
}

record! {
    /// What an instance executes: `lua`, `command` or `exec`.
    Run {
        /// Lua file that is executed for each request, or with `consume` for each message, relative to the folder of
        /// the configuration.
        lua: text::File = optional,
        /// The source whose messages the Lua file works on: one of Redis, NATS or RabbitMQ.
        consume: SourceId = optional,
        /// Program and arguments, run in the folder that Tidegate was started in. `{port}` in an argument, and the variable `PORT`, is the port to serve.
        command: List<text::Text> = optional,
        /// Commands that start, stop and list instances: containers, virtual machines, units, jobs.
        exec: Exec = optional,
    }
    one_of: ["lua", "command", "exec"]
}

record! {
    /// Commands that drive instances. Each is a program with its arguments, run in the folder that Tidegate was started in, gets
    /// one JSON object on its standard input and answers with one on its standard output.
    Exec {
        /// Starts an instance. Started twice, it is still one.
        start: List<text::Text> = required("[./start.sh]"),
        /// Stops an instance. That it is gone already is no failure.
        stop: List<text::Text> = required("[./stop.sh]"),
        /// Lists the instances there are.
        list: List<text::Text> = required("[./list.sh]"),
        /// How often instances are listed.
        interval: Span<100, { 10 * 60 * SECOND }> = default("5s"),
        /// How long a command may take before it is killed.
        timeout: Span<100, HOUR> = default("30s"),
        /// Commands that run at a time.
        parallel: Count<1, 64> = default("16"),
        /// Whose instances these are: instances of others are never touched. Without it, a name made of this host and the path
        /// of the configuration.
        owner: OwnerId = optional,
        /// Passed on to `start`: an image, a size, a zone. Instances are replaced when it changes.
        settings: Map<SettingName, text::Text> = default("{}"),
        /// How long before its end an instance is listed as `leaving`. It serves on until others can or a quarter of that is left.
        notice: Span<0, HOUR> = default("10s"),
        /// What becomes of instances when Tidegate ends. `keep`: they serve on and are found again; `stop`: they drain and stop.
        on_exit: OnExit = default("keep"),
    }
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
        /// Fewest instances. `0`: none while nobody asks; a request then waits (`timeouts.queue`) until the first has
        /// started.
        min: Fewest = default("1"),
        /// Most instances. Not below `min`.
        max: Instances = default("10"),
        /// Where `min` is 0: how long nobody must have asked before the last instance goes.
        idle: Span<SECOND, DAY> = default("5m"),
        /// What is owed to those who send requests. It is all that the default policy needs.
        slo: Slo = default("{}"),
        /// Each recommends a number of instances; the largest counts. Without this key, `headroom` with the
        /// objective of `slo`, or for a fleet with `consume` a `backlog` that is worked off within a minute. An empty
        /// list keeps the number at `min`.
        triggers: List<Trigger> = optional,
        /// How fast the number may change.
        behavior: Behavior = default("{}"),
        /// `act`: what is decided is done; `recommend`: it is recorded, and the number of instances stays.
        mode: Mode = default("act"),
        /// What an instance costs in an hour, in US dollars. Without it, cost is told in instance-hours alone.
        price: Number = optional,
        /// Where instances come from, if that differs. Of these the cheapest are taken that are as much as is
        /// wanted even when the largest spot pool vanishes at once.
        pools: Map<PoolId, Pool> = optional,
        /// What the fleet may cost. Needs `price` or `pools`.
        budget: FleetBudget = optional,
        /// A second policy, whose decisions are recorded beside those of the first and not acted upon.
        candidate: Candidate = optional,
    }
}

record! {
    /// A policy on trial: as in `scale`, but nothing that it decides is done.
    Candidate {
        /// Fewest instances. Without it, those of the fleet.
        min: Fewest = optional,
        /// Most instances. Without it, those of the fleet.
        max: Instances = optional,
        /// As in `scale`. Without it, that of the fleet.
        idle: Span<SECOND, DAY> = optional,
        /// What is owed to those who send requests. Without it, what the fleet owes.
        slo: Slo = optional,
        /// Each recommends a number of instances; the largest counts. Without this key, `headroom` with the
        /// objective of `slo`. An empty list keeps the number at `min`.
        triggers: List<Trigger> = optional,
        /// How fast the number may change.
        behavior: Behavior = default("{}"),
        /// Where instances would come from. Without it, the pools of the fleet.
        pools: Map<PoolId, Pool> = optional,
    }
}

record! {
    /// What is owed to those who send requests.
    Slo {
        /// Share of requests that may find no capacity.
        overload: Percent<1, 5_000> = default("0.1%"),
        /// How long a request may wait before it has found none.
        wait: Span<0, { 60 * SECOND }> = default("0s"),
        /// 99 of 100 answers are to be complete within this. From it follows how busy instances may be.
        latency_p99: Span<1, HOUR> = optional,
    }
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
        /// Only what every recommendation of this span agrees on is acted upon. Without it `60s`, or `0s` where there
        /// are no `triggers`: `headroom` holds by itself.
        stabilization: Hold = optional,
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

/// As [`Instances`], and zero.
pub(crate) type Fewest = Count<0, 1_000>;
