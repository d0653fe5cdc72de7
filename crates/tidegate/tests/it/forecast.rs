//! Recorded demand, forecast as if it happened now.

use std::{
    fmt::Write as _,
    path::Path,
    process::{Command, Output},
};

use serde_json::Value;
use tempfile::TempDir;

use crate::TIDEGATE;

/// Six days of a wave in steps of ten minutes, of which two hours are missing and one value is absurd.
fn folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let mut rows = "timestamp_seconds,requests_per_second\n".to_owned();
    for step in (0..864).filter(|step| !(500..512).contains(step)) {
        let wave = 1.5 - (std::f64::consts::TAU * f64::from(step) / 144.0).cos();
        let noise = 1.0 + f64::from(step * 37 % 11) / 100.0;
        let rate = if step == 700 { 90_000.0 } else { 100.0 * wave * noise };
        writeln!(rows, "{},{rate}", step * 600).unwrap();
    }
    std::fs::write(folder.path().join("wave.csv"), rows).unwrap();
    let header = "timestamp_seconds,requests_per_second\n";
    std::fs::write(folder.path().join("broken.csv"), format!("{header}0,1\n60,x\n")).unwrap();
    std::fs::write(folder.path().join("dates.csv"), format!("{header}2026-05-01T08:00:00Z,1\n")).unwrap();
    std::fs::write(folder.path().join("empty.csv"), "").unwrap();
    folder
}

fn forecast(folder: &Path, line: &str) -> Output {
    Command::new(TIDEGATE).current_dir(folder).arg("forecast").args(line.split(' ')).output().unwrap()
}

#[test]
fn figures_name_the_holes_and_compare_every_model() {
    let folder = folder();
    let output = forecast(folder.path(), "wave.csv --horizons 5m,1h --referee 5 --format json");
    assert!(output.status.success(), "{output:?}");
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let file = &report["files"][0];
    let holes = ["missing", "gaps", "outliers"].map(|key| file[key].as_u64().unwrap());
    assert_eq!(holes, [12, 1, 1]);
    assert_eq!(file["longestGapSeconds"], 7_200.0);
    assert_eq!(file["warmUpSeconds"], 86_400.0);
    let horizons = file["horizons"].as_array().unwrap();
    let asked = horizons.iter().map(|one| (one["horizonSeconds"].as_f64(), one["forecastSeconds"].as_f64()));
    assert!(asked.eq([(Some(300.0), Some(600.0)), (Some(3_600.0), Some(3_600.0))]), "a step is the shortest");
    for horizon in horizons {
        let models = horizon["models"].as_array().unwrap();
        let named = |name: &str| models.iter().find(|model| model["model"] == name).unwrap();
        let (choice, last) = (named("choice"), named("last value"));
        let number = |model: &Value, key: &str| model[key].as_f64().unwrap();
        assert!(number(choice, "coverage90") > 0.7, "{choice}");
        assert!(choice["pinball"]["p95"].as_f64() <= last["pinball"]["p95"].as_f64());
        assert!(number(named("a season ago"), "choiceLoss") > 0.0);
        let referee = named("augurs (MSTL, ETS)");
        assert_eq!(referee["forecasts"], 5, "it is asked as often as was said");
    }
    // An hour ahead a wave that repeats itself is known, and the last value is not it.
    let models = horizons[1]["models"].as_array().unwrap();
    let mase = |name: &str| models.iter().find(|model| model["model"] == name).unwrap()["mase"].as_f64();
    assert!(mase("choice") < mase("last value"), "{models:?}");
}

#[test]
fn the_table_says_what_was_done() {
    let folder = folder();
    let output = forecast(folder.path(), "wave.csv --horizons 5m --referee 0");
    let text = String::from_utf8(output.stdout).unwrap();
    for part in [
        "wave.csv: 6d in steps of 10m; 12 steps missing in 1 gap, the longest 2h; 1 outlier\n",
        "repeats itself after 1d (correlation 0.9",
        ", not after 1h or 7d\n",
        "forecasts count after 1d\n",
        "5m ahead: shorter than a step, so the next 10m are forecast\n",
        " the best single model\n",
    ] {
        assert!(text.contains(part), "{part:?} in {text}");
    }
    assert!(!text.contains("augurs (MSTL"), "nobody asked for it: {text}");
}

#[test]
fn the_same_file_gives_the_same_figures() {
    let folder = folder();
    let run = || forecast(folder.path(), "wave.csv --horizons 10m --referee 2 --format json").stdout;
    assert_eq!(run(), run());
}

#[test]
fn a_picture_shows_demand_its_interval_and_the_errors() {
    let folder = folder();
    let output =
        forecast(folder.path(), "wave.csv --horizons 10m,1h --referee 5 --plot out.svg --plot-horizon 10m");
    assert!(output.status.success(), "{output:?}");
    let svg = std::fs::read_to_string(folder.path().join("out.svg")).unwrap();
    for part in [
        "wave.csv, requests/s, forecast 10m ahead; cut off at 411.9, the peak is 90000</text>",
        "class=\"band fill blue\" d=\"M",
        ">rolling choice</text>",
        ">augurs</text>",
        ">Truths within the interval of 90%</text>",
    ] {
        assert!(svg.contains(part), "{part:?} in {svg}");
    }
    // The gap of two hours interrupts the line of what came.
    let line = svg.split("class=\"line ink\" d=\"").nth(1).unwrap().split('"').next().unwrap();
    assert_eq!(line.matches('M').count(), 2, "{line}");
}

#[test]
fn mistakes_are_named_with_their_place() {
    let folder = folder();
    let cases = [
        ("broken.csv", 1, "broken.csv is no recording: line 3: \"x\" is no number"),
        ("empty.csv", 1, "timestamp_seconds,requests_per_second, not nothing"),
        ("dates.csv", 1, "\"2026-05-01T08:00:00Z\" is no number; timestamps are seconds"),
        ("absent.csv", 3, "cannot read absent.csv"),
        ("wave.csv --horizons 5", 2, "write a time in whole numbers as 30s, 5m, 1h30m or 1d"),
        ("wave.csv --referee 0 --plot absent/out.svg", 3, "cannot write absent/out.svg"),
        ("wave.csv --plot-horizon 5m", 2, "--plot <FILE>"),
        ("wave.csv --warm-up 0s", 2, "must be from 1s to 366d"),
    ];
    for (line, code, message) in cases {
        let output = forecast(folder.path(), line);
        assert_eq!(output.status.code(), Some(code), "{line}");
        let error = String::from_utf8(output.stderr).unwrap();
        assert!(error.contains(message), "{line}: {error}");
    }
}
