//! What is drawn: rows of panels with marks.

use crate::draw;

/// A whole picture.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Figure {
    pub title: String,
    pub subtitle: String,
    pub rows: Vec<Row>,
}

/// Panels beside each other, as wide as each other.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Row {
    /// Of the area that marks are in, in pixels.
    pub height: f64,
    pub panels: Vec<Panel>,
}

/// Marks over two axes. What is drawn later lies on top.
#[derive(Debug, Clone, PartialEq)]
pub struct Panel {
    pub title: String,
    pub x: Axis,
    pub y: Axis,
    pub marks: Vec<Mark>,
}

/// What the numbers of an axis are, and how far it reaches at least.
#[derive(Debug, Clone, Default, PartialEq)]
pub enum Axis {
    /// From zero to the largest number.
    #[default]
    Number,
    /// Shares of one, written as percentages, from zero to the largest.
    Share,
    /// From the smallest to the largest number.
    Between,
    /// Seconds from the start of something.
    Time,
    /// Names at 0, 1, 2 and so on.
    Names(Vec<String>),
}

/// One series of a panel.
#[derive(Debug, Clone, PartialEq)]
pub struct Mark {
    /// As the legend calls it; empty: it is not in the legend.
    pub name: String,
    pub colour: Colour,
    pub shape: Shape,
}

/// How a series is drawn. Points are `(x, y)` in the order of `x`; one that is not finite interrupts.
#[derive(Debug, Clone, PartialEq)]
pub enum Shape {
    Line(Vec<(f64, f64)>),
    /// A broad line, for what the figure is about.
    Bold(Vec<(f64, f64)>),
    Dashed(Vec<(f64, f64)>),
    /// Each value holds until the next.
    Steps(Vec<(f64, f64)>),
    /// Filled from zero.
    Area(Vec<(f64, f64)>),
    /// Filled from the second to the third: `(x, low, high)`.
    Band(Vec<(f64, f64, f64)>),
    Dots(Vec<(f64, f64)>),
    /// Columns from zero, each half as wide as the distance to the next.
    Bars(Vec<(f64, f64)>),
    /// Across the whole panel, dashed.
    Level(f64),
    /// From top to bottom at each `x`, with a word beside it.
    Events(Vec<(f64, String)>),
    /// From top to bottom between two `x`, filled.
    Span(f64, f64),
}

/// The role of a colour; what it is depends on the ground.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Colour {
    /// What happened: as strong as text.
    Ink,
    /// What matters less.
    Grey,
    /// What the figure is about.
    Blue,
    Teal,
    Orange,
    Violet,
    /// What is wrong.
    Red,
}

impl Mark {
    pub fn new(name: &str, colour: Colour, shape: Shape) -> Self {
        Self { name: name.to_owned(), colour, shape }
    }
}

impl Figure {
    /// The text of an SVG file.
    pub fn svg(&self) -> String {
        draw::figure(self)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn figure(title: &str, x: &Axis, points: &[(f64, f64)]) -> Figure {
        let band = points.iter().map(|&(x, y)| (x, y, y * 2.0)).collect();
        let shapes = [
            Shape::Band(band),
            Shape::Line(points.to_vec()),
            Shape::Bold(points.to_vec()),
            Shape::Dashed(points.to_vec()),
            Shape::Steps(points.to_vec()),
            Shape::Area(points.to_vec()),
            Shape::Dots(points.to_vec()),
            Shape::Bars(points.to_vec()),
            Shape::Level(points.first().map_or(f64::NAN, |&(_, y)| y)),
            Shape::Events(points.iter().map(|&(x, _)| (x, title.to_owned())).collect()),
            Shape::Span(points.first().map_or(f64::NAN, |&(x, _)| x), points.len() as f64),
        ];
        let marks: Vec<_> = shapes.into_iter().map(|shape| Mark::new(title, Colour::Blue, shape)).collect();
        let panel = |y: Axis| Panel { title: title.to_owned(), x: x.clone(), y, marks: marks.clone() };
        let panels = vec![panel(Axis::Number), panel(Axis::Share), panel(Axis::Between)];
        Figure {
            title: title.to_owned(),
            subtitle: title.to_owned(),
            rows: vec![Row { height: 100.0, panels }],
        }
    }

    /// Every tag is closed, in order.
    fn is_well_formed(svg: &str) -> bool {
        let mut open = Vec::new();
        for tag in svg.split('<').skip(1) {
            let Some((tag, text)) = tag.split_once('>') else { return false };
            if text.contains('>') {
                return false;
            }
            let name = tag.split(' ').next().unwrap_or_default();
            match name.strip_prefix('/') {
                Some(name) if open.pop() != Some(name) => return false,
                None if !tag.ends_with('/') => open.push(name),
                _ => {}
            }
        }
        open.is_empty()
    }

    #[test]
    fn a_line_runs_from_corner_to_corner() {
        let panel = Panel {
            title: String::new(),
            x: Axis::Number,
            y: Axis::Number,
            marks: vec![Mark::new("up", Colour::Ink, Shape::Line(vec![(0.0, 0.0), (10.0, 10.0)]))],
        };
        let figure = Figure { rows: vec![Row { height: 100.0, panels: vec![panel] }], ..Figure::default() };
        let svg = figure.svg();
        let path = svg.split("class=\"line ink\" d=\"").nth(1).unwrap().split('"').next().unwrap();
        let numbers: Vec<f64> = path
            .split(['M', 'L', ' ', ','])
            .filter(|part| !part.is_empty())
            .map(|n| n.parse().unwrap())
            .collect();
        let [left, bottom, right, top] = numbers[..] else { panic!("{path}") };
        assert!(right - left > 900.0 && (bottom - top - 100.0).abs() < 0.2, "{path}");
        assert!(svg.contains(">up</text>"), "it is in the legend");
    }

    #[test]
    fn a_hole_interrupts_a_line() {
        let points = vec![(0.0, 1.0), (1.0, 1.0), (2.0, f64::NAN), (3.0, 1.0), (4.0, 1.0)];
        let svg = figure("", &Axis::Number, &points).svg();
        let path = svg.split("class=\"line blue\" d=\"").nth(1).unwrap().split('"').next().unwrap();
        assert_eq!(path.matches('M').count(), 2, "{path}");
    }

    #[test]
    fn a_long_series_is_drawn_as_far_as_a_pixel_shows_it() {
        let points: Vec<_> = (0..500_000).map(|at| (f64::from(at), f64::from(at % 977))).collect();
        let svg = figure("long", &Axis::Time, &points).svg();
        assert!(svg.len() < 2_000_000, "{} bytes", svg.len());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn whatever_is_drawn_is_well_formed(
            title in any::<String>(),
            points in prop::collection::vec(
                (
                    prop_oneof![any::<f64>(), -10.0..10.0_f64, Just(0.0)],
                    prop_oneof![any::<f64>(), 0.0..1e3_f64, Just(0.0)],
                ),
                0..40,
            ),
        ) {
            for x in [Axis::Number, Axis::Time, Axis::Names(vec![title.clone(), "b".into()])] {
                let svg = figure(&title, &x, &points).svg();
                prop_assert!(is_well_formed(&svg), "{}", svg);
                let numbers = svg.split(" d=\"").skip(1).map(|path| path.split('"').next().unwrap_or_default());
                for path in numbers {
                    prop_assert!(!path.contains("NaN") && !path.contains("inf"), "{}", path);
                }
            }
        }
    }
}
