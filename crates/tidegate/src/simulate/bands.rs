//! Bands: within what the figures of runs have to stay, for automated checks.

use std::{fmt::Write as _, path::Path};

use anyhow::anyhow;
use serde::Serialize;
use serde_json::Value;
use tidegate_config::RunBands;
use tidegate_core::scenario::Band;
use tidegate_sim::{Report, Run};

use super::input;
use crate::{cli::Format, exit::Failure};

/// How close the target of a run has to be to the one that is named.
const SAME_TARGET: f64 = 1e-6;

/// A bands file.
#[derive(Debug)]
pub(super) struct Bands {
    file: String,
    runs: Vec<RunBands>,
}

/// A band and what a run has to show for it.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Finding {
    /// The line of the file that the band begins in.
    line: usize,
    trace: String,
    start_up_seconds: u32,
    buffer_seconds: u32,
    policy: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    target: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hold_seconds: Option<u32>,
    figure: &'static str,
    value: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    at_least: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    at_most: Option<f64>,
    pub(super) holds: bool,
}

impl Bands {
    pub(super) fn load(file: &Path, format: Format) -> Result<Self, Failure> {
        let runs = input::parsed(file, format, tidegate_config::parse_bands)?;
        Ok(Self { file: file.display().to_string(), runs })
    }

    /// Holds every run against the bands that are for it. Bands for no run are a mistake: what they are to
    /// guard would go unguarded.
    pub(super) fn check(&self, report: &Report) -> Result<Vec<Finding>, Failure> {
        let mut findings = Vec::new();
        for bands in &self.runs {
            let found: Vec<&Run> = report.runs.iter().filter(|run| applies(bands, run)).collect();
            if found.is_empty() {
                return Err(Failure::Input(anyhow!(
                    "{}:{}: these bands are for none of the runs; the runs are of {}",
                    self.file,
                    bands.line,
                    runs(report)
                )));
            }
            for run in found {
                findings
                    .extend(bands.bands.iter().map(|&(figure, band)| finding(bands.line, run, figure, band)));
            }
        }
        Ok(findings)
    }
}

fn applies(bands: &RunBands, run: &Run) -> bool {
    let RunBands { trace, policy, start_up, buffer, target, hold, .. } = bands;
    let file = Path::new(&run.trace).file_name().unwrap_or_default().to_string_lossy();
    trace.as_ref().is_none_or(|trace| *trace == run.trace || *trace == file)
        && policy.as_ref().is_none_or(|policy| *policy == run.policy)
        && start_up.is_none_or(|span| span.as_secs() == u64::from(run.start_up_seconds))
        && buffer.is_none_or(|span| span.as_secs() == u64::from(run.buffer_seconds))
        && target.is_none_or(|target| run.target.is_some_and(|other| (other - target).abs() < SAME_TARGET))
        && hold.is_none_or(|hold| run.hold_seconds.is_some_and(|other| hold.as_secs() == u64::from(other)))
}

fn finding(line: usize, run: &Run, figure: &'static str, band: Band) -> Finding {
    // By the name in the report, so that whatever is reported can be banded.
    let value =
        serde_json::to_value(run.figures).ok().and_then(|all| all.get(figure).and_then(Value::as_f64));
    let value = value.unwrap_or(f64::NAN);
    Finding {
        line,
        trace: run.trace.clone(),
        start_up_seconds: run.start_up_seconds,
        buffer_seconds: run.buffer_seconds,
        policy: run.policy.clone(),
        target: run.target,
        hold_seconds: run.hold_seconds,
        figure,
        value,
        at_least: band.at_least,
        at_most: band.at_most,
        holds: band.contains(value),
    }
}

/// What there is to choose from.
fn runs(report: &Report) -> String {
    let distinct = |of: fn(&Run) -> String| {
        let mut all: Vec<String> = report.runs.iter().map(of).collect();
        all.sort();
        all.dedup();
        all.join(", ")
    };
    format!(
        "the traces {}, the policies {}, start-up {}, buffer {}",
        distinct(|run| run.trace.clone()),
        distinct(|run| run.policy.clone()),
        distinct(|run| format!("{}s", run.start_up_seconds)),
        distinct(|run| format!("{}s", run.buffer_seconds)),
    )
}

/// As a person reads it: what has left its band, and how many have not.
pub(super) fn tell(findings: &[Finding]) -> String {
    let mut text = String::new();
    for finding in findings.iter().filter(|finding| !finding.holds) {
        let Finding { line, trace, policy, start_up_seconds, buffer_seconds, figure, value, .. } = finding;
        let knob = match (finding.target, finding.hold_seconds) {
            (Some(target), Some(hold)) => format!(" at {:.0}%, hold {hold}s,", target * 100.0),
            (Some(target), None) => format!(" at {:.0}%", target * 100.0),
            _ => String::new(),
        };
        let share = figure.starts_with("violated");
        writeln!(
            text,
            "out of its band in line {line}: {policy}{knob} on {trace}, start-up {start_up_seconds}s, buffer {buffer_seconds}s: {figure} is \
             {}, {}",
            number(*value, share),
            wanted(finding.at_least, finding.at_most, share)
        )
        .expect("a string takes everything");
    }
    let held = findings.iter().filter(|finding| finding.holds).count();
    writeln!(text, "{held} of {} figures are within their bands", findings.len())
        .expect("a string takes everything");
    text
}

/// The ends of a band in words.
pub(super) fn wanted(at_least: Option<f64>, at_most: Option<f64>, share: bool) -> String {
    let end = |end: f64| number(end, share);
    match (at_least, at_most) {
        (Some(least), Some(most)) => format!("wanted {} to {}", end(least), end(most)),
        (Some(least), None) => format!("wanted at least {}", end(least)),
        (None, Some(most)) => format!("wanted at most {}", end(most)),
        (None, None) => "wanted any".to_owned(),
    }
}

/// To four places, a share as a percentage.
pub(super) fn number(value: f64, share: bool) -> String {
    let (scaled, unit) = if share { (value * 100.0, "%") } else { (value, "") };
    format!("{}{unit}", (scaled * 1e4).round() / 1e4)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_ends_are_short() {
        assert_eq!([number(1.234_56, false), number(0.001, true)], ["1.2346", "0.1%"]);
        assert_eq!(wanted(Some(1.0), Some(2.5), false), "wanted 1 to 2.5");
        assert_eq!(wanted(None, Some(0.01), true), "wanted at most 1%");
    }
}
