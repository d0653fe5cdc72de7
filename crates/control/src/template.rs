//! What the instances of a fleet are started from.

use std::{num::NonZeroU32, process, sync::Arc, time::Duration};

use tidegate_core::{
    FleetId, InstanceId, Snapshot,
    snapshot::{
        Driver, ErrorLog, Exec, Fleet, Limits, LuaSettings, ReadyCheck, Run, Script, Timeouts, Worker,
    },
};

use crate::instance::{InstanceSpec, protocol::Consume};

/// One way to run an instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Template {
    pub(crate) program: Program,
    pub(crate) ready: ReadyCheck,
    /// How long a draining instance may finish its requests.
    pub(crate) grace: Duration,
    /// How many requests an instance may have at a time.
    pub(crate) concurrency: Option<NonZeroU32>,
}

/// What an instance executes, with everything that it is told at its start.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "there is one for each fleet")]
pub(crate) enum Program {
    Lua(App),
    Command(Vec<String>),
    Exec(Arc<Exec>),
    /// An instance is a worker of the node, and is not sent requests by it.
    Node,
}

impl Program {
    /// Whether an instance of the one may stand for one of the other: how it is stopped and listed, and how often,
    /// does not matter.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Exec(one), Self::Exec(other)) => {
                (&one.start, &one.settings) == (&other.start, &other.settings)
            }
            _ => self == other,
        }
    }
}

/// An app, and what it runs under.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct App {
    pub(crate) driver: Driver,
    script: Script,
    lua: LuaSettings,
    timeouts: Timeouts,
    limits: Limits,
    error_log: ErrorLog,
    consume: Option<Consume>,
}

impl App {
    /// What the instance `id` is told.
    pub(crate) fn spec(&self, fleet: &FleetId, id: &InstanceId, grace: Duration) -> InstanceSpec {
        InstanceSpec {
            fleet: fleet.clone(),
            id: id.clone(),
            app: self.script.clone(),
            lua: self.lua.clone(),
            timeouts: self.timeouts.clone(),
            limits: self.limits.clone(),
            error_log: self.error_log.clone(),
            consume: self.consume.clone(),
            parent: process::id(),
            grace,
        }
    }
}

impl Template {
    pub(crate) fn new(fleet: &Fleet, snapshot: &Snapshot) -> Self {
        let app = |script: &Script, consume| {
            Program::Lua(App {
                driver: fleet.driver,
                script: script.clone(),
                lua: snapshot.lua.clone(),
                timeouts: snapshot.timeouts.clone(),
                limits: snapshot.limits.clone(),
                error_log: ErrorLog { file: None, ..snapshot.error_log.clone() },
                consume,
            })
        };
        let program = match &fleet.run {
            Run::Lua(script) => app(script, None),
            Run::Worker(Worker { script, source, settings }) => {
                let source = snapshot.sources[source].clone();
                app(script, Some(Consume { source, settings: settings.clone() }))
            }
            Run::Command(command) => Program::Command(command.clone()),
            Run::Exec(exec) => Program::Exec(Arc::new(exec.clone())),
            Run::Node => Program::Node,
        };
        Self { program, ready: fleet.ready.clone(), grace: fleet.grace, concurrency: fleet.concurrency }
    }
}
