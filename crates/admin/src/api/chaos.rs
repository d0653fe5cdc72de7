//! Things that are made to go wrong. The only way to change something through the Admin API, and only where the configuration
//! allows it.

use axum::{
    Json,
    extract::{State as Given, rejection::JsonRejection},
};
use serde::Serialize;
use tidegate_control::chaos::{Disturbance, Refused};

use super::Error;
use crate::state::State;

#[derive(Debug, Serialize)]
pub(crate) struct Allowed {
    enabled: bool,
}

#[derive(Debug, Serialize)]
pub(crate) struct Done {
    done: bool,
}

pub(crate) async fn show(Given(state): Given<State>) -> Json<Allowed> {
    Json(Allowed { enabled: state.view().chaos })
}

pub(crate) async fn disturb(
    Given(state): Given<State>,
    disturbance: Result<Json<Disturbance>, JsonRejection>,
) -> Result<Json<Done>, Error> {
    let Json(disturbance) = disturbance.map_err(|rejection| {
        let help = "send one like {\"action\": \"kill\", \"instance\": \"orders-1\"}, as application/json";
        Error::bad_request(rejection.body_text(), help)
    })?;
    match state.control.disturb(disturbance).await {
        Ok(()) => Ok(Json(Done { done: true })),
        Err(refused) => Err(explain(&refused)),
    }
}

fn explain(refused: &Refused) -> Error {
    let message = refused.to_string();
    match refused {
        Refused::Disabled => {
            Error::forbidden(message, "write `chaos: { enabled: true }` into the configuration")
        }
        Refused::NoInstance(_) => Error::not_found(message, "see /api/v1/fleets for those that do"),
        Refused::NothingOfPool { .. } => {
            Error::not_found(message, "see /api/v1/fleets for pools that have instances")
        }
        Refused::NoProcess(_) => Error::bad_request(message, "it can be killed, and reclaimed"),
        Refused::Seconds(_) => Error::bad_request(message, "choose a number of seconds from 0 to 600"),
        Refused::Busy => Error::unavailable(message, "try again in a moment"),
    }
}
