//! The workers of the node, as instances of a fleet.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex, PoisonError, atomic::Ordering::Relaxed},
    time::{Duration, Instant},
};

use tidegate_control::{NodeWorker, WorkerHost, instance::protocol::Status};
use tidegate_proxy::{Crew, Node, Worker};

/// Has them.
#[derive(Debug)]
pub(crate) struct Workers {
    crew: Arc<Crew>,
    /// Where the node listens.
    address: SocketAddr,
}

impl Workers {
    pub(crate) fn of(node: &Node) -> Arc<Self> {
        let nowhere = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
        Arc::new(Self { crew: node.crew(), address: node.addresses().first().copied().unwrap_or(nowhere) })
    }
}

impl WorkerHost for Workers {
    fn start(&self) -> Result<Arc<dyn NodeWorker>, String> {
        let worker = self.crew.hire().map_err(|error| format!("{:#}", anyhow::Error::from(error)))?;
        let (series, ended_before, allocated_before) =
            (worker.series(), worker.ended(), worker.lua_allocated());
        let (busy_before, collected_before) = (series.busy_us.load(Relaxed), series.lua_gc_time());
        let (address, since) = (self.address, Instant::now());
        let worker = Mutex::new(Some(worker));
        Ok(Arc::new(Hired {
            worker,
            address,
            busy_before,
            collected_before,
            allocated_before,
            ended_before,
            since,
        }))
    }
}

struct Hired {
    /// `None`: it has been told to end.
    worker: Mutex<Option<Worker>>,
    address: SocketAddr,
    /// Microseconds that others on its seat were busy.
    busy_before: u64,
    /// Time in which their VMs collected garbage.
    collected_before: Duration,
    /// Bytes that their Lua asked for.
    allocated_before: u64,
    /// Requests that they served.
    ended_before: u64,
    since: Instant,
}

impl Hired {
    fn ask<T>(&self, what: impl FnOnce(&Worker) -> T) -> Option<T> {
        self.worker.lock().unwrap_or_else(PoisonError::into_inner).as_ref().map(what)
    }
}

impl NodeWorker for Hired {
    fn address(&self) -> SocketAddr {
        self.address
    }

    fn status(&self) -> Status {
        let read = |worker: &Worker| {
            let series = worker.series();
            Status {
                busy_micros: series.busy_us.load(Relaxed).saturating_sub(self.busy_before),
                up_micros: self.since.elapsed().as_micros() as u64,
                in_flight: u32::try_from(series.connections()).unwrap_or(u32::MAX),
                served: worker.ended().saturating_sub(self.ended_before),
                lua_bytes: series.lua_bytes.load(Relaxed),
                lua_coroutines: series.lua_coroutines.load(Relaxed),
                lua_gc_micros: series.lua_gc_time().saturating_sub(self.collected_before).as_micros() as u64,
                lua_allocated: worker.lua_allocated().saturating_sub(self.allocated_before),
                ..Status::default()
            }
        };
        self.ask(read).unwrap_or_default()
    }

    fn connections(&self) -> u64 {
        self.ask(Worker::connections).unwrap_or_default()
    }

    fn has_ended(&self) -> bool {
        self.ask(Worker::has_ended).unwrap_or(true)
    }

    fn leave(&self) {
        _ = self.ask(Worker::leave);
    }

    fn stay(&self) {
        _ = self.ask(Worker::stay);
    }

    fn end(&self) {
        let worker = self.worker.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(worker) = worker {
            worker.end();
        }
    }
}
