//! A figure as text: layout, axes, marks, legends.

use std::fmt::Write as _;

use crate::{
    axis::Scale,
    figure::{Colour, Figure, Mark, Panel, Shape},
    path, style,
};

const WIDTH: f64 = 1_200.0;
/// Around everything, left of a panel for the labels of its axis, and between panels.
const MARGIN: f64 = 28.0;
const LABELS: f64 = 46.0;
const GAP: f64 = 30.0;
/// Above a panel for title and legend, below it for the labels of its axis.
const HEAD: f64 = 50.0;
const FOOT: f64 = 34.0;
/// Events that are drawn of one mark: more could not be read.
const EVENTS: usize = 200;
/// Pixels from tick to tick, about.
const TICKS: (f64, f64) = (120.0, 32.0);

pub(crate) fn figure(figure: &Figure) -> String {
    let mut body = String::new();
    let mut top = MARGIN;
    if !figure.title.is_empty() {
        text(&mut body, "title", (MARGIN, top + 14.0), &figure.title);
        top += 26.0;
    }
    if !figure.subtitle.is_empty() {
        text(&mut body, "subtitle", (MARGIN, top + 12.0), &figure.subtitle);
        top += 24.0;
    }
    for row in &figure.rows {
        let count = row.panels.len().max(1) as f64;
        let width = (WIDTH - 2.0 * MARGIN - (count - 1.0) * GAP) / count;
        let height = if row.height.is_finite() { row.height.clamp(20.0, 2_000.0) } else { 200.0 };
        for (index, shown) in row.panels.iter().enumerate() {
            let left = MARGIN + index as f64 * (width + GAP);
            panel(
                &mut body,
                shown,
                Frame { left: left + LABELS, right: left + width, top: top + HEAD, height },
            );
        }
        top += HEAD + height + FOOT;
    }
    let height = top + MARGIN / 2.0;
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{height:.0}\" \
         viewBox=\"0 0 {WIDTH} {height:.0}\" role=\"img\"><title>{}</title><style>{}</style>\
         <rect class=\"ground\" width=\"{WIDTH}\" height=\"{height:.0}\"/>{body}</svg>\n",
        escaped(&figure.title),
        style::sheet()
    )
}

/// Where the marks of a panel are.
#[derive(Debug, Clone, Copy)]
struct Frame {
    left: f64,
    right: f64,
    top: f64,
    height: f64,
}

impl Frame {
    fn bottom(self) -> f64 {
        self.top + self.height
    }
}

fn panel(body: &mut String, panel: &Panel, frame: Frame) {
    let (across, up) = (
        ((frame.right - frame.left) / TICKS.0).clamp(2.0, 12.0) as usize,
        (frame.height / TICKS.1).clamp(2.0, 10.0) as usize,
    );
    let xs = panel.marks.iter().flat_map(|mark| numbers(mark).into_iter().filter_map(|(x, _)| x));
    let x = Scale::new(&panel.x, xs, (frame.left, frame.right));
    let ys = panel.marks.iter().flat_map(|mark| numbers(mark).into_iter().filter_map(|(_, y)| y));
    let y = Scale::new(&panel.y, ys, (frame.bottom(), frame.top)).rounded(up);
    for tick in y.ticks(up) {
        let at = y.place(tick.at);
        segment(body, "grid", (frame.left, at), (frame.right, at));
        text(body, "end", (frame.left - 8.0, at + 4.0), &tick.label);
    }
    for tick in x.ticks(across) {
        text(body, "mid", (x.place(tick.at), frame.bottom() + 18.0), &tick.label);
    }
    for mark in &panel.marks {
        draw(body, mark, &x, &y, frame);
    }
    segment(body, "base", (frame.left, frame.bottom()), (frame.right, frame.bottom()));
    text(body, "head", (frame.left - LABELS, frame.top - 33.0), &panel.title);
    legend(body, panel, frame);
}

/// All points of a mark; a level has no place along the x axis, and an event none along the other.
fn numbers(mark: &Mark) -> Vec<(Option<f64>, Option<f64>)> {
    let point = |&(x, y): &(f64, f64)| (Some(x), Some(y));
    match &mark.shape {
        Shape::Line(points)
        | Shape::Bold(points)
        | Shape::Dashed(points)
        | Shape::Steps(points)
        | Shape::Area(points)
        | Shape::Dots(points)
        | Shape::Bars(points) => points.iter().map(point).collect(),
        Shape::Band(points) => {
            points.iter().flat_map(|&(x, low, high)| [(Some(x), Some(low)), (Some(x), Some(high))]).collect()
        }
        Shape::Level(level) => vec![(None, Some(*level))],
        Shape::Events(events) => events.iter().map(|&(x, _)| (Some(x), None)).collect(),
        Shape::Span(from, to) => vec![(Some(*from), None), (Some(*to), None)],
    }
}

fn draw(body: &mut String, mark: &Mark, x: &Scale<'_>, y: &Scale<'_>, frame: Frame) {
    let colour = class(mark.colour);
    let lines = |points: &[(f64, f64)]| path::line(&path::stretches(points, x, y));
    let mut path = |class: &str, path: &str| {
        if !path.is_empty() {
            write!(body, "<path class=\"{class} {colour}\" d=\"{path}\"/>")
                .expect("a string takes everything");
        }
    };
    match &mark.shape {
        Shape::Line(points) => path("line", &lines(points)),
        Shape::Bold(points) => path("bold", &lines(points)),
        Shape::Dashed(points) => path("dashed", &lines(points)),
        Shape::Steps(points) => path("line", &lines(&path::steps(points))),
        Shape::Area(points) => {
            path("area fill", &path::area(&path::stretches(points, x, y), y.place(0.0)));
        }
        Shape::Band(points) => path("band fill", &path::band(points, x, y)),
        Shape::Dots(points) => {
            for (at, value) in path::stretches(points, x, y).concat() {
                write!(body, "<circle class=\"fill {colour}\" cx=\"{at:.1}\" cy=\"{value:.1}\" r=\"3.5\"/>")
                    .expect("a string takes everything");
            }
        }
        Shape::Bars(points) => bars(body, points, x, y, colour),
        Shape::Level(level) if level.is_finite() => {
            let at = y.place(*level);
            segment(body, &format!("level {colour}"), (frame.left, at), (frame.right, at));
        }
        Shape::Events(events) => {
            for (at, word) in events.iter().filter(|(at, _)| at.is_finite()).take(EVENTS) {
                let at = x.place(*at);
                segment(body, &format!("level {colour}"), (at, frame.top), (at, frame.bottom()));
                // Near the right edge the word is on the other side.
                let left = at > frame.right - 120.0;
                let (class, place) = if left { ("end", at - 4.0) } else { ("", at + 4.0) };
                text(body, class, (place, frame.top + 10.0), word);
            }
        }
        Shape::Span(from, to) if from.is_finite() && to.is_finite() => {
            let (from, to) = (x.place(from.min(*to)), x.place(to.max(*from)));
            write!(
                body,
                "<rect class=\"area fill {colour}\" x=\"{from:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"{:.1}\"/>",
                frame.top,
                to - from,
                frame.height
            )
            .expect("a string takes everything");
        }
        Shape::Level(_) | Shape::Span(..) => {}
    }
}

fn bars(body: &mut String, points: &[(f64, f64)], x: &Scale<'_>, y: &Scale<'_>, colour: &str) {
    let places = path::stretches(points, x, y).concat();
    let distance = places.windows(2).map(|pair| pair[1].0 - pair[0].0).filter(|distance| *distance > 0.0);
    let width = (distance.fold(60.0, f64::min) / 2.0).max(1.0);
    let base = y.place(0.0);
    for (at, top) in places {
        write!(
            body,
            "<rect class=\"bar fill {colour}\" x=\"{:.1}\" y=\"{:.1}\" width=\"{width:.1}\" height=\"{:.1}\"/>",
            at - width / 2.0,
            base.min(top),
            (base - top).abs()
        )
        .expect("a string takes everything");
    }
}

/// The names of the marks in a line below the title of the panel.
/// About how wide a text of twelve pixels is, in the widest of the usual fonts.
fn width(text: &str) -> f64 {
    let letter = |letter: char| match letter {
        'f' | 'i' | 'j' | 'l' | 'r' | 't' | '.' | ',' | ':' | ';' | '\'' | '(' | ')' | '-' | 'I' | ' ' => 4.4,
        'm' | 'w' | 'M' | 'W' | '%' | '@' => 11.2,
        'A'..='Z' => 8.4,
        _ => 7.4,
    };
    text.chars().map(letter).sum()
}

fn legend(body: &mut String, panel: &Panel, frame: Frame) {
    let mut left = frame.left - LABELS;
    let at = frame.top - 12.0;
    for mark in panel.marks.iter().filter(|mark| !mark.name.is_empty()) {
        let colour = class(mark.colour);
        let (from, to) = (left, left + 16.0);
        match mark.shape {
            Shape::Area(_) | Shape::Band(_) | Shape::Bars(_) | Shape::Span(..) => {
                write!(
                    body,
                    "<rect class=\"band fill {colour}\" x=\"{from:.1}\" y=\"{:.1}\" width=\"16\" height=\"10\" rx=\"2\"/>",
                    at - 9.0
                )
                .expect("a string takes everything");
            }
            Shape::Dots(_) => {
                write!(
                    body,
                    "<circle class=\"fill {colour}\" cx=\"{:.1}\" cy=\"{:.1}\" r=\"3.5\"/>",
                    from + 8.0,
                    at - 4.0
                )
                .expect("a string takes everything");
            }
            Shape::Dashed(_) | Shape::Level(_) | Shape::Events(_) => {
                segment(body, &format!("dashed {colour}"), (from, at - 4.0), (to, at - 4.0));
            }
            _ => segment(body, &format!("bold {colour}"), (from, at - 4.0), (to, at - 4.0)),
        }
        text(body, "", (left + 22.0, at), &mark.name);
        left += 22.0 + width(&mark.name) + 18.0;
    }
}

fn class(colour: Colour) -> &'static str {
    match colour {
        Colour::Ink => "ink",
        Colour::Grey => "grey",
        Colour::Blue => "blue",
        Colour::Teal => "teal",
        Colour::Orange => "orange",
        Colour::Violet => "violet",
        Colour::Red => "red",
    }
}

fn segment(body: &mut String, class: &str, from: (f64, f64), to: (f64, f64)) {
    write!(
        body,
        "<line class=\"{class}\" x1=\"{:.1}\" y1=\"{:.1}\" x2=\"{:.1}\" y2=\"{:.1}\"/>",
        from.0, from.1, to.0, to.1
    )
    .expect("a string takes everything");
}

fn text(body: &mut String, class: &str, (x, y): (f64, f64), text: &str) {
    write!(body, "<text class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\">{}</text>", escaped(text))
        .expect("a string takes everything");
}

/// Text without what means something in XML, or nothing at all in it.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '&' => escaped.push_str("&amp;"),
            '"' => escaped.push_str("&quot;"),
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => escaped.push(' '),
            c => escaped.push(c),
        }
    }
    escaped
}
