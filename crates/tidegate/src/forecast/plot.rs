//! The figures as a picture: demand within its interval, and errors by horizon.

use std::time::Duration;

use tidegate_core::trace::Recording;
use tidegate_forecast::accuracy::Quantiles;
use tidegate_plot::{Axis, Colour, Figure, Mark, Panel, Row, Shape};

use super::{
    report::{Ahead, CHOICE, Judged, REFEREE, Recorded, Report},
    table::{number, span},
};

/// What is shown of the busiest time.
const CLOSE: Duration = Duration::from_hours(48);
/// The share of demand that is always drawn, how many times higher the highest has to be to flatten it, and how many times
/// higher the rest is cut off.
const USUAL: f64 = 0.995;
const FLATTENED: f64 = 5.0;
const HEADROOM: f64 = 1.5;
/// Losses beyond so many times that of the last value are drawn here, and written beside the name.
const MOST_LOSS: f64 = 2.0;
/// What the referee is called in a legend.
const SHORT: &str = "augurs";
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
    let cut = cut(values);
    let (highest, most) = (values[peak].unwrap_or_default(), cut.unwrap_or_default());
    let note = cut.map_or_else(String::new, |_| {
        format!("; cut off at {}, the peak is {}", number(most), number(highest))
    });
    let title = format!("{name}, requests/s, forecast {ahead} ahead{note}");
    let whole = demand(title, file, values, sketch, (0, count), cut);
    let peak = demand("Around the peak, requests/s".to_owned(), file, values, sketch, (from, until), None);
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
    cut: Option<f64>,
) -> Panel {
    let below = |value: f64| cut.map_or(value, |most| if value > most { most } else { value });
    let at = |step: usize| step as f64 * file.step_seconds;
    let shown = from..until;
    let truth = shown.clone().map(|step| (at(step), below(values[step].unwrap_or(f64::NAN)))).collect();
    let said = |level: usize, step: usize| below(sketch.said[step].map_or(f64::NAN, |said| said[level]));
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

fn short(name: &'static str) -> &'static str {
    if name == REFEREE { SHORT } else { name }
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

/// Where to cut off demand that would flatten all the rest: a little above what nearly all of it is below.
fn cut(values: &[Option<f64>]) -> Option<f64> {
    let mut known: Vec<f64> = values.iter().flatten().copied().collect();
    let highest = known.iter().copied().fold(0.0, f64::max);
    let place = (known.len() as f64 * USUAL) as usize;
    (place < known.len()).then_some(())?;
    let usual = *known.select_nth_unstable_by(place, f64::total_cmp).1;
    (usual > 0.0 && highest > FLATTENED * usual).then_some(HEADROOM * usual)
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
        let points = points(file, |horizon| against(horizon, name));
        let highest = points.iter().map(|&(_, loss)| loss).fold(0.0, f64::max);
        let drawn =
            points.into_iter().map(|(at, loss)| (at, if loss > MOST_LOSS { MOST_LOSS } else { loss }));
        let name = short(name);
        let called = if highest > MOST_LOSS {
            format!("{name} (up to {:.0}%)", highest * 100.0)
        } else {
            name.to_owned()
        };
        dotted(&mut marks, &called, colour, Shape::Line, drawn.collect());
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
        dotted(&mut marks, short(name), colour, Shape::Line, points(file, |horizon| covered(horizon, name)));
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_freak_does_not_flatten_the_rest() {
        let mut values: Vec<_> = (0..1_000).map(|step| Some(f64::from(step % 100))).collect();
        assert_eq!(cut(&values), None);
        values[500] = Some(1e7);
        assert!(cut(&values).is_some_and(|most| (100.0..200.0).contains(&most)), "{:?}", cut(&values));
        assert_eq!([cut(&[]), cut(&[None]), cut(&[Some(0.0)])], [None; 3]);
    }
}
