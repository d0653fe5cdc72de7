//! What a run came to, for people and for programs.

use std::{collections::BTreeMap, fmt, time::Duration};

use serde::Serialize;

use crate::{
    plan::Plan,
    record::{Failure, Tally, quantile},
};

/// The result of a run. Its JSON form is part of the public contract.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    pub url: String,
    /// Requests that ended, the failed ones among them.
    pub requests: u64,
    pub failed: u64,
    /// Failed requests by kind.
    pub errors: BTreeMap<Failure, u64>,
    /// Answers by status, expected or not.
    pub statuses: BTreeMap<u16, u64>,
    pub latency: Latency,
    /// Requests per second that ended, over the whole run.
    pub rate_per_second: f64,
    /// Requests per second that came due, over the schedule.
    pub target_rate_per_second: f64,
    /// From time zero of the schedule until the last request ended, or the schedule if that was later.
    pub duration_seconds: f64,
    pub bytes_received: u64,
    /// Connections that were made, those at the start among them.
    pub connects: u64,
    /// Requests sent once more because their connection turned out to be closed.
    pub reconnects: u64,
    /// Requests that were due but had not ended when the run was broken off.
    pub abandoned: u64,
    /// Whether the run was broken off.
    pub interrupted: bool,
    /// The longest delay that is the generator's own: from when a request was due until it was
    /// taken care of. Where this comes near the latencies, the generator had too little processor time.
    pub max_lag_ms: f64,
}

/// From the moment a request was due until its answer was complete, of all that were answered,
/// whatever the status. `None` without an answer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Latency {
    pub p50_ms: Option<f64>,
    pub p90_ms: Option<f64>,
    pub p99_ms: Option<f64>,
    pub p999_ms: Option<f64>,
    pub max_ms: Option<f64>,
}

impl Report {
    pub(crate) fn new(plan: &Plan, sum: &Tally, elapsed: Duration, interrupted: bool) -> Self {
        let at = |share| quantile(sum.latencies(), share).map(millis);
        let per_second = |count: u64, time: Duration| {
            if time.is_zero() { 0.0 } else { count as f64 / time.as_secs_f64() }
        };
        Self {
            url: plan.url.to_string(),
            requests: sum.ended,
            failed: sum.failed(),
            errors: sum.errors.clone(),
            statuses: sum.statuses.clone(),
            latency: Latency {
                p50_ms: at(0.5),
                p90_ms: at(0.9),
                p99_ms: at(0.99),
                p999_ms: at(0.999),
                max_ms: at(1.0),
            },
            rate_per_second: per_second(sum.ended, elapsed),
            target_rate_per_second: per_second(sum.offered, elapsed.min(plan.schedule.demand.duration())),
            duration_seconds: elapsed.as_secs_f64(),
            bytes_received: sum.bytes_received,
            connects: sum.connects,
            reconnects: sum.reconnects,
            abandoned: sum.offered - sum.ended,
            interrupted,
            max_lag_ms: millis(sum.lag),
        }
    }
}

fn millis(time: Duration) -> f64 {
    // From whole microseconds, so that a decimal stays as short as it is.
    time.as_micros() as f64 / 1e3
}

/// A table of a few lines, ending with a line break.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let row = |f: &mut fmt::Formatter<'_>, name: &str, text: &str| writeln!(f, "  {name:<12}{text}");
        let interrupted = if self.interrupted { ", broken off" } else { "" };
        writeln!(f, "{} over {:.1} s{interrupted}", self.url, self.duration_seconds)?;
        let rates = format!("{:.1}/s, target {:.1}/s", self.rate_per_second, self.target_rate_per_second);
        row(f, "requests", &format!("{} ({rates})", self.requests))?;
        row(f, "failed", &format!("{}{}", self.failed, bracketed(&self.errors)))?;
        if self.abandoned > 0 {
            row(f, "abandoned", &self.abandoned.to_string())?;
        }
        row(f, "latency", &self.latency.to_string())?;
        row(f, "statuses", &list(&self.statuses))?;
        row(f, "connections", &format!("{} made, {} requests sent again", self.connects, self.reconnects))?;
        row(f, "received", &format!("{:.1} MiB", self.bytes_received as f64 / f64::from(1 << 20)))?;
        row(f, "own delay", &format!("{} at most", time(Some(self.max_lag_ms))))
    }
}

impl fmt::Display for Latency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = [
            ("p50", self.p50_ms),
            ("p90", self.p90_ms),
            ("p99", self.p99_ms),
            ("p99.9", self.p999_ms),
            ("max", self.max_ms),
        ];
        let texts = parts.map(|(name, millis)| format!("{name} {}", time(millis)));
        f.write_str(&texts.join("  "))
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ConnectRefused => "connection refused",
            Self::Connect => "cannot connect",
            Self::Timeout => "timeout",
            Self::Reset => "connection reset",
            Self::Protocol => "protocol error",
            Self::Status4xx => "status 4xx",
            Self::Status5xx => "status 5xx",
            Self::UnexpectedStatus => "unexpected status",
            Self::Overflow => "queue overflow",
        })
    }
}

/// Milliseconds with three significant digits.
pub(crate) fn time(millis: Option<f64>) -> String {
    match millis {
        None => "-".into(),
        Some(millis) if millis < 9.995 => format!("{millis:.2} ms"),
        Some(millis) if millis < 99.95 => format!("{millis:.1} ms"),
        Some(millis) if millis < 9_999.5 => format!("{millis:.0} ms"),
        Some(millis) => format!("{:.1} s", millis / 1e3),
    }
}

fn list<K: fmt::Display>(counts: &BTreeMap<K, u64>) -> String {
    let parts: Vec<String> = counts.iter().map(|(name, count)| format!("{name}: {count}")).collect();
    if parts.is_empty() { "-".into() } else { parts.join(", ") }
}

fn bracketed<K: fmt::Display>(counts: &BTreeMap<K, u64>) -> String {
    if counts.is_empty() { String::new() } else { format!(" ({})", list(counts)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> Report {
        Report {
            url: "http://localhost:8000/".into(),
            requests: 1_000,
            failed: 3,
            errors: [(Failure::ConnectRefused, 1), (Failure::Status5xx, 2)].into(),
            statuses: [(200, 997), (503, 2)].into(),
            latency: Latency {
                p50_ms: Some(1.234),
                p90_ms: Some(12.34),
                p99_ms: Some(123.4),
                p999_ms: Some(1_234.0),
                max_ms: Some(12_340.0),
            },
            rate_per_second: 99.9,
            target_rate_per_second: 100.0,
            duration_seconds: 10.01,
            bytes_received: 3 << 20,
            connects: 65,
            reconnects: 1,
            abandoned: 0,
            interrupted: false,
            max_lag_ms: 0.25,
        }
    }

    #[test]
    fn people_get_a_table() {
        let text = "http://localhost:8000/ over 10.0 s
  requests    1000 (99.9/s, target 100.0/s)
  failed      3 (connection refused: 1, status 5xx: 2)
  latency     p50 1.23 ms  p90 12.3 ms  p99 123 ms  p99.9 1234 ms  max 12.3 s
  statuses    200: 997, 503: 2
  connections 65 made, 1 requests sent again
  received    3.0 MiB
  own delay   0.25 ms at most
";
        assert_eq!(report().to_string(), text);
    }

    #[test]
    fn programs_get_the_names_they_rely_on() {
        let json = serde_json::to_value(report()).unwrap();
        assert_eq!(json["requests"], 1_000);
        assert_eq!(json["failed"], 3);
        assert_eq!(json["errors"], serde_json::json!({"connectRefused": 1, "status5xx": 2}));
        assert_eq!(json["statuses"], serde_json::json!({"200": 997, "503": 2}));
        let latency = serde_json::json!({
            "p50Ms": 1.234, "p90Ms": 12.34, "p99Ms": 123.4, "p999Ms": 1_234.0, "maxMs": 12_340.0
        });
        assert_eq!(json["latency"], latency);
        assert_eq!(json["ratePerSecond"], 99.9);
        assert_eq!(json["durationSeconds"], 10.01);
    }

    #[test]
    fn no_answer_has_no_latency() {
        let json = serde_json::to_value(Latency::default()).unwrap();
        assert!(json["p50Ms"].is_null());
        assert!(Latency::default().to_string().starts_with("p50 -  p90 -"));
    }
}
