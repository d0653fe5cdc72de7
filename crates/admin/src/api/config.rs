//! The configuration in use, and how the last reload went.

use std::path::{self, PathBuf};

use axum::{Json, extract};
use serde::Serialize;
use tidegate_control::view::ConfigView;

use crate::state::State;

#[derive(Debug, Serialize)]
pub(crate) struct Shown {
    #[serde(flatten)]
    config: ConfigView,
    /// The folder of journal and demand. `None`: nothing is kept.
    state: Option<PathBuf>,
}

pub(crate) async fn show(extract::State(state): extract::State<State>) -> Json<Shown> {
    let folder = state.control.state();
    // Whoever asks may run elsewhere.
    let folder = folder.map(|folder| path::absolute(folder).unwrap_or_else(|_| folder.to_owned()));
    Json(Shown { config: state.view().config.clone(), state: folder })
}
