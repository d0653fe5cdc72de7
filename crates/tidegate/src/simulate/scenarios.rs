//! Scenarios: made-up worlds from files, played and reported.

use std::{
    fmt::Write as _,
    io::{self, Write as _},
    path::Path,
};

use serde_json::json;
use tidegate_core::{Scenario, scenario::Gauge};
use tidegate_plot::Figure;
use tidegate_sim::scenario::{self, Finding, Outcome};

use super::{
    bands::{number, wanted},
    drawing,
    input::{self, Subject},
};
use crate::{cli::Format, exit::Failure};

/// A scenario that has been played.
#[derive(Debug)]
pub(super) struct Played<'a> {
    name: &'a str,
    scenario: &'a Scenario,
    pub(super) outcome: Outcome,
}

pub(super) fn load(file: &Path, format: Format) -> Result<Scenario, Failure> {
    input::parsed(file, format, tidegate_config::parse_scenario)
}

pub(super) fn play<'a>(name: &'a str, scenario: &'a Scenario, subject: &Subject) -> Played<'a> {
    let policy = subject.policy(scenario.buffer.as_secs() as u32);
    Played { name, scenario, outcome: scenario::play(scenario, &policy) }
}

impl Played<'_> {
    pub(super) fn figure(&self) -> Figure {
        drawing::scenario(self.name, self.scenario, &self.outcome)
    }
}

pub(super) fn print(played: &[Played<'_>], format: Format) -> io::Result<()> {
    let mut output = io::stdout().lock();
    match format {
        Format::Json => {
            let one = |one: &Played<'_>| {
                json!({
                    "scenario": one.name,
                    "seed": one.scenario.seed,
                    "holds": one.outcome.holds(),
                    "figures": one.outcome.figures,
                    "bands": one.outcome.findings,
                })
            };
            let all: Vec<_> = played.iter().map(one).collect();
            writeln!(output, "{}", json!({ "scenarios": all }))
        }
        Format::Text => played.iter().try_for_each(|one| output.write_all(tell(one).as_bytes())),
    }
}

/// As a person reads it.
fn tell(played: &Played<'_>) -> String {
    let Played { name, scenario, outcome } = played;
    let mut text = format!("{name}, seed {}\n", scenario.seed);
    for line in scenario.about.lines() {
        writeln!(text, "  {}", line.trim_end()).expect("a string takes everything");
    }
    let figures = &outcome.figures;
    writeln!(
        text,
        "\n  cost {:.3}x of the floor, {} of the requests violated, {:.0} changes a day",
        figures.cost_over_floor,
        number(figures.violated_requests, true),
        figures.actions_per_day
    )
    .expect("a string takes everything");
    for finding in &outcome.findings {
        writeln!(text, "  {}", line(finding)).expect("a string takes everything");
    }
    text.push('\n');
    text
}

fn line(finding: &Finding) -> String {
    let shares = [Gauge::ViolatedRequests, Gauge::ViolatedTime, Gauge::Saving];
    let share = shares.iter().any(|gauge| gauge.name() == finding.figure);
    let mark = if finding.holds { "ok " } else { "OUT" };
    let stretch = format!("{} to {}", clock(finding.from_seconds), clock(finding.to_seconds));
    let value = number(finding.value, share);
    let wanted = wanted(finding.at_least, finding.at_most, share);
    format!("{mark} {stretch:<18} {:<17} {value:>9}, {wanted}", finding.figure)
}

/// `1:05:00`, or `5:00` in the first hour.
fn clock(seconds: usize) -> String {
    let (hours, minutes, seconds) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
    match hours {
        0 => format!("{minutes}:{seconds:02}"),
        _ => format!("{hours}:{minutes:02}:{seconds:02}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_bands_are_read_at_a_glance() {
        assert_eq!([clock(0), clock(65), clock(3_900)], ["0:00", "1:05", "1:05:00"]);
        let finding = Finding {
            from_seconds: 600,
            to_seconds: 1_200,
            figure: "violatedRequests".to_owned(),
            at_least: None,
            at_most: Some(0.01),
            value: 0.025,
            holds: false,
        };
        assert_eq!(line(&finding), "OUT 10:00 to 20:00     violatedRequests       2.5%, wanted at most 1%");
    }
}
