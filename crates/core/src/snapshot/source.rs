//! Event sources: where work waits that no request tells of, and how it is found out how much.
//!
//! Credentials are never here, only where they are to be found: a [`Secret`] is read by whoever opens a connection, at
//! that moment. So nothing that shows a snapshot, or sends one to an instance, can show a password.

use std::{path::PathBuf, time::Duration};

use serde::{Deserialize, Serialize};

use super::Script;
use crate::SourceId;

/// Where work waits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Source {
    pub name: SourceId,
    pub system: System,
    /// From one reading to the next. Default 1 s.
    pub interval: Duration,
    /// The longest that a reading may take. Default 2 s.
    pub timeout: Duration,
    pub tls: Tls,
}

impl Source {
    /// How old a reading may be before the source is not known: two that failed are one too many.
    pub fn lasts(&self) -> Duration {
        self.interval * 2 + self.timeout
    }
}

/// Whom a source trusts and who it says it is, where its servers speak TLS. Files are read with each connection.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Tls {
    /// Certificates in PEM that servers must be trusted by; `None`: those of the system.
    pub trusted: Option<PathBuf>,
    /// `None`: it does not say.
    pub identity: Option<Identity>,
}

/// What a client shows of itself in TLS: files in PEM.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Identity {
    /// Its certificate first, then those between it and whom servers trust.
    pub certificate: PathBuf,
    pub key: PathBuf,
}

/// What is asked, and for what.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum System {
    Redis(Redis),
    Nats(Nats),
    Rabbitmq(Rabbitmq),
    Postgresql(Postgresql),
    Prometheus(Prometheus),
    Http(Http),
    Kafka(Kafka),
}

impl System {
    /// What it is called in a configuration.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Redis(_) => "redis",
            Self::Nats(_) => "nats",
            Self::Rabbitmq(_) => "rabbitmq",
            Self::Postgresql(_) => "postgresql",
            Self::Prometheus(_) => "prometheus",
            Self::Http(_) => "http",
            Self::Kafka(_) => "kafka",
        }
    }
}

/// A server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Server {
    pub tls: bool,
    /// Without brackets.
    pub host: String,
    pub port: u16,
}

/// Who asks.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Login {
    pub user: Option<String>,
    pub password: Option<Secret>,
}

/// Where a secret is to be found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Secret {
    /// An environment variable.
    Env(String),
    /// A file; a line break at its end is not part of the secret.
    File(PathBuf),
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Redis {
    pub server: Server,
    pub database: u32,
    pub login: Login,
    pub key: RedisKey,
}

/// What waits in Redis.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum RedisKey {
    /// The elements of a list, and those that workers of Tidegate have taken and not finished.
    List(String),
    /// What a consumer group has not acknowledged.
    Stream { key: String, group: String },
}

/// What a consumer of a stream of NATS has not acknowledged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Nats {
    pub server: Server,
    pub login: Login,
    pub token: Option<Secret>,
    pub stream: String,
    pub consumer: String,
}

/// The messages of a queue that are ready.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Rabbitmq {
    pub server: Server,
    pub login: Login,
    pub virtual_host: String,
    pub queue: String,
}

/// The first column of the first row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Postgresql {
    pub server: Server,
    pub login: Login,
    pub database: String,
    pub query: String,
}

/// A scalar, or the only element of a vector.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Prometheus {
    pub server: Server,
    /// What stands before `/api/v1/query`; empty, or starts with a slash.
    pub path: String,
    pub login: Login,
    pub token: Option<Secret>,
    pub query: String,
}

/// A number in the JSON that a GET answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Http {
    pub server: Server,
    /// With the query.
    pub target: String,
    pub login: Login,
    pub token: Option<Secret>,
    /// A JSON pointer (RFC 6901).
    pub pointer: String,
}

/// What a consumer group has not committed, all partitions together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Kafka {
    /// Never empty.
    pub servers: Vec<Server>,
    pub login: Login,
    pub topic: String,
    pub group: String,
}

/// A Lua file that is executed for each message of a source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Worker {
    pub script: Script,
    pub source: SourceId,
    pub settings: WorkerSettings,
}

/// How messages are worked on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct WorkerSettings {
    /// Messages that an instance works on at once. Default 10.
    pub concurrency: u32,
    /// How often a message is tried before it is a dead letter. Default 5.
    pub attempts: u32,
    /// Until the second attempt; twice as long until each after that. Default 1 s.
    pub back_off: Duration,
    /// The longest of these waits. Default 1 min.
    pub back_off_max: Duration,
    /// How long a message may be worked on. Default 1 min.
    pub timeout: Duration,
    /// Where dead letters go: a key, a subject, a queue. `None`: beside the source, under its name and `dead`.
    pub dead_letter: Option<String>,
}

impl WorkerSettings {
    /// How long to wait after the attempt `attempt`, the first being 1, has failed.
    pub fn pause_after(&self, attempt: u32) -> Duration {
        let doubled = 1_u32.checked_shl(attempt.saturating_sub(1)).unwrap_or(u32::MAX);
        self.back_off.saturating_mul(doubled).min(self.back_off_max)
    }
}

impl Default for WorkerSettings {
    fn default() -> Self {
        Self {
            concurrency: 10,
            attempts: 5,
            back_off: Duration::from_secs(1),
            back_off_max: Duration::from_mins(1),
            timeout: Duration::from_mins(1),
            dead_letter: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest() {
        let settings = WorkerSettings::default();
        let pauses = [1, 2, 3, 6, 7, 99].map(|attempt| settings.pause_after(attempt).as_secs());
        assert_eq!(pauses, [1, 2, 4, 32, 60, 60]);
    }
}
