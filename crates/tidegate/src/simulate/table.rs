//! A comparison as a person reads it: one table for each trace under each pair of conditions.

use std::fmt::Write as _;

use tidegate_core::policy::{Policy, Trigger};
use tidegate_sim::{Conditions, Report, Run, report::OBJECTIVE};

use super::input::Subject;

/// Columns and their widths; the first two are names, the others numbers.
const COLUMNS: [(&str, usize); 7] = [
    ("policy", 12),
    ("knob", 22),
    ("cost", 8),
    ("V_req", 10),
    ("V_t", 10),
    ("actions/d", 11),
    ("reversals/d", 13),
];

const LEGEND: &str = "\
cost: instance-hours over the floor's; V_req, V_t: share of requests, of seconds violated
* the cheapest run of its policy that violates at most 0.1% of the requests
";

/// All tables and what their columns mean.
pub(super) fn tell(report: &Report, subject: &Subject) -> String {
    let mut text = String::new();
    for runs in report.runs.chunk_by(|one, other| place(one) == place(other)) {
        table(&mut text, report, runs, subject);
        text.push('\n');
    }
    text + LEGEND
}

/// What the runs of one table have in common.
fn place(run: &Run) -> (&str, u32, u32) {
    (&run.trace, run.start_up_seconds, run.buffer_seconds)
}

fn table(text: &mut String, report: &Report, runs: &[Run], subject: &Subject) {
    let Some(first) = runs.first() else { return };
    let (trace, start_up, buffer) = place(first);
    let floor = first.figures.floor_instance_hours;
    // Of minutes there is little.
    let digits = if floor < 10.0 { 3 } else { 1 };
    let head =
        format!("{trace}, start-up {start_up}s, buffer {buffer}s: floor {floor:.digits$} instance-hours");
    let conditions = Conditions { start_up, buffer };
    let policy = subject.policy(buffer);
    writeln!(text, "{head}").expect("a string takes everything");
    row(text, &COLUMNS.map(|(title, _)| title.to_owned()), "");
    for run in runs {
        let best = report.cheapest(trace, &run.policy, conditions, OBJECTIVE) == Some(run);
        row(text, &cells(run, &policy), if best { " *" } else { "" });
    }
}

fn row(text: &mut String, cells: &[String; COLUMNS.len()], mark: &str) {
    let mut line = String::new();
    for (at, (cell, (_, width))) in cells.iter().zip(COLUMNS).enumerate() {
        let written = if at < 2 { write!(line, "{cell:<width$}") } else { write!(line, "{cell:>width$}") };
        written.expect("a string takes everything");
    }
    writeln!(text, "  {}{mark}", line.trim_end()).expect("a string takes everything");
}

fn cells(run: &Run, policy: &Policy) -> [String; COLUMNS.len()] {
    let figures = &run.figures;
    [
        run.policy.clone(),
        knob(run, policy),
        format!("{:.3}x", figures.cost_over_floor),
        format!("{:.3}%", figures.violated_requests * 100.0),
        format!("{:.3}%", figures.violated_time * 100.0),
        format!("{:.0}", figures.actions_per_day),
        format!("{:.0}", figures.reversals_per_day),
    ]
}

/// The setting that a run stands for.
fn knob(run: &Run, policy: &Policy) -> String {
    match (run.target, run.hold_seconds) {
        (Some(target), Some(hold)) => format!("target {}, hold {hold}s", percent(target)),
        (Some(target), None) => format!("target {}", percent(target)),
        (None, _) => policy.triggers.iter().find_map(objective).unwrap_or_else(|| "-".to_owned()),
    }
}

fn objective(trigger: &Trigger) -> Option<String> {
    match trigger {
        Trigger::Headroom(headroom) => Some(format!("overload {}", percent(headroom.overload))),
        _ => None,
    }
}

/// To a hundredth of a percent, without idle zeros.
fn percent(share: f64) -> String {
    format!("{}%", (share * 10_000.0).round() / 100.0)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tidegate_core::policy::Headroom;
    use tidegate_sim::{Contender, Demand};

    use super::*;

    #[test]
    fn each_trace_and_condition_has_its_table() {
        let demand = Demand::new((0..1_200_u32).map(|second| 500 + 100 * (second / 300)).collect());
        let mut report = Report::default();
        for start_up in [5, 30] {
            for contender in [Contender::Hpa, Contender::Loop] {
                report.add("a.csv", &demand, Conditions { start_up, buffer: 1 }, &contender);
            }
        }
        let text = tell(&report, &Subject::Default);
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines.len(), 2 * (1 + 1 + 7 + 30 + 1) + 2, "{text}");
        assert!(lines[0].starts_with("a.csv, start-up 5s, buffer 1s: floor "), "{text}");
        assert!(lines[40].starts_with("a.csv, start-up 30s, buffer 1s: floor "), "{text}");
        assert!(lines[2].starts_with("  hpa         target 30% "), "{text}");
        assert!(lines[9].starts_with("  loop        target 50%, hold 60s "), "{text}");
        // One for each policy and table, at most.
        let marked = lines.iter().filter(|line| line.ends_with(" *")).count();
        assert!((1..=4).contains(&marked), "{text}");
    }

    #[test]
    fn the_knob_of_a_policy_is_its_objective() {
        let headroom = Headroom { overload: 0.001, wait: Duration::ZERO };
        assert_eq!(objective(&Trigger::Headroom(headroom)), Some("overload 0.1%".to_owned()));
        assert_eq!([0.95, 0.3, 0.0005, 0.07].map(percent), ["95%", "30%", "0.05%", "7%"]);
    }
}
