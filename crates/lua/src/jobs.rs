//! `ngx.run_worker_thread`: functions that run on threads of a pool, each with a VM of its own.
//!
//! Arguments and results travel as bytes that the prelude makes and reads. A pool starts a thread when there is work
//! and none is idle, up to its number, and at most [`QUEUE`] calls wait. Its threads end with the VM that it belongs to,
//! after what they are doing.
//!
//! A call that is abandoned is done all the same, and its result forgotten.

use std::{
    cell::{Cell, RefCell},
    collections::{BTreeMap, HashMap, VecDeque},
    future::poll_fn,
    rc::Rc,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    task::{Poll, Waker},
    thread,
};

use tidegate_core::{DictName, snapshot::LuaSettings};

use crate::{Detached, Dicts, Level, Log, Reply, Vm, WorkerIdentity, now::Now};

/// Calls that wait for a thread, for each pool.
const QUEUE: usize = 65_536;

/// Results that have not been fetched: more belong to handlers that ended meanwhile.
const UNFETCHED: usize = 1_024;

/// Whether the function ran to its end, and what it returned or raised.
type Outcome = Result<Vec<u8>, String>;

/// The pools of one VM, and results until they are fetched.
pub(crate) struct Jobs {
    pools: HashMap<DictName, Pool>,
    dicts: RefCell<Arc<Dicts>>,
    results: Rc<RefCell<BTreeMap<i32, Vec<u8>>>>,
    last: Cell<i32>,
}

/// Why a call was not begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    NoPool,
    Full,
}

impl Jobs {
    pub(crate) fn new(settings: &LuaSettings, dicts: &Arc<Dicts>, worker: WorkerIdentity, log: &Log) -> Self {
        let settings = Arc::new(settings.clone());
        let pool = |(name, &threads): (&DictName, &u32)| {
            let maker = Maker { settings: Arc::clone(&settings), worker, log: Arc::clone(log) };
            (name.clone(), Pool { shared: Arc::default(), threads: threads as usize, maker })
        };
        Self {
            pools: settings.thread_pools.iter().map(pool).collect(),
            dicts: RefCell::new(Arc::clone(dicts)),
            results: Rc::default(),
            last: Cell::new(0),
        }
    }

    pub(crate) fn set_dicts(&self, dicts: &Arc<Dicts>) {
        self.dicts.replace(Arc::clone(dicts));
    }

    /// Begins a call; the number is what its result can be fetched by once the wait is over.
    pub(crate) fn begin(
        &self,
        pool: &str,
        payload: &[u8],
        now: Now,
        level: i32,
    ) -> Result<(i32, Detached), Refusal> {
        let pool = self.pools.iter().find(|(name, _)| name.as_str() == pool);
        let (_, pool) = pool.ok_or(Refusal::NoPool)?;
        let done = Arc::new(Mutex::new(Done::default()));
        let dicts = Arc::clone(&self.dicts.borrow());
        pool.add(Job { payload: payload.to_vec(), dicts, now, level, done: Arc::clone(&done) })?;
        let number = self.last.get().wrapping_add(1) & i32::MAX;
        self.last.set(number);
        let results = Rc::clone(&self.results);
        let wait = async move {
            match poll_fn(|cx| locked(&done).poll(cx.waker())).await {
                Ok(bytes) => {
                    let mut results = results.borrow_mut();
                    results.insert(number, bytes);
                    if results.len() > UNFETCHED {
                        results.pop_first();
                    }
                    Reply::Done
                }
                Err(wrong) => Reply::Failed(wrong),
            }
        };
        Ok((number, Box::pin(wait)))
    }

    pub(crate) fn take(&self, number: i32) -> Option<Vec<u8>> {
        self.results.borrow_mut().remove(&number)
    }
}

struct Pool {
    shared: Arc<Shared>,
    threads: usize,
    maker: Maker,
}

/// What the threads of a pool have in common.
#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    work: Condvar,
}

#[derive(Default)]
struct State {
    jobs: VecDeque<Job>,
    idle: usize,
    started: usize,
    over: bool,
}

impl Pool {
    fn add(&self, job: Job) -> Result<(), Refusal> {
        let mut state = locked(&self.shared.state);
        if state.jobs.len() >= QUEUE {
            return Err(Refusal::Full);
        }
        if state.idle <= state.jobs.len() && state.started < self.threads {
            let (shared, maker) = (Arc::clone(&self.shared), self.maker.clone());
            let builder = thread::Builder::new().name("lua-job".into()).stack_size(Vm::STACK_BYTES);
            match builder.spawn(move || work(&shared, &maker)) {
                Ok(_) => state.started += 1,
                Err(_) if state.started == 0 => return Err(Refusal::Full),
                Err(_) => {}
            }
        }
        state.jobs.push_back(job);
        drop(state);
        self.shared.work.notify_one();
        Ok(())
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        locked(&self.shared.state).over = true;
        self.shared.work.notify_all();
    }
}

/// Makes the VM of a thread.
#[derive(Clone)]
struct Maker {
    settings: Arc<LuaSettings>,
    worker: WorkerIdentity,
    log: Log,
}

struct Job {
    payload: Vec<u8>,
    dicts: Arc<Dicts>,
    now: Now,
    level: i32,
    done: Arc<Mutex<Done>>,
}

/// Where an outcome is left, and who waits for it.
#[derive(Default)]
struct Done {
    outcome: Option<Outcome>,
    waker: Option<Waker>,
}

impl Done {
    fn poll(&mut self, waker: &Waker) -> Poll<Outcome> {
        if let Some(outcome) = self.outcome.take() {
            return Poll::Ready(outcome);
        }
        self.waker = Some(waker.clone());
        Poll::Pending
    }
}

/// The life of a thread.
fn work(shared: &Shared, maker: &Maker) {
    let mut vm: Option<Vm> = None;
    while let Some(job) = next(shared) {
        let outcome = perform(&mut vm, maker, &job);
        let mut done = locked(&job.done);
        done.outcome = Some(outcome);
        let waker = done.waker.take();
        drop(done);
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

fn next(shared: &Shared) -> Option<Job> {
    let mut state = locked(&shared.state);
    loop {
        if state.over {
            return None;
        }
        if let Some(job) = state.jobs.pop_front() {
            return Some(job);
        }
        state.idle += 1;
        state = shared.work.wait(state).unwrap_or_else(PoisonError::into_inner);
        state.idle -= 1;
    }
}

fn perform(vm: &mut Option<Vm>, maker: &Maker, job: &Job) -> Outcome {
    let vm = if let Some(vm) = vm {
        vm.set_dicts(Arc::clone(&job.dicts));
        vm
    } else {
        let made = Vm::new(&maker.settings, Arc::clone(&job.dicts), maker.worker, Arc::clone(&maker.log));
        vm.insert(made.map_err(|error| error.to_string())?)
    };
    vm.host.set_now(job.now);
    vm.set_log_level(Level::from_number(job.level).unwrap_or(Level::Error));
    vm.perform(&job.payload)
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
