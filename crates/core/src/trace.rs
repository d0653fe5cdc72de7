//! A recorded demand series for replay.
//!
//! CSV with the header `timestamp_seconds,requests_per_second`, more columns ignored, rows of one
//! constant step. A row's rate is the mean over its step, so it stands for the *centre* of the row:
//! between centres [`Trace::rate_at`] interpolates linearly, before the first and after the last it
//! holds.
//!
//! Invariant: a trace has at least one row, a step above zero, and rates that are finite and not
//! negative. Not here: arrivals. Whoever replays a trace draws them from its rates.

mod recording;

use std::time::Duration;

pub use self::recording::Recording;

/// The two columns that every trace begins with.
pub const HEADER: [&str; 2] = ["timestamp_seconds", "requests_per_second"];

/// How far a timestamp may lie off the grid, as a share of the step.
const STEP_TOLERANCE: f64 = 0.01;

/// Requests per second over time.
#[derive(Debug, Clone, PartialEq)]
pub struct Trace {
    step: Duration,
    rates: Vec<f64>,
}

/// Why a text is no trace. Lines count from 1.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Error {
    #[error("line 1: a trace begins with the columns timestamp_seconds,requests_per_second, {}", instead(.0))]
    Header(String),
    #[error("line {line}: expected timestamp_seconds,requests_per_second, found {}", quoted(.text))]
    Columns { line: usize, text: String },
    #[error("line {line}: {} is no number", quoted(.text))]
    Number { line: usize, text: String },
    #[error(
        "line {line}: {} is no number; timestamps are seconds, since 1970 or since the beginning of the recording",
        quoted(.text)
    )]
    Timestamp { line: usize, text: String },
    #[error("line {line}: a rate is finite and not negative, not {rate}")]
    Rate { line: usize, rate: f64 },
    #[error("line {line}: a timestamp is finite and later than the one before, not {timestamp}")]
    Order { line: usize, timestamp: f64 },
    #[error("line {line}: there is a row for {timestamp} already")]
    Twice { line: usize, timestamp: f64 },
    #[error(
        "line {line}: the step must stay {} s, expected a row at {}, found {timestamp}",
        short(*.step),
        short(*.expected)
    )]
    Step { line: usize, step: f64, expected: f64, timestamp: f64 },
    #[error(
        "line {line}: a row at {expected} is missing before {timestamp}; fill gaps, each step of {step} s needs a row"
    )]
    Gap { line: usize, step: f64, expected: f64, timestamp: f64 },
    #[error("line {line}: {timestamp} is in milliseconds, timestamps are in seconds")]
    Millis { line: usize, timestamp: f64 },
    #[error("line {line}: the trace is longer than {most} steps")]
    Long { line: usize, most: usize },
    #[error("a trace needs at least two rows to show its step, found {0}")]
    Rows(usize),
    #[error("a step of {0} s cannot be replayed")]
    Length(f64),
}

impl Trace {
    /// A trace from rates, one per `step`. `None` if there are none, the step is zero or a rate is
    /// not finite or negative.
    pub fn new(step: Duration, rates: Vec<f64>) -> Option<Self> {
        let sound = !step.is_zero() && !rates.is_empty() && rates.iter().all(|&rate| is_rate(rate));
        sound.then_some(Self { step, rates })
    }

    pub fn parse(text: &str) -> Result<Self, Error> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let mut lines = (1..).zip(text.lines());
        let header = lines.next().map_or("", |(_, line)| line);
        if !header.split(',').map(str::trim).take(2).eq(HEADER) {
            return Err(Error::Header(header.to_owned()));
        }
        let mut rows = Rows::default();
        for (line, text) in lines.filter(|(_, text)| !text.trim().is_empty()) {
            rows.push(line, text)?;
        }
        rows.finish()
    }

    /// Time that one row covers.
    pub fn step(&self) -> Duration {
        self.step
    }

    /// Mean requests per second of each row.
    pub fn rates(&self) -> &[f64] {
        &self.rates
    }

    /// Requests per second at `seconds` from the start.
    pub fn rate_at(&self, seconds: f64) -> f64 {
        let last = self.rates.len() - 1;
        // In rows, counted from the centre of the first. Not `clamp`: no time at all (NaN) is zero.
        let position = (seconds / self.step.as_secs_f64() - 0.5).max(0.0).min(last as f64);
        // Through 32 bits, which rows are counted in: to fewer a number is converted in fewer instructions.
        let row = (position as u32 as usize).min(last);
        let next = (row + 1).min(last);
        let share = position - row as f64;
        self.rates[row] + (self.rates[next] - self.rates[row]) * share
    }

    /// Largest rate of any row.
    pub fn peak(&self) -> f64 {
        self.rates.iter().copied().fold(0.0, f64::max)
    }

    pub fn mean(&self) -> f64 {
        self.rates.iter().sum::<f64>() / self.rates.len() as f64
    }

    pub fn duration(&self) -> Duration {
        self.step.saturating_mul(u32::try_from(self.rates.len()).unwrap_or(u32::MAX))
    }

    /// The rows that begin within `length` from `from`, as a trace that starts at zero. `None` if
    /// there are none.
    #[must_use]
    pub fn slice(&self, from: Duration, length: Duration) -> Option<Self> {
        let row_at = |time: Duration| {
            let row = time.as_nanos().div_ceil(self.step.as_nanos());
            usize::try_from(row).map_or(self.rates.len(), |row| row.min(self.rates.len()))
        };
        let (first, end) = (row_at(from), row_at(from.saturating_add(length)));
        Self::new(self.step, self.rates[first..end].to_vec())
    }

    /// The same rates, each for a `factor`th of its time. `None` if nothing of it would be left.
    #[must_use]
    pub fn sped_up(&self, factor: f64) -> Option<Self> {
        let step = Duration::try_from_secs_f64(self.step.as_secs_f64() / factor).ok()?;
        Self::new(step, self.rates.clone())
    }

    /// The same shape with `peak` as its largest rate. A trace without demand stays as it is.
    #[must_use]
    pub fn scaled_to_peak(&self, peak: f64) -> Self {
        let old = self.peak();
        let scale = |&rate: &f64| if old > 0.0 { rate / old * peak } else { rate };
        Self { step: self.step, rates: self.rates.iter().map(scale).collect() }
    }
}

fn is_rate(rate: f64) -> bool {
    rate.is_finite() && rate >= 0.0
}

/// Rows read so far, checked against the grid that the first two span.
#[derive(Default)]
struct Rows {
    first: f64,
    last: f64,
    step: Option<f64>,
    rates: Vec<f64>,
}

impl Rows {
    fn push(&mut self, line: usize, text: &str) -> Result<(), Error> {
        let mut columns = text.split(',').map(str::trim);
        let (Some(timestamp), Some(rate)) = (columns.next(), columns.next()) else {
            return Err(Error::Columns { line, text: text.to_owned() });
        };
        let timestamp = seconds(line, timestamp)?;
        let rate = number(line, rate)?;
        if !is_rate(rate) {
            return Err(Error::Rate { line, rate });
        }
        self.place(line, timestamp)?;
        self.rates.push(rate);
        Ok(())
    }

    fn place(&mut self, line: usize, timestamp: f64) -> Result<(), Error> {
        if self.rates.is_empty() && timestamp.is_finite() {
            (self.first, self.last) = (timestamp, timestamp);
            return Ok(());
        }
        let passed = timestamp - self.first;
        if timestamp.to_bits() == self.last.to_bits() {
            return Err(Error::Twice { line, timestamp });
        }
        if !passed.is_finite() || timestamp <= self.last {
            return Err(Error::Order { line, timestamp });
        }
        self.last = timestamp;
        let step = *self.step.get_or_insert(passed);
        let expected = step * self.rates.len() as f64;
        let off = passed - expected;
        let expected = self.first + expected;
        if off >= step * (1.0 - STEP_TOLERANCE) {
            Err(Error::Gap { line, step, expected, timestamp })
        } else if off.abs() > step * STEP_TOLERANCE {
            Err(Error::Step { line, step, expected, timestamp })
        } else {
            Ok(())
        }
    }

    fn finish(self) -> Result<Trace, Error> {
        let rows = self.rates.len();
        let step = self.step.ok_or(Error::Rows(rows))?;
        let span = Duration::try_from_secs_f64(step).map_err(|_| Error::Length(step))?;
        Trace::new(span, self.rates).ok_or(Error::Length(step))
    }
}

/// In quotes, and no more than the beginning of it: a file that is no trace may have lines of any length.
fn quoted(text: &str) -> String {
    const LONGEST: usize = 60;
    if text.is_empty() {
        return "nothing".to_owned();
    }
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{:?}…", &text[..end]),
        None => format!("{text:?}"),
    }
}

/// What is there instead of the columns.
fn instead(text: &str) -> String {
    let semicolons = text.split(';').map(str::trim).take(2).eq(HEADER);
    if semicolons { "with commas, not semicolons".to_owned() } else { format!("not {}", quoted(text)) }
}

/// Without the digits that binary fractions leave.
fn short(number: f64) -> f64 {
    if number.abs() < 1e12 { (number * 1e3).round() / 1e3 } else { number }
}

/// Of a timestamp.
fn seconds(line: usize, text: &str) -> Result<f64, Error> {
    // In milliseconds since 1970 the years 1973 to 5138, in seconds those after.
    const MILLIS: std::ops::Range<f64> = 1e11..1e14;
    let timestamp = text.parse().map_err(|_| Error::Timestamp { line, text: text.to_owned() })?;
    if MILLIS.contains(&timestamp) {
        return Err(Error::Millis { line, timestamp });
    }
    Ok(timestamp)
}

fn number(line: usize, text: &str) -> Result<f64, Error> {
    text.parse().map_err(|_| Error::Number { line, text: text.to_owned() })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn trace(step: u64, rates: &[f64]) -> Trace {
        Trace::new(Duration::from_secs(step), rates.to_vec()).unwrap()
    }

    fn parse(rows: &str) -> Result<Trace, String> {
        Trace::parse(&format!("timestamp_seconds,requests_per_second\n{rows}"))
            .map_err(|error| error.to_string())
    }

    #[test]
    fn further_columns_blank_lines_and_windows_line_ends_are_fine() {
        let text = "timestamp_seconds,requests_per_second,tokens\r\n100,1.5,7\r\n160,2,8\r\n220,0,9\r\n\r\n";
        assert_eq!(Trace::parse(text), Ok(trace(60, &[1.5, 2.0, 0.0])));
    }

    #[test]
    fn a_mistake_names_its_line() {
        let cases = [
            ("0,1\n60,x\n", "line 3: \"x\" is no number"),
            ("0,1\n60\n", "line 3: expected timestamp_seconds,requests_per_second, found \"60\""),
            ("0,-1\n60,1\n", "line 2: a rate is finite and not negative, not -1"),
            ("0,1\n60,inf\n", "line 3: a rate is finite and not negative, not inf"),
            ("0,1\n60,1\n60,1\n", "line 4: there is a row for 60 already"),
            ("0,1\n60,1\n30,1\n", "line 4: a timestamp is finite and later than the one before, not 30"),
            ("0,1\n60,1\n150,1\n", "line 4: the step must stay 60 s, expected a row at 120, found 150"),
            (
                "0,1\n60,1\n180,1\n",
                "line 4: a row at 120 is missing before 180; fill gaps, each step of 60 s needs a row",
            ),
            ("0,1\n60,NaN\n", "line 3: a rate is finite and not negative, not NaN"),
            ("0,1\n60,\n", "line 3: nothing is no number"),
            (
                "1767225600000,1\n1767225660000,1\n",
                "line 2: 1767225600000 is in milliseconds, timestamps are in seconds",
            ),
            ("0,1\n0,1\n", "line 3: there is a row for 0 already"),
            ("NaN,1\n0,1\n", "line 2: a timestamp is finite and later than the one before, not NaN"),
            ("0,1\n", "a trace needs at least two rows to show its step, found 1"),
            ("0,1\n1e300,1\n", "a step of 1"),
        ];
        for (rows, expected) in cases {
            let error = parse(rows).unwrap_err();
            assert!(error.starts_with(expected), "{rows:?}: {error}");
        }
        let error = Trace::parse("0,1\n1,1\n").unwrap_err().to_string();
        assert!(error.ends_with("not \"0,1\""), "{error}");
        let error = Trace::parse("").unwrap_err().to_string();
        assert!(error.ends_with("not nothing"), "{error}");
        let error = Trace::parse(&"ä".repeat(1_000_000)).unwrap_err().to_string();
        assert!(error.ends_with(&format!("not \"{}\"…", "ä".repeat(60))), "{error}");
    }

    #[test]
    fn semicolons_are_named() {
        let error = Trace::parse("timestamp_seconds;requests_per_second\n0;1\n").unwrap_err().to_string();
        assert!(error.ends_with("with commas, not semicolons"), "{error}");
    }

    #[test]
    fn a_rate_stands_for_the_centre_of_its_row() {
        let trace = trace(60, &[10.0, 20.0, 0.0]);
        for (seconds, rate) in [(30.0, 10.0), (60.0, 15.0), (90.0, 20.0), (105.0, 15.0), (150.0, 0.0)] {
            assert!((trace.rate_at(seconds) - rate).abs() < 1e-9, "at {seconds}");
        }
        let beyond = [0.0, -5.0, f64::NAN, 1e30].map(|at| trace.rate_at(at) as u32);
        assert_eq!(beyond, [10, 10, 10, 0]);
    }

    #[test]
    fn a_slice_keeps_the_rows_that_begin_in_it() {
        let trace = trace(60, &[1.0, 2.0, 3.0, 4.0]);
        let rates = |from, length| {
            trace.slice(Duration::from_secs(from), Duration::from_secs(length)).map(|slice| slice.rates)
        };
        assert_eq!(rates(60, 120), Some(vec![2.0, 3.0]));
        assert_eq!(rates(61, 120), Some(vec![3.0, 4.0]));
        assert_eq!(rates(180, u64::MAX), Some(vec![4.0]));
        assert_eq!(rates(181, 600), None);
    }

    #[test]
    fn scaling_keeps_the_shape() {
        assert_eq!(trace(1, &[1.0, 4.0, 2.0]).scaled_to_peak(1_000.0).rates, [250.0, 1_000.0, 500.0]);
        assert_eq!(trace(1, &[0.0, 0.0]).scaled_to_peak(1_000.0).rates, [0.0, 0.0]);
    }

    #[test]
    fn figures() {
        let trace = trace(300, &[1.0, 4.0, 1.0, 2.0]);
        assert_eq!((trace.peak(), trace.mean(), trace.duration()), (4.0, 2.0, Duration::from_mins(20)));
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "(timestamp_seconds,requests_per_second\n)?[-0-9.,eEinfNa\n ]{0,60}") {
            if let Ok(trace) = Trace::parse(&text) {
                prop_assert!(trace.rates.iter().all(|&rate| is_rate(rate)));
            }
        }

        #[test]
        fn interpolation_stays_between_the_extremes(
            rates in prop::collection::vec(0.0..1e6_f64, 1..20),
            seconds in any::<f64>(),
        ) {
            let trace = trace(7, &rates);
            let lowest = rates.iter().copied().fold(f64::INFINITY, f64::min);
            let rate = trace.rate_at(seconds);
            prop_assert!(rate >= lowest - 1e-6 && rate <= trace.peak() + 1e-6);
        }
    }
}
