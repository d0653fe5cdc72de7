//! Starts the processes of instances.
//!
//! Invariant: every child is started by the one thread that drives the control plane, because the
//! kernel ties "kill me when my parent dies" to the *thread* that forked. [`Launcher`] is therefore
//! not `Send`: it cannot move into a task that another thread might run.
//!
//! Each child leads a process group of its own, so that a stop reaches what it started in turn, and
//! an interrupt from a terminal reaches the parent alone.

mod keeper;
mod life;
pub(crate) mod logged;
mod output;
mod port;

use std::{
    io,
    marker::PhantomData,
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
    process::Stdio,
};

use rustix::process::{Pid, Signal, kill_process_group};
use tidegate_core::{FleetId, InstanceId};
use tokio::process::{Child, Command};

pub(crate) use self::life::Life;
pub(super) use self::life::describe;
use self::{keeper::Keeper, output::Output};
use crate::{
    instance::{exec, protocol},
    recorders::Recorders,
    template::{Program, Template},
};

/// Starts children, always from the same thread.
#[derive(Debug)]
pub(crate) struct Launcher {
    /// The program that runs as an instance: Tidegate itself.
    program: PathBuf,
    recorders: Recorders,
    keeper: Keeper,
    not_send: PhantomData<*const ()>,
}

/// A child that has been started.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    pid: u32,
    output: Output,
    /// What it is told first.
    spec: Option<Vec<u8>>,
    /// Where it will listen, if the parent chose that.
    address: Option<SocketAddr>,
    recorders: Recorders,
    keeper: Keeper,
}

impl Launcher {
    pub(crate) fn new(program: PathBuf, recorders: Recorders) -> Self {
        Self { keeper: Keeper::new(program.clone()), program, recorders, not_send: PhantomData }
    }

    /// Starts an instance. `taken` are ports that other instances have been given.
    pub(crate) fn start(
        &self,
        fleet: &FleetId,
        id: &InstanceId,
        template: &Template,
        taken: &[SocketAddr],
    ) -> io::Result<Process> {
        let parent = std::process::id();
        let mut command = Command::new(&self.program);
        command.arg("instance").process_group(0).kill_on_drop(true);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let (variable, mark) = self.keeper.mark();
        command.env(variable, mark);
        let (spec, address) = match &template.program {
            Program::Lua(lua) => {
                command.stdin(Stdio::piped());
                (Some(protocol::encode(&lua.spec(fleet, id, template.grace))), None)
            }
            Program::Command(words) => {
                let port = port::free(taken)?;
                let text = port.to_string();
                command.stdin(Stdio::null()).args(["--exec", "--"]);
                command.args(words.iter().map(|word| word.replace("{port}", &text)));
                command.env("PORT", text).env(exec::PARENT_VARIABLE, parent.to_string());
                (None, Some(SocketAddr::from((Ipv4Addr::LOCALHOST, port))))
            }
            Program::Exec(_) | Program::Node => return Err(io::Error::other("it is no process of ours")),
        };
        let mut child = command.spawn()?;
        let pid = child.id().ok_or_else(|| io::Error::other("it ended at once"))?;
        self.keeper.add(pid);
        let output = Output::new(child.stdout.take(), child.stderr.take());
        let (recorders, keeper) = (self.recorders.clone(), self.keeper.clone());
        Ok(Process { child, pid, output, spec, address, recorders, keeper })
    }
}

impl Process {
    pub(crate) const fn pid(&self) -> u32 {
        self.pid
    }

    /// Nothing of it is left.
    fn over(&self) {
        signal_group(self.pid, Signal::KILL);
        self.keeper.remove(self.pid);
    }

    pub(crate) const fn address(&self) -> Option<SocketAddr> {
        self.address
    }
}

/// Signals the process group that `leader` leads. That it is gone already is no error.
pub(crate) fn signal_group(leader: u32, signal: Signal) {
    let group = i32::try_from(leader).ok().and_then(Pid::from_raw);
    if let Some(group) = group
        && let Err(error) = kill_process_group(group, signal)
        && error != rustix::io::Errno::SRCH
    {
        tracing::warn!(%error, pid = leader, ?signal, "cannot signal an instance");
    }
}
