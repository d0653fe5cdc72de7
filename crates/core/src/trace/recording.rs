//! Recorded demand as it comes out of a monitoring system: with holes.
//!
//! The same CSV as a [`Trace`](super::Trace), but rows may be absent, and a rate may be empty or `NaN`: each is a
//! gap and not zero. The step is the usual distance between rows.
//!
//! Invariant: values are finite and not negative, at most `MOST` steps are held, and the first and the
//! last row lie at its ends. Not here: replay, which needs to know every row.

use std::time::Duration;

use super::{Error, HEADER, is_rate, number, seconds};

/// Most steps of a recording, gaps included: 23 days of seconds, 3.8 years of minutes.
pub(super) const MOST: usize = 2_000_000;

/// How far a row may lie off the grid, as a share of the step.
const TOLERANCE: f64 = 0.25;

/// Requests per second over time, where they are known.
#[derive(Debug, Clone, PartialEq)]
pub struct Recording {
    step: Duration,
    values: Vec<Option<f64>>,
}

impl Recording {
    pub fn parse(text: &str) -> Result<Self, Error> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let mut lines = (1..).zip(text.lines());
        let header = lines.next().map_or("", |(_, line)| line);
        if !header.split(',').map(str::trim).take(2).eq(HEADER) {
            return Err(Error::Header(header.to_owned()));
        }
        let rows = lines.filter(|(_, text)| !text.trim().is_empty()).map(|(line, text)| row(line, text));
        let rows: Vec<Row> = rows.collect::<Result<_, _>>()?;
        let step = usual_step(&rows)?;
        let span = Duration::try_from_secs_f64(step).ok().filter(|span| !span.is_zero());
        let values = place(&rows, step)?;
        Ok(Self { step: span.ok_or(Error::Length(step))?, values })
    }

    /// Time that one value covers.
    pub fn step(&self) -> Duration {
        self.step
    }

    /// Mean requests per second of each step; `None` is a gap.
    pub fn values(&self) -> &[Option<f64>] {
        &self.values
    }
}

struct Row {
    line: usize,
    timestamp: f64,
    rate: Option<f64>,
}

fn row(line: usize, text: &str) -> Result<Row, Error> {
    let mut columns = text.split(',').map(str::trim);
    let (Some(timestamp), Some(rate)) = (columns.next(), columns.next()) else {
        return Err(Error::Columns { line, text: text.to_owned() });
    };
    let timestamp = seconds(line, timestamp)?;
    let rate = if rate.is_empty() { None } else { Some(number(line, rate)?).filter(|rate| !rate.is_nan()) };
    match rate {
        Some(rate) if !is_rate(rate) => Err(Error::Rate { line, rate }),
        _ => Ok(Row { line, timestamp, rate }),
    }
}

/// The mean distance of neighbours between which nothing is missing, which is near their median. Each is
/// later than the one before.
fn usual_step(rows: &[Row]) -> Result<f64, Error> {
    let mut steps = Vec::with_capacity(rows.len());
    for pair in rows.windows(2) {
        let step = pair[1].timestamp - pair[0].timestamp;
        if pair[1].timestamp.to_bits() == pair[0].timestamp.to_bits() {
            return Err(Error::Twice { line: pair[1].line, timestamp: pair[1].timestamp });
        }
        if !step.is_finite() || step <= 0.0 {
            return Err(Error::Order { line: pair[1].line, timestamp: pair[1].timestamp });
        }
        steps.push(step);
    }
    if steps.is_empty() {
        return Err(Error::Rows(rows.len()));
    }
    // Of two the smaller one: the other has a gap in it.
    let middle = (steps.len() - 1) / 2;
    let median = *steps.select_nth_unstable_by(middle, f64::total_cmp).1;
    let near = steps.iter().filter(|&&step| (step - median).abs() <= TOLERANCE * median);
    let (sum, count) = near.fold((0.0, 0_u32), |(sum, count), step| (sum + step, count + 1));
    Ok(whole(sum / f64::from(count), rows.len()))
}

/// Whole seconds, where `step` is nearly that: so that rows that came a little late or early do not make a day of 289 steps.
fn whole(step: f64, rows: usize) -> f64 {
    let seconds = step.round();
    // Not so much that rows would drift off the grid.
    let same = (step - seconds).abs() * rows as f64 <= TOLERANCE / 2.0 * step;
    if same { seconds } else { step }
}

fn place(rows: &[Row], step: f64) -> Result<Vec<Option<f64>>, Error> {
    let first = rows.first().map_or(0.0, |row| row.timestamp);
    let mut values = Vec::new();
    for row in rows {
        let position = (row.timestamp - first) / step;
        if position.round() >= MOST as f64 {
            return Err(Error::Long { line: row.line, most: MOST });
        }
        let slot = position.round() as usize;
        if (position - position.round()).abs() > TOLERANCE || slot < values.len() {
            let expected = first + step * values.len() as f64;
            return Err(Error::Step { line: row.line, step, expected, timestamp: row.timestamp });
        }
        values.resize(slot, None);
        values.push(row.rate);
    }
    Ok(values)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{super::Trace, *};

    fn parse(rows: &str) -> Result<Recording, String> {
        Recording::parse(&format!("timestamp_seconds,requests_per_second\n{rows}"))
            .map_err(|error| error.to_string())
    }

    #[test]
    fn absent_rows_and_empty_rates_are_gaps() {
        let recording = parse("60,1\n120,2\n300,5,more\r\n\n360,\n420,NaN\n480,0\n").unwrap();
        assert_eq!(recording.step(), Duration::from_mins(1));
        let expected = [Some(1.0), Some(2.0), None, None, Some(5.0), None, None, Some(0.0)];
        assert_eq!(recording.values(), expected);
    }

    #[test]
    fn a_recording_may_begin_with_a_gap_and_jitter() {
        let recording = parse("0,1\n600,2\n661,3\n719,4\n780,5\n840,6\n").unwrap();
        assert_eq!((recording.step(), recording.values().len()), (Duration::from_mins(1), 15));
        let recording = parse("0,1\n60,2\n600,3\n").unwrap();
        assert_eq!((recording.step(), recording.values().len()), (Duration::from_mins(1), 11));
    }

    #[test]
    fn rows_that_come_a_little_late_or_early_are_steps_of_whole_seconds() {
        let late = |row: u32| f64::from(row * 7 % 5) - 2.0;
        let rows: Vec<_> =
            (0..600).map(|row| format!("{},{row}", f64::from(row) * 300.0 + late(row))).collect();
        let recording = parse(&rows.join("\n")).unwrap();
        assert_eq!((recording.step(), recording.values().len()), (Duration::from_mins(5), 600));
        let rows: Vec<_> = (0..600).map(|row| format!("{},{row}", f64::from(row) * 300.5)).collect();
        assert_eq!(parse(&rows.join("\n")).unwrap().step(), Duration::from_millis(300_500));
    }

    #[test]
    fn a_mistake_names_its_line() {
        let cases = [
            ("0,1\n60,x\n", "line 3: \"x\" is no number"),
            ("0,1\n60\n", "line 3: expected timestamp_seconds,requests_per_second"),
            ("0,1\n60,-1\n", "line 3: a rate is finite and not negative, not -1"),
            ("0,1\n60,inf\n", "line 3: a rate is finite and not negative, not inf"),
            ("0,1\n60,1\n60,1\n", "line 4: there is a row for 60 already"),
            ("2026-05-01,1\n", "line 2: \"2026-05-01\" is no number; timestamps are seconds"),
            ("0,1\n60,1\n30,1\n", "line 4: a timestamp is finite and later than the one before, not 30"),
            ("0,1\n60,1\n120,1\n210,1\n270,1\n", "line 5: the step must stay 60 s, expected a row at 180"),
            ("0,1\n", "a trace needs at least two rows"),
            ("0,1\n1,1\n2,1\n1e10,1\n", "line 5: the trace is longer than 2000000 steps"),
            ("0,1\n1e300,1\n", "a step of 1"),
            ("0,1\n1767225600000,1\n", "line 3: 1767225600000 is in milliseconds"),
        ];
        for (rows, expected) in cases {
            let error = parse(rows).unwrap_err();
            assert!(error.starts_with(expected), "{rows:?}: {error}");
        }
        assert!(Recording::parse("").is_err());
    }

    proptest! {
        #[test]
        fn no_text_panics(
            rows in prop_oneof![
                "[-0-9.,eEinfNa\r\n ]{0,60}",
                prop::collection::vec(("[-0-9.e]{0,8}", "[-0-9.eNa]{0,5}"), 0..12).prop_map(|rows| {
                    rows.iter().map(|(at, rate)| format!("{at},{rate}")).collect::<Vec<_>>().join("\n")
                }),
                any::<String>(),
            ],
            with_header in prop::bool::weighted(0.9),
        ) {
            let header = if with_header { "timestamp_seconds,requests_per_second\n" } else { "" };
            let text = format!("{header}{rows}");
            if let Ok(recording) = Recording::parse(&text) {
                prop_assert!(recording.values().len() <= MOST);
                prop_assert!(recording.values().iter().flatten().all(|&rate| is_rate(rate)));
            }
            // What can be replayed and is not too long can be forecast, and is the same.
            if let Ok(trace) = Trace::parse(&text) {
                let recording = Recording::parse(&text).unwrap();
                let known: Vec<f64> = recording.values().iter().flatten().copied().collect();
                prop_assert_eq!(known, trace.rates());
            }
        }

        #[test]
        fn what_was_dropped_is_a_gap_and_the_rest_is_kept(
            known in prop::collection::vec(prop::bool::weighted(0.8), 10..80),
            step in 1..4_000_u32,
        ) {
            // Both ends and a pair of neighbours in most places.
            let is_known = |at: usize| at < 6 || at + 1 == known.len() || known[at];
            let rows = (0..known.len()).filter(|&at| is_known(at));
            let rows: Vec<_> = rows.map(|at| format!("{},{at}", at as u32 * step)).collect();
            let recording = parse(&rows.join("\n")).unwrap();
            if recording.step() == Duration::from_secs(step.into()) {
                let expected: Vec<_> =
                    (0..known.len()).map(|at| is_known(at).then_some(at as f64)).collect();
                prop_assert_eq!(recording.values(), expected);
            }
        }
    }
}
