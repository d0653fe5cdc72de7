//! Messages of a JetStream stream, as a durable pull consumer.
//!
//! One connection: questions for messages and acknowledgements go out as they come up, messages come in. The server delivers
//! again what is not acknowledged within the consumer's time, so what is held is said to be in progress now and then.

use std::{
    collections::HashSet,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use tidegate_core::snapshot::Nats;
use tokio::{sync::mpsc, time::interval};

use super::{
    NO_CONSUMER, ask, connect,
    wire::{self, Connection, Event},
};
use crate::{
    error::{Error, Result},
    worker::{Intake, Job, Message, Room, Settled, Verdict},
};

/// How long a message may be held without a word, for a consumer that is made here.
const ACK_WAIT: Duration = Duration::from_secs(10);

/// How long a question for messages waits for some to come.
const WAIT: Duration = Duration::from_millis(500);

/// Longer than that, a question has not been heard.
const PATIENCE: Duration = Duration::from_secs(5);

/// Messages that are taken, or settled, at once.
const BATCH: usize = 256;

pub(crate) async fn serve(
    job: &Job,
    nats: &Nats,
    intake: Intake,
    mut settled: mpsc::Receiver<Settled>,
) -> Result<()> {
    let mut connection = connect(nats, &job.consume.source.tls).await?;
    let wait = consumer(&mut connection, nats).await?;
    let inbox = connection.inbox().await?;
    let mut session =
        Session { connection, inbox, job, nats, held: HashSet::new(), pull: None, questions: 0 };
    let mut beat = interval(wait / 3);
    let mut batch = Vec::new();
    let mut intake = Some(intake);
    loop {
        session.connection.flush().await?;
        tokio::select! {
            biased;
            count = settled.recv_many(&mut batch, BATCH) => if count == 0 {
                return session.connection.flush().await;
            } else {
                for one in batch.drain(..) {
                    session.settle(one).await?;
                }
            },
            event = session.connection.event() => session.take(event?, intake.as_ref()).await?,
            room = room(intake.as_ref()), if intake.is_some() && session.pull.is_none() => match room {
                Some(room) => session.ask(room),
                None => intake = None,
            },
            _ = beat.tick() => session.hold()?,
        }
        // What comes after the end is not taken, and comes to somebody else when its time is over.
        if intake.as_ref().is_some_and(Intake::ends) {
            intake = None;
        }
    }
}

async fn room(intake: Option<&Intake>) -> Option<Room> {
    intake?.room(BATCH).await
}

/// Finds the consumer, or makes it. Returns how long it waits for acknowledgements.
async fn consumer(connection: &mut Connection, nats: &Nats) -> Result<Duration> {
    let Nats { stream, consumer, .. } = nats;
    let config = match ask(connection, &format!("CONSUMER.INFO.{stream}.{consumer}"), &Value::Null).await? {
        Ok(info) => info["config"].clone(),
        Err((NO_CONSUMER, _)) => {
            let config = json!({
                "durable_name": consumer,
                "ack_policy": "explicit",
                "deliver_policy": "all",
                "ack_wait": ACK_WAIT.as_nanos() as u64,
                "max_deliver": -1,
                "max_ack_pending": 100_000,
            });
            let request = json!({ "stream_name": stream, "config": config });
            let make = format!("CONSUMER.DURABLE.CREATE.{stream}.{consumer}");
            ask(connection, &make, &request).await?.map_err(|(_, why)| Error::Refused(why))?["config"].clone()
        }
        Err((_, why)) => return Err(Error::Refused(why)),
    };
    if config["ack_policy"] != "explicit" || config.get("deliver_subject").is_some() {
        let why = format!("the consumer {consumer} is not a pull consumer with explicit acknowledgements");
        return Err(Error::Refused(why));
    }
    Ok(config["ack_wait"].as_u64().map_or(ACK_WAIT, Duration::from_nanos).max(Duration::from_millis(30)))
}

struct Session<'a> {
    connection: Connection,
    inbox: String,
    job: &'a Job,
    nats: &'a Nats,
    /// Where to acknowledge what is held.
    held: HashSet<String>,
    pull: Option<Pull>,
    questions: u64,
}

/// A question for messages that is not answered to its end.
struct Pull {
    room: Room,
    subject: String,
    since: Instant,
}

impl Session<'_> {
    fn ask(&mut self, room: Room) {
        let Nats { stream, consumer, .. } = self.nats;
        self.questions += 1;
        let subject = format!("{}.p{}", self.inbox, self.questions);
        let request = json!({ "batch": room.num_permits(), "expires": WAIT.as_nanos() as u64 });
        let to = format!("$JS.API.CONSUMER.MSG.NEXT.{stream}.{consumer}");
        self.connection.publish(&to, &subject, request.to_string().as_bytes());
        self.pull = Some(Pull { room, subject, since: Instant::now() });
    }

    async fn take(&mut self, event: Event, intake: Option<&Intake>) -> Result<()> {
        let message = match event {
            Event::Ping => {
                self.connection.queue(b"PONG\r\n");
                return Ok(());
            }
            Event::Pong => return Ok(()),
            Event::Error(why) => return Err(Error::Refused(why)),
            Event::Message(message) => message,
        };
        // A message that answers a question has the subject that it was stored under; the end of the question has that of
        // the question.
        if message.status.is_some() && message.reply.is_empty() {
            if self.pull.as_ref().is_some_and(|pull| pull.subject == message.subject) {
                self.pull = None;
            }
            return Ok(());
        }
        let Some(message) = self.message(message) else { return Ok(()) };
        let Some(intake) = intake else {
            self.connection.publish(&message.receipt, "", b"-NAK");
            return Ok(());
        };
        self.held.insert(message.receipt.clone());
        match &mut self.pull {
            Some(pull) => {
                intake.put(message, &mut pull.room).await;
                if pull.room.num_permits() == 0 {
                    self.pull = None;
                }
            }
            None => {
                if let Some(mut room) = intake.room(1).await {
                    intake.put(message, &mut room).await;
                }
            }
        }
        Ok(())
    }

    /// What is delivered, with what its reply subject says of it.
    fn message(&self, message: wire::Message) -> Option<Message> {
        let words: Vec<&str> = message.reply.split('.').collect();
        // `$JS.ACK.STREAM.CONSUMER.DELIVERED.SEQUENCE.…`, or with a domain and an account before the stream.
        let stream = match words.as_slice() {
            ["$JS", "ACK", rest @ ..] if rest.len() == 7 => rest,
            ["$JS", "ACK", _, _, rest @ ..] if rest.len() >= 7 => rest,
            _ => return None,
        };
        let attempt = stream[2].parse().ok()?;
        let mut attributes = message.headers;
        attributes.push(("subject".to_owned(), message.subject));
        let id = format!("{}:{}", self.nats.stream, stream[3]);
        Some(Message { id, body: message.body, attempt, attributes, receipt: message.reply })
    }

    async fn settle(&mut self, Settled { message, verdict }: Settled) -> Result<()> {
        self.held.remove(&message.receipt);
        match verdict {
            Verdict::Done => self.connection.publish(&message.receipt, "", b"+ACK"),
            Verdict::Again(pause) => {
                let word = format!("-NAK {}", json!({ "delay": pause.as_nanos() as u64 }));
                self.connection.publish(&message.receipt, "", word.as_bytes());
            }
            Verdict::Dead(why) => {
                self.bury(&message, &why).await?;
                self.connection.publish(&message.receipt, "", b"+TERM");
            }
        }
        Ok(())
    }

    /// Stores a message among the dead letters, in a stream that is made for them where none takes the subject.
    async fn bury(&self, message: &Message, why: &str) -> Result<()> {
        let Nats { stream, consumer, .. } = self.nats;
        let subject = self.job.consume.settings.dead_letter.clone();
        let subject = subject.unwrap_or_else(|| format!("dead.{stream}.{consumer}"));
        // Of its own, as it is rare, and its answer would come between messages.
        let mut connection = connect(self.nats, &self.job.consume.source.tls).await?;
        let found = ask(&mut connection, "STREAM.NAMES", &json!({ "subject": subject })).await?;
        if found.is_ok_and(|found| found["streams"].as_array().is_none_or(Vec::is_empty)) {
            let name = format!("{stream}_{consumer}_dead");
            let request = json!({ "name": name, "subjects": [subject], "storage": "file" });
            let made = ask(&mut connection, &format!("STREAM.CREATE.{name}"), &request).await?;
            made.map_err(|(_, why)| Error::Refused(format!("no place for dead letters: {why}")))?;
        }
        tracing::debug!(id = %message.id, %why, %subject, "buried");
        let answer = connection.request(&subject, &message.body).await?;
        let stored: Value = serde_json::from_slice(&answer).unwrap_or_default();
        if stored.get("seq").is_some() {
            return Ok(());
        }
        Err(Error::Refused(format!("a dead letter was not stored: {}", stored["error"]["description"])))
    }

    /// Says that what is held is in progress.
    fn hold(&mut self) -> Result<()> {
        for receipt in &self.held {
            self.connection.publish(receipt, "", b"+WPI");
        }
        match &self.pull {
            Some(pull) if pull.since.elapsed() > PATIENCE => Err(Error::Late(PATIENCE)),
            _ => Ok(()),
        }
    }
}
