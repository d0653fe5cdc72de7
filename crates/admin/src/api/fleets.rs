//! Fleets, and the decisions about them.

use std::{
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use axum::{
    Json,
    extract::{self, Path, Query, rejection::QueryRejection},
};
use serde::{Deserialize, Serialize};
use tidegate_control::{
    View,
    journal::history::{RINGS, Recorded},
    view::{DecidedView, DecisionsView, FleetView, Range},
};
use tidegate_core::{FleetId, Timestamp};

use super::Error;
use crate::state::{State, find};

/// Decisions in an answer, unless the client says otherwise.
const DECISIONS: usize = 20;

/// Decisions in an answer at most.
const MOST_DECISIONS: usize = 1_000;

/// Seconds of demand in an answer, unless the client says otherwise: a day.
const DEMAND: u64 = RINGS[0].step * RINGS[0].slots;

/// Longest demand there may be.
const LONGEST: u64 = RINGS[1].step * RINGS[1].slots;

#[derive(Debug, Serialize)]
pub(crate) struct Items<T> {
    pub(super) items: Vec<T>,
}

pub(crate) async fn list(extract::State(state): extract::State<State>) -> Json<Items<Arc<FleetView>>> {
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

pub(crate) async fn decisions(
    extract::State(state): extract::State<State>,
    Path(name): Path<String>,
    which: Result<Query<Which>, QueryRejection>,
) -> Result<Json<DecisionsView>, Error> {
    let Query(Which { at, limit }) = which.map_err(|rejection| {
        let help = "`at` is a time like 2026-05-01T12:00:00Z, `limit` a number";
        Error::bad_request(rejection.body_text(), help)
    })?;
    let limit = limit.unwrap_or(DECISIONS);
    if !(1..=MOST_DECISIONS).contains(&limit) {
        let message = format!("limit is {limit}");
        return Err(Error::bad_request(message, format!("use a limit from 1 to {MOST_DECISIONS}")));
    }
    let fleet = FleetId::new(&name).ok();
    let pages = fleet.as_ref().and_then(|fleet| state.control.decisions(fleet, at, limit));
    let pages = match pages {
        Some(pages) => pages,
        // A fleet about which nothing has been decided yet.
        None if find(&state.view(), &name).is_some() => Vec::new(),
        None => return Err(unknown(&state.view(), &name)),
    };
    let known = fleet.and_then(|fleet| state.control.known(&fleet)).map(|(from, to)| Range { from, to });
    Ok(Json(DecisionsView { items: pages.iter().map(|page| DecidedView::from(&**page)).collect(), known }))
}

/// How much demand a client asks for.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Span {
    /// The last so many seconds.
    seconds: Option<u64>,
}

pub(crate) async fn demand(
    extract::State(state): extract::State<State>,
    Path(name): Path<String>,
    span: Result<Query<Span>, QueryRejection>,
) -> Result<Json<Recorded>, Error> {
    let help = format!("`seconds` is a number from 60 to {LONGEST}");
    let Query(Span { seconds }) =
        span.map_err(|rejection| Error::bad_request(rejection.body_text(), help.clone()))?;
    let seconds = seconds.unwrap_or(DEMAND);
    if !(60..=LONGEST).contains(&seconds) {
        return Err(Error::bad_request(format!("seconds is {seconds}"), help));
    }
    let fleet = FleetId::new(&name).ok().filter(|_| find(&state.view(), &name).is_some());
    let Some(fleet) = fleet else { return Err(unknown(&state.view(), &name)) };
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    // A file of less than a megabyte that was written a minute ago.
    let recorded = state.control.demand(&fleet, Timestamp::from_secs(now.as_secs()), seconds);
    let help = if state.control.state().is_some() {
        "it is written down minute by minute; ask again in a minute"
    } else {
        "give the gateway a state directory: `state: {}` in the configuration"
    };
    match recorded {
        Ok(Some(recorded)) => Ok(Json(recorded)),
        Ok(None) => Err(Error::not_found(format!("no demand of {name:?} is recorded in that time"), help)),
        Err(error) => {
            tracing::warn!(%error, fleet = %fleet, "recorded demand cannot be read");
            Err(Error::not_found(format!("the demand of {name:?} cannot be read"), "the log says why"))
        }
    }
}

fn unknown(view: &View, name: &str) -> Error {
    let names: Vec<&str> = view.fleets.iter().map(|fleet| fleet.name.as_str()).collect();
    let help = match names.as_slice() {
        [] => "the configuration has no fleets".to_owned(),
        names => format!("there are: {}", names.join(", ")),
    };
    Error::not_found(format!("there is no fleet {name:?}"), help)
}
