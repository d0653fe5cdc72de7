//! The program as its users run it.

#![expect(clippy::unwrap_used, reason = "what a test cannot go on without has failed it")]

mod access_log;
mod accounts;
mod agreement;
mod calamity;
mod chaos;
mod cli;
mod conformance;
mod demo;
mod development;
mod error_log;
mod examples;
mod flame;
mod fleets;
mod forecast;
mod full_disk;
mod handover;
mod hostile;
mod killed;
mod load;
mod lua_figures;
mod migration;
mod node_workers;
mod places;
mod reload;
mod runaway;
mod scenarios;
mod script;
mod simulate;
mod sources;
mod storm;
mod workers;

/// The program under test.
const TIDEGATE: &str = env!("CARGO_BIN_EXE_tidegate");

/// Longest wait for what ought to happen; only a failing test takes that long.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(30);

/// The fleets as the Admin API shows them.
fn fleets(tidegate: &tidegate_testkit::Tidegate) -> serde_json::Value {
    let answer = tidegate_testkit::http::get(tidegate.admin(), "/api/v1/fleets");
    serde_json::from_slice(&answer.body).unwrap_or_else(|error| panic!("{error}: {answer:?}"))
}

/// The first fleet's instances in `state`.
fn instances(tidegate: &tidegate_testkit::Tidegate, state: &str) -> Vec<serde_json::Value> {
    let fleets = fleets(tidegate);
    let instances = fleets["items"][0]["instances"].as_array().cloned().unwrap_or_default();
    instances.into_iter().filter(|instance| instance["state"] == state).collect()
}

/// Their process ids.
fn pids(tidegate: &tidegate_testkit::Tidegate, state: &str) -> Vec<u32> {
    let instances = instances(tidegate, state);
    instances.iter().filter_map(|instance| instance["pid"].as_u64()).map(|pid| pid as u32).collect()
}

/// The value of a metric without labels, or the sum over all of its labels.
fn metric(tidegate: &tidegate_testkit::Tidegate, name: &str) -> f64 {
    let answer = tidegate_testkit::http::get(tidegate.admin(), "/metrics");
    let of_name = answer.text().lines().filter_map(|line| {
        let (series, value) = line.rsplit_once(' ')?;
        let bare = series.split('{').next()?;
        (bare == name).then(|| value.parse::<f64>().ok())?
    });
    of_name.sum()
}
