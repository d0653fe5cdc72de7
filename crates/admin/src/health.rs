//! Whether the process lives, and whether it should get requests.

use std::{process, sync::atomic::Ordering::Relaxed};

use axum::{
    Json, extract,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde::Serialize;
use tidegate_control::view::FleetView;

use crate::state::State;

/// It answers, so it lives.
pub(crate) async fn live() -> &'static str {
    "ok\n"
}

/// Whether requests should be sent here, and why not.
#[derive(Debug, Serialize)]
struct Readiness {
    ready: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    reasons: Vec<String>,
    /// Of the gateway that answers: its successor does so in the same place.
    pid: u32,
}

pub(crate) async fn ready(extract::State(state): extract::State<State>) -> Response {
    let reasons = reasons(&state);
    let ready = reasons.is_empty();
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(Readiness { ready, reasons, pid: process::id() })).into_response()
}

/// What speaks against sending requests here.
fn reasons(state: &State) -> Vec<String> {
    let view = state.view();
    if state.is_draining() || view.stopping {
        return vec!["draining".to_owned()];
    }
    let workers = state.telemetry.workers().iter().enumerate();
    // A worker notes which configuration it serves when it begins to.
    let workers = workers
        .filter(|(_, worker)| worker.works.load(Relaxed) && worker.generation.load(Relaxed) == 0)
        .map(|(index, _)| format!("worker {index} does not serve yet"));
    let fleets = view.fleets.iter().filter(|fleet| fleet.min > 0 && fleet.states.ready == 0);
    workers.chain(fleets.map(|fleet| unready(fleet))).collect()
}

fn unready(fleet: &FleetView) -> String {
    let name = &fleet.name;
    match fleet.instances.iter().find_map(|instance| instance.reason.as_ref()) {
        Some(reason) => format!("fleet {name} has no ready instance: {reason}"),
        None => format!("fleet {name} has no ready instance"),
    }
}
