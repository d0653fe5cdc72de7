//! Takes messages of a source and has each of them worked on by the app of this instance.
//!
//! ```text
//! source → take → execute (a request to the app, so many at once) → settle → source
//! ```
//!
//! A message is acknowledged after the app has succeeded with it. One that failed is delivered again after a pause; one
//! that failed too often becomes a dead letter, and is acknowledged when it is safe there. So a message is worked on at
//! least once, and more than once only where it failed, or where the acknowledgement was lost.
//!
//! Invariants: no more messages are taken than can be worked on; what was taken is held until it is settled, however long
//! that takes; nothing here is lost with the instance, because nothing but the source knows of a message for good.

mod execute;

use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use tidegate_control::instance::protocol::{Consume, MessageCounts};
use tidegate_core::snapshot::{RedisKey, System, WorkerSettings};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, mpsc},
    time::timeout,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use self::execute::{App, Outcome};
use crate::{
    error::{Error, Result},
    system::{nats, rabbitmq, redis},
};

/// Between two attempts to reach a source: the first, and the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// A message that was taken from a source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Message {
    /// As the source has it; the same whenever it is delivered again.
    pub(crate) id: String,
    pub(crate) body: Vec<u8>,
    /// From 1.
    pub(crate) attempt: u32,
    /// Fields, headers, properties.
    pub(crate) attributes: Vec<(String, String)>,
    /// What the source wants to be told when it is settled.
    pub(crate) receipt: String,
}

/// What becomes of a message that was worked on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    Done,
    /// To be delivered again after this time.
    Again(Duration),
    /// To be put among the dead letters, for this reason.
    Dead(String),
}

#[derive(Debug)]
pub(crate) struct Settled {
    pub(crate) message: Message,
    pub(crate) verdict: Verdict,
}

/// Where sources put the messages that they take.
#[derive(Debug)]
pub(crate) struct Intake {
    permits: Arc<Semaphore>,
    taken: mpsc::Sender<(Message, OwnedSemaphorePermit)>,
    stop: CancellationToken,
}

/// Room for as many messages as it has permits.
pub(crate) type Room = OwnedSemaphorePermit;

impl Intake {
    /// Waits until there is room for a message, and returns all that there is, up to `most`. `None`: no more are to be
    /// taken.
    pub(crate) async fn room(&self, most: usize) -> Option<Room> {
        let first = tokio::select! {
            biased;
            () = self.stop.cancelled() => return None,
            first = Arc::clone(&self.permits).acquire_owned() => first.ok()?,
        };
        let more = self.permits.available_permits().min(most.saturating_sub(1));
        let more = u32::try_from(more).unwrap_or(u32::MAX);
        let mut room = first;
        if let Ok(rest) = Arc::clone(&self.permits).try_acquire_many_owned(more) {
            room.merge(rest);
        }
        Some(room)
    }

    pub(crate) fn ends(&self) -> bool {
        self.stop.is_cancelled()
    }

    pub(crate) async fn ended(&self) {
        self.stop.cancelled().await;
    }

    /// Hands over a message, and gives up the room for it. What comes beyond the room waits for some.
    pub(crate) async fn put(&self, message: Message, room: &mut Room) {
        let place = match room.split(1) {
            Some(place) => place,
            None => match Arc::clone(&self.permits).acquire_owned().await {
                Ok(place) => place,
                Err(_) => return,
            },
        };
        // Nobody takes it: it will be delivered to somebody else.
        _ = self.taken.send((message, place)).await;
    }
}

/// What a worker does, for as long as its instance lives.
pub(crate) struct Job {
    pub(crate) consume: Consume,
    /// Tells this instance from all others.
    pub(crate) identity: String,
    app: App,
    counts: Arc<Counts>,
    permits: Arc<Semaphore>,
    tasks: TaskTracker,
}

#[derive(Debug, Default)]
struct Counts {
    done: AtomicU64,
    failed: AtomicU64,
    dead: AtomicU64,
    lost: AtomicU64,
}

/// Reads what became of messages.
#[derive(Debug, Clone)]
pub struct Counter(Arc<Counts>);

impl Counter {
    pub fn read(&self) -> MessageCounts {
        let read = |counter: &AtomicU64| counter.load(Relaxed);
        let Counts { done, failed, dead, lost } = &*self.0;
        MessageCounts { done: read(done), failed: read(failed), dead: read(dead), lost: read(lost) }
    }
}

/// Works until it is told to end.
#[derive(Debug)]
pub struct Worker {
    stop: CancellationToken,
    thread: JoinHandle<()>,
    counts: Arc<Counts>,
}

impl Worker {
    /// Takes messages for the app at `address`, which knows them by `token`.
    pub fn start(consume: &Consume, identity: &str, address: SocketAddr, token: &str) -> io::Result<Self> {
        let stop = CancellationToken::new();
        let counts = Arc::<Counts>::default();
        let job = Job {
            app: App::new(address, token),
            consume: consume.clone(),
            identity: identity.to_owned(),
            counts: Arc::clone(&counts),
            permits: Arc::new(Semaphore::new(consume.settings.concurrency as usize)),
            tasks: TaskTracker::new(),
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let told = stop.clone();
        let work = move || runtime.block_on(run(Arc::new(job), told));
        let thread = thread::Builder::new().name("messages".into()).spawn(work)?;
        Ok(Self { stop, thread, counts })
    }

    pub fn counter(&self) -> Counter {
        Counter(Arc::clone(&self.counts))
    }

    /// Takes no more messages, and returns when those that were taken are settled. May block.
    pub fn end(self) {
        self.stop.cancel();
        // A panic in there has been logged, and there is nothing else to wait for.
        _ = self.thread.join();
    }
}

/// Keeps a session with the source, and begins another when it fails.
async fn run(job: Arc<Job>, stop: CancellationToken) {
    let mut pause = FIRST_PAUSE;
    loop {
        let began = tokio::time::Instant::now();
        match session(&job, &stop).await {
            Ok(()) => break,
            Err(error) => {
                tracing::warn!(source = %job.consume.source.name, %error, "messages cannot be taken or settled");
            }
        }
        if began.elapsed() > LONGEST_PAUSE {
            pause = FIRST_PAUSE;
        }
        if timeout(pause, stop.cancelled()).await.is_ok() {
            break;
        }
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
    job.tasks.close();
    job.tasks.wait().await;
}

/// Takes and settles messages until `stop`, or until the source fails.
async fn session(job: &Arc<Job>, stop: &CancellationToken) -> Result<()> {
    let concurrency = job.consume.settings.concurrency as usize;
    let (taken, mut messages) = mpsc::channel(concurrency);
    let (settle, settled) = mpsc::channel(concurrency * 2);
    let intake = Intake { permits: Arc::clone(&job.permits), taken, stop: stop.clone() };
    let dispatch = async move {
        let tasks = TaskTracker::new();
        while let Some((message, place)) = messages.recv().await {
            let work = work(Arc::clone(job), message, place, settle.clone());
            job.tasks.spawn(tasks.track_future(work));
        }
        drop(settle);
        tasks.close();
        tasks.wait().await;
        Ok(())
    };
    let serve = async {
        match &job.consume.source.system {
            System::Redis(system) => match &system.key {
                RedisKey::List(key) => redis::list::serve(job, system, key, intake, settled).await,
                RedisKey::Stream { key, group } => {
                    redis::stream::serve(job, system, (key, group), intake, settled).await
                }
            },
            System::Nats(system) => nats::consume::serve(job, system, intake, settled).await,
            System::Rabbitmq(system) => rabbitmq::consume::serve(job, system, intake, settled).await,
            other => Err(Error::Refused(format!("messages of {} cannot be taken", other.kind()))),
        }
    };
    tokio::try_join!(serve, dispatch).map(|_| ())
}

/// Has one message worked on, and says what becomes of it.
async fn work(job: Arc<Job>, message: Message, place: OwnedSemaphorePermit, settle: mpsc::Sender<Settled>) {
    let settings = &job.consume.settings;
    let outcome = if message.attempt > settings.attempts {
        Outcome::Failed(DIED.to_owned())
    } else {
        let executed = job.app.execute(&message, &job.consume.source.name);
        timeout(settings.timeout, executed).await.unwrap_or_else(|_| {
            Outcome::Failed(format!("it took longer than {}s", settings.timeout.as_secs_f64()))
        })
    };
    let verdict = verdict(outcome, message.attempt, settings);
    let counts = &job.counts;
    let counter = match &verdict {
        Verdict::Done => &counts.done,
        Verdict::Again(_) => &counts.failed,
        Verdict::Dead(why) => {
            tracing::warn!(id = %message.id, attempts = message.attempt, %why, "a message is a dead letter");
            &counts.dead
        }
    };
    counter.fetch_add(1, Relaxed);
    if settle.send(Settled { message, verdict }).await.is_err() {
        // It will be delivered again, though it was worked on.
        counts.lost.fetch_add(1, Relaxed);
    }
    drop(place);
}

fn verdict(outcome: Outcome, attempt: u32, settings: &WorkerSettings) -> Verdict {
    match outcome {
        Outcome::Done => Verdict::Done,
        Outcome::Rejected(why) => Verdict::Dead(why),
        Outcome::Failed(why) if attempt >= settings.attempts => Verdict::Dead(why),
        Outcome::Failed(_) => Verdict::Again(settings.pause_after(attempt)),
        Outcome::Again(_) if attempt >= settings.attempts => Verdict::Dead(TOO_OFTEN.to_owned()),
        Outcome::Again(pause) => Verdict::Again(pause),
    }
}

/// Why a message is a dead letter that was delivered more often than it may: nobody said what became of it.
const DIED: &str = "whoever worked on it died";

/// The same of one that was never tried for the last time.
const TOO_OFTEN: &str = "it asked for another attempt once too often";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_fails_so_often_and_is_a_dead_letter_then() {
        let settings = WorkerSettings { attempts: 3, ..WorkerSettings::default() };
        let failed = |attempt| verdict(Outcome::Failed("no".into()), attempt, &settings);
        assert_eq!(failed(1), Verdict::Again(Duration::from_secs(1)));
        assert_eq!(failed(2), Verdict::Again(Duration::from_secs(2)));
        assert_eq!(failed(3), Verdict::Dead("no".into()));
        assert_eq!(verdict(Outcome::Rejected("bad".into()), 1, &settings), Verdict::Dead("bad".into()));
        let asked = Outcome::Again(Duration::from_secs(9));
        assert_eq!(verdict(asked.clone(), 2, &settings), Verdict::Again(Duration::from_secs(9)));
        assert_eq!(verdict(asked, 3, &settings), Verdict::Dead(TOO_OFTEN.into()));
    }

    #[tokio::test]
    async fn no_more_is_taken_than_there_is_room_for() {
        let permits = Arc::new(Semaphore::new(5));
        let (taken, mut messages) = mpsc::channel(5);
        let stop = CancellationToken::new();
        let intake = Intake { permits: Arc::clone(&permits), taken, stop: stop.clone() };
        let mut room = intake.room(3).await.unwrap();
        assert_eq!((room.num_permits(), permits.available_permits()), (3, 2));
        let message = Message {
            id: "1".into(),
            body: Vec::new(),
            attempt: 1,
            attributes: Vec::new(),
            receipt: String::new(),
        };
        intake.put(message, &mut room).await;
        assert_eq!(room.num_permits(), 2);
        drop(room);
        assert_eq!(permits.available_permits(), 4, "one is worked on");
        drop(messages.recv().await);
        assert_eq!(permits.available_permits(), 5);
        stop.cancel();
        assert!(intake.room(1).await.is_none());
    }
}
