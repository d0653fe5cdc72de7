//! A run as a picture: demand and capacity, instances, violations, cost over time.

use std::{ffi::OsStr, path::Path, time::Duration};

use tidegate_core::{
    policy::Amount,
    scenario::{Event, Happening, Scenario},
};
use tidegate_plot::{Axis, Colour, Figure, Mark, Panel, Row, Shape};
use tidegate_sim::{
    CAPACITY, Conditions, Report, Run, World,
    chart::{Chart, Dot},
    hpa::Hpa,
    live::Live,
    report::OBJECTIVE,
    scenario::Outcome,
    tuned::TunedLoop,
};

use super::{Case, bands::number};

/// Heights of the panels.
const TALL: f64 = 260.0;
const LOW: f64 = 110.0;
const MIDDLE: f64 = 170.0;

/// One run of a figure.
#[derive(Debug)]
struct Series {
    name: String,
    colour: Colour,
    chart: Chart,
}

/// The policy on a trace, with the best run of each baseline beside it.
pub(super) fn replay(case: &Case<'_>, report: &Report, policy: &str) -> Figure {
    let &Case { trace, title, demand, conditions, .. } = case;
    let world = World { supply: &case.policy.supply, ..World::of(demand, conditions) };
    let mut live = Live::new(case.policy.clone()).knowing(case.known);
    let own =
        Series { name: policy.to_owned(), colour: Colour::Blue, chart: Chart::record(&world, &mut live) };
    let mut series = vec![own];
    let mut told: Vec<_> = run_of(report, trace, conditions, policy).map(story).into_iter().collect();
    for (name, colour) in [("hpa", Colour::Orange), ("loop", Colour::Violet)] {
        let Some(run) = best(report, trace, conditions, name) else { continue };
        let target = run.target.unwrap_or(1.0);
        let chart = match run.hold_seconds {
            Some(hold) => Chart::record(&world, &mut TunedLoop::new(target, hold)),
            None => Chart::record(&world, &mut Hpa::new(target)),
        };
        let name = format!("{name} at {}", number(target, true));
        told.push(format!("{name}: {}", story(run)));
        series.push(Series { name, colour, chart });
    }
    let capacity = f64::from(CAPACITY);
    let mut figure = figure(&series, |dot| dot.ready * capacity, &[]);
    let Conditions { start_up, buffer } = conditions;
    figure.title = format!("{policy} on {title}");
    figure.subtitle = format!("start-up {start_up} s, buffer {buffer} s  ·  {}", told.join("  ·  "));
    figure
}

/// A scenario with its events.
pub(super) fn scenario(name: &str, scenario: &Scenario, outcome: &Outcome) -> Figure {
    let start_up = scenario.start_up.as_secs() as u32;
    let chart = Chart::of(&outcome.moments, start_up);
    let series = [Series { name: "the policy".to_owned(), colour: Colour::Blue, chart }];
    let events: Vec<_> = scenario.events.iter().map(|event| (event.at.as_secs_f64(), label(event))).collect();
    let capacity = |dot: &Dot| dot.ready * capacity_at(scenario, dot.second);
    let mut figure = figure(&series, capacity, &events);
    file_name(name).clone_into(&mut figure.title);
    let figures = &outcome.figures;
    figure.subtitle = format!(
        "start-up {start_up} s, buffer {} s, seed {}  ·  cost {:.2}x of the floor, {} of the requests violated",
        scenario.buffer.as_secs(),
        scenario.seed,
        figures.cost_over_floor,
        number(figures.violated_requests, true)
    );
    figure
}

/// A path without its folders.
pub(super) fn file_name(path: &str) -> &str {
    Path::new(path).file_name().and_then(OsStr::to_str).unwrap_or(path)
}

fn figure(series: &[Series], capacity: impl Fn(&Dot) -> f64, events: &[(f64, String)]) -> Figure {
    let line = |one: &Series, of: &dyn Fn(&Dot) -> f64| -> Vec<(f64, f64)> {
        one.chart.dots.iter().map(|dot| (dot.second, of(dot))).collect()
    };
    let first = series.first().map(|one| one.chart.dots.as_slice()).unwrap_or_default();
    let range = first.iter().map(|dot| (dot.second, dot.arrivals.0, dot.arrivals.2)).collect();
    let mean = first.iter().map(|dot| (dot.second, dot.arrivals.1)).collect();
    let mut demand = vec![
        Mark::new("demand, fewest to most of a second", Colour::Grey, Shape::Band(range)),
        Mark::new("demand, mean", Colour::Ink, Shape::Line(mean)),
    ];
    let objective = format!("{} allowed", number(OBJECTIVE, true));
    let mut violated = vec![Mark::new(&objective, Colour::Grey, Shape::Level(OBJECTIVE))];
    let mut cost = vec![Mark::new(
        "the floor",
        Colour::Grey,
        Shape::Dashed(first.iter().map(|dot| (dot.second, dot.floor)).collect()),
    )];
    let mut instances = Vec::new();
    // The first is what the figure is about, so it is drawn last.
    for (at, one) in series.iter().enumerate().rev() {
        let ready = line(one, &capacity);
        let shape = if at == 0 { Shape::Bold(ready) } else { Shape::Line(ready) };
        demand.push(Mark::new(&format!("capacity, {}", one.name), one.colour, shape));
        // Added up, because moments without capacity are too short to be compared by eye, and hide each other.
        let lost = line(one, &|dot| dot.lost);
        let shape = if at == 0 { Shape::Bold(lost) } else { Shape::Line(lost) };
        violated.push(Mark::new(&one.name, one.colour, shape));
        let paid = line(one, &|dot| dot.paid);
        cost.push(Mark::new(
            &one.name,
            one.colour,
            if at == 0 { Shape::Bold(paid) } else { Shape::Line(paid) },
        ));
        instances.push(Mark::new(&one.name, one.colour, Shape::Steps(line(one, &|dot| dot.launched))));
    }
    demand.push(Mark::new("", Colour::Grey, Shape::Events(events.to_vec())));
    let row = |height, title: &str, y, marks| Row {
        height,
        panels: vec![Panel { title: title.to_owned(), x: Axis::Time, y, marks }],
    };
    Figure {
        rows: vec![
            row(TALL, "Demand and capacity (requests/s)", Axis::Number, demand),
            row(MIDDLE, "Instances paid for", Axis::Number, instances),
            row(LOW, "Requests without capacity so far, of all requests", Axis::Share, violated),
            row(MIDDLE, "Cost so far (instance-hours)", Axis::Number, cost),
        ],
        ..Figure::default()
    }
}

fn run_of<'a>(report: &'a Report, trace: &str, conditions: Conditions, policy: &str) -> Option<&'a Run> {
    report.cheapest(trace, policy, conditions, 1.0)
}

/// The cheapest run that keeps the objective, or else the one that comes closest.
fn best<'a>(report: &'a Report, trace: &str, conditions: Conditions, policy: &str) -> Option<&'a Run> {
    report.cheapest(trace, policy, conditions, OBJECTIVE).or_else(|| {
        let shares = report.runs.iter().filter(|run| run.trace == trace && run.policy == policy);
        let least = shares
            .filter(|run| {
                run.start_up_seconds == conditions.start_up && run.buffer_seconds == conditions.buffer
            })
            .map(|run| run.figures.violated_requests)
            .fold(f64::INFINITY, f64::min);
        report.cheapest(trace, policy, conditions, least)
    })
}

fn story(run: &Run) -> String {
    let figures = &run.figures;
    format!("{:.2}x the floor, {} violated", figures.cost_over_floor, number(figures.violated_requests, true))
}

/// Requests per second that an instance serves at a time.
fn capacity_at(scenario: &Scenario, second: f64) -> f64 {
    let changes = scenario.events.iter().filter(|event| event.at.as_secs_f64() <= second);
    let capacity = |event: &Event| match event.what {
        Happening::Capacity(rate) | Happening::Deploy(rate) => Some(rate),
        _ => None,
    };
    changes.filter_map(capacity).next_back().unwrap_or(scenario.capacity)
}

/// What happens, in a few words.
fn label(event: &Event) -> String {
    let lasting = |lasts: Option<Duration>| {
        lasts.map_or_else(String::new, |lasts| format!(" for {}", span(lasts.as_secs())))
    };
    match event.what {
        Happening::Capacity(rate) => format!("{rate}/s per instance"),
        Happening::Deploy(rate) => format!("deployment, {rate}/s"),
        Happening::StartUp { takes, lasts } => {
            format!("start-up {}{}", span(takes.as_secs()), lasting(lasts))
        }
        Happening::FailStarts { share, lasts } => {
            format!("{} of starts fail{}", number(share, true), lasting(lasts))
        }
        Happening::LoseMetrics { lasts } => format!("no metrics{}", lasting(Some(lasts))),
        Happening::Kill(Amount::Instances(count)) => format!("{count} die"),
        Happening::Kill(Amount::Share(share)) => format!("{} die", number(share, true)),
        Happening::Reclaim { notice, .. } => format!("spot taken back, notice {}", span(notice.as_secs())),
        Happening::Clock(by) if by < 0 => format!("clock back {}", span(by.unsigned_abs())),
        Happening::Clock(by) => format!("clock ahead {}", span(by.unsigned_abs())),
    }
}

fn span(seconds: u64) -> String {
    match seconds {
        _ if seconds > 0 && seconds.is_multiple_of(3_600) => format!("{}h", seconds / 3_600),
        _ if seconds > 0 && seconds.is_multiple_of(60) => format!("{}m", seconds / 60),
        _ => format!("{seconds}s"),
    }
}
