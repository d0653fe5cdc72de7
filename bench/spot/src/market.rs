//! The market of `examples/spot`, of which nothing is left when the benchmark ends, however it ends.
//!
//! Instances outlive the gateway and a signal ends this process without a destructor. So a process beside it, in a session
//! of its own, waits for the end of its standard input, which comes with ours, and then ends everything.

use std::{
    io::Write as _,
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, Stdio},
};

use anyhow::{Context as _, Result};

/// Reads processes to end, one a line; `$0` is the market's script.
const KEEPER: &str = "while read -r pid; do pids=\"$pids $pid\"; done
[ -z \"$pids\" ] || kill -9 $pids 2>/dev/null
exec sh \"$0\" clear";

pub(crate) struct Market {
    script: PathBuf,
    state: PathBuf,
    keeper: Child,
    /// Open as long as this process lives.
    end: Option<ChildStdin>,
}

impl Market {
    /// A market run by `script` that keeps what it knows in `state`.
    pub(crate) fn open(script: PathBuf, state: PathBuf) -> Result<Self> {
        let mut keeper = Command::new("setsid");
        keeper.args(["sh", "-c", KEEPER]).arg(&script).env("TIDEGATE_EXAMPLE_STATE", &state);
        let mut keeper = keeper.stdin(Stdio::piped()).spawn().context("setsid")?;
        let end = keeper.stdin.take();
        Ok(Self { script, state, keeper, end })
    }

    pub(crate) fn script(&self) -> &Path {
        &self.script
    }

    pub(crate) fn state(&self) -> &Path {
        &self.state
    }

    /// Ends this process too.
    pub(crate) fn end_with(&self, pid: u32) -> Result<()> {
        let mut end = self.end.as_ref().context("the market is open")?;
        Ok(writeln!(end, "{pid}")?)
    }

    /// Takes all spot instances back after so many seconds.
    pub(crate) fn reclaim(&self, notice: u64) -> Result<Child> {
        let mut command = Command::new("sh");
        command.arg(&self.script).args(["reclaim", &notice.to_string()]);
        Ok(command.env("TIDEGATE_EXAMPLE_STATE", &self.state).spawn()?)
    }
}

impl Drop for Market {
    fn drop(&mut self) {
        drop(self.end.take());
        // It fails only if the keeper is gone already.
        let _ = self.keeper.wait();
    }
}
