//! Messages of a Redis stream, as one consumer of a group.
//!
//! The group keeps what was delivered until it is acknowledged. What an instance holds it claims again now and then, so
//! that it stays its own however long it takes; what nobody has claimed for a while belonged to one that died, and is
//! claimed by whoever sees it first. A message that failed waits for its pause here, in the hands of its consumer.

use std::{
    cell::RefCell,
    collections::HashMap,
    time::{Duration, Instant},
};

use tidegate_core::snapshot::Redis;
use tokio::{sync::mpsc, time::interval};

use super::{
    connect,
    resp::{Connection, Value},
};
use crate::{
    error::{Error, Result},
    worker::{Intake, Job, Message, Room, Settled, Verdict},
};

/// After how long a message that nobody claims belongs to nobody, in milliseconds.
const ABANDONED: &str = "10000";
/// How often one that is held is claimed, and how often abandoned ones are looked for.
const HOLD_EVERY: Duration = Duration::from_secs(3);
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// How long a question for messages waits for some to come, in milliseconds.
const WAIT: &str = "250";

/// Messages that are taken, or settled, at once.
const BATCH: usize = 256;

/// The field that is the message, where there are others.
const BODY: &str = "body";

struct Group<'a> {
    key: &'a str,
    name: &'a str,
    consumer: &'a str,
    /// The stream of dead letters.
    dead: String,
}

/// What this consumer has and has not settled. `Some`: it failed, and waits for its time.
type Held = RefCell<HashMap<String, Option<(Instant, Message)>>>;

pub(crate) async fn serve(
    job: &Job,
    redis: &Redis,
    (key, name): (&str, &str),
    intake: Intake,
    settled: mpsc::Receiver<Settled>,
) -> Result<()> {
    let tls = &job.consume.source.tls;
    let mut reader = connect(redis, tls).await?;
    let writer = connect(redis, tls).await?;
    match reader.command(["XGROUP", "CREATE", key, name, "0", "MKSTREAM"]).await {
        Err(Error::Refused(why)) if why.starts_with("BUSYGROUP") => {}
        made => _ = made?,
    }
    let dead = job.consume.settings.dead_letter.clone().unwrap_or_else(|| format!("{key}.dead"));
    let group = Group { key, name, consumer: &job.identity, dead };
    let held = Held::default();
    let taking = take(reader, &group, intake, &held);
    tokio::try_join!(taking, settle(writer, &group, settled, &held)).map(|_| ())
}

async fn take(mut reader: Connection, group: &Group<'_>, intake: Intake, held: &Held) -> Result<()> {
    let Group { key, name, consumer, .. } = *group;
    let mut looked: Option<Instant> = None;
    while let Some(mut room) = intake.room(BATCH).await {
        again(held, &intake, &mut room).await;
        if looked.is_none_or(|at| at.elapsed() >= LOOK_EVERY) {
            looked = Some(Instant::now());
            claim(&mut reader, group, held, &intake, &mut room).await?;
        }
        if room.num_permits() == 0 {
            continue;
        }
        let most = room.num_permits().to_string();
        let words =
            ["XREADGROUP", "GROUP", name, consumer, "COUNT", &most, "BLOCK", WAIT, "STREAMS", key, ">"];
        let streams = reader.command(words).await?.list()?;
        let Some(stream) = streams.into_iter().next() else { continue };
        let entries = stream.list()?.into_iter().nth(1).unwrap_or(Value::Nothing);
        for entry in entries.list()? {
            let Some(message) = message(entry, 1)? else { continue };
            held.borrow_mut().insert(message.id.clone(), None);
            intake.put(message, &mut room).await;
        }
    }
    Ok(())
}

/// Hands over messages that failed and whose time has come, as far as there is room.
async fn again(held: &Held, intake: &Intake, room: &mut Room) {
    let now = Instant::now();
    let due = |waits: &&mut Option<(Instant, Message)>| waits.as_ref().is_some_and(|(at, _)| *at <= now);
    let messages: Vec<_> = {
        let mut held = held.borrow_mut();
        held.values_mut().filter(due).take(room.num_permits()).filter_map(Option::take).collect()
    };
    for (_, message) in messages {
        intake.put(message, room).await;
    }
}

/// Takes what belonged to consumers that are no more.
async fn claim(
    reader: &mut Connection,
    group: &Group<'_>,
    held: &Held,
    intake: &Intake,
    room: &mut Room,
) -> Result<()> {
    let Group { key, name, consumer, .. } = *group;
    let most = room.num_permits().to_string();
    let words = ["XAUTOCLAIM", key, name, consumer, ABANDONED, "0-0", "COUNT", &most];
    let claimed = reader.command(words).await?.list()?.into_iter().nth(1).unwrap_or(Value::Nothing);
    for entry in claimed.list()? {
        // An entry that was deleted is an empty one.
        let Some(mut message) = message(entry, 1)? else { continue };
        let words = ["XPENDING", key, name, message.id.as_str(), message.id.as_str(), "1"];
        let pending = reader.command(words).await?.list()?.into_iter().next();
        let deliveries = pending.map(Value::list).transpose()?.and_then(|parts| parts.into_iter().nth(3));
        let deliveries = deliveries.map(|count| count.integer()).transpose()?.unwrap_or(1);
        message.attempt = u32::try_from(deliveries).unwrap_or(u32::MAX);
        held.borrow_mut().insert(message.id.clone(), None);
        intake.put(message, room).await;
    }
    Ok(())
}

/// An entry as a message: the field `body`, or the only one.
fn message(entry: Value, attempt: u32) -> Result<Option<Message>> {
    let mut parts = entry.list()?.into_iter();
    let (Some(id), Some(fields)) = (parts.next(), parts.next()) else { return Ok(None) };
    if fields == Value::Nothing {
        return Ok(None);
    }
    let id = String::from_utf8_lossy(&id.bytes()?).into_owned();
    let fields = fields.fields()?;
    let only = fields.len() == 1;
    let mut message = Message { receipt: id.clone(), id, body: Vec::new(), attempt, attributes: Vec::new() };
    for (name, value) in fields {
        let value = value.bytes()?;
        if only || name == BODY {
            message.body = value;
        } else {
            message.attributes.push((name, String::from_utf8_lossy(&value).into_owned()));
        }
    }
    Ok(Some(message))
}

async fn settle(
    mut writer: Connection,
    group: &Group<'_>,
    mut settled: mpsc::Receiver<Settled>,
    held: &Held,
) -> Result<()> {
    let Group { key, name, consumer, .. } = *group;
    let mut beat = interval(HOLD_EVERY);
    let mut batch = Vec::new();
    loop {
        tokio::select! {
            count = settled.recv_many(&mut batch, BATCH) => if count == 0 {
                return leave(writer, group, held).await;
            },
            _ = beat.tick() => {}
        }
        let mut commands = 0;
        if batch.is_empty() && !held.borrow().is_empty() {
            let held = held.borrow();
            let ids = held.keys().map(String::as_str);
            writer.queue(["XCLAIM", key, name, consumer, "0"].into_iter().chain(ids).chain(["JUSTID"]));
            commands += 1;
        }
        for Settled { message, verdict } in batch.drain(..) {
            let id = message.receipt.clone();
            match verdict {
                Verdict::Done => {
                    held.borrow_mut().remove(&id);
                    writer.queue(["XACK", key, name, &id]);
                    commands += 1;
                }
                Verdict::Again(pause) => {
                    let attempt = message.attempt.to_string();
                    writer.queue(["XCLAIM", key, name, consumer, "0", &id, "RETRYCOUNT", &attempt, "JUSTID"]);
                    commands += 1;
                    let message = Message { attempt: message.attempt + 1, ..message };
                    held.borrow_mut().insert(id, Some((Instant::now() + pause, message)));
                }
                Verdict::Dead(why) => {
                    held.borrow_mut().remove(&id);
                    commands += bury(&mut writer, group, &message, &why);
                }
            }
        }
        writer.flush().await?;
        for _ in 0..commands {
            writer.answer().await?;
        }
    }
}

/// Copies a message to the dead letters and acknowledges it, both or neither. Returns how many answers there will be.
fn bury(writer: &mut Connection, group: &Group<'_>, message: &Message, why: &str) -> usize {
    let attempts = message.attempt.to_string();
    writer.queue(["MULTI"]);
    let mut words: Vec<&[u8]> = vec![b"XADD", group.dead.as_bytes(), b"*", BODY.as_bytes(), &message.body];
    for (name, value) in &message.attributes {
        words.extend([name.as_bytes(), value.as_bytes()]);
    }
    words.extend([&b"dead.id"[..], message.id.as_bytes(), b"dead.reason", why.as_bytes()]);
    words.extend([&b"dead.attempts"[..], attempts.as_bytes()]);
    writer.queue(words);
    writer.queue(["XACK", group.key, group.name, &message.receipt]);
    writer.queue(["EXEC"]);
    4
}

/// Leaves what failed and waits to others, and goes.
async fn leave(mut writer: Connection, group: &Group<'_>, held: &Held) -> Result<()> {
    let Group { key, name, consumer, .. } = *group;
    let held: Vec<String> = held.borrow_mut().drain().map(|(id, _)| id).collect();
    if !held.is_empty() {
        // As old as an abandoned one, so that the next to look has it at once.
        let ids = held.iter().map(String::as_str);
        let words = ["XCLAIM", key, name, consumer, "0"].into_iter().chain(ids);
        writer.command(words.chain(["IDLE", ABANDONED, "JUSTID"])).await?;
        return Ok(());
    }
    let words = ["XPENDING", key, name, "-", "+", "1", consumer];
    if writer.command(words).await?.list()?.is_empty() {
        writer.command(["XGROUP", "DELCONSUMER", key, name, consumer]).await?;
    }
    Ok(())
}
