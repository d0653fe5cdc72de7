//! Records where Lua spends its time, in all VMs of the process that offer themselves.
//!
//! LuaJIT's profiler can be at one VM of a process at a time, and whoever has it must be the VM's own thread. So the VMs
//! take turns: [`record`] asks the next one, whose thread begins; sends its thread a signal for every millisecond of the
//! processor that it takes; and asks it to end. A VM that is looked at forgets its compiled code when its turn begins
//! and when it ends, because code has to be compiled such that it can be looked at.
//!
//! While nothing is recorded there is nothing to be paid: an [`Offer`] is a bell that nobody rings.

mod frame;
#[expect(unsafe_code, reason = "LuaJIT's profiler, and signals")]
pub(crate) mod probe;

use std::{
    cell::RefCell,
    fmt,
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use tidegate_core::{
    FleetId, RouteId,
    flame::{Recording, Subject, Wish},
    snapshot::LuaSettings,
};
use tokio::sync::Notify;

use self::probe::{Probe, Victim};
use crate::Vm;

/// Between two looks whether a thread has worked. Odd, so as not to keep step with what happens each millisecond.
const LOOK_EVERY: Duration = Duration::from_micros(997);

/// Work that is worth a sample.
const WORTH: Duration = Duration::from_micros(400);

/// The shortest turn: beginning and ending one costs the VM its compiled code.
const SHORTEST_TURN: Duration = Duration::from_millis(200);

/// How long a VM may take to begin or to end its turn. One that runs Lua has to come to a wait first.
const PATIENCE: Duration = Duration::from_secs(2);

/// VMs that can be looked at.
static OFFERS: Mutex<Vec<Weak<Desk>>> = Mutex::new(Vec::new());

static RECORDING: AtomicBool = AtomicBool::new(false);

/// There is a recording already, and LuaJIT can do one at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("something is being recorded already")]
pub struct Busy;

/// Stands for a route within a VM; the default for none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Label(u32);

impl Label {
    pub(crate) const fn of(number: u32) -> Self {
        Self(number)
    }

    pub(crate) const fn number(self) -> u32 {
        self.0
    }
}

/// What recordings need to know of a VM.
pub(crate) struct Ground {
    fleet: Option<FleetId>,
    /// The folder that sources are named from.
    prefix: Box<str>,
    routes: RefCell<Vec<RouteId>>,
}

impl Ground {
    pub(crate) fn new(settings: &LuaSettings) -> Self {
        let routes = RefCell::default();
        Self { fleet: settings.fleet.clone(), prefix: settings.prefix.as_str().into(), routes }
    }

    fn route(&self, label: Label) -> Option<RouteId> {
        self.routes.borrow().get((label.0 as usize).checked_sub(1)?).cloned()
    }
}

/// A VM's readiness to be looked at, for as long as it is held, which is on the VM's own thread.
pub struct Offer {
    desk: Arc<Desk>,
    _of_one_thread: std::marker::PhantomData<*const ()>,
}

impl fmt::Debug for Offer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Offer").finish_non_exhaustive()
    }
}

/// Where the VM's thread and the one who records meet.
struct Desk {
    victim: Victim,
    fleet: Option<FleetId>,
    stand: Mutex<Stand>,
    moved: Condvar,
    bell: Notify,
}

enum Stand {
    Idle,
    Wanted(Subject),
    Begun,
    Refused,
    EndWanted,
    Ended(Recording),
    /// The VM is no more.
    Gone,
}

impl Vm {
    /// What samples of a route's requests are told by.
    pub fn label(&self, route: &RouteId) -> Label {
        let routes = &mut *self.host.flame.routes.borrow_mut();
        let known = routes.iter().position(|known| known == route);
        let index = known.unwrap_or_else(|| {
            routes.push(route.clone());
            routes.len() - 1
        });
        Label(index as u32 + 1)
    }

    /// Lets the VM be looked at, by who records.
    pub fn offer(&self) -> Offer {
        let desk = Arc::new(Desk {
            victim: Victim::this_thread(),
            fleet: self.host.flame.fleet.clone(),
            stand: Mutex::new(Stand::Idle),
            moved: Condvar::new(),
            bell: Notify::new(),
        });
        let mut offers = lock(&OFFERS);
        offers.retain(|offer| offer.strong_count() > 0);
        offers.push(Arc::downgrade(&desk));
        Offer { desk, _of_one_thread: std::marker::PhantomData }
    }

    /// Does what [`Offer::asked`] was asked for. Not while Lua runs.
    pub fn attend(&self, offer: &Offer) {
        let mut stand = lock(&offer.desk.stand);
        let next = match std::mem::replace(&mut *stand, Stand::Idle) {
            Stand::Wanted(subject) => match Probe::begin(&self.host, &offer.desk.victim, subject) {
                Some(probe) => {
                    self.probe.replace(Some(probe));
                    Stand::Begun
                }
                None => Stand::Refused,
            },
            Stand::EndWanted => {
                let probe = self.probe.take();
                Stand::Ended(probe.map(Probe::end).unwrap_or_default())
            }
            other => other,
        };
        *stand = next;
        offer.desk.moved.notify_all();
    }
}

impl Offer {
    /// Returns when [`Vm::attend`] is to be called.
    pub async fn asked(&self) {
        self.desk.bell.notified().await;
    }
}

impl Drop for Offer {
    fn drop(&mut self) {
        *lock(&self.desk.stand) = Stand::Gone;
        self.desk.moved.notify_all();
    }
}

/// Records as wished, and returns when the time is over.
pub fn record(wish: &Wish) -> Result<Recording, Busy> {
    Ok(Recorder::claim()?.record(wish))
}

/// Who records; one at a time.
#[derive(Debug)]
pub struct Recorder(());

impl Recorder {
    pub fn claim() -> Result<Self, Busy> {
        if RECORDING.swap(true, Relaxed) { Err(Busy) } else { Ok(Self(())) }
    }

    /// Records as wished, and returns when the time is over.
    pub fn record(self, wish: &Wish) -> Recording {
        in_turns(wish)
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        RECORDING.store(false, Relaxed);
    }
}

fn in_turns(wish: &Wish) -> Recording {
    let span = Duration::from_secs(u64::from(wish.seconds));
    let mut desks: Vec<Arc<Desk>> = lock(&OFFERS).iter().filter_map(Weak::upgrade).collect();
    desks.retain(|desk| wish.subject.concerns(desk.fleet.as_ref()));
    // Where there is no turn for all, chance decides, and not who came first.
    fastrand::shuffle(&mut desks);
    let turns = desks.len().min((span.as_millis() / SHORTEST_TURN.as_millis()) as usize);
    let mut recording = Recording { missed: (desks.len() - turns) as u64, ..Recording::default() };
    let began = Instant::now();
    for (turn, desk) in (1_u32..).zip(&desks[..turns]) {
        let until = began + span * turn / turns as u32;
        match desk.take_turn(&wish.subject, until) {
            Some(part) => recording.merge(&Recording { vms: 1, ..part }),
            None => recording.missed += 1,
        }
    }
    // Whoever asked for so much time gets no answer before: there may be others who take all of it.
    std::thread::sleep(span.saturating_sub(began.elapsed()));
    recording
}

impl Desk {
    fn take_turn(&self, subject: &Subject, until: Instant) -> Option<Recording> {
        let mut stand = lock(&self.stand);
        // What ended too late for its turn is of another recording.
        if !matches!(*stand, Stand::Idle | Stand::Refused | Stand::Ended(_)) {
            return None;
        }
        *stand = Stand::Wanted(subject.clone());
        self.bell.notify_one();
        stand = self.wait(stand, PATIENCE, |stand| matches!(stand, Stand::Wanted(_)));
        match *stand {
            Stand::Begun => {}
            Stand::Gone => return None,
            _ => {
                *stand = Stand::Idle;
                return None;
            }
        }
        let mut seen = self.victim.cpu_time();
        while Instant::now() < until {
            drop(stand);
            std::thread::sleep(LOOK_EVERY);
            // The thread lives while its offer does, and that cannot go meanwhile.
            stand = lock(&self.stand);
            if matches!(*stand, Stand::Gone) {
                return None;
            }
            let now = self.victim.cpu_time();
            let worked = now.saturating_sub(seen);
            if worked >= WORTH {
                seen = now;
                self.victim.prod(worked);
            }
        }
        *stand = Stand::EndWanted;
        self.bell.notify_one();
        stand = self.wait(stand, PATIENCE, |stand| matches!(stand, Stand::EndWanted));
        // One that has not ended yet will, some time, and is passed over until then.
        if !matches!(*stand, Stand::Ended(_)) {
            return None;
        }
        match std::mem::replace(&mut *stand, Stand::Idle) {
            Stand::Ended(recording) => Some(recording),
            _ => None,
        }
    }

    fn wait<'a>(
        &self,
        stand: MutexGuard<'a, Stand>,
        patience: Duration,
        while_so: impl Fn(&Stand) -> bool,
    ) -> MutexGuard<'a, Stand> {
        let waited = self.moved.wait_timeout_while(stand, patience, |stand| while_so(stand));
        waited.unwrap_or_else(PoisonError::into_inner).0
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing that panics is done while one of these is held.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
