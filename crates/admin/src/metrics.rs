//! `/metrics`, in the Prometheus text format 0.0.4.

mod name;
mod report;
mod text;

use axum::{
    extract,
    http::header,
    response::{IntoResponse, Response},
};

pub use self::name::{Kind, Metric};
use crate::state::State;

const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

pub(crate) async fn show(extract::State(state): extract::State<State>) -> Response {
    let text = report::report(&state.telemetry, &state.view());
    ([(header::CONTENT_TYPE, CONTENT_TYPE)], text).into_response()
}
