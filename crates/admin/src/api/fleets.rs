//! Fleets, and the decisions about them.

use std::sync::Arc;

use axum::{
    Json,
    extract::{self, Path, Query, rejection::QueryRejection},
};
use serde::{Deserialize, Serialize};
use tidegate_control::{
    View,
    view::{DecisionView, FleetView},
};
use tidegate_core::{FleetId, Timestamp, policy::Policy};
use tidegate_scaler::{Observed, Record, State as ScalerState};

use super::Error;
use crate::state::{State, find};

/// Decisions in an answer, unless the client says otherwise.
const DECISIONS: usize = 20;

/// Decisions in an answer at most.
const MOST_DECISIONS: usize = 1_000;

#[derive(Debug, Serialize)]
pub(crate) struct Items<T> {
    items: Vec<T>,
}

pub(crate) async fn list(extract::State(state): extract::State<State>) -> Json<Items<FleetView>> {
    Json(Items { items: state.view().fleets.clone() })
}

pub(crate) async fn one(
    extract::State(state): extract::State<State>,
    Path(name): Path<String>,
) -> Result<Json<FleetView>, Error> {
    let view = state.view();
    find(&view, &name).cloned().map(Json).ok_or_else(|| unknown(&view, &name))
}

/// Which decisions a client asks for.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Which {
    /// Those that were made until then.
    at: Option<Timestamp>,
    limit: Option<usize>,
}

/// A decision, with everything that it can be made again from.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Decided {
    #[serde(flatten)]
    decision: DecisionView,
    observed: Observed,
    policy: Policy,
    state_before: ScalerState,
}

impl From<Arc<Record>> for Decided {
    fn from(record: Arc<Record>) -> Self {
        let decision = DecisionView::from(&*record);
        let Record { observed, policy, state_before, .. } = Arc::unwrap_or_clone(record);
        Self { decision, observed, policy, state_before }
    }
}

pub(crate) async fn decisions(
    extract::State(state): extract::State<State>,
    Path(name): Path<String>,
    which: Result<Query<Which>, QueryRejection>,
) -> Result<Json<Items<Decided>>, Error> {
    let Query(Which { at, limit }) = which.map_err(|rejection| {
        let help = "`at` is a time like 2026-05-01T12:00:00Z, `limit` a number";
        Error::bad_request(rejection.body_text(), help)
    })?;
    let limit = limit.unwrap_or(DECISIONS);
    if !(1..=MOST_DECISIONS).contains(&limit) {
        let message = format!("limit is {limit}");
        return Err(Error::bad_request(message, format!("use a limit from 1 to {MOST_DECISIONS}")));
    }
    let records = FleetId::new(&name).ok().and_then(|fleet| state.control.decisions(&fleet, at, limit));
    let records = match records {
        Some(records) => records,
        // A fleet about which nothing has been decided yet.
        None if find(&state.view(), &name).is_some() => Vec::new(),
        None => return Err(unknown(&state.view(), &name)),
    };
    Ok(Json(Items { items: records.into_iter().map(Decided::from).collect() }))
}

fn unknown(view: &View, name: &str) -> Error {
    let names: Vec<&str> = view.fleets.iter().map(|fleet| fleet.name.as_str()).collect();
    let help = match names.as_slice() {
        [] => "the configuration has no fleets".to_owned(),
        names => format!("there are: {}", names.join(", ")),
    };
    Error::not_found(format!("there is no fleet {name:?}"), help)
}
