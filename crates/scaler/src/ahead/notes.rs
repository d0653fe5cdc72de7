//! What a forecast rests on, in words: seasons that were found, holes, freaks, clocks that were set.

use std::time::Duration;

use tidegate_forecast::{Forecaster, Standing};

use crate::words::{number, percent, span};

/// The sentence with what else there is to know.
pub(crate) fn with(sentence: String, notes: &[String]) -> String {
    if notes.is_empty() { sentence } else { format!("{sentence} ({})", notes.join("; ")) }
}

pub(crate) fn new(judged: u64, needed: u64) -> String {
    format!("too little has been seen yet to know how wrong a forecast is: {judged} of {needed} were judged")
}

pub(crate) fn lost(standing: Standing) -> String {
    format!(
        "forecasts were no better than the last value, or too sure, of late: they lost {} times as much, and {} of what came \
         was beyond what {} certainty had allowed",
        number(standing.relative_loss),
        percent(standing.beyond),
        percent(standing.level)
    )
}

/// Whatever is remarkable about the demand so far.
pub(crate) fn of(forecaster: &Forecaster, grain: Duration, jumps: u32) -> Vec<String> {
    let history = forecaster.history();
    let steps = |steps: u64| rough(grain.saturating_mul(u32::try_from(steps).unwrap_or(u32::MAX)));
    let found: Vec<_> = forecaster
        .seasons()
        .iter()
        .filter(|season| season.found)
        .map(|season| steps(season.steps as u64))
        .collect();
    let seasons = (!found.is_empty()).then(|| format!("demand repeats itself after {}", found.join(" and ")));
    let gaps = (history.gaps > 0).then(|| {
        let longest = steps(history.longest_gap);
        format!(
            "{} of {} unseen in {}, the longest {longest}",
            steps(history.missing),
            steps(history.steps),
            times(history.gaps, "gap")
        )
    });
    let outliers = (history.outliers > 0).then(|| times(history.outliers, "outlier"));
    let jumps = (jumps > 0).then(|| format!("the clock was set {}", times(jumps.into(), "time")));
    [seasons, gaps, outliers, jumps].into_iter().flatten().collect()
}

/// `24h`, `7 days`, `3.3 days`.
fn rough(time: Duration) -> String {
    let days = time.as_secs_f64() / 86_400.0;
    if days < 2.0 { span(time) } else { format!("{} days", number(days)) }
}

/// `1 gap`, `3 gaps`.
fn times(count: u64, word: &str) -> String {
    if count == 1 { format!("1 {word}") } else { format!("{count} {word}s") }
}
