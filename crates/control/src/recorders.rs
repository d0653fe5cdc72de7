//! Asks instances that are processes of their own what their Lua does.
//!
//! All are asked at once and look at the same time, for LuaJIT's profiler is a thing of a process. Who ends meanwhile, or does
//! not answer in time, is missing, and said to be; the others' figures count.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use serde::Serialize;
use tidegate_core::{
    FleetId, InstanceId,
    flame::{Recording, Wish},
};
use tokio::{
    sync::{
        mpsc::{self, error::TrySendError},
        oneshot,
    },
    time::{Instant, timeout_at},
};

use crate::instance::protocol::{Order, Part};

/// Instances that look at the same time; those that started last are left out of more.
const AT_ONCE: usize = 64;

/// How long an instance may take beyond what was wished for: its VMs have to come to a wait at the beginning and at the end.
const PATIENCE: Duration = Duration::from_secs(6);

/// Orders that wait for an instance's task.
const WAITING: usize = 4;

/// The instances that can be asked.
#[derive(Debug, Clone, Default)]
pub(crate) struct Recorders(Arc<Mutex<BTreeMap<InstanceId, Known>>>);

#[derive(Debug)]
struct Known {
    fleet: FleetId,
    asks: mpsc::Sender<Ask>,
}

/// What all instances told.
#[derive(Debug, Default)]
pub struct Told {
    pub recording: Recording,
    pub missing: Vec<Missing>,
}

/// Somebody who was not looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Missing {
    /// An instance, or a fleet.
    pub of: String,
    pub reason: String,
}

/// One instance's part in it.
#[derive(Debug)]
struct Ask {
    order: Order,
    answer: oneshot::Sender<Recording>,
}

impl Recorders {
    /// Has the instances that it concerns look as wished.
    pub(crate) async fn record(&self, wish: &Wish) -> Told {
        let asked = self.ask(wish);
        let until = Instant::now() + Duration::from_secs(wish.seconds.into()) + PATIENCE;
        let mut told = Told::default();
        for (instance, answer) in asked {
            let answer = match answer {
                Ok(answer) => timeout_at(until, answer).await,
                Err(reason) => {
                    told.miss(&instance, reason);
                    continue;
                }
            };
            match answer {
                Ok(Ok(recording)) => told.recording.merge(&recording),
                Ok(Err(_)) => told.miss(&instance, "it ended meanwhile"),
                Err(_) => told.miss(&instance, "it did not answer in time"),
            }
        }
        told
    }

    /// Sends everybody concerned an order.
    fn ask(&self, wish: &Wish) -> Vec<(InstanceId, Result<oneshot::Receiver<Recording>, &'static str>)> {
        static NUMBERS: AtomicU64 = AtomicU64::new(0);
        let order = Order::Record { number: NUMBERS.fetch_add(1, Relaxed), wish: wish.clone() };
        let known = lock(&self.0);
        let concerned = known.iter().filter(|(_, known)| wish.subject.concerns(Some(&known.fleet)));
        let ask = |(at, (id, known)): (usize, (&InstanceId, &Known))| {
            if at >= AT_ONCE {
                return (id.clone(), Err("too many are looked at already"));
            }
            let (sender, answer) = oneshot::channel();
            let sent = known.asks.try_send(Ask { order: order.clone(), answer: sender });
            let refused = |error| match error {
                TrySendError::Full(_) => "it does not take orders",
                TrySendError::Closed(_) => "it ended meanwhile",
            };
            (id.clone(), sent.map(|()| answer).map_err(refused))
        };
        concerned.enumerate().map(ask).collect()
    }

    /// From now on the instance can be asked, for as long as what is returned lives.
    pub(crate) fn enter(&self, fleet: &FleetId, id: &InstanceId) -> Recorder {
        let (asks, receiver) = mpsc::channel(WAITING);
        lock(&self.0).insert(id.clone(), Known { fleet: fleet.clone(), asks });
        Recorder { of: self.clone(), id: id.clone(), asks: receiver, open: None }
    }
}

impl Told {
    fn miss(&mut self, instance: &InstanceId, reason: &str) {
        self.recording.missed += 1;
        self.missing.push(Missing { of: format!("instance {instance}"), reason: reason.to_owned() });
    }
}

/// An instance's own end.
#[derive(Debug)]
pub(crate) struct Recorder {
    of: Recorders,
    id: InstanceId,
    asks: mpsc::Receiver<Ask>,
    open: Option<Open>,
}

/// What the instance has been told to do.
#[derive(Debug)]
struct Open {
    number: u64,
    answer: oneshot::Sender<Recording>,
    so_far: Recording,
}

impl Recorder {
    /// What the instance is to be told next.
    pub(crate) async fn order(&mut self) -> Order {
        // This holds what keeps the channel open.
        let Some(Ask { order, answer }) = self.asks.recv().await else { return std::future::pending().await };
        let Order::Record { number, .. } = order;
        self.open = Some(Open { number, answer, so_far: Recording::default() });
        order
    }

    /// Takes what the instance told.
    pub(crate) fn take(&mut self, part: &Part) {
        // What comes of an order that nobody waits for any more, or that was never given, is nothing.
        let Some(mut open) = self.open.take_if(|open| open.number == part.number) else { return };
        open.so_far.merge(&part.recording);
        if part.last {
            // Whoever asked may have left.
            _ = open.answer.send(open.so_far);
        } else {
            self.open = Some(open);
        }
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        lock(&self.of.0).remove(&self.id);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing panics while it holds it.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use tidegate_core::flame::Subject;

    use super::*;

    fn id(name: &str) -> InstanceId {
        InstanceId::new(name).unwrap()
    }

    fn part(number: u64, stack: &str, last: bool) -> Part {
        let mut recording = Recording { vms: u64::from(last), ..Recording::default() };
        recording.add(stack, 5);
        Part { number, recording, last }
    }

    fn block_on<T>(future: impl Future<Output = T>) -> T {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
        runtime.unwrap().block_on(future)
    }

    #[test]
    fn what_some_do_not_tell_is_said_and_the_others_count() {
        let (recorders, fleet) = (Recorders::default(), FleetId::new("app").unwrap());
        let wish = Wish { seconds: 1, subject: Subject::All };
        let [mut good, mut dead] = ["a", "b"].map(|name| recorders.enter(&fleet, &id(name)));
        let told = block_on(async {
            let instances = async {
                let Order::Record { number, .. } = good.order().await;
                dead.order().await;
                dead.take(&part(number, "half", false));
                drop(dead);
                good.take(&part(number + 1, "of another", true));
                good.take(&part(number, "one", false));
                good.take(&part(number, "two", true));
                good.take(&part(number, "late", true));
            };
            tokio::join!(recorders.record(&wish), instances).0
        });
        assert_eq!(told.recording.stacks.keys().map(|stack| &**stack).collect::<Vec<_>>(), ["one", "two"]);
        assert_eq!((told.recording.vms, told.recording.missed), (1, 1));
        let missing = Missing { of: "instance b".into(), reason: "it ended meanwhile".into() };
        assert_eq!(told.missing, [missing]);
        drop(good);
        assert!(lock(&recorders.0).is_empty());
    }

    #[test]
    fn only_who_is_concerned_is_asked_and_not_too_many() {
        let recorders = Recorders::default();
        let route = tidegate_core::RouteId::new("r").unwrap();
        let subject = Subject::Route { route, fleet: Some(FleetId::new("app").unwrap()) };
        let wish = Wish { seconds: 1, subject };
        let enter = |fleet: &str, at: usize| {
            recorders.enter(&FleetId::new(fleet).unwrap(), &id(&format!("{fleet}-{at}")))
        };
        let _held: Vec<Recorder> =
            (0..AT_ONCE + 3).flat_map(|at| [enter("app", at), enter("mail", at)]).collect();
        let asked = recorders.ask(&wish);
        assert_eq!(asked.len(), AT_ONCE + 3);
        assert!(asked.iter().all(|(id, _)| id.as_str().starts_with("app-")));
        assert_eq!(asked.iter().filter(|(_, sent)| sent.is_ok()).count(), AT_ONCE);
    }
}
