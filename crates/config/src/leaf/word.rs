//! Closed sets of words.

use schemars::{Schema, json_schema};
use tidegate_core::{
    policy::{Metric, Mode, PoolKind, TargetMetric, WhenSpent},
    snapshot::{
        AnswerFraming, Balance, ClientVerification, Driver, ErrorLevel, ErrorLogFormat, ErrorPages, OnExit,
        TlsVersion,
    },
};

use crate::{
    decode::{Leaf, Mistake},
    nearest::{list, suggestion},
    report::quote,
    yaml::node::Scalar,
};

/// A word, and what it stands for.
type Words<T> = &'static [(&'static str, T)];

macro_rules! words {
    ($($type:ty: $what:literal, $example:literal, $words:expr, later: $later:expr;)*) => {$(
        impl Leaf for $type {
            const WHAT: &'static str = $what;
            const EXAMPLE: &'static str = $example;

            fn read(scalar: &Scalar) -> Result<Self, Mistake> {
                read(scalar, $what, $words, $later)
            }

            fn form() -> Schema {
                let words: Vec<_> = $words.iter().map(|(word, _)| *word).collect();
                json_schema!({ "title": "word", "enum": words })
            }
        }
    )*};
}

const BALANCES: Words<Balance> =
    &[("roundRobin", Balance::RoundRobin), ("leastConnections", Balance::LeastConnections)];

const CLIENT_VERIFICATIONS: Words<ClientVerification> = &[
    ("required", ClientVerification::Required),
    ("optional", ClientVerification::Optional),
    ("optionalNoCa", ClientVerification::OptionalNoCa),
];

const DRIVERS: Words<Driver> =
    &[("process", Driver::Process), ("thread", Driver::Thread), ("exec", Driver::Exec)];

/// And what does their work so far.
const DRIVERS_TO_COME: &[(&str, &str)] = &[
    (
        "inline",
        "an app that is to run in the gateway's own workers needs no fleet: `lua: { content: FILE }` of a route",
    ),
    ("kubernetes", "commands that start and stop pods can be driven by `exec`"),
];

const TLS_VERSIONS: Words<TlsVersion> = &[("TLSv1.2", TlsVersion::Tls12), ("TLSv1.3", TlsVersion::Tls13)];

const ON_EXIT: Words<OnExit> = &[("keep", OnExit::Keep), ("stop", OnExit::Stop)];

const TARGET_METRICS: Words<TargetMetric> = &[
    ("utilization", TargetMetric::Utilization),
    ("concurrency", TargetMetric::Concurrency),
    ("arrivalRate", TargetMetric::ArrivalRate),
    ("cpu", TargetMetric::Cpu),
    ("memory", TargetMetric::Memory),
    ("network", TargetMetric::Network),
    ("luaMemory", TargetMetric::LuaMemory),
    ("luaCoroutines", TargetMetric::LuaCoroutines),
];

const MODES: Words<Mode> = &[("act", Mode::Act), ("recommend", Mode::Recommend)];

const POOL_KINDS: Words<PoolKind> =
    &[("onDemand", PoolKind::OnDemand), ("spot", PoolKind::Spot), ("reserved", PoolKind::Reserved)];

const WHEN_SPENT: Words<WhenSpent> =
    &[("hold", WhenSpent::Hold), ("min", WhenSpent::Min), ("alarm", WhenSpent::Alarm)];

const METRICS: Words<Metric> = &[
    ("utilization", Metric::Utilization),
    ("concurrency", Metric::Concurrency),
    ("arrivalRate", Metric::ArrivalRate),
    ("queued", Metric::Queued),
    ("latencyP50", Metric::LatencyP50),
    ("latencyP90", Metric::LatencyP90),
    ("latencyP95", Metric::LatencyP95),
    ("latencyP99", Metric::LatencyP99),
    ("latencyP999", Metric::LatencyP999),
    ("errorRate", Metric::ErrorRate),
    ("cpu", Metric::Cpu),
    ("memory", Metric::Memory),
    ("network", Metric::Network),
    ("luaMemory", Metric::LuaMemory),
    ("luaCoroutines", Metric::LuaCoroutines),
    ("luaCollecting", Metric::LuaCollecting),
    ("luaAllocation", Metric::LuaAllocation),
    ("luaDicts", Metric::LuaDicts),
];

const LOG_FORMATS: Words<ErrorLogFormat> =
    &[("json", ErrorLogFormat::Json), ("nginx", ErrorLogFormat::Nginx)];

const LOG_LEVELS: Words<ErrorLevel> = &[
    ("debug", ErrorLevel::Debug),
    ("info", ErrorLevel::Info),
    ("notice", ErrorLevel::Notice),
    ("warn", ErrorLevel::Warn),
    ("error", ErrorLevel::Error),
    ("crit", ErrorLevel::Crit),
    ("alert", ErrorLevel::Alert),
    ("emerg", ErrorLevel::Emerg),
];

const FRAMINGS: Words<AnswerFraming> = &[("short", AnswerFraming::Short), ("nginx", AnswerFraming::Nginx)];

const ERROR_PAGES: Words<ErrorPages> = &[("json", ErrorPages::Json), ("html", ErrorPages::Html)];

words! {
    Balance: "a way to balance", "roundRobin", BALANCES, later: &[];
    ClientVerification: "what becomes of clients", "required", CLIENT_VERIFICATIONS, later: &[];
    Driver: "a driver", "process", DRIVERS, later: DRIVERS_TO_COME;
    OnExit: "what becomes of instances", "keep", ON_EXIT, later: &[];
    Mode: "a mode", "recommend", MODES, later: &[];
    PoolKind: "a kind of pool", "spot", POOL_KINDS, later: &[];
    WhenSpent: "a way to keep to a budget", "hold", WHEN_SPENT, later: &[];
    TargetMetric: "a metric for targets", "utilization", TARGET_METRICS, later: &[];
    Metric: "a metric", "utilization", METRICS, later: &[];
    TlsVersion: "a version of TLS that is spoken", "TLSv1.3", TLS_VERSIONS, later: &[];
    ErrorLogFormat: "a format", "json", LOG_FORMATS, later: &[];
    ErrorLevel: "a level", "info", LOG_LEVELS, later: &[];
    AnswerFraming: "a framing", "short", FRAMINGS, later: &[];
    ErrorPages: "a form", "json", ERROR_PAGES, later: &[];
}

impl Leaf for bool {
    const WHAT: &'static str = "`true` or `false`";
    const EXAMPLE: &'static str = "true";

    fn read(scalar: &Scalar) -> Result<Self, Mistake> {
        scalar.truth().ok_or_else(|| Mistake::not::<Self>(&scalar.describe()))
    }

    fn form() -> Schema {
        json_schema!({ "title": "truth value", "type": "boolean" })
    }
}

fn read<T: Copy>(scalar: &Scalar, what: &str, words: Words<T>, later: &[(&str, &str)]) -> Result<T, Mistake> {
    let text = scalar.text.as_str();
    if let Some((_, value)) = words.iter().find(|(word, _)| *word == text) {
        return Ok(*value);
    }
    let known = || words.iter().map(|(word, _)| *word);
    if let Some((_, instead)) = later.iter().find(|(word, _)| *word == text) {
        let help = format!("use {}; {instead}", list(known()));
        return Err(Mistake::new(format!("`{text}` is not supported yet"), help));
    }
    let message = format!("{} is not {what}{}", quote(text), suggestion(text, known()));
    Err(Mistake::new(message, format!("choose one of {}", list(known()))))
}
