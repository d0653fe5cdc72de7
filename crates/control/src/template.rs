//! What the instances of a fleet are started from.

use std::time::Duration;

use tidegate_core::{
    Snapshot,
    snapshot::{Fleet, Limits, LuaSettings, ReadyCheck, Run, Script, Timeouts},
};

/// One way to run an instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Template {
    pub(crate) program: Program,
    pub(crate) ready: ReadyCheck,
    /// How long a draining instance may finish its requests.
    pub(crate) grace: Duration,
}

/// What an instance executes, with everything that it is told at its start.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "there is one for each fleet")]
pub(crate) enum Program {
    Lua { app: Script, lua: LuaSettings, timeouts: Timeouts, limits: Limits },
    Command(Vec<String>),
}

impl Template {
    pub(crate) fn new(fleet: &Fleet, snapshot: &Snapshot) -> Self {
        let program = match &fleet.run {
            Run::Lua(app) => Program::Lua {
                app: app.clone(),
                lua: snapshot.lua.clone(),
                timeouts: snapshot.timeouts.clone(),
                limits: snapshot.limits.clone(),
            },
            Run::Command(command) => Program::Command(command.clone()),
        };
        Self { program, ready: fleet.ready.clone(), grace: fleet.grace }
    }
}
