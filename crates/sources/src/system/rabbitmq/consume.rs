//! Messages of a RabbitMQ queue.
//!
//! The server hands out as many as may be worked on at once. It knows no pause before another delivery, so a message that
//! failed is published to a queue beside, `QUEUE.retry.MILLISECONDS`, where it stays until its time and comes back by the
//! queue's dead-letter exchange; one that failed too often goes to the queue of dead letters. Either way the original is
//! acknowledged only when the server has confirmed the copy.

use std::{
    collections::{BTreeMap, HashSet},
    time::Duration,
};

use tidegate_core::snapshot::Rabbitmq;
use tokio::{
    sync::mpsc,
    time::{interval, timeout},
};

use super::{
    CHANNEL, connect, depth,
    wire::{Connection, Entry, Frame, HEARTBEAT, Kind, Publication, Writer, method},
};
use crate::{
    error::{Error, Result},
    worker::{Intake, Job, Message, Settled, Verdict},
};

/// Which attempt the next is, in the headers of a message that came back.
const ATTEMPT: &str = "x-tidegate-attempt";
/// Which attempt it is, by the server's count, of a message of a quorum queue.
const DELIVERIES: &str = "x-delivery-count";

/// Messages that are settled at once.
const BATCH: usize = 256;

/// How long a queue beside stays when nobody uses it, beyond the pause of its messages, in milliseconds.
const UNUSED: i64 = 3_600_000;

/// Longest message.
const MESSAGE: u64 = 64 << 20;

pub(crate) async fn serve(
    job: &Job,
    rabbitmq: &Rabbitmq,
    intake: Intake,
    mut settled: mpsc::Receiver<Settled>,
) -> Result<()> {
    let mut connection = connect(rabbitmq, &job.consume.source.tls).await?;
    depth(&mut connection, &rabbitmq.queue).await?;
    connection.send(CHANNEL, Writer::method(method::CONFIRM_SELECT).u8(0));
    connection.expect(method::CONFIRM_SELECT_OK).await?;
    let most = u16::try_from(job.consume.settings.concurrency).unwrap_or(u16::MAX);
    connection.send(CHANNEL, Writer::method(method::BASIC_QOS).u32(0).u16(most).u8(0));
    connection.expect(method::BASIC_QOS_OK).await?;
    let consume = Writer::method(method::BASIC_CONSUME).u16(0).short(&rabbitmq.queue).short(&job.identity);
    connection.send(CHANNEL, consume.u8(0).table(&[]));
    connection.expect(method::BASIC_CONSUME_OK).await?;
    let mut session = Session {
        connection,
        job,
        rabbitmq,
        coming: None,
        declared: HashSet::new(),
        published: 0,
        unconfirmed: BTreeMap::new(),
    };
    let mut beat = interval(Duration::from_secs(HEARTBEAT.into()) / 3);
    let mut batch = Vec::new();
    let (mut intake, mut settling) = (Some(intake), true);
    // Longer than that, the server has not said a word.
    let silence = Duration::from_secs(HEARTBEAT.into()) * 2;
    while settling || !session.unconfirmed.is_empty() {
        session.connection.flush().await?;
        tokio::select! {
            biased;
            count = settled.recv_many(&mut batch, BATCH), if settling => {
                settling = count > 0;
                for one in batch.drain(..) {
                    session.settle(one);
                }
            }
            frame = timeout(silence, session.connection.next()) => {
                let frame = frame.unwrap_or(Err(Error::Late(silence)))?;
                session.take(frame, intake.as_ref()).await?;
            }
            () = ended(intake.as_ref()), if intake.is_some() => {
                // What is on its way comes back to the queue when the connection ends.
                intake = None;
                let cancel = Writer::method(method::BASIC_CANCEL).short(&job.identity).u8(0);
                session.connection.send(CHANNEL, cancel);
            }
            _ = beat.tick() => session.connection.beat(),
        }
    }
    session.connection.flush().await
}

async fn ended(intake: Option<&Intake>) {
    match intake {
        Some(intake) => intake.ended().await,
        None => std::future::pending().await,
    }
}

struct Session<'a> {
    connection: Connection,
    job: &'a Job,
    rabbitmq: &'a Rabbitmq,
    /// A delivery of which not everything is there.
    coming: Option<Coming>,
    /// Queues that were declared on this connection.
    declared: HashSet<String>,
    /// Messages published on this connection.
    published: u64,
    /// What to acknowledge when a publication is confirmed.
    unconfirmed: BTreeMap<u64, String>,
}

#[derive(Debug)]
struct Coming {
    tag: u64,
    redelivered: bool,
    size: u64,
    headers: Vec<(String, String)>,
    id: String,
    body: Vec<u8>,
}

impl Session<'_> {
    async fn take(&mut self, mut frame: Frame, intake: Option<&Intake>) -> Result<()> {
        match frame.kind {
            Kind::Method(method::BASIC_DELIVER) => {
                frame.text()?;
                let (tag, redelivered) = (frame.u64()?, frame.u8()? & 1 == 1);
                let (headers, id) = (Vec::new(), String::new());
                self.coming = Some(Coming { tag, redelivered, size: 0, headers, id, body: Vec::new() });
                Ok(())
            }
            Kind::Header => self.head(&mut frame, intake).await,
            Kind::Body => {
                if let Some(coming) = &mut self.coming {
                    coming.body.extend_from_slice(frame.rest());
                }
                self.whole(intake).await
            }
            Kind::Method(method::BASIC_ACK) => {
                let (number, all) = (frame.u64()?, frame.u8()? & 1 == 1);
                self.confirmed(number, all);
                Ok(())
            }
            Kind::Method(method::BASIC_NACK) => {
                Err(Error::Refused("a message for later was not taken by the server".into()))
            }
            Kind::Method(method::BASIC_CANCEL) => Err(Error::Refused("the queue is gone".into())),
            Kind::Method(method::QUEUE_DECLARE_OK | method::BASIC_CANCEL_OK) | Kind::Beat => Ok(()),
            Kind::Method(other) => Err(Error::answer(format!("{other:?} was not asked for"))),
        }
    }

    async fn head(&mut self, frame: &mut Frame, intake: Option<&Intake>) -> Result<()> {
        let Some(coming) = &mut self.coming else { return Ok(()) };
        frame.bytes(4)?;
        coming.size = frame.u64()?;
        if coming.size > MESSAGE {
            return Err(Error::answer("a message that is too long"));
        }
        let flags = frame.u16()?;
        let has = |bit: u16| flags & (1 << bit) != 0;
        if has(15) {
            coming.headers.push(("contentType".into(), frame.text()?));
        }
        if has(14) {
            frame.text()?;
        }
        if has(13) {
            coming.headers.extend(frame.table()?);
        }
        if has(12) {
            frame.u8()?;
        }
        if has(11) {
            frame.u8()?;
        }
        for (bit, name) in [(10, "correlationId"), (9, "replyTo"), (8, ""), (7, "messageId")] {
            if has(bit) {
                let value = frame.text()?;
                if bit == 7 {
                    coming.id.clone_from(&value);
                }
                if !name.is_empty() {
                    coming.headers.push((name.into(), value));
                }
            }
        }
        self.whole(intake).await
    }

    /// Hands over what is coming, once all of it is there.
    async fn whole(&mut self, intake: Option<&Intake>) -> Result<()> {
        let there = self.coming.as_ref().is_some_and(|coming| coming.body.len() as u64 >= coming.size);
        let Some(coming) = self.coming.take_if(|_| there) else { return Ok(()) };
        let Some(intake) = intake else { return Ok(()) };
        let Some(mut room) = intake.room(1).await else { return Ok(()) };
        let number = |name: &str| coming.headers.iter().find(|(own, _)| own == name)?.1.parse::<u32>().ok();
        let before = number(ATTEMPT).unwrap_or(1);
        let lost = number(DELIVERIES).unwrap_or_else(|| u32::from(coming.redelivered));
        let mut attributes = coming.headers;
        attributes.retain(|(name, _)| name != ATTEMPT);
        let message = Message {
            id: coming.id,
            body: coming.body,
            attempt: before.saturating_add(lost),
            attributes,
            receipt: coming.tag.to_string(),
        };
        intake.put(message, &mut room).await;
        Ok(())
    }

    fn settle(&mut self, Settled { message, verdict }: Settled) {
        match verdict {
            Verdict::Done => self.acknowledge(&message.receipt, false),
            Verdict::Again(pause) => {
                let millis = i64::try_from(pause.as_millis()).unwrap_or(i64::MAX).max(1);
                let queue = format!("{}.retry.{millis}", self.rabbitmq.queue);
                let arguments = [
                    ("x-dead-letter-exchange", Entry::Text("")),
                    ("x-dead-letter-routing-key", Entry::Text(&self.rabbitmq.queue)),
                    ("x-expires", Entry::Number(millis.saturating_add(UNUSED))),
                ];
                declare(&mut self.connection, &mut self.declared, &queue, &arguments);
                let attempt = Entry::Number(i64::from(message.attempt) + 1);
                self.publish(&queue, &message, &[(ATTEMPT, attempt)], &millis.to_string());
            }
            Verdict::Dead(why) => {
                let queue = self.job.consume.settings.dead_letter.clone();
                let queue = queue.unwrap_or_else(|| format!("{}.dead", self.rabbitmq.queue));
                declare(&mut self.connection, &mut self.declared, &queue, &[]);
                let attempts = Entry::Number(message.attempt.into());
                let headers = [("x-dead-reason", Entry::Text(&why)), ("x-dead-attempts", attempts)];
                self.publish(&queue, &message, &headers, "");
            }
        }
    }

    /// Publishes a copy, and remembers what to acknowledge when it is safe.
    fn publish(&mut self, queue: &str, message: &Message, more: &[(&str, Entry<'_>)], expiration: &str) {
        let own = |(name, value): &(String, String)| (name.clone(), value.clone());
        let kept: Vec<_> = message.attributes.iter().map(own).collect();
        let kept = kept.iter().map(|(name, value)| (name.as_str(), Entry::Text(value)));
        let headers: Vec<_> = kept.chain(more.iter().copied()).collect();
        let publication = Publication { body: &message.body, headers: &headers, expiration, id: &message.id };
        self.connection.publish(CHANNEL, queue, &publication);
        self.published += 1;
        self.unconfirmed.insert(self.published, message.receipt.clone());
    }

    fn confirmed(&mut self, number: u64, all: bool) {
        let later = self.unconfirmed.split_off(&(number + 1));
        let mut until = std::mem::replace(&mut self.unconfirmed, later);
        if all {
            until.values().cloned().collect::<Vec<_>>().iter().for_each(|tag| self.acknowledge(tag, false));
            return;
        }
        if let Some(tag) = until.remove(&number) {
            self.acknowledge(&tag, false);
        }
        self.unconfirmed.append(&mut until);
    }

    fn acknowledge(&mut self, tag: &str, all: bool) {
        let tag = tag.parse().unwrap_or_default();
        self.connection.send(CHANNEL, Writer::method(method::BASIC_ACK).u64(tag).u8(u8::from(all)));
    }
}

/// Declares a durable queue, once on each connection.
fn declare(
    connection: &mut Connection,
    declared: &mut HashSet<String>,
    queue: &str,
    arguments: &[(&str, Entry<'_>)],
) {
    if declared.insert(queue.to_owned()) {
        // 2: durable.
        let declare = Writer::method(method::QUEUE_DECLARE).u16(0).short(queue).u8(2).table(arguments);
        connection.send(CHANNEL, declare);
    }
}
