//! Series as paths, with no more points than pixels can show.
//!
//! Of all points in one column of pixels the first, the lowest, the highest and the last are kept, in their
//! order: the ink is the same. Of a line, points are left out that are where the line goes anyway.

use std::fmt::Write as _;

use crate::axis::Scale;

type Point = (f64, f64);

/// How far from a line, in pixels, a point may be that is left out of it.
const UNSEEN: f64 = 0.2;

/// The stretches of a series between its holes, in pixels.
pub(crate) fn stretches(points: &[Point], x: &Scale<'_>, y: &Scale<'_>) -> Vec<Vec<Point>> {
    points
        .split(|(x, y)| !(x.is_finite() && y.is_finite()))
        .filter(|stretch| !stretch.is_empty())
        .map(|stretch| thinned(stretch.iter().map(|&(a, b)| (x.place(a), y.place(b)))))
        .collect()
}

/// The column of pixels that a point is in.
fn pixel(point: Point) -> i64 {
    point.0 as i64
}

fn thinned(points: impl Iterator<Item = Point>) -> Vec<Point> {
    let mut kept: Vec<Point> = Vec::new();
    let mut column: Vec<Point> = Vec::new();
    for point in points {
        if column.first().is_some_and(|first: &Point| pixel(*first) != pixel(point)) {
            kept.append(&mut column);
        }
        // A column never holds more than its four.
        if column.len() == 4 {
            shrink(&mut column);
        }
        column.push(point);
    }
    kept.append(&mut column);
    kept
}

/// Drops the one of the inner points that is neither lowest nor highest.
fn shrink(column: &mut Vec<Point>) {
    let extreme = |better: fn(f64, f64) -> bool| {
        (0..column.len()).fold(0, |best, at| if better(column[at].1, column[best].1) { at } else { best })
    };
    let (lowest, highest) = (extreme(|one, other| one < other), extreme(|one, other| one > other));
    let idle = (1..column.len()).find(|&at| at != lowest && at != highest).unwrap_or(1);
    column.remove(idle);
}

/// `M x,y L x,y ...` through the points of each stretch.
pub(crate) fn line(stretches: &[Vec<Point>]) -> String {
    let mut path = String::new();
    for stretch in stretches {
        append(&mut path, 'M', straight(stretch).iter());
    }
    path
}

/// Without the points that are on the line between those that stay.
fn straight(points: &[Point]) -> Vec<Point> {
    let Some((&first, rest)) = points.split_first() else { return Vec::new() };
    let (mut kept, mut last) = (vec![first], first);
    // The slopes with which a line from the last that is kept passes all since.
    let anywhere = (f64::NEG_INFINITY, f64::INFINITY);
    let (mut anchor, mut slopes) = (first, anywhere);
    for &point in rest {
        let slope = |anchor: Point, off: f64| (point.1 + off - anchor.1) / (point.0 - anchor.0);
        let passes = point.0 > anchor.0 && (slopes.0..=slopes.1).contains(&slope(anchor, 0.0));
        if !passes {
            if last != anchor {
                kept.push(last);
            }
            (anchor, slopes) = (last, anywhere);
        }
        if point.0 > anchor.0 {
            slopes = (slopes.0.max(slope(anchor, -UNSEEN)), slopes.1.min(slope(anchor, UNSEEN)));
        } else {
            // Straight up or down.
            slopes = (f64::INFINITY, f64::NEG_INFINITY);
        }
        last = point;
    }
    if last != anchor {
        kept.push(last);
    }
    kept
}

fn append<'a>(path: &mut String, first: char, points: impl Iterator<Item = &'a Point>) {
    for (index, (x, y)) in points.enumerate() {
        let command = if index == 0 { first } else { 'L' };
        write!(path, "{command}{x:.1},{y:.1}").expect("a string takes everything");
    }
}

/// Each value holds until the next.
pub(crate) fn steps(points: &[Point]) -> Vec<Point> {
    let mut stepped = Vec::with_capacity(points.len() * 2);
    for (index, &(x, y)) in points.iter().enumerate() {
        if let Some((_, before)) = index.checked_sub(1).and_then(|before| points.get(before)) {
            stepped.push((x, *before));
        }
        stepped.push((x, y));
    }
    stepped
}

/// The area between each stretch and the height `base`.
pub(crate) fn area(stretches: &[Vec<Point>], base: f64) -> String {
    let mut path = String::new();
    for stretch in stretches {
        let (Some(first), Some(last)) = (stretch.first(), stretch.last()) else { continue };
        append(&mut path, 'M', straight(stretch).iter());
        append(&mut path, 'L', [(last.0, base), (first.0, base)].iter());
        path.push('Z');
    }
    path
}

/// The area between the second and the third of each point.
pub(crate) fn band(points: &[(f64, f64, f64)], x: &Scale<'_>, y: &Scale<'_>) -> String {
    let mut path = String::new();
    let hole = |&(x, low, high): &(f64, f64, f64)| !(x.is_finite() && low.is_finite() && high.is_finite());
    for stretch in points.split(hole).filter(|stretch| !stretch.is_empty()) {
        let edge = |of: fn(&(f64, f64, f64)) -> f64, lower: bool| {
            outline(stretch.iter().map(|point| (x.place(point.0), y.place(of(point)))), lower)
        };
        let (low, high) = (edge(|point| point.1, true), edge(|point| point.2, false));
        append(&mut path, 'M', high.iter());
        append(&mut path, 'L', low.iter().rev());
        path.push('Z');
    }
    path
}

/// The outermost point of every column of pixels; down is larger.
fn outline(points: impl Iterator<Item = Point>, lower: bool) -> Vec<Point> {
    let mut edge: Vec<Point> = Vec::new();
    for (x, y) in points {
        match edge.last_mut() {
            Some(last) if pixel(*last) == pixel((x, y)) => {
                last.1 = if lower { last.1.max(y) } else { last.1.min(y) };
            }
            _ => edge.push((x, y)),
        }
    }
    edge
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn extremes_survive_thinning() {
        let mut points: Vec<Point> = (0..10_000).map(|at| (f64::from(at) / 100.0, 50.0)).collect();
        points[5_050].1 = 99.0;
        points[7_001].1 = 1.0;
        let kept = thinned(points.iter().copied());
        assert!(kept.len() <= 400, "{}", kept.len());
        assert!(kept.contains(&points[5_050]) && kept.contains(&points[7_001]));
        assert_eq!((kept.first(), kept.last()), (points.first(), points.last()));
    }

    #[test]
    fn a_line_needs_its_corners_only() {
        let (flat, up) = ((0..50).map(|at| (f64::from(at), 5.0)), (50..90).map(|at| (f64::from(at), 2.0)));
        let corners = [(0.0, 5.0), (49.0, 5.0), (50.0, 2.0), (89.0, 2.0)];
        assert_eq!(straight(&flat.chain(up).collect::<Vec<_>>()), corners);
        let stairs = steps(&[(0.0, 1.0), (2.0, 3.0), (4.0, 3.0), (6.0, 1.0)]);
        assert_eq!(straight(&stairs), [(0.0, 1.0), (2.0, 1.0), (2.0, 3.0), (6.0, 3.0), (6.0, 1.0)]);
        assert_eq!((straight(&[]), straight(&[(1.0, 1.0)])), (vec![], vec![(1.0, 1.0)]));
    }

    proptest! {
        #[test]
        fn no_point_is_far_from_the_line(heights in prop::collection::vec(0..40_u8, 1..80)) {
            let points: Vec<Point> = (0..).zip(&heights).map(|(x, &y)| (f64::from(x), f64::from(y) / 10.0)).collect();
            let kept = straight(&points);
            prop_assert_eq!((kept.first(), kept.last()), (points.first(), points.last()));
            for &(x, y) in &points {
                let after = kept.partition_point(|point| point.0 < x);
                let (to, from) = (kept[after], kept[after.saturating_sub(1)]);
                let share = if to.0 > from.0 { (x - from.0) / (to.0 - from.0) } else { 1.0 };
                let line = from.1 + (to.1 - from.1) * share;
                prop_assert!((line - y).abs() <= UNSEEN + 1e-9, "{line} instead of {y} at {x}");
            }
        }
    }

    #[test]
    fn steps_hold() {
        assert_eq!(steps(&[(0.0, 1.0), (2.0, 3.0)]), [(0.0, 1.0), (2.0, 1.0), (2.0, 3.0)]);
    }
}
