//! Errors as clients see them: `{"error": {"message", "help"}}`.

use axum::{
    Json,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde::Serialize;

/// Why a request is not answered as it was meant.
#[derive(Debug)]
pub(crate) struct Error {
    status: StatusCode,
    body: Body,
}

#[derive(Debug, Serialize)]
struct Body {
    error: Explanation,
}

#[derive(Debug, Serialize)]
struct Explanation {
    message: String,
    help: String,
}

impl Error {
    pub(crate) fn not_found(message: impl Into<String>, help: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, message, help)
    }

    pub(crate) fn bad_request(message: impl Into<String>, help: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, message, help)
    }

    pub(crate) fn forbidden(message: impl Into<String>, help: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, message, help)
    }

    pub(crate) fn unavailable(message: impl Into<String>, help: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, message, help)
    }

    pub(crate) fn method_not_allowed(message: impl Into<String>, help: impl Into<String>) -> Self {
        Self::new(StatusCode::METHOD_NOT_ALLOWED, message, help)
    }

    fn new(status: StatusCode, message: impl Into<String>, help: impl Into<String>) -> Self {
        let error = Explanation { message: message.into(), help: help.into() };
        Self { status, body: Body { error } }
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        (self.status, Json(self.body)).into_response()
    }
}
