//! The tour, shortened.

use std::process::Command;

use serde_json::Value;

use crate::TIDEGATE;

#[test]
fn the_tour_grows_and_shrinks_a_fleet_and_fails_no_request() {
    let output = Command::new(TIDEGATE)
        .args(["up", "--demo", "--demo-duration", "16", "--format", "json"])
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let lines = String::from_utf8(output.stdout).unwrap();
    assert_eq!(lines.lines().count(), 1, "one JSON object and nothing else: {lines}");
    let summary: Value = serde_json::from_str(&lines).unwrap();
    let number = |key: &str| summary[key].as_f64().unwrap_or_else(|| panic!("{key}: {summary}"));
    assert!(number("requests") > 500.0, "{summary}");
    assert_eq!(summary["failed"], 0, "{summary}");
    assert!(number("p99Ms") > 0.0, "{summary}");
    assert!(number("peakInstances") >= 3.0, "it grew: {summary}");
    assert!(number("decisions") >= 2.0, "it shrank as well: {summary}");
    assert!(number("instanceHours") < number("fixedInstanceHours"), "{summary}");
}
