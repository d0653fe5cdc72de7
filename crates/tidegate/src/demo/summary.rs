//! What the day came to.

use std::{
    collections::BTreeMap,
    fmt,
    io::{self, Write},
    time::Duration,
};

use serde::Serialize;
use tidegate_load::{Report, record::Failure};

use super::{day, scene::Scene};
use crate::cli::Format;

/// The result of a tour. Its JSON form is part of the public contract.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Summary {
    pub(crate) requests: u64,
    pub(crate) failed: u64,
    /// Failed requests by kind.
    pub(crate) errors: BTreeMap<Failure, u64>,
    /// From when a request was due until it was answered; none without an answer.
    pub(crate) p99_ms: Option<f64>,
    /// What the fleet used.
    pub(crate) instance_hours: f64,
    /// What a fleet that is always large enough for the peak would have used.
    pub(crate) fixed_instance_hours: f64,
    /// The size of that fleet.
    pub(crate) fixed_instances: u32,
    /// The most instances that served or started at a time.
    pub(crate) peak_instances: u32,
    /// Decisions that changed the number of instances.
    pub(crate) decisions: u64,
    pub(crate) duration_seconds: f64,
    /// Whether the tour was broken off.
    pub(crate) interrupted: bool,
}

impl Summary {
    pub(crate) fn new(report: &Report, scene: &Scene) -> Self {
        let fixed_instances = day::fixed_instances();
        Self {
            requests: report.requests,
            failed: report.failed,
            errors: report.errors.clone(),
            p99_ms: report.latency.p99_ms,
            instance_hours: scene.instance_seconds() / 3_600.0,
            fixed_instance_hours: f64::from(fixed_instances) * report.duration_seconds / 3_600.0,
            fixed_instances,
            peak_instances: scene.peak_instances(),
            decisions: scene.decisions(),
            duration_seconds: report.duration_seconds,
            interrupted: report.interrupted,
        }
    }

    pub(crate) fn write(&self, format: Format, mut output: impl Write) -> io::Result<()> {
        match format {
            Format::Text => write!(output, "{self}")?,
            Format::Json => {
                serde_json::to_writer(&mut output, self).map_err(io::Error::from)?;
                writeln!(output)?;
            }
        }
        output.flush()
    }
}

/// A table of a few lines, ending with a line break.
impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ended = if self.interrupted { "broken off" } else { "over" };
        writeln!(f, "The day is {ended} after {:.0} s.", self.duration_seconds)?;
        writeln!(f, "  requests        {}", self.requests)?;
        write!(f, "  failed          {}", self.failed)?;
        for (kind, count) in &self.errors {
            write!(f, ", {kind}: {count}")?;
        }
        let p99 = self.p99_ms.map(|millis| Duration::from_secs_f64(millis / 1e3));
        writeln!(f, "\n  latency p99     {}", millis(p99))?;
        writeln!(f, "  instances       up to {}, changed {} times", self.peak_instances, self.decisions)?;
        let (used, fixed) = (self.instance_hours, self.fixed_instance_hours);
        let share = if fixed > 0.0 { 100.0 * used / fixed } else { 100.0 };
        let size = self.fixed_instances;
        writeln!(f, "  instance-hours  {used:.3}: {share:.0}% of the {fixed:.3} of a fixed fleet of {size}")
    }
}

/// A latency as it is shown.
pub(crate) fn millis(time: Option<Duration>) -> String {
    time.map_or_else(|| "-".into(), |time| format!("{:.1} ms", time.as_secs_f64() * 1e3))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn summary() -> Summary {
        Summary {
            requests: 19_000,
            failed: 2,
            errors: [(Failure::Timeout, 2)].into(),
            p99_ms: Some(4.25),
            instance_hours: 0.09,
            fixed_instance_hours: 0.2,
            fixed_instances: 6,
            peak_instances: 7,
            decisions: 11,
            duration_seconds: 120.1,
            interrupted: false,
        }
    }

    fn written(format: Format) -> String {
        let mut output = Vec::new();
        summary().write(format, &mut output).unwrap();
        String::from_utf8(output).unwrap()
    }

    #[test]
    fn people_get_a_table() {
        let text = "The day is over after 120 s.
  requests        19000
  failed          2, timeout: 2
  latency p99     4.2 ms
  instances       up to 7, changed 11 times
  instance-hours  0.090: 45% of the 0.200 of a fixed fleet of 6
";
        assert_eq!(written(Format::Text), text);
    }

    #[test]
    fn programs_get_one_object_with_the_names_they_rely_on() {
        let text = written(Format::Json);
        assert_eq!(text.lines().count(), 1);
        let json: serde_json::Value = serde_json::from_str(&text).unwrap();
        let names = [
            "requests",
            "failed",
            "p99Ms",
            "instanceHours",
            "fixedInstanceHours",
            "peakInstances",
            "decisions",
        ];
        for name in names {
            assert!(json[name].is_number(), "{name} in {text}");
        }
        assert_eq!(json["errors"], serde_json::json!({"timeout": 2}));
    }
}
