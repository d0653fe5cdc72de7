//! One running `tidegate up`.

use std::{
    fs::{self, File},
    io,
    net::TcpStream,
    os::unix::process::ExitStatusExt as _,
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use rustix::process::{Pid, Signal, kill_process};

use super::scene::Scene;

/// Until it accepts connections.
const START: Duration = Duration::from_secs(20);
/// Until it has ended once it was asked to.
const STOP: Duration = Duration::from_secs(3);
const POLL: Duration = Duration::from_millis(3);

#[derive(Debug)]
pub(crate) struct Server {
    child: Child,
}

impl Server {
    /// Starts `program` with the scene's configuration and waits until it can be talked to.
    pub(crate) fn start(program: &Path, scene: &Scene) -> Result<Self> {
        let output = scene.folder.join("stderr");
        let child = Command::new(program)
            .arg("up")
            .arg(scene.folder.join("tidegate.yaml"))
            .current_dir(&scene.root)
            .env_clear()
            // Where the suite's own libraries are looked for is the caller's business.
            .envs(
                ["PATH", "LUA_PATH", "LUA_CPATH"]
                    .into_iter()
                    .filter_map(|name| Some((name, std::env::var_os(name)?))),
            )
            .envs(scene.environment())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(&output).context("cannot write to the scratch folder")?)
            .spawn()
            .with_context(|| format!("cannot run {}", program.display()))?;
        let mut server = Self { child };
        let deadline = Instant::now() + START;
        loop {
            if TcpStream::connect(("127.0.0.1", scene.port)).is_ok() {
                return Ok(server);
            }
            if let Some(status) = server.child.try_wait().context("cannot watch the process")? {
                bail!("did not start ({status}): {}", said(&output));
            }
            if Instant::now() > deadline {
                bail!("did not listen within {START:?}: {}", said(&output));
            }
            thread::sleep(POLL);
        }
    }

    /// Asks it to end, then makes it. Fails when it ended by a fault of its own.
    pub(crate) fn stop(mut self) -> Result<()> {
        if let Ok(Some(status)) = self.child.try_wait() {
            bail!("ended before its time ({status})");
        }
        let pid = Pid::from_child(&self.child);
        kill_process(pid, Signal::TERM).context("cannot signal the process")?;
        let deadline = Instant::now() + STOP;
        while Instant::now() < deadline {
            if let Some(status) = self.child.try_wait().context("cannot watch the process")? {
                return sane(status);
            }
            thread::sleep(POLL);
        }
        // A case may well leave something behind that never ends; that is not what is looked at here.
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn sane(status: ExitStatus) -> Result<()> {
    match status.signal() {
        Some(signal) if signal != Signal::TERM.as_raw() => bail!("crashed when it was stopped ({status})"),
        _ => Ok(()),
    }
}

/// The last of what it said.
fn said(output: &Path) -> String {
    const LAST: usize = 600;
    let text = fs::read(output).unwrap_or_else(|error: io::Error| error.to_string().into_bytes());
    let text = String::from_utf8_lossy(&text[text.len().saturating_sub(LAST)..]).trim().to_owned();
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
