//! PostgreSQL: the first column of the first row of a query.

use std::time::Duration;

use tidegate_core::snapshot::{Postgresql, Source, Tls};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio_postgres::{Client, Config, NoTls, SimpleQueryMessage, config::SslMode};
use tokio_util::task::{AbortOnDropHandle, TaskTracker};

use crate::{
    error::{Error, Result},
    secret,
    transport::{self, Stream},
};

/// Asks for TLS, before anything else is said.
const TLS: [u8; 8] = [0, 0, 0, 8, 4, 210, 22, 47];

#[derive(Debug)]
pub(crate) struct Gauge {
    postgresql: Postgresql,
    timeout: Duration,
    tls: Tls,
    connection: Option<(Client, AbortOnDropHandle<()>)>,
}

impl Gauge {
    pub(crate) fn new(postgresql: &Postgresql, source: &Source) -> Self {
        Self {
            postgresql: postgresql.clone(),
            timeout: source.timeout,
            tls: source.tls.clone(),
            connection: None,
        }
    }

    pub(crate) async fn read(&mut self) -> Result<f64> {
        if self.connection.is_none() {
            self.connection = Some(self.connect().await?);
        }
        let Some((client, _)) = &self.connection else { return Ok(0.0) };
        let answer = client.simple_query(&self.postgresql.query).await.map_err(|error| failed(&error))?;
        let row = answer.iter().find_map(|message| match message {
            SimpleQueryMessage::Row(row) => Some(row),
            _ => None,
        });
        let Some(text) = row.and_then(|row| row.try_get(0).ok().flatten()) else { return Ok(0.0) };
        text.trim().parse().map_err(|_| Error::answer("the first column of the first row is not a number"))
    }

    async fn connect(&self) -> Result<(Client, AbortOnDropHandle<()>)> {
        let Postgresql { server, login, database, .. } = &self.postgresql;
        let mut config = Config::new();
        config.user(login.user.as_deref().unwrap_or_default()).dbname(database);
        // The server's own time limit, so that a query that nobody waits for ends there too.
        let limit = self.timeout.as_millis();
        config.application_name("tidegate").ssl_mode(SslMode::Disable);
        config.options(format!("-c default_transaction_read_only=on -c statement_timeout={limit}"));
        if let Some(password) = secret::maybe(login.password.as_ref())? {
            config.password(password);
        }
        let mut stream = transport::tcp(server).await?;
        let stream = if server.tls {
            stream.write_all(&TLS).await?;
            if stream.read_u8().await? != b'S' {
                return Err(Error::Refused("the server does not speak TLS".into()));
            }
            transport::secure(stream, server, &self.tls).await?
        } else {
            Stream::Plain(stream)
        };
        let (client, connection) = config.connect_raw(stream, NoTls).await.map_err(|error| failed(&error))?;
        let driven = async move {
            // What goes wrong is told to whoever waits for an answer.
            _ = connection.await;
        };
        Ok((client, AbortOnDropHandle::new(TaskTracker::new().spawn(driven))))
    }
}

fn failed(error: &tokio_postgres::Error) -> Error {
    match error.as_db_error() {
        Some(told) => Error::Refused(format!("{} ({})", told.message(), told.code().code())),
        None => Error::Refused(error.to_string()),
    }
}
