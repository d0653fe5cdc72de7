//! Fleets and sources in columns: once, as text, and cell by cell for a screen.

use std::fmt::Write as _;

use jiff::{ZonedDateTime, tz::TimeZone};

use super::picture::{Decision, Fleet, Instance, Picture, Source};
use crate::explain::moment::shown;

/// What is shown of each fleet.
pub(super) const FLEETS: [&str; 12] = [
    "fleet",
    "desired",
    "ready",
    "starting",
    "draining",
    "failed",
    "requests/s",
    "busy",
    "p99",
    "waiting",
    "errors",
    "USD/h",
];

/// What is shown of each instance.
pub(super) const INSTANCES: [&str; 7] =
    ["instance", "state", "in flight", "busy", "cores", "memory", "started"];

const SOURCES: [&str; 4] = ["source", "system", "waiting", "state"];

/// Everything, once.
pub(super) fn tell(picture: &Picture) -> String {
    let now = ZonedDateTime::now();
    let (fleets, sources) = (&picture.shown.fleets, &picture.shown.sources);
    if fleets.is_empty() && sources.is_empty() {
        return "the configuration has no fleets\n".to_owned();
    }
    let mut text = columns(&FLEETS, fleets.iter().map(fleet));
    for fleet in fleets {
        if let Some(decision) = &fleet.last_decision {
            _ = writeln!(text, "\n{}, {}", fleet.name, last(decision, now.time_zone()));
            for reason in &decision.reasons {
                _ = writeln!(text, "  {reason}");
            }
        }
    }
    if !sources.is_empty() {
        text += "\n";
        text += &columns(&SOURCES, sources.iter().map(source));
    }
    text
}

/// The first column to the left, all others to the right.
fn columns<const N: usize>(header: &[&str; N], rows: impl Iterator<Item = [String; N]>) -> String {
    let rows: Vec<[String; N]> = std::iter::once(header.map(str::to_owned)).chain(rows).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..N).map(width).collect();
    let mut text = String::new();
    for row in &rows {
        let mut line = format!("{:<1$}", row[0], widths[0]);
        for (cell, width) in row.iter().zip(&widths).skip(1) {
            _ = write!(line, "  {cell:>width$}");
        }
        _ = writeln!(text, "{}", line.trim_end());
    }
    text
}

pub(super) fn fleet(fleet: &Fleet) -> [String; 12] {
    let (states, metrics) = (fleet.states, &fleet.metrics);
    let desired = match fleet.mode.as_str() {
        // What is only recommended is not done.
        "recommend" => format!("{} ({})", fleet.desired, fleet.recommended),
        _ => fleet.desired.to_string(),
    };
    [
        fleet.name.clone(),
        desired,
        states.ready.to_string(),
        states.starting.to_string(),
        states.draining.to_string(),
        states.failed.to_string(),
        told(metrics.arrival_rate, |rate| format!("{rate:.1}")),
        told(metrics.utilization, percent),
        told(metrics.latency_p99, |seconds| format!("{:.1} ms", seconds * 1e3)),
        told(metrics.queued, |queued| format!("{queued:.0}")),
        told(metrics.error_rate, |share| format!("{:.1}%", share * 100.0)),
        told(fleet.usd_per_hour(), |usd| format!("{usd:.2}")),
    ]
}

pub(super) fn instance(one: &Instance, zone: &TimeZone) -> [String; 7] {
    let pool = one.pool.as_ref().map(|pool| format!(" ({pool})")).unwrap_or_default();
    let reason = one.reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
    [
        format!("{}{pool}", one.id),
        format!("{}{reason}", one.state),
        one.in_flight.to_string(),
        told(one.utilization, percent),
        told(one.cpu_cores, |cores| format!("{cores:.2}")),
        told(one.memory_bytes, |bytes| format!("{} MiB", bytes >> 20)),
        shown(one.started_at, zone),
    ]
}

fn source(source: &Source) -> [String; 4] {
    let waiting = told(source.value, |value| format!("{value:.0}"));
    [source.name.clone(), source.system.clone(), waiting, source.state.clone()]
}

/// The last decision in a line.
pub(super) fn last(decision: &Decision, zone: &TimeZone) -> String {
    let Decision { previous, desired, .. } = decision;
    format!("last decision, {}: {previous} → {desired} instances", shown(decision.at, zone))
}

/// `-`: it is not known.
fn told<T>(value: Option<T>, tell: impl Fn(T) -> String) -> String {
    value.map_or_else(|| "-".into(), tell)
}

fn percent(share: f64) -> String {
    format!("{:.0}%", share * 100.0)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{
        super::picture::tests::{fleet, picture},
        *,
    };

    #[test]
    fn what_is_not_known_is_no_zero() {
        let mut quiet = fleet("worker", 0, 0.0);
        quiet["metrics"] = json!({});
        quiet["cost"]["price"] = json!(null);
        quiet["mode"] = json!("recommend");
        let text = tell(&picture(&[fleet("orders", 3, 169.04), quiet]));
        let mut lines = text.lines();
        assert_eq!(
            lines.next().unwrap(),
            "fleet   desired  ready  starting  draining  failed  requests/s  busy      p99  waiting  errors  USD/h"
        );
        assert_eq!(
            lines.next().unwrap(),
            "orders        2      3         1         0       1       169.0   64%  12.5 ms        3    0.1%   0.16"
        );
        assert_eq!(
            lines.next().unwrap(),
            "worker    2 (3)      0         1         0       1           -     -        -        -       -      -"
        );
        for part in [
            "\norders, last decision, 2026-05-01 ",
            ": 1 → 2 instances\n  target: much\n",
            "\njobs     redis       12     ok\n",
        ] {
            assert!(text.contains(part), "{part:?}: {text}");
        }
    }
}
