//! Starts, watches and ends instances, each in its way: [`process`], [`thread`], [`exec`], [`worker`].
//!
//! One task for each instance: it waits for readiness, passes on what the instance says, drains it when told
//! to, and notices its end at once, whatever it was doing. It reports [`Event`]s and decides nothing
//! about the fleet.

pub(crate) mod exec;
pub(crate) mod process;
mod ready;
pub(crate) mod thread;
pub(crate) mod worker;

use std::{collections::BTreeMap, io, net::SocketAddr, path::PathBuf, pin::Pin, sync::Arc, time::Duration};

use tidegate_core::{
    FleetId, InstanceId, OwnerId, PoolId,
    roster::Load,
    snapshot::{Driver, Exec},
};
use tokio::sync::mpsc;
use tokio_util::task::TaskTracker;

use self::{
    exec::{Listed, Origin, Remote},
    process::{Launcher, Life},
    thread::ThreadHost,
    worker::WorkerHost,
};
use crate::{
    departure::Departure,
    instance::protocol::Status,
    recorders::Recorders,
    template::{Program, Template},
};

/// How long requests may still arrive at an instance that has left the roster: a worker may have
/// picked it just before.
const SETTLE: Duration = Duration::from_millis(500);

/// How often a draining instance is asked for requests in flight.
const DRAIN_POLL: Duration = Duration::from_millis(20);

/// How long an instance may take to end after it was asked to, even when its grace is over.
const END_PATIENCE: Duration = Duration::from_secs(2);

/// What happened to an instance.
#[derive(Debug)]
pub(crate) enum Event {
    Ready {
        fleet: FleetId,
        id: InstanceId,
        address: SocketAddr,
    },
    Status {
        fleet: FleetId,
        id: InstanceId,
        status: Status,
    },
    /// The instance is gone, for that reason.
    Exited {
        fleet: FleetId,
        id: InstanceId,
        reason: String,
    },
    /// What there is of the fleet, as its `exec` driver lists it, and what instances are started with now.
    Listed {
        fleet: FleetId,
        revision: String,
        instances: Vec<Listed>,
    },
    /// It could not be listed, for that reason.
    Unlisted {
        fleet: FleetId,
        reason: String,
    },
}

impl Event {
    /// Whether something has to be done about it at once. What an instance reports is for the next step.
    pub(crate) fn matters(&self) -> bool {
        !matches!(self, Self::Status { .. })
    }
}

/// What the task of an instance has to know.
#[derive(Debug)]
pub(crate) struct Duties {
    pub(crate) fleet: FleetId,
    pub(crate) id: InstanceId,
    pub(crate) template: Arc<Template>,
    /// Where it is to come from, if that matters.
    pub(crate) pool: Option<PoolId>,
    pub(crate) load: Arc<Load>,
    pub(crate) departure: Departure,
    pub(crate) events: mpsc::Sender<Event>,
}

/// Whatever starts instances.
#[derive(Debug)]
pub(crate) struct Drivers {
    processes: Launcher,
    threads: Arc<dyn ThreadHost>,
    /// The workers of the node, if there is one.
    workers: Option<Arc<dyn WorkerHost>>,
    /// Of whom instances are that name no other owner.
    owner: OwnerId,
    remotes: BTreeMap<FleetId, Arc<Remote>>,
}

/// An instance that has been started.
pub(crate) struct Started {
    /// Of the process, if it is one of its own.
    pub(crate) pid: Option<u32>,
    /// Where it will listen, if that is known by now.
    pub(crate) address: Option<SocketAddr>,
    /// Whether it tells how busy it is.
    pub(crate) reports_status: bool,
    /// To be run until it ends: then the instance is gone.
    pub(crate) life: Pin<Box<dyn Future<Output = ()> + Send>>,
}

impl Drivers {
    pub(crate) fn new(
        (program, recorders): (PathBuf, Recorders),
        threads: Arc<dyn ThreadHost>,
        workers: Option<Arc<dyn WorkerHost>>,
        owner: OwnerId,
    ) -> Self {
        Self {
            processes: Launcher::new(program, recorders),
            threads,
            workers,
            owner,
            remotes: BTreeMap::new(),
        }
    }

    /// Begins to list the instances of a fleet that commands drive, or does so by other commands from now on. True: it begins.
    pub(crate) fn attend(
        &mut self,
        fleet: &FleetId,
        exec: &Exec,
        events: &mpsc::Sender<Event>,
        tasks: &TaskTracker,
    ) -> bool {
        if let Some(remote) = self.remotes.get(fleet) {
            remote.configure(exec);
            return false;
        }
        let owner = exec.owner.clone().unwrap_or_else(|| self.owner.clone());
        let remote = Remote::new(fleet.clone(), owner, exec.clone(), tasks.clone());
        tasks.spawn(Arc::clone(&remote).survey(events.clone()));
        self.remotes.insert(fleet.clone(), remote);
        true
    }

    /// Ends an instance that commands drive, as if it had ended by itself. `None`: they do not.
    pub(crate) fn end(
        &self,
        fleet: &FleetId,
        id: &InstanceId,
    ) -> Option<impl Future<Output = ()> + Send + 'static> {
        let (remote, id) = (Arc::clone(self.remotes.get(fleet)?), id.clone());
        Some(async move { remote.end(&id).await })
    }

    /// The fleet is gone.
    pub(crate) fn forget(&mut self, fleet: &FleetId) {
        if let Some(remote) = self.remotes.remove(fleet) {
            remote.over.cancel();
        }
    }

    /// Tidegate ends: instances that outlive it are left as they are, and so are all that a successor can find again where they
    /// are `entrusted` to one.
    pub(crate) fn leave(&self, entrusted: bool) {
        for remote in self.remotes.values() {
            remote.leave(entrusted);
        }
    }

    /// Takes over an instance that was there already.
    pub(crate) fn take_over(&self, duties: Duties, found: Listed) -> Option<Started> {
        let remote = Arc::clone(self.remotes.get(&duties.fleet)?);
        let address = found.endpoint;
        let life = Box::pin(exec::live(remote, Origin::Found(found), duties));
        Some(Started { pid: None, address, reports_status: false, life })
    }

    /// Starts an instance in the way that its template says. `taken` are ports that other instances have been given.
    pub(crate) fn start(&self, duties: Duties, taken: &[SocketAddr]) -> io::Result<Started> {
        let Duties { fleet, id, template, .. } = &duties;
        if let Program::Lua(lua) = &template.program
            && lua.driver == Driver::Thread
        {
            let spec = lua.spec(fleet, id, template.grace);
            let life = Box::pin(thread::live(Arc::clone(&self.threads), spec, duties));
            return Ok(Started { pid: None, address: None, reports_status: true, life });
        }
        if matches!(template.program, Program::Node) {
            let host = self.workers.as_ref().ok_or_else(|| io::Error::other("there is no node here"))?;
            let life = Box::pin(worker::live(Arc::clone(host), duties));
            return Ok(Started { pid: None, address: None, reports_status: true, life });
        }
        if let Program::Exec(exec) = &template.program {
            let remote =
                self.remotes.get(fleet).map(Arc::clone).ok_or_else(|| io::Error::other("nobody lists it"))?;
            let life = Box::pin(exec::live(remote, Origin::New(Arc::clone(exec)), duties));
            return Ok(Started { pid: None, address: None, reports_status: false, life });
        }
        let process = self.processes.start(fleet, id, template, taken)?;
        Ok(Started {
            pid: Some(process.pid()),
            address: process.address(),
            reports_status: matches!(template.program, Program::Lua(_)),
            life: Box::pin(Life::new(process, duties).live()),
        })
    }
}

impl Duties {
    async fn ready(&self, address: SocketAddr) {
        let event = Event::Ready { fleet: self.fleet.clone(), id: self.id.clone(), address };
        // The receiver lives until every task has ended.
        _ = self.events.send(event).await;
    }

    fn status(&self, status: Status) {
        let event = Event::Status { fleet: self.fleet.clone(), id: self.id.clone(), status };
        // A status that finds no room is worth nothing: the next one replaces it.
        _ = self.events.try_send(event);
    }

    async fn exited(self, reason: String) {
        _ = self.events.send(Event::Exited { fleet: self.fleet, id: self.id, reason }).await;
    }

    /// Until no request is left, at the instance's own pace, or until its grace is over: then the end cuts off what is left.
    fn quiet(&self) -> impl Future<Output = ()> + use<> {
        let (fleet, id, load) = (self.fleet.clone(), self.id.clone(), Arc::clone(&self.load));
        let grace = self.template.grace;
        let idle = async move {
            tokio::time::sleep(SETTLE).await;
            while load.in_flight() > 0 {
                tokio::time::sleep(DRAIN_POLL).await;
            }
        };
        let load = Arc::clone(&self.load);
        async move {
            if tokio::time::timeout(grace, idle).await.is_err() && load.in_flight() > 0 {
                let (requests, grace_s) = (load.in_flight(), grace.as_secs_f64());
                tracing::warn!(%fleet, instance = %id, requests, grace_s, "the grace is over: what is left is cut off");
            }
        }
    }
}
