//! NATS JetStream: what a consumer has yet to acknowledge.

pub(crate) mod consume;
pub(crate) mod wire;

use serde_json::{Value, json};
use tidegate_core::snapshot::{Nats, Source, Tls};

use self::wire::{Connection, Event};
use crate::{
    error::{Error, Result},
    secret, transport,
};

/// What JetStream calls a consumer, and a stream, that is not there.
const NO_CONSUMER: u64 = 10_014;

/// Connects and says who it is.
pub(crate) async fn connect(nats: &Nats, tls: &Tls) -> Result<Connection> {
    let (user, password) = (nats.login.user.as_deref(), secret::maybe(nats.login.password.as_ref())?);
    let token = secret::maybe(nats.token.as_ref())?;
    // TLS begins after the server has introduced itself in plain text.
    let mut stream = transport::tcp(&nats.server).await?;
    wire::introduction(&mut stream, nats.server.tls).await?;
    let stream = if nats.server.tls {
        transport::secure(stream, &nats.server, tls).await?
    } else {
        transport::Stream::Plain(stream)
    };
    let mut connection = Connection::new(stream);
    let hello = json!({
        "verbose": false,
        "pedantic": false,
        "lang": "rust",
        "name": "tidegate",
        "version": env!("CARGO_PKG_VERSION"),
        "protocol": 1,
        "headers": true,
        "no_responders": true,
        "tls_required": nats.server.tls,
        "user": user,
        "pass": password,
        "auth_token": token,
    });
    connection.queue(format!("CONNECT {hello}\r\nPING\r\n").as_bytes());
    connection.flush().await?;
    loop {
        match connection.event().await? {
            Event::Pong => return Ok(connection),
            Event::Error(why) => return Err(Error::Refused(why)),
            Event::Ping | Event::Message(_) => {}
        }
    }
}

/// Asks the API of JetStream: the answer, or the number and the text of an error.
pub(crate) async fn ask(
    connection: &mut Connection,
    what: &str,
    request: &Value,
) -> Result<std::result::Result<Value, (u64, String)>> {
    let request = if request.is_null() { Vec::new() } else { request.to_string().into_bytes() };
    let answer = connection.request(&format!("$JS.API.{what}"), &request).await?;
    let answer: Value =
        serde_json::from_slice(&answer).map_err(|error| Error::answer(format!("not JSON: {error}")))?;
    Ok(match answer.get("error") {
        Some(error) => {
            let text = error["description"].as_str().unwrap_or("an error without a text");
            Err((error["err_code"].as_u64().unwrap_or(0), text.to_owned()))
        }
        None => Ok(answer),
    })
}

#[derive(Debug)]
pub(crate) struct Gauge {
    nats: Nats,
    tls: Tls,
    connection: Option<Connection>,
}

impl Gauge {
    pub(crate) fn new(nats: &Nats, source: &Source) -> Self {
        Self { nats: nats.clone(), tls: source.tls.clone(), connection: None }
    }

    pub(crate) async fn read(&mut self) -> Result<f64> {
        let Nats { stream, consumer, .. } = &self.nats;
        let connection = match &mut self.connection {
            Some(connection) => connection,
            none => none.insert(connect(&self.nats, &self.tls).await?),
        };
        let number = |value: &Value, what: &str| {
            value.as_u64().ok_or_else(|| Error::answer(format!("an answer without {what}")))
        };
        match ask(connection, &format!("CONSUMER.INFO.{stream}.{consumer}"), &Value::Null).await? {
            Ok(info) => {
                let waiting = number(&info["num_pending"], "num_pending")?;
                Ok((waiting + number(&info["num_ack_pending"], "num_ack_pending")?) as f64)
            }
            // Nobody has consumed yet: everything waits.
            Err((NO_CONSUMER, _)) => {
                let info = ask(connection, &format!("STREAM.INFO.{stream}"), &Value::Null).await?;
                let info = info.map_err(|(_, why)| Error::Refused(why))?;
                Ok(number(&info["state"]["messages"], "messages")? as f64)
            }
            Err((_, why)) => Err(Error::Refused(why)),
        }
    }
}
