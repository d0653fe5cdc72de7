//! The figures as a picture: demand within its interval, and errors by horizon.

use std::time::Duration;

use tidegate_core::trace::Recording;
use tidegate_forecast::accuracy::Quantiles;
use tidegate_plot::{Axis, Colour, Figure, Mark, Panel, Row, Shape};

use super::{
    report::{Ahead, CHOICE, Judged, REFEREE, Recorded, Report},
    table::span,
};

/// What is shown of the busiest time.
const CLOSE: Duration = Duration::from_hours(48);
/// Models that are drawn beside the choice, as they are called in the table.
const BESIDE: [(&str, Colour); 3] =
    [("last value", Colour::Grey), ("a season ago", Colour::Orange), (REFEREE, Colour::Violet)];

/// What is drawn of one recording.
#[derive(Debug)]
pub(super) struct Sketch {
    pub(super) horizon: Duration,
    pub(super) said: Vec<Option<Quantiles>>,
}

/// One picture of all recordings, below each other.
pub(super) fn figure(report: &Report, recordings: &[Recording], sketches: &[Sketch]) -> Figure {
    let files = report.files.iter().zip(recordings).zip(sketches);
    Figure {
        title: "Demand and its forecast".to_owned(),
        subtitle: "Each value was forecast from what came before it; the band should hold 90% of them"
            .to_owned(),
        rows: files.flat_map(|((file, recording), sketch)| rows(file, recording, sketch)).collect(),
    }
}

fn rows(file: &Recorded, recording: &Recording, sketch: &Sketch) -> [Row; 3] {
    let (values, count) = (recording.values(), recording.values().len());
    let close = (CLOSE.as_secs_f64() / file.step_seconds).ceil() as usize;
    let peak = busiest(values);
    let from = peak.saturating_sub(close / 2).min(count.saturating_sub(close));
    let until = (from + close).min(count);
    let ahead = span(sketch.horizon.as_secs_f64());
    let name = file.file.rsplit('/').next().unwrap_or_default();
    let whole =
        demand(format!("{name}, requests/s, forecast {ahead} ahead"), file, values, sketch, (0, count));
    let peak = demand("Around the peak, requests/s".to_owned(), file, values, sketch, (from, until));
    let row = |height, panels| Row { height, panels };
    [row(230.0, vec![whole]), row(230.0, vec![peak]), row(190.0, vec![losses(file), coverage(file)])]
}

fn busiest(values: &[Option<f64>]) -> usize {
    let known = values.iter().enumerate().filter_map(|(at, value)| value.map(|value| (at, value)));
    known.max_by(|one, other| one.1.total_cmp(&other.1)).map_or(0, |(at, _)| at)
}

fn demand(
    title: String,
    file: &Recorded,
    values: &[Option<f64>],
    sketch: &Sketch,
    (from, until): (usize, usize),
) -> Panel {
    let at = |step: usize| step as f64 * file.step_seconds;
    let shown = from..until;
    let truth = shown.clone().map(|step| (at(step), values[step].unwrap_or(f64::NAN))).collect();
    let said = |level: usize, step: usize| sketch.said[step].map_or(f64::NAN, |said| said[level]);
    let band = shown.clone().map(|step| (at(step), said(0, step), said(3, step))).collect();
    let median = shown.map(|step| (at(step), said(1, step))).collect();
    let marks = vec![
        Mark::new("interval of 90%", Colour::Blue, Shape::Band(band)),
        Mark::new("median", Colour::Blue, Shape::Line(median)),
        Mark::new("what came", Colour::Ink, Shape::Line(truth)),
    ];
    Panel { title, x: Axis::Time, y: Axis::Number, marks }
}

/// The names of the horizons, each once.
fn names(file: &Recorded) -> Axis {
    Axis::Names(file.horizons.iter().map(|horizon| span(horizon.horizon_seconds)).collect())
}

fn model<'a>(horizon: &'a Ahead, name: &str) -> Option<&'a Judged> {
    horizon.models.iter().find(|model| model.model == name)
}

/// A point for each horizon.
fn points(file: &Recorded, value: impl Fn(&Ahead) -> Option<f64>) -> Vec<(f64, f64)> {
    (0..)
        .zip(&file.horizons)
        .map(|(at, horizon)| (f64::from(at), value(horizon).unwrap_or(f64::NAN)))
        .collect()
}

fn dotted(
    marks: &mut Vec<Mark>,
    name: &str,
    colour: Colour,
    shape: fn(Vec<(f64, f64)>) -> Shape,
    points: Vec<(f64, f64)>,
) {
    if points.iter().any(|(_, value)| value.is_finite()) {
        marks.push(Mark::new(name, colour, shape(points.clone())));
        marks.push(Mark::new("", colour, Shape::Dots(points)));
    }
}

/// Losses relative to that of the last value, each over the moments that the model spoke of.
fn losses(file: &Recorded) -> Panel {
    let against = |horizon: &Ahead, name: &str| {
        let loss = model(horizon, name)?.choice_loss?;
        (loss > 0.0).then_some(model(horizon, "last value")?.choice_loss? / loss)
    };
    let mut marks = Vec::new();
    for (name, colour) in BESIDE {
        dotted(&mut marks, name, colour, Shape::Line, points(file, |horizon| against(horizon, name)));
    }
    dotted(
        &mut marks,
        "rolling choice",
        Colour::Blue,
        Shape::Bold,
        points(file, |horizon| against(horizon, CHOICE)),
    );
    Panel { title: "Pinball loss against the last value".to_owned(), x: names(file), y: Axis::Share, marks }
}

fn coverage(file: &Recorded) -> Panel {
    let covered = |horizon: &Ahead, name: &str| model(horizon, name).map(|model| model.coverage90);
    let mut marks = vec![Mark::new("promised", Colour::Teal, Shape::Level(0.9))];
    for (name, colour) in BESIDE {
        dotted(&mut marks, name, colour, Shape::Line, points(file, |horizon| covered(horizon, name)));
    }
    dotted(
        &mut marks,
        "rolling choice",
        Colour::Blue,
        Shape::Bold,
        points(file, |horizon| covered(horizon, CHOICE)),
    );
    Panel { title: "Truths within the interval of 90%".to_owned(), x: names(file), y: Axis::Share, marks }
}
