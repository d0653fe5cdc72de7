//! Where Lua spends its time. An answer takes as long as is recorded, in this process and in those of instances.

use axum::{
    Json,
    extract::{Query, State as Given, rejection::QueryRejection},
};
use serde::{Deserialize, Serialize};
use tidegate_control::recorders::{Missing, Told};
use tidegate_core::{
    FleetId, RouteId,
    flame::{Recording, SECONDS, Subject, Wish},
};
use tidegate_lua::flame::Recorder;

use super::Error;
use crate::state::State;

/// Seconds that are recorded, unless the client says otherwise.
const UNSAID: u32 = 10;

/// What a client wants to see.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Which {
    seconds: Option<u32>,
    route: Option<String>,
    fleet: Option<String>,
}

#[derive(Debug, Serialize)]
pub(crate) struct Recorded {
    seconds: u32,
    #[serde(flatten)]
    recording: Recording,
    /// Who was not looked at, and why.
    missing: Vec<Missing>,
}

pub(crate) async fn record(
    Given(state): Given<State>,
    which: Result<Query<Which>, QueryRejection>,
) -> Result<Json<Recorded>, Error> {
    let Query(Which { seconds, route, fleet }) = which.map_err(|rejection| {
        let help = "`seconds` is a whole number, `route` the name of a route, `fleet` that of a fleet";
        Error::bad_request(rejection.body_text(), help)
    })?;
    let seconds = seconds.unwrap_or(UNSAID);
    if !SECONDS.contains(&seconds) {
        let help = format!("record for {} to {} seconds", SECONDS.start(), SECONDS.end());
        return Err(Error::bad_request(format!("seconds is {seconds}"), help));
    }
    let subject = match (route, fleet) {
        (None, None) => Subject::All,
        (Some(route), None) => of_route(&state, &route)?,
        (None, Some(fleet)) => of_fleet(&state, &fleet)?,
        (Some(_), Some(_)) => {
            let help = "a route is looked at together with the fleet that it leads to; ask for one of them";
            return Err(Error::bad_request("there are both route and fleet", help));
        }
    };
    let wish = Wish { seconds, subject };
    let recorder = Recorder::claim()
        .map_err(|busy| Error::unavailable(busy.to_string(), "try again when that is done"))?;
    let here = tokio::task::spawn_blocking({
        let wish = wish.clone();
        move || recorder.record(&wish)
    });
    let (here, told) = tokio::join!(here, state.control.record(&wish));
    let Ok(mut recording) = here else {
        let help = "try again; the gateway's log may say more";
        return Err(Error::unavailable("the recording was given up", help));
    };
    let Told { recording: elsewhere, mut missing } = told;
    recording.merge(&elsewhere);
    if let Subject::Route { fleet: Some(name), .. } | Subject::Fleet { fleet: name } = &wish.subject {
        missing.extend(nobody(&state, name));
    }
    Ok(Json(Recorded { seconds, recording, missing }))
}

/// Why nobody of a fleet could be looked at, if so.
fn nobody(state: &State, name: &FleetId) -> Option<Missing> {
    let view = state.view();
    let fleet = view.fleets.iter().find(|fleet| fleet.name == *name)?;
    let reason = if fleet.states.ready + fleet.states.draining == 0 {
        "no instance of it is ready"
    } else if fleet.instances.iter().all(|one| one.lua_bytes.is_none()) {
        "its instances are commands, in which it is not seen what Lua does"
    } else {
        return None;
    };
    Some(Missing { of: format!("fleet {name}"), reason: reason.to_owned() })
}

fn of_route(state: &State, name: &str) -> Result<Subject, Error> {
    let known = state.telemetry.routes();
    let Some(route) = known.iter().map(|(route, _)| route).find(|route| route.as_str() == name) else {
        let names: Vec<&str> = known.iter().map(|(route, _)| route.as_str()).collect();
        let help = format!("there are: {}", names.join(", "));
        return Err(Error::not_found(format!("there is no route {name:?}"), help));
    };
    let leads_there = |routes: &[RouteId]| routes.contains(route);
    let view = state.view();
    let fleet = view.fleets.iter().find(|fleet| leads_there(&fleet.routes));
    Ok(Subject::Route { route: route.clone(), fleet: fleet.map(|fleet| fleet.name.clone()) })
}

fn of_fleet(state: &State, name: &str) -> Result<Subject, Error> {
    let view = state.view();
    let Some(fleet) = view.fleets.iter().find(|fleet| fleet.name.as_str() == name) else {
        let names: Vec<&str> = view.fleets.iter().map(|fleet| fleet.name.as_str()).collect();
        let help = format!("there are: {}", names.join(", "));
        return Err(Error::not_found(format!("there is no fleet {name:?}"), help));
    };
    Ok(Subject::Fleet { fleet: fleet.name.clone() })
}
