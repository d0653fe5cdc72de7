//! The configuration in use, and how the last reload went.

use axum::{Json, extract};
use tidegate_control::view::ConfigView;

use crate::state::State;

pub(crate) async fn show(extract::State(state): extract::State<State>) -> Json<ConfigView> {
    Json(state.view().config.clone())
}
