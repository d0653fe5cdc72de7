//! The table: one row for each demand under each condition, with the goals that it hits and misses.

use std::{
    collections::BTreeMap,
    io::{self, Write},
};

use tidegate_sim::{Conditions, Figures, Report, Run, report::OBJECTIVE};

use crate::{
    demands::{Kind, Known, Use},
    hindsight::Outcome,
    limits::{Limit, Limits, Question},
};

/// Of the tuned loop's actions.
const ACTIONS: f64 = 1.0 / 3.0;
/// What requests from silence may suffer at the cost of HPA at this target.
const FROM_SILENCE: (f64, f64) = (0.01, 0.5);

/// For each row that misses a goal, or all: how much better could it be? What counts into a mean is asked too, where nobody waits: that takes
/// minutes, and hours where some do.
pub(crate) fn questions<'a>(report: &Report, demands: &'a [Known], all: bool) -> Vec<Question<'a>> {
    let rows = demands.iter().flat_map(|known| rows(report, known).map(move |row| (known, row)));
    rows.filter(|(known, row)| all || row.misses(known) || row.counts(known))
        .map(|(known, row)| row.question(known))
        .collect()
}

/// The default policy beside the tuned loop and HPA, with each goal that is hit or missed.
pub(crate) fn print(report: &Report, demands: &[Known], output: &mut impl Write) -> io::Result<()> {
    let columns = ["cost", "violated", "actions/day", "loop: cost, actions", "HPA at that cost", "goals"];
    heading(&columns, output)?;
    for known in demands {
        rows(report, known).try_for_each(|row| row.print(known, output))?;
    }
    writeln!(output)?;
    for used in [Use::Developed, Use::HeldOut, Use::Generated] {
        let names: Vec<_> =
            demands.iter().filter(|known| known.used == used).map(|known| known.name).collect();
        writeln!(output, "{}: {}", used.label(), names.join(", "))?;
    }
    writeln!(output)
}

/// HPA at each of its targets: cost, violated.
pub(crate) fn print_curve(report: &Report, demands: &[Known], output: &mut impl Write) -> io::Result<()> {
    let first = demands.iter().flat_map(|known| rows(report, known)).next();
    let targets: Vec<_> = first.iter().flat_map(|row| &row.hpa).filter_map(|run| run.target).collect();
    let names: Vec<_> = targets.iter().map(|target| format!("HPA at {:.0} %", target * 100.0)).collect();
    heading(&names, output)?;
    for known in demands {
        for row in rows(report, known) {
            let cell = |&target: &f64| {
                let figures = row.hpa_at(target)?.figures;
                Some(format!("{:.3}, {}", figures.cost_over_floor, share(figures.violated_requests)))
            };
            let cells: Vec<_> =
                targets.iter().map(|target| cell(target).unwrap_or_else(|| "–".to_owned())).collect();
            writeln!(output, "{} {} |", row.name(known), cells.join(" | "))?;
        }
    }
    writeln!(output)
}

/// What was found out of how much better each row could be, and the means.
pub(crate) fn print_limits(
    report: &Report,
    demands: &[Known],
    limits: &Limits,
    output: &mut impl Write,
) -> io::Result<()> {
    if !limits.is_empty() {
        let columns = ["cost", "violated", "missed", "knows the future", "knows the habits", "learned them"];
        heading(&columns, output)?;
    }
    for known in demands {
        for row in rows(report, known) {
            if let Some(limit) = row.limit(known, limits) {
                row.print_limit(known, limit, output)?;
            }
        }
    }
    writeln!(output)?;
    means(report, demands, limits, output)
}

/// Of a table of rows, with these columns behind their names.
fn heading(columns: &[impl AsRef<str>], output: &mut impl Write) -> io::Result<()> {
    let columns: Vec<_> = ["demand", "S", "W"].into_iter().chain(columns.iter().map(AsRef::as_ref)).collect();
    writeln!(output, "| {} |", columns.join(" | "))?;
    writeln!(output, "|{}", " --- |".repeat(columns.len()))
}

/// Of one demand, under each condition.
fn rows<'a>(report: &'a Report, known: &Known) -> impl Iterator<Item = Row<'a>> {
    let own = report.runs.iter().filter(|run| run.trace == known.name && run.policy == "default");
    own.map(|own| Row::new(report, known, own))
}

/// How much cheaper than the tuned loop, on average over the recordings on which that holds the objective.
fn means(report: &Report, demands: &[Known], limits: &Limits, output: &mut impl Write) -> io::Result<()> {
    let mut savings = BTreeMap::<(u32, u32), Vec<Savings>>::new();
    for known in demands.iter().filter(|known| known.is_in_means()) {
        for row in rows(report, known) {
            let Conditions { start_up, buffer } = row.conditions;
            let limit = row.limit(known, limits);
            let all = savings.entry((start_up, buffer)).or_default();
            all.extend(row.tuned.map(|tuned| Savings::new(&row, tuned, limit)));
        }
    }
    for ((start_up, buffer), savings) in savings.into_iter().filter(|(_, savings)| !savings.is_empty()) {
        writeln!(
            output,
            "cheaper than the tuned loop, S = {start_up} s, W = {buffer} s, mean of {}: {}",
            savings.len(),
            Savings::NAMES
                .into_iter()
                .zip(0..)
                .map(|(name, at)| mean(name, at, &savings))
                .collect::<Vec<_>>()
                .join(", ")
        )?;
    }
    writeln!(output)
}

/// `the default policy 3.1 %`, with how many hold the objective where not all do.
fn mean(name: &str, at: usize, savings: &[Savings]) -> String {
    let known: Vec<_> = savings.iter().filter_map(|savings| savings.0[at]).collect();
    if known.len() < savings.len() {
        return format!("{name} –");
    }
    let mean = known.iter().map(|(saving, _)| saving).sum::<f64>() / known.len() as f64;
    match known.iter().filter(|(_, holds)| *holds).count() {
        all if all == known.len() => format!("{name} {:.1} %", mean * 100.0),
        some => format!("{name} {:.1} %, of which {some} hold the objective", mean * 100.0),
    }
}

/// On one demand, the saving of each and whether it holds the objective.
struct Savings([Option<(f64, bool)>; 4]);

impl Savings {
    const NAMES: [&str; 4] =
        ["the default policy", "who knows the future", "knows the habits", "learned them"];

    fn new(row: &Row<'_>, tuned: Figures, limit: Option<&Limit>) -> Self {
        let saving = |cost: f64, violated: f64| (1.0 - cost / tuned.cost_over_floor, violated <= OBJECTIVE);
        let of =
            |outcome: Option<Outcome>| Some(saving(outcome?.cost_over_floor, outcome?.violated_requests));
        let own = &row.own.figures;
        Self([
            Some(saving(own.cost_over_floor, own.violated_requests)),
            limit.map(|limit| saving(limit.future, 0.0)),
            of(limit.and_then(|limit| limit.fitted)),
            of(limit.and_then(|limit| limit.learned)),
        ])
    }
}

/// The default policy's run beside the best of the baselines.
struct Row<'a> {
    own: &'a Run,
    conditions: Conditions,
    /// The cheapest loop that holds the objective.
    tuned: Option<Figures>,
    /// The least that a loop violates without being dearer.
    tuned_at_cost: Option<f64>,
    hpa_at_cost: Option<f64>,
    hpa: Vec<&'a Run>,
}

impl<'a> Row<'a> {
    fn new(report: &'a Report, known: &Known, own: &'a Run) -> Self {
        let conditions = Conditions { start_up: own.start_up_seconds, buffer: own.buffer_seconds };
        let tuned = report.cheapest(known.name, "loop", conditions, OBJECTIVE).map(|run| run.figures);
        let of = |policy: &str| {
            let same = |run: &&Run| {
                let under = Conditions { start_up: run.start_up_seconds, buffer: run.buffer_seconds };
                run.trace == known.name && run.policy == policy && under == conditions
            };
            report.runs.iter().filter(same).collect::<Vec<_>>()
        };
        let affordable = |run: &&&Run| run.figures.cost_over_floor <= own.figures.cost_over_floor;
        let least = |runs: &[&Run]| {
            let violated = runs.iter().filter(affordable).map(|run| run.figures.violated_requests);
            violated.reduce(f64::min)
        };
        let hpa = of("hpa");
        Self { own, conditions, tuned, tuned_at_cost: least(&of("loop")), hpa_at_cost: least(&hpa), hpa }
    }

    /// Each goal that applies, and whether it was hit.
    fn goals(&self, known: &Known) -> Vec<(&'static str, bool)> {
        let (own, Conditions { start_up, buffer }) = (&self.own.figures, self.conditions);
        let mut goals = Vec::new();
        if known.kind == Kind::Silent {
            if (start_up, buffer) == (5, 10) {
                let half = self.hpa_at(FROM_SILENCE.1);
                let affordable = half.is_some_and(|half| own.cost_over_floor <= half.figures.cost_over_floor);
                goals.push(("silence", own.violated_requests <= FROM_SILENCE.0 && affordable));
            }
            return goals;
        }
        if let Some(tuned) = self.tuned {
            let holds = own.violated_requests <= OBJECTIVE;
            goals.push(("0.1 %", holds));
            goals.push(("loop", holds && own.cost_over_floor <= tuned.cost_over_floor));
            goals.push(("actions", own.actions_per_day <= tuned.actions_per_day * ACTIONS));
            let most = match (start_up, known.kind) {
                (5, Kind::Smooth) => Some(1.10),
                (5, _) => Some(1.25),
                (30, _) => Some(1.20),
                _ => None,
            };
            if let Some(most) = most.filter(|_| buffer == 1) {
                goals.push(("cost", holds && own.cost_over_floor <= most));
            }
        } else if let Some(tuned) = self.tuned_at_cost {
            goals.push(("half of the loop's", own.violated_requests <= tuned / 2.0));
        }
        if let (Some(hpa), Kind::Bursty) = (self.hpa_at_cost, known.kind) {
            let factor = if start_up == 5 { 10.0 } else { 3.0 };
            goals.push(("HPA", own.violated_requests * factor <= hpa));
        }
        goals
    }

    fn misses(&self, known: &Known) -> bool {
        self.goals(known).iter().any(|(_, hit)| !hit)
    }

    /// Whether the specification has a goal for the mean that this counts into, and who knows the future is soon found.
    fn counts(&self, known: &Known) -> bool {
        known.is_in_means()
            && self.tuned.is_some()
            && self.conditions.start_up < 120
            && self.conditions.buffer == 0
    }

    fn question<'b>(&self, known: &'b Known) -> Question<'b> {
        let few = self.goals(known).contains(&("actions", false));
        let actions = self.tuned.filter(|_| few).map(|tuned| tuned.actions_per_day * ACTIONS);
        Question {
            known,
            habits: self.misses(known) || known.is_short(),
            conditions: self.conditions,
            violated: self.own.figures.violated_requests,
            floor_instance_hours: self.own.figures.floor_instance_hours,
            actions_per_day: actions,
        }
    }

    fn hpa_at(&self, target: f64) -> Option<&Run> {
        self.hpa.iter().copied().find(|run| run.target == Some(target))
    }

    /// The first columns of a line: of what, and under which conditions.
    fn name(&self, known: &Known) -> String {
        let Conditions { start_up, buffer } = self.conditions;
        format!("| {} | {start_up} | {buffer} |", known.name)
    }

    fn limit<'b>(&self, known: &Known, limits: &'b Limits) -> Option<&'b Limit> {
        limits.get(&(known.name, self.conditions.start_up, self.conditions.buffer))
    }

    fn print(&self, known: &Known, output: &mut impl Write) -> io::Result<()> {
        let own = &self.own.figures;
        let tuned = self.tuned.map_or_else(
            || format!("none; {} at this cost", self.tuned_at_cost.map_or("–".to_owned(), share)),
            |tuned| format!("{:.3}, {:.0}", tuned.cost_over_floor, tuned.actions_per_day),
        );
        let goals: Vec<_> = self
            .goals(known)
            .into_iter()
            .map(|(goal, hit)| format!("{goal} {}", if hit { "hit" } else { "missed" }))
            .collect();
        writeln!(
            output,
            "{} {:.3} | {} | {:.0} | {tuned} | {} | {} |",
            self.name(known),
            own.cost_over_floor,
            share(own.violated_requests),
            own.actions_per_day,
            self.hpa_at_cost.map_or("–".to_owned(), share),
            goals.join(", "),
        )
    }

    fn print_limit(&self, known: &Known, limit: &Limit, output: &mut impl Write) -> io::Result<()> {
        let own = &self.own.figures;
        let missed: Vec<_> =
            self.goals(known).into_iter().filter(|(_, hit)| !hit).map(|(goal, _)| goal).collect();
        writeln!(
            output,
            "{} {:.3} | {} | {} | {} |",
            self.name(known),
            own.cost_over_floor,
            share(own.violated_requests),
            missed.join(", "),
            best(limit),
        )
    }
}

/// Three columns.
fn best(limit: &Limit) -> String {
    let future = format!("{:.3}", limit.future);
    let calm = limit.calm.map_or_else(String::new, |calm| format!(", {calm:.3} with few actions"));
    let of = |outcome: Option<Outcome>| {
        let text = |one: Outcome| format!("{:.3}, {}", one.cost_over_floor, share(one.violated_requests));
        outcome.map_or_else(String::new, text)
    };
    format!("{future}{calm} | {} | {}", of(limit.fitted), of(limit.learned))
}

fn share(share: f64) -> String {
    format!("{:.3} %", share * 100.0)
}

#[cfg(test)]
mod tests;
