//! What `docs/forecasting.md` claims, held against recorded demand.
//!
//! A horizon shorter than the step of a trace is one step. Models that spoke for less than a day are no
//! measure of a choice that has to be made before.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use tidegate_core::trace::Recording;
use tidegate_forecast::{Kind, Settings, accuracy::Backtest};

const DAY: Duration = Duration::from_hours(24);
const HORIZONS: [Duration; 4] =
    [Duration::from_mins(1), Duration::from_mins(5), Duration::from_mins(15), Duration::from_hours(1)];

/// A trace of the benchmark: `TIDEGATE_TRACES` says where they are, or they lie beside the project.
fn recording(name: &str) -> Option<Recording> {
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/traces");
    let path = std::env::var_os("TIDEGATE_TRACES").map_or_else(beside, PathBuf::from).join(name);
    let Ok(text) = std::fs::read_to_string(&path) else {
        eprintln!("SKIPPED: there is no {}; TIDEGATE_TRACES says where traces are", path.display());
        return None;
    };
    Some(Recording::parse(&text).unwrap())
}

fn steps(span: Duration, step: Duration) -> usize {
    span.as_nanos().div_ceil(step.as_nanos()) as usize
}

/// Coverage of the 90 % interval between 86 and 94 %, and at most 5 % more pinball loss than any single model.
fn check(name: &str, horizons: &[Duration]) {
    let Some(recording) = recording(name) else { return };
    let (step, values) = (recording.step(), recording.values());
    let day = steps(DAY, step);
    // A trace of hours has no day to spare.
    let warm_up = day.min(values.len() / 4);
    let seasons = Settings::seasons_of(step);
    let mut horizons: Vec<_> = horizons.iter().map(|&horizon| steps(horizon, step)).collect();
    horizons.dedup();
    for horizon in horizons {
        let test = Backtest { values, horizon, season: day, warm_up };
        let choice = test.run(&seasons, &Kind::ALL);
        let accuracy = test.accuracy(&choice).unwrap();
        // A truth has to come before there is a residual, and of some horizons before one knows how wrong one is.
        let silent = warm_up.max(5 * horizon);
        assert!(
            accuracy.forecasts + 1 >= values.len() - silent,
            "{name}: it speaks after the warm-up: {accuracy:?}"
        );
        assert!((0.86..=0.94).contains(&accuracy.coverage), "{name}, {horizon} steps ahead: {accuracy:?}");
        for kind in Kind::ALL {
            let single = test.run(&seasons, &[kind]);
            let Some((loss, moments)) = test.relative_loss(&choice, &single) else { continue };
            assert!(
                loss <= 1.05 || moments < day.min(warm_up),
                "{name}, {horizon} steps ahead: {loss} of what {kind:?} alone lost, at {moments} moments"
            );
        }
    }
}

#[test]
fn world_cup() {
    check("worldcup98_14d_60s.csv", &HORIZONS);
}

#[test]
fn load_balancer() {
    check("nab_elb_request_count_300s.csv", &HORIZONS);
}

#[test]
fn taxi() {
    check("nab_nyc_taxi_1800s.csv", &HORIZONS);
}

#[test]
fn twitter() {
    check("nab_twitter_aapl_300s.csv", &HORIZONS);
}

/// Eight hours each: an hour ahead there are five hours to be judged in, which tell one story or two.
#[test]
fn functions() {
    check("azure_functions_http_sum_60s.csv", &HORIZONS);
    check("azure_functions_500_total_60s.csv", &HORIZONS);
}
