//! Event sources.

use axum::{Json, extract};
use tidegate_control::view::SourceView;

use super::fleets::Items;
use crate::state::State;

pub(crate) async fn list(extract::State(state): extract::State<State>) -> Json<Items<SourceView>> {
    Json(Items { items: state.view().sources.clone() })
}
