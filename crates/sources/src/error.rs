//! Why a source gave no answer. Shown in views and logs, so never with a secret in it.

use std::{io, time::Duration};

#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("cannot connect to {server}: {source}")]
    Connect { server: String, source: io::Error },
    #[error("no answer within {}s", .0.as_secs_f64())]
    Late(Duration),
    #[error("the connection failed: {0}")]
    Connection(#[from] io::Error),
    #[error("the environment variable {0} is not set, or not text")]
    NoVariable(String),
    #[error("cannot read the secret in {path}: {source}")]
    NoSecret { path: String, source: io::Error },
    #[error("cannot use what is in {path} for TLS: {reason}")]
    Certificates { path: String, reason: String },
    /// What the server says is wrong.
    #[error("{0}")]
    Refused(String),
    /// What the server says is not what its protocol has there.
    #[error("the answer is not understood: {0}")]
    Answer(String),
}

impl Error {
    pub(crate) fn answer(what: impl Into<String>) -> Self {
        Self::Answer(what.into())
    }
}

pub(crate) type Result<T> = std::result::Result<T, Error>;
