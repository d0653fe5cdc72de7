//! Numbers as people read them, for the sentences that decisions explain themselves with.
//!
//! Sentences are written only when somebody will read them: a simulation of a fortnight takes more
//! than a million steps, and most of its time would go into text that is thrown away.

use std::time::Duration;

use tidegate_core::policy::{Metric, Signal};

/// Whether a step explains itself. The counts are the same either way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Words {
    Spoken,
    Unspoken,
}

impl Words {
    #[inline]
    pub(crate) fn say(self, sentence: impl FnOnce() -> String) -> String {
        match self {
            Self::Spoken => sentence(),
            Self::Unspoken => String::new(),
        }
    }
}

/// `250ms`, `1.5s`, `30s`, `5m`, `2h`.
pub(crate) fn span(time: Duration) -> String {
    let (seconds, millis) = (time.as_secs_f64(), time.as_millis());
    if seconds < 0.9995 {
        format!("{}ms", number(seconds * 1e3))
    } else if millis % 3_600_000 == 0 {
        format!("{}h", millis / 3_600_000)
    } else if millis % 60_000 == 0 {
        format!("{}m", millis / 60_000)
    } else if millis < 600_000 {
        format!("{}s", number(seconds))
    } else {
        format!("{}m", number(seconds / 60.0))
    }
}

/// `80%`, `99.5%`.
pub(crate) fn percent(share: f64) -> String {
    let mut text = number(share * 100.0);
    text.push('%');
    text
}

/// Two digits behind the point below ten, one below a hundred, none above; no trailing zeros.
pub(crate) fn number(value: f64) -> String {
    let digits = match value.abs() {
        size if size < 9.995 => 2,
        size if size < 99.95 => 1,
        _ => 0,
    };
    let mut text = format!("{value:.digits$}");
    if text.contains('.') {
        text.truncate(text.trim_end_matches('0').trim_end_matches('.').len());
    }
    text
}

/// `1 instance was`, `3 instances were`.
pub(crate) fn instances_were(count: u32) -> String {
    format!("{} {}", instances(count), if count == 1 { "was" } else { "were" })
}

/// `1 instance`, `3 instances`.
pub(crate) fn instances(count: u32) -> String {
    match count {
        1 => "1 instance".to_owned(),
        _ => format!("{count} instances"),
    }
}

/// What a signal is called.
pub(crate) fn label(signal: &Signal) -> String {
    match signal {
        Signal::Fleet(metric) => of_metric(*metric).to_owned(),
        Signal::Route(route, metric) => format!("{} of route {route}", of_metric(*metric)),
        Signal::Source(source) => format!("source {source}"),
    }
}

fn of_metric(metric: Metric) -> &'static str {
    match metric {
        Metric::Utilization => "utilization",
        Metric::Concurrency => "concurrency",
        Metric::ArrivalRate => "arrival rate",
        Metric::Queued => "queue",
        Metric::LatencyP50 => "latency p50",
        Metric::LatencyP90 => "latency p90",
        Metric::LatencyP95 => "latency p95",
        Metric::LatencyP99 => "latency p99",
        Metric::LatencyP999 => "latency p99.9",
        Metric::ErrorRate => "error rate",
        Metric::Cpu => "cpu",
        Metric::Memory => "memory",
        Metric::Network => "network",
        Metric::LuaMemory => "lua memory",
        Metric::LuaCoroutines => "lua coroutines",
        Metric::LuaCollecting => "lua garbage collection",
        Metric::LuaAllocation => "lua allocation",
        Metric::LuaDicts => "use of lua dictionaries",
    }
}

/// A reading of a signal, with its unit.
pub(crate) fn reading(signal: &Signal, reading: f64) -> String {
    match signal {
        Signal::Fleet(metric) | Signal::Route(_, metric) => value(*metric, reading),
        Signal::Source(_) => number(reading),
    }
}

/// A value of a metric, with its unit.
pub(crate) fn value(metric: Metric, value: f64) -> String {
    let size = || format!("{}MiB", number(value / f64::from(1 << 20)));
    match metric {
        Metric::Utilization | Metric::ErrorRate | Metric::LuaCollecting | Metric::LuaDicts => percent(value),
        Metric::ArrivalRate => format!("{}/s", number(value)),
        Metric::LatencyP50
        | Metric::LatencyP90
        | Metric::LatencyP95
        | Metric::LatencyP99
        | Metric::LatencyP999 => Duration::try_from_secs_f64(value).map_or_else(|_| number(value), span),
        Metric::Cpu => format!("{} cores", number(value)),
        Metric::Memory | Metric::LuaMemory => size(),
        Metric::Network | Metric::LuaAllocation => format!("{}/s", size()),
        Metric::Concurrency | Metric::Queued | Metric::LuaCoroutines => number(value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_have_the_unit_that_fits() {
        let millis = [0, 9, 250, 1_000, 1_500, 30_000, 60_000, 90_000, 300_000, 5_430_000, 7_200_000];
        let texts = millis.map(|millis| span(Duration::from_millis(millis)));
        assert_eq!(span(Duration::from_micros(999_700)), "1s");
        assert_eq!(texts, ["0ms", "9ms", "250ms", "1s", "1.5s", "30s", "1m", "90s", "5m", "90.5m", "2h"]);
    }

    #[test]
    fn numbers_have_about_three_digits() {
        let texts = [0.0, 0.004, 3.6, 9.999, 96.04, 100.0, 12_345.6].map(number);
        assert_eq!(texts, ["0", "0", "3.6", "10", "96", "100", "12346"]);
        assert_eq!([0.8, 0.955, 1.0].map(percent), ["80%", "95.5%", "100%"]);
    }
}
