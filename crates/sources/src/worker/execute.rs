//! Executes the app for one message: a request that the instance makes to itself.
//!
//! So a message has all that a request has: the whole API, budgets, accounting, a coroutine of its own. The request
//! carries a token that only this instance knows.

use std::{net::SocketAddr, sync::Mutex, time::Duration};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use http_body_util::Full;
use hyper::{Method, Request, header::HeaderMap};
use serde_json::json;
use tidegate_core::SourceId;
use tokio::net::TcpStream;

use super::Message;
use crate::{
    error::{Error, Result},
    web::{Answer, Connection},
};

/// Longest reason that an app can give.
const REASON: usize = 64 << 10;

/// What the app made of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Outcome {
    Done,
    Failed(String),
    /// It asked for another attempt, after this time.
    Again(Duration),
    /// It will never be right.
    Rejected(String),
}

pub(super) struct App {
    address: SocketAddr,
    token: String,
    /// Connections that nobody uses.
    idle: Mutex<Vec<Connection>>,
}

impl App {
    pub(super) fn new(address: SocketAddr, token: &str) -> Self {
        Self { address, token: token.to_owned(), idle: Mutex::default() }
    }

    pub(super) async fn execute(&self, message: &Message, source: &SourceId) -> Outcome {
        match self.ask(message, source).await {
            Ok(answer) => outcome(&answer),
            Err(error) => Outcome::Failed(error.to_string()),
        }
    }

    async fn ask(&self, message: &Message, source: &SourceId) -> Result<Answer> {
        let attributes: serde_json::Map<_, _> =
            message.attributes.iter().map(|(name, value)| (name.clone(), value.as_str().into())).collect();
        let head = json!({
            "id": message.id,
            "attempt": message.attempt,
            "source": source.as_str(),
            "attributes": attributes,
        });
        let request = Request::builder()
            .method(Method::POST)
            .uri("/")
            .header("host", "app")
            .header("x-tidegate-token", &self.token)
            .header("x-tidegate-message", STANDARD.encode(head.to_string()))
            .body(Full::new(Bytes::copy_from_slice(&message.body)))
            .map_err(|error| Error::answer(error.to_string()))?;
        let mut connection = self.connection().await?;
        let answer = connection.send(request, REASON).await?;
        if connection.is_open()
            && let Ok(mut idle) = self.idle.lock()
        {
            idle.push(connection);
        }
        Ok(answer)
    }

    async fn connection(&self) -> Result<Connection> {
        while let Some(connection) = self.idle.lock().ok().and_then(|mut idle| idle.pop()) {
            if connection.is_open() {
                return Ok(connection);
            }
        }
        Connection::open(TcpStream::connect(self.address).await?).await
    }
}

fn outcome(answer: &Answer) -> Outcome {
    let text = || String::from_utf8_lossy(&answer.body).trim().to_owned();
    let header = |headers: &HeaderMap, name| headers.get(name)?.to_str().ok().map(str::to_owned);
    match header(&answer.headers, "x-tidegate-verdict").as_deref() {
        Some("done") => Outcome::Done,
        Some("failed") => Outcome::Failed(text()),
        Some("rejected") => Outcome::Rejected(text()),
        Some(verdict) => match verdict.strip_prefix("again ").and_then(|pause| pause.parse().ok()) {
            Some(seconds) => Outcome::Again(Duration::try_from_secs_f64(seconds).unwrap_or_default()),
            None => Outcome::Failed(format!("it answered {verdict:?}")),
        },
        // `ngx.exit`, or an end that Lua did not choose.
        None if answer.status.is_success() => Outcome::Done,
        None => Outcome::Failed(format!("it ended with status {}: {}", answer.status.as_u16(), text())),
    }
}
