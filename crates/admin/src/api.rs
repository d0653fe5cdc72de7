//! The routes, and what answers them.

mod chaos;
mod config;
mod cost;
mod error;
mod flame;
mod fleets;
mod sources;

use axum::{
    Router,
    http::{Method, Uri, header},
    response::IntoResponse,
    routing::{MethodRouter, get},
};

use self::error::Error;
use crate::{health, metrics, state::State};

/// Describes the routes below.
const OPENAPI: &str = include_str!("api/openapi.json");

/// Every route, as the router and the description have it.
fn routes() -> Vec<(&'static str, MethodRouter<State>)> {
    vec![
        ("/healthz", get(health::live)),
        ("/readyz", get(health::ready)),
        ("/metrics", get(metrics::show)),
        ("/api/v1/fleets", get(fleets::list)),
        ("/api/v1/fleets/{name}", get(fleets::one)),
        ("/api/v1/fleets/{name}/decisions", get(fleets::decisions)),
        ("/api/v1/fleets/{name}/demand", get(fleets::demand)),
        ("/api/v1/cost", get(cost::list)),
        ("/api/v1/sources", get(sources::list)),
        ("/api/v1/chaos", get(chaos::show).post(chaos::disturb)),
        ("/api/v1/flame", get(flame::record)),
        ("/api/v1/config", get(config::show)),
        ("/api/v1/openapi.json", get(openapi)),
    ]
}

pub(crate) fn router(state: State) -> Router {
    let router = routes().into_iter().fold(Router::new(), |router, (path, route)| router.route(path, route));
    router.fallback(unknown).method_not_allowed_fallback(read_only).with_state(state)
}

async fn openapi() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "application/json")], OPENAPI)
}

async fn unknown(uri: Uri) -> Error {
    Error::not_found(
        format!("there is nothing at {}", uri.path()),
        "see /api/v1/openapi.json for what there is",
    )
}

async fn read_only(method: Method, uri: Uri) -> impl IntoResponse {
    let error = Error::method_not_allowed(
        format!("{method} is not possible for {}", uri.path()),
        "use GET; what runs is changed through the configuration file",
    );
    ([(header::ALLOW, "GET, HEAD")], error)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_description_has_exactly_the_routes() {
        let description: serde_json::Value = serde_json::from_str(OPENAPI).unwrap();
        let described: BTreeSet<&str> =
            description["paths"].as_object().unwrap().keys().map(String::as_str).collect();
        let served: BTreeSet<&str> = routes().into_iter().map(|(path, _)| path).collect();
        assert_eq!(described, served);
    }
}
