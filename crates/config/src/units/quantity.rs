//! A value whose unit depends on the metric it is compared with.
//!
//! `80%`, `40`, `100/1s`, `250ms`, `512MiB` and `10MiB/1s` are all quantities; which of them is right is known once
//! the metric is.

use schemars::{Schema, json_schema};
use tidegate_core::policy::Metric;

use crate::{
    decode::{Leaf, Mistake},
    report::quote,
    units::{Percent, Size, Span, parse_percent, parse_size, parse_span, split},
    yaml::node::Scalar,
};

#[derive(Debug, Clone)]
pub(crate) struct Quantity {
    value: f64,
    unit: Unit,
    text: String,
}

/// How the values of a metric are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unit {
    Number,
    Percentage,
    Rate,
    Throughput,
    Duration,
    Size,
}

impl Quantity {
    /// The value in the unit of `metric`.
    pub(crate) fn of(&self, metric: Metric) -> Result<f64, Mistake> {
        let (unit, name, example) = notation(metric);
        let mistake = |problem| {
            Mistake::new(format!("{} {problem}", quote(&self.text)), format!("write it like `{example}`"))
        };
        if self.unit != unit {
            return Err(mistake(format!("cannot be compared with {name}")));
        }
        if unit == Unit::Percentage && self.value > 1.0 {
            return Err(mistake("is over 100%".into()));
        }
        Ok(self.value)
    }

    pub(crate) fn text(&self) -> &str {
        &self.text
    }
}

/// Unit, name and example of what `metric` is compared with.
const fn notation(metric: Metric) -> (Unit, &'static str, &'static str) {
    match metric {
        Metric::Utilization => (Unit::Percentage, "`utilization`, a percentage", "80%"),
        Metric::ErrorRate => (Unit::Percentage, "`errorRate`, a percentage", "1%"),
        Metric::Concurrency => (Unit::Number, "`concurrency`, a number of requests", "40"),
        Metric::Queued => (Unit::Number, "`queued`, a number of requests", "10"),
        Metric::Cpu => (Unit::Number, "`cpu`, a number of cores", "1.5"),
        Metric::ArrivalRate => (Unit::Rate, "`arrivalRate`, requests in a time", "100/1s"),
        Metric::LatencyP50 => (Unit::Duration, "`latencyP50`, a duration", "50ms"),
        Metric::LatencyP90 => (Unit::Duration, "`latencyP90`, a duration", "100ms"),
        Metric::LatencyP95 => (Unit::Duration, "`latencyP95`, a duration", "150ms"),
        Metric::LatencyP99 => (Unit::Duration, "`latencyP99`, a duration", "250ms"),
        Metric::LatencyP999 => (Unit::Duration, "`latencyP999`, a duration", "500ms"),
        Metric::Memory => (Unit::Size, "`memory`, a size", "512MiB"),
        Metric::LuaMemory => (Unit::Size, "`luaMemory`, a size", "64MiB"),
        Metric::LuaCoroutines => (Unit::Number, "`luaCoroutines`, a number of coroutines", "500"),
        Metric::LuaCollecting => (Unit::Percentage, "`luaCollecting`, a percentage", "10%"),
        Metric::LuaAllocation => (Unit::Throughput, "`luaAllocation`, a size in a time", "50MiB/1s"),
        Metric::LuaDicts => (Unit::Percentage, "`luaDicts`, a percentage", "90%"),
        Metric::Network => (Unit::Throughput, "`network`, a size in a time", "10MiB/1s"),
    }
}

impl Leaf for Quantity {
    const WHAT: &'static str = "a value with the unit of its metric";
    const EXAMPLE: &'static str = "80%` or `100/1s";

    fn read(scalar: &Scalar) -> Result<Self, Mistake> {
        let text = &scalar.text;
        let (value, unit) = if let Some((count, period)) = text.split_once('/') {
            match parse_size(count) {
                Ok(size) => (parse_rate(text, &size.to_string(), period)?, Unit::Throughput),
                Err(_) => (parse_rate(text, count, period)?, Unit::Rate),
            }
        } else if text.ends_with('%') {
            (parse_percent(text)? / 100.0, Unit::Percentage)
        } else if let Some((number, "")) = split(text) {
            (number, Unit::Number)
        } else if let Ok(span) = parse_span(text) {
            (span.as_secs_f64(), Unit::Duration)
        } else if let Ok(size) = parse_size(text) {
            (size as f64, Unit::Size)
        } else {
            return Err(Mistake::not::<Self>(&scalar.describe()));
        };
        Ok(Self { value, unit, text: text.clone() })
    }

    fn form() -> Schema {
        json_schema!({
            "title": "value in the unit of the metric",
            "anyOf": [
                { "title": "number", "type": "number", "minimum": 0 },
                Percent::<0, 0>::form(),
                { "title": "rate", "type": "string", "pattern": RATE },
                { "title": "size in a time", "type": "string", "pattern": THROUGHPUT },
                Span::<0, 0>::form(),
                Size::<0, 0>::form(),
            ],
        })
    }
}

/// A number in a time.
pub(crate) const RATE: &str = r"^[0-9]+(\.[0-9]+)?/([0-9]+(\.[0-9]+)?(us|ms|s|m|h|d))+$";
/// A size in a time.
const THROUGHPUT: &str = r"^[0-9]+(\.[0-9]+)?(B|KiB|MiB|GiB|TiB)/([0-9]+(\.[0-9]+)?(us|ms|s|m|h|d))+$";

/// Per second.
pub(crate) fn parse_rate(text: &str, count: &str, period: &str) -> Result<f64, Mistake> {
    let mistake = |help| Err(Mistake::new(format!("{} is not a rate", quote(text)), help));
    let Some((count, "")) = split(count) else {
        return mistake("write a number, a slash and a duration, like `100/1s`".into());
    };
    match parse_span(period) {
        Ok(span) if !span.is_zero() => Ok(count / span.as_secs_f64()),
        _ if matches!(period, "d" | "h" | "m" | "s" | "ms" | "us") => {
            mistake(format!("write the number of the unit too, like `{count}/1{period}`"))
        }
        _ => mistake("write a number, a slash and a duration, like `100/1s`".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Quantity, Mistake> {
        Quantity::read(&Scalar { text: text.into(), plain: true, line: 1 })
    }

    fn of(text: &str, metric: Metric) -> Result<f64, String> {
        read(text).and_then(|quantity| quantity.of(metric)).map_err(|mistake| mistake.message)
    }

    #[test]
    fn each_metric_has_its_notation() {
        assert_eq!(of("80%", Metric::Utilization), Ok(0.8));
        assert_eq!(of("40", Metric::Concurrency), Ok(40.0));
        assert_eq!(of("100/1s", Metric::ArrivalRate), Ok(100.0));
        assert_eq!(of("6000/1m", Metric::ArrivalRate), Ok(100.0));
        assert_eq!(of("250ms", Metric::LatencyP99), Ok(0.25));
        assert_eq!(of("1.5", Metric::Cpu), Ok(1.5));
        assert_eq!(of("1KiB", Metric::Memory), Ok(1024.0));
        assert_eq!(of("2%", Metric::ErrorRate), Ok(0.02));
        assert_eq!(of("1MiB/1s", Metric::Network), Ok(1_048_576.0));
    }

    #[test]
    fn the_notation_of_another_metric_is_refused() {
        let message = "`40` cannot be compared with `utilization`, a percentage";
        assert_eq!(of("40", Metric::Utilization).unwrap_err(), message);
        assert_eq!(read("40").unwrap().of(Metric::Utilization).unwrap_err().help, "write it like `80%`");
        assert!(of("80%", Metric::Concurrency).is_err());
        assert!(of("100", Metric::ArrivalRate).is_err());
        assert_eq!(of("101%", Metric::ErrorRate).unwrap_err(), "`101%` is over 100%");
    }

    #[test]
    fn a_rate_has_a_number_on_both_sides() {
        assert_eq!(read("100/s").unwrap_err().help, "write the number of the unit too, like `100/1s`");
        for text in ["/1s", "x/1s", "1/0s", "1/2", "1s/1s"] {
            assert_eq!(read(text).unwrap_err().message, format!("`{text}` is not a rate"));
        }
    }
}
