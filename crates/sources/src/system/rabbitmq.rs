//! RabbitMQ: the messages of a queue that are ready.

pub(crate) mod consume;
pub(crate) mod wire;

use tidegate_core::snapshot::{Rabbitmq, Source, Tls};

use self::wire::{Connection, Frame, Writer, method};
use crate::{
    error::{Error, Result},
    secret, transport,
};

/// Without a user and a password, what RabbitMQ has for connections from its own machine.
const GUEST: &str = "guest";

/// The channel that everything is done on.
pub(crate) const CHANNEL: u16 = 1;

/// Connects, says who it is, and opens a channel.
pub(crate) async fn connect(rabbitmq: &Rabbitmq, tls: &Tls) -> Result<Connection> {
    let user = rabbitmq.login.user.as_deref().unwrap_or(GUEST);
    let password = secret::maybe(rabbitmq.login.password.as_ref())?;
    let password = password.as_deref().unwrap_or(GUEST);
    let mut connection = Connection::new(transport::connect(&rabbitmq.server, tls).await?);
    connection.queue(b"AMQP\0\0\x09\x01");
    connection.expect(method::CONNECTION_START).await?;
    let start = Writer::method(method::CONNECTION_START_OK)
        .table(&[])
        .short("PLAIN")
        .long(format!("\0{user}\0{password}").as_bytes())
        .short("en_US");
    connection.send(0, start);
    // A wrong password ends the connection, here or without a word.
    let mut tune = connection.expect(method::CONNECTION_TUNE).await?;
    let (channels, frame) = (tune.u16()?, tune.u32()?);
    let tune = Writer::method(method::CONNECTION_TUNE_OK).u16(channels).u32(frame).u16(wire::HEARTBEAT);
    connection.limit(frame);
    connection.send(0, tune);
    let open = Writer::method(method::CONNECTION_OPEN).short(&rabbitmq.virtual_host).short("").u8(0);
    connection.send(0, open);
    connection.expect(method::CONNECTION_OPEN_OK).await?;
    connection.send(CHANNEL, Writer::method(method::CHANNEL_OPEN).short(""));
    connection.expect(method::CHANNEL_OPEN_OK).await?;
    Ok(connection)
}

/// How many messages of `queue` are ready. The queue must exist.
pub(crate) async fn depth(connection: &mut Connection, queue: &str) -> Result<u32> {
    // 1: only look.
    let look = Writer::method(method::QUEUE_DECLARE).u16(0).short(queue).u8(1).table(&[]);
    connection.send(CHANNEL, look);
    let mut answer = connection.expect(method::QUEUE_DECLARE_OK).await?;
    answer.text()?;
    answer.u32()
}

#[derive(Debug)]
pub(crate) struct Gauge {
    rabbitmq: Rabbitmq,
    tls: Tls,
    connection: Option<Connection>,
}

impl Gauge {
    pub(crate) fn new(rabbitmq: &Rabbitmq, source: &Source) -> Self {
        Self { rabbitmq: rabbitmq.clone(), tls: source.tls.clone(), connection: None }
    }

    pub(crate) async fn read(&mut self) -> Result<f64> {
        let connection = match &mut self.connection {
            Some(connection) => connection,
            none => none.insert(connect(&self.rabbitmq, &self.tls).await?),
        };
        // Sent with each question; a connection that is asked rarely would be closed between two otherwise.
        connection.beat();
        depth(connection, &self.rabbitmq.queue).await.map(f64::from)
    }
}

/// What a server says when it closes a channel or a connection.
pub(crate) fn closed(mut frame: Frame) -> Error {
    let told = frame.u16().and_then(|code| Ok(format!("{} ({code})", frame.text()?)));
    told.map_or_else(|error| error, Error::Refused)
}
