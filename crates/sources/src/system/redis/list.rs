//! Messages of a Redis list.
//!
//! A list forgets what is taken from it. So a message is moved, in one step on the server, from the list to `KEY.taken`, a
//! sorted set of those that are worked on, by when they are due again if nobody says what became of them. `KEY.messages`
//! has their texts and `KEY.attempts` how often they were taken. A message that failed is due after its pause, one whose
//! instance died when its lease ends.

use std::{cell::RefCell, collections::HashSet, time::Duration};

use tidegate_core::snapshot::Redis;
use tokio::{sync::mpsc, time::interval};

use super::{connect, resp::Connection, taken};
use crate::{
    error::{Error, Result},
    worker::{Intake, Job, Message, Settled, Verdict},
};

/// How long a message that was taken is left alone; it is held for longer by saying so again.
const LEASE: Duration = Duration::from_secs(10);
const HOLD_EVERY: Duration = Duration::from_secs(3);

/// How long a question for messages waits for some to come, in seconds.
const WAIT: &str = "0.25";

/// Messages that are taken, or settled, at once.
const BATCH: usize = 256;

/// Keys: the list, taken, messages, attempts, the last number. Arguments: lease in ms, how many, a prefix for ids.
const TAKE: &str = "
local now = redis.call('TIME')
now = now[1] * 1000 + math.floor(now[2] / 1000)
local due, most, out = now + ARGV[1], tonumber(ARGV[2]), {}
local function add(id, text)
  redis.call('ZADD', KEYS[2], due, id)
  out[#out + 1] = { id, text, redis.call('HINCRBY', KEYS[4], id, 1) }
end
for _, id in ipairs(redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', now, 'LIMIT', 0, most)) do
  add(id, redis.call('HGET', KEYS[3], id) or '')
end
while #out < most do
  local text = redis.call('RPOP', KEYS[1])
  if not text then break end
  local id = tostring(redis.call('INCR', KEYS[5]))
  redis.call('HSET', KEYS[3], id, text)
  add(id, text)
end
return out";

/// Keys: as above, and the list of dead letters. Arguments: id, `done`, or `dead`, or `hold` and for how long in ms.
const SETTLE: &str = "
if ARGV[2] == 'hold' then
  local now = redis.call('TIME')
  now = now[1] * 1000 + math.floor(now[2] / 1000)
  return redis.call('ZADD', KEYS[2], 'XX', now + ARGV[3], ARGV[1])
end
if redis.call('ZREM', KEYS[2], ARGV[1]) == 0 then return 0 end
if ARGV[2] == 'dead' then redis.call('LPUSH', KEYS[6], redis.call('HGET', KEYS[3], ARGV[1]) or '') end
redis.call('HDEL', KEYS[3], ARGV[1])
redis.call('HDEL', KEYS[4], ARGV[1])
return 1";

struct Keys([String; 6]);

impl Keys {
    fn new(list: &str, dead: Option<&str>) -> Self {
        let beside = |what: &str| format!("{list}.{what}");
        let dead = dead.map_or_else(|| beside("dead"), str::to_owned);
        Self([list.to_owned(), taken(list), beside("messages"), beside("attempts"), beside("last"), dead])
    }
}

pub(crate) async fn serve(
    job: &Job,
    redis: &Redis,
    key: &str,
    intake: Intake,
    settled: mpsc::Receiver<Settled>,
) -> Result<()> {
    let tls = &job.consume.source.tls;
    let reader = connect(redis, tls).await?;
    let writer = connect(redis, tls).await?;
    let keys = Keys::new(key, job.consume.settings.dead_letter.as_deref());
    let held = RefCell::new(HashSet::new());
    let taking = take(reader, &keys, intake, &held);
    tokio::try_join!(taking, settle(writer, &keys, settled, &held)).map(|_| ())
}

async fn take(
    mut reader: Connection,
    keys: &Keys,
    intake: Intake,
    held: &RefCell<HashSet<String>>,
) -> Result<()> {
    let lease = LEASE.as_millis().to_string();
    while let Some(mut room) = intake.room(BATCH).await {
        let most = room.num_permits().to_string();
        let words = ["EVAL", TAKE, "5"].into_iter().chain(keys.0[..5].iter().map(String::as_str));
        let taken = reader.command(words.chain([lease.as_str(), most.as_str()])).await?.list()?;
        if taken.is_empty() {
            // Returns as soon as something is there, and leaves it where it is.
            let list = keys.0[0].as_str();
            reader.command(["BLMOVE", list, list, "RIGHT", "RIGHT", WAIT]).await?;
            continue;
        }
        for one in taken {
            let mut parts = one.list()?.into_iter();
            let (Some(id), Some(text), Some(attempt)) = (parts.next(), parts.next(), parts.next()) else {
                return Err(Error::answer("a message without its parts"));
            };
            let id = String::from_utf8_lossy(&id.bytes()?).into_owned();
            let attempt = u32::try_from(attempt.integer()?).unwrap_or(u32::MAX);
            held.borrow_mut().insert(id.clone());
            let message =
                Message { receipt: id.clone(), id, body: text.bytes()?, attempt, attributes: Vec::new() };
            intake.put(message, &mut room).await;
        }
    }
    Ok(())
}

async fn settle(
    mut writer: Connection,
    keys: &Keys,
    mut settled: mpsc::Receiver<Settled>,
    held: &RefCell<HashSet<String>>,
) -> Result<()> {
    let mut beat = interval(HOLD_EVERY);
    let mut batch = Vec::new();
    loop {
        tokio::select! {
            count = settled.recv_many(&mut batch, BATCH) => if count == 0 {
                return Ok(());
            },
            _ = beat.tick() => {}
        }
        let mut commands = 0;
        let mut queue = |id: &str, what: &str, time: Duration| {
            let time = time.as_millis().to_string();
            let words = ["EVAL", SETTLE, "6"].into_iter().chain(keys.0.iter().map(String::as_str));
            writer.queue(words.chain([id, what, time.as_str()]));
            commands += 1;
        };
        if batch.is_empty() {
            for id in &*held.borrow() {
                queue(id, "hold", LEASE);
            }
        }
        for Settled { message, verdict } in batch.drain(..) {
            held.borrow_mut().remove(&message.receipt);
            match verdict {
                Verdict::Done => queue(&message.receipt, "done", Duration::ZERO),
                Verdict::Again(pause) => queue(&message.receipt, "hold", pause),
                Verdict::Dead(_) => queue(&message.receipt, "dead", Duration::ZERO),
            }
        }
        writer.flush().await?;
        for _ in 0..commands {
            writer.answer().await?;
        }
    }
}
