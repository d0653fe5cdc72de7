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

/// For each row: how much better could it be?
pub(crate) fn questions<'a>(report: &Report, demands: &'a [Known]) -> Vec<Question<'a>> {
    let of = |known: &'a Known| {
        let own = report.runs.iter().filter(|run| run.trace == known.name && run.policy == "default");
        own.map(|own| Row::new(report, known, own).question(known)).collect::<Vec<_>>()
    };
    demands.iter().flat_map(of).collect()
}

pub(crate) fn print(
    report: &Report,
    demands: &[Known],
    limits: &Limits,
    output: &mut impl Write,
) -> io::Result<()> {
    writeln!(
        output,
        "| demand | S | W | cost | violated | actions/day | loop: cost, actions | HPA at that cost | goals | \
         knows the future | knows the habits | learned them |"
    )?;
    writeln!(output, "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |")?;
    for known in demands {
        for own in report.runs.iter().filter(|run| run.trace == known.name && run.policy == "default") {
            let limit = limits.get(&(known.name, own.start_up_seconds, own.buffer_seconds));
            Row::new(report, known, own).print(known, limit, output)?;
        }
    }
    writeln!(output)?;
    means(report, demands, limits, output)?;
    for used in [Use::Developed, Use::HeldOut, Use::Generated] {
        let names: Vec<_> =
            demands.iter().filter(|known| known.used == used).map(|known| known.name).collect();
        writeln!(output, "{}: {}", used.label(), names.join(", "))?;
    }
    Ok(())
}

/// How much cheaper than the tuned loop, on average over the recordings on which that holds the objective.
fn means(report: &Report, demands: &[Known], limits: &Limits, output: &mut impl Write) -> io::Result<()> {
    let recorded = |known: &&Known| known.used != Use::Generated && known.kind != Kind::Silent;
    let mut savings = BTreeMap::<(u32, u32), Vec<Savings>>::new();
    for known in demands.iter().filter(recorded) {
        for own in report.runs.iter().filter(|run| run.trace == known.name && run.policy == "default") {
            let under = (own.start_up_seconds, own.buffer_seconds);
            let limit = limits.get(&(known.name, under.0, under.1));
            let row = Row::new(report, known, own);
            savings.entry(under).or_default().extend(row.tuned.map(|tuned| Savings::new(&row, tuned, limit)));
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
                let half = self.hpa.iter().find(|run| run.target == Some(FROM_SILENCE.1));
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

    fn question<'b>(&self, known: &'b Known) -> Question<'b> {
        let goals = self.goals(known);
        let misses = |name: &str| goals.iter().any(|&(goal, hit)| goal == name && !hit);
        let actions = self.tuned.filter(|_| misses("actions")).map(|tuned| tuned.actions_per_day * ACTIONS);
        Question {
            known,
            // Where a goal is missed, that of the mean over all demands included.
            habits: goals.iter().any(|(_, hit)| !hit) || self.tuned.is_some(),
            conditions: self.conditions,
            violated: self.own.figures.violated_requests,
            floor_instance_hours: self.own.figures.floor_instance_hours,
            actions_per_day: actions,
        }
    }

    fn print(&self, known: &Known, limit: Option<&Limit>, output: &mut impl Write) -> io::Result<()> {
        let (own, Conditions { start_up, buffer }) = (&self.own.figures, self.conditions);
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
            "| {} | {start_up} | {buffer} | {:.3} | {} | {:.0} | {tuned} | {} | {} | {} |",
            known.name,
            own.cost_over_floor,
            share(own.violated_requests),
            own.actions_per_day,
            self.hpa_at_cost.map_or("–".to_owned(), share),
            goals.join(", "),
            limit.map_or_else(|| "| |".to_owned(), best),
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
