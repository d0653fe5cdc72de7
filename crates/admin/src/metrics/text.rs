//! Writes the Prometheus text format 0.0.4.

use std::fmt::{self, Display, Write as _};

use tidegate_core::histogram::Counts;

use super::{Kind, Metric};

/// Upper bounds that are exported, in microseconds: 1, 2.5 and 5 of each decade. Each is a bound of the
/// histograms that are kept, so that nothing is interpolated.
const BOUNDS_US: [u64; 19] = [
    100,
    250,
    500,
    1_000,
    2_500,
    5_000,
    10_000,
    25_000,
    50_000,
    100_000,
    250_000,
    500_000,
    1_000_000,
    2_500_000,
    5_000_000,
    10_000_000,
    25_000_000,
    50_000_000,
    100_000_000,
];

/// A page of metrics in the making.
#[derive(Debug, Default)]
pub(super) struct Text(String);

/// Writes the samples of one metric.
#[derive(Debug)]
pub(super) struct Family<'a> {
    text: &'a mut String,
    metric: Metric,
}

/// A sample's value.
#[derive(Debug, Clone, Copy)]
pub(super) enum Value {
    Whole(u64),
    Real(f64),
}

impl From<u64> for Value {
    fn from(value: u64) -> Self {
        Self::Whole(value)
    }
}

impl From<u32> for Value {
    fn from(value: u32) -> Self {
        Self::Whole(value.into())
    }
}

impl From<f64> for Value {
    fn from(value: f64) -> Self {
        Self::Real(value)
    }
}

impl Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Whole(value) => value.fmt(f),
            Self::Real(value) if value == f64::INFINITY => f.write_str("+Inf"),
            Self::Real(value) if value == f64::NEG_INFINITY => f.write_str("-Inf"),
            // Not a number is written as it is called.
            Self::Real(value) => value.fmt(f),
        }
    }
}

pub(super) type Labels<'a> = &'a [(&'a str, &'a str)];

impl Text {
    /// Begins a metric; each is written once, with all its samples.
    pub(super) fn family(&mut self, metric: Metric) -> Family<'_> {
        let (name, kind, help) = (metric.name(), metric.kind().as_str(), metric.help());
        put(&mut self.0, format_args!("# HELP {name} {help}\n# TYPE {name} {kind}\n"));
        Family { text: &mut self.0, metric }
    }

    pub(super) fn finish(self) -> String {
        self.0
    }
}

impl Family<'_> {
    pub(super) fn sample(&mut self, labels: Labels<'_>, value: impl Into<Value>) {
        debug_assert_ne!(self.metric.kind(), Kind::Histogram, "{}", self.metric.name());
        self.line("", labels, None, value.into());
    }

    /// Writes a sample, unless its value is unknown.
    pub(super) fn maybe(&mut self, labels: Labels<'_>, value: Option<impl Into<Value>>) {
        if let Some(value) = value {
            self.sample(labels, value);
        }
    }

    pub(super) fn histogram(&mut self, labels: Labels<'_>, counts: &Counts) {
        debug_assert_eq!(self.metric.kind(), Kind::Histogram, "{}", self.metric.name());
        for (bound, count) in counts.cumulative().filter(|(bound, _)| BOUNDS_US.contains(bound)) {
            self.line("_bucket", labels, Some(bound as f64 / 1e6), count.into());
        }
        self.line("_bucket", labels, Some(f64::INFINITY), counts.count().into());
        self.line("_sum", labels, None, counts.sum().as_secs_f64().into());
        self.line("_count", labels, None, counts.count().into());
    }

    fn line(&mut self, suffix: &str, labels: Labels<'_>, bound: Option<f64>, value: Value) {
        put(self.text, format_args!("{}{suffix}", self.metric.name()));
        let mut separator = '{';
        for (name, text) in labels {
            put(self.text, format_args!("{separator}{name}=\"{}\"", Escaped(text)));
            separator = ',';
        }
        if let Some(bound) = bound {
            put(self.text, format_args!("{separator}le=\"{}\"", Value::Real(bound)));
            separator = ',';
        }
        let end = if separator == ',' { "}" } else { "" };
        put(self.text, format_args!("{end} {value}\n"));
    }
}

fn put(text: &mut String, what: fmt::Arguments<'_>) {
    text.write_fmt(what).expect("a string takes everything");
}

/// A label's value as it is written.
struct Escaped<'a>(&'a str);

impl Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|character| match character {
            '\\' => f.write_str("\\\\"),
            '"' => f.write_str("\\\""),
            '\n' => f.write_str("\\n"),
            other => f.write_char(other),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tidegate_core::histogram::{self, Histogram};

    use super::*;

    #[test]
    fn every_exported_bound_is_one_that_is_kept() {
        assert!(BOUNDS_US.iter().all(|bound| histogram::BOUNDS_US.contains(bound)));
        assert!(BOUNDS_US.is_sorted());
    }

    #[test]
    fn labels_are_escaped_and_values_are_written_in_full() {
        let mut text = Text::default();
        let mut family = text.family(Metric::FleetCpu);
        family.sample(&[("fleet", "a\"b\\c\nd"), ("x", "ä")], 0.1 + 0.2);
        family.sample(&[], f64::NAN);
        family.maybe(&[], None::<f64>);
        family.sample(&[], u64::MAX);
        let lines: Vec<String> = text.finish().lines().skip(2).map(str::to_owned).collect();
        let expected = [
            r#"tidegate_fleet_cpu_cores{fleet="a\"b\\c\nd",x="ä"} 0.30000000000000004"#,
            "tidegate_fleet_cpu_cores NaN",
            "tidegate_fleet_cpu_cores 18446744073709551615",
        ];
        assert_eq!(lines, expected);
    }

    #[test]
    fn a_histogram_is_cumulative_and_complete() {
        let histogram = Histogram::default();
        for micros in [100, 101, 250, 2_600, 500_000_000] {
            histogram.record(Duration::from_micros(micros));
        }
        let mut counts = Counts::default();
        histogram.add_to(&mut counts);
        let mut text = Text::default();
        text.family(Metric::RequestDuration).histogram(&[("route", "r")], &counts);
        let text = text.finish();
        let value = |start: &str| {
            let line = text.lines().find(|line| line.starts_with(start)).unwrap();
            line.rsplit_once(' ').unwrap().1.to_owned()
        };
        let bucket =
            |le: &str| value(&format!("tidegate_request_duration_seconds_bucket{{route=\"r\",le=\"{le}\"}}"));
        let found = ["0.0001", "0.00025", "0.0025", "0.005", "100", "+Inf"].map(bucket);
        assert_eq!(found, ["1", "3", "3", "4", "4", "5"]);
        assert_eq!(value("tidegate_request_duration_seconds_count"), "5");
        assert_eq!(value("tidegate_request_duration_seconds_sum"), "500.003051");
    }
}
