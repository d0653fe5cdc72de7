//! The binary itself, run as its users run it.

use std::{
    fs::{self, File},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::Arc,
    thread,
    time::Duration,
};

use tempfile::TempDir;

use crate::{
    http,
    port::unused_address,
    process::{self, Signal},
    wait::eventually,
};

/// How long the gateway may take to become ready.
const START: Duration = Duration::from_secs(20);

/// How long what was logged may take to be written.
const LOG: Duration = Duration::from_secs(10);

const CONFIG: &str = "tidegate.yaml";

/// What is put in place before the binary starts.
#[derive(Debug)]
pub struct Setup {
    binary: PathBuf,
    dir: TempDir,
    args: Vec<String>,
    env: Vec<(String, String)>,
    /// What `{name}` in a configuration stands for.
    words: Vec<(String, String)>,
    addr: SocketAddr,
    admin: SocketAddr,
}

impl Setup {
    /// Writes a file beside the configuration, directories included.
    #[must_use]
    pub fn file(self, path: &str, text: &str) -> Self {
        write(&self.dir.path().join(path), text);
        self
    }

    /// Makes `{name}` in the configuration stand for `value`, as `{listen}`, `{admin}` and `{dir}`
    /// already stand for the two addresses and the directory of the configuration.
    #[must_use]
    pub fn set(mut self, name: &str, value: &impl ToString) -> Self {
        self.words.push((format!("{{{name}}}"), value.to_string()));
        self
    }

    /// An argument after `up FILE`.
    #[must_use]
    pub fn arg(mut self, arg: &str) -> Self {
        self.args.push(arg.to_owned());
        self
    }

    #[must_use]
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Runs `tidegate up` with this configuration and waits until it is ready. Panics with its log
    /// if it ends or is not ready within 20 s.
    pub fn start(self, config: &str) -> Tidegate {
        let mut tidegate = self.spawn(config);
        tidegate.wait_ready();
        tidegate
    }

    /// The same without waiting.
    pub fn spawn(self, config: &str) -> Tidegate {
        let path = self.dir.path().join(CONFIG);
        write(&path, &self.fill_in(config));
        let child = self.run(0);
        Tidegate { child, generation: 0, setup: Arc::new(self) }
    }

    fn run(&self, generation: u32) -> Child {
        let path = self.dir.path().join(CONFIG);
        let output = |name: &str| {
            let path = self.dir.path().join(output_file(name, generation));
            File::create(path).expect("an output file can be made")
        };
        Command::new(&self.binary)
            .arg("up")
            .arg(&path)
            .args(&self.args)
            .envs(self.env.iter().map(|(name, value)| (name, value)))
            .current_dir(self.dir.path())
            .stdin(Stdio::null())
            .stdout(output("stdout"))
            .stderr(output("stderr"))
            .spawn()
            .unwrap_or_else(|error| panic!("{}: {error}", self.binary.display()))
    }

    fn fill_in(&self, config: &str) -> String {
        let own = [
            ("{listen}".to_owned(), self.addr.to_string()),
            ("{admin}".to_owned(), self.admin.to_string()),
            ("{dir}".to_owned(), self.dir.path().display().to_string()),
        ];
        let words = own.iter().chain(&self.words);
        words.fold(config.to_owned(), |text, (name, value)| text.replace(name, value))
    }
}

/// A running `tidegate up`. Dropping it kills the process, and shows its log if the test failed.
#[derive(Debug)]
pub struct Tidegate {
    child: Child,
    /// How many before it ran in its place.
    generation: u32,
    setup: Arc<Setup>,
}

impl Tidegate {
    /// Prepares a run of `binary`, which a test of that package names `env!("CARGO_BIN_EXE_tidegate")`.
    pub fn setup(binary: impl AsRef<Path>) -> Setup {
        Setup {
            binary: binary.as_ref().to_owned(),
            dir: tempfile::tempdir().expect("a temporary directory can be made"),
            args: Vec::new(),
            env: Vec::new(),
            words: Vec::new(),
            addr: unused_address(),
            admin: unused_address(),
        }
    }

    /// Runs `binary` with nothing but a configuration.
    pub fn start(binary: impl AsRef<Path>, config: &str) -> Self {
        Self::setup(binary).start(config)
    }

    /// The data plane's address, `{listen}` in the configuration.
    pub fn addr(&self) -> SocketAddr {
        self.setup.addr
    }

    /// The Admin API's address, `{admin}` in the configuration.
    pub fn admin(&self) -> SocketAddr {
        self.setup.admin
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The directory of the configuration, and of the files put beside it.
    pub fn dir(&self) -> &Path {
        self.setup.dir.path()
    }

    pub fn config_path(&self) -> PathBuf {
        self.dir().join(CONFIG)
    }

    /// Replaces the configuration in one step, as an editor does. Whether and when it is read is the
    /// gateway's business.
    pub fn rewrite_config(&self, config: &str) {
        self.write_file(CONFIG, &self.setup.fill_in(config));
    }

    /// Replaces a file beside the configuration in one step.
    pub fn write_file(&self, path: &str, text: &str) {
        let target = self.dir().join(path);
        let fresh = target.with_extension("fresh");
        write(&fresh, text);
        fs::rename(&fresh, &target).unwrap_or_else(|error| panic!("{}: {error}", target.display()));
    }

    /// Kills the process as `kill -9` does, and runs it anew with the same files and addresses.
    pub fn kill_and_restart(&mut self) {
        self.child.kill().expect("a child can be killed");
        self.child.wait().expect("a child can be waited for");
        self.child = self.setup.run(self.generation);
        self.wait_ready();
    }

    /// Runs another one with the same files and addresses beside this one, to take its place, and waits until it is ready.
    #[must_use]
    pub fn succeed(&self) -> Self {
        let generation = self.generation + 1;
        let child = self.setup.run(generation);
        let mut successor = Self { child, generation, setup: Arc::clone(&self.setup) };
        successor.wait_ready();
        successor
    }

    pub fn signal(&self, signal: Signal) {
        assert!(process::signal(self.pid(), signal), "tidegate has ended:\n{}", self.log());
    }

    /// Waits until `/readyz` of this very process answers 200, at most 20 s.
    pub fn wait_ready(&mut self) {
        eventually(START, "tidegate is ready (its log is below)", || {
            let ended = self.child.try_wait().expect("a child can be waited for");
            assert!(ended.is_none(), "tidegate ended before it was ready: {ended:?}");
            let own = format!("\"pid\":{}}}", self.pid());
            http::try_get(self.admin(), "/readyz")
                .is_ok_and(|response| response.status == 200 && response.text().contains(&own))
        });
    }

    /// Waits until the process has ended.
    pub fn wait_exit(&mut self, deadline: Duration) -> ExitStatus {
        let mut status = None;
        eventually(deadline, "tidegate ends", || {
            status = self.child.try_wait().expect("a child can be waited for");
            status.is_some()
        });
        status.expect("the loop above ends with a status")
    }

    /// Everything that was written to standard output so far.
    pub fn stdout(&self) -> String {
        self.output("stdout")
    }

    /// Everything that was written to standard error so far.
    pub fn stderr(&self) -> String {
        self.output("stderr")
    }

    /// Standard output and standard error, one after the other.
    pub fn log(&self) -> String {
        format!("--- stdout\n{}--- stderr\n{}", self.stdout(), self.stderr())
    }

    /// Waits until the log has `text`, which a thread of its own writes, and returns all of it.
    pub fn log_with(&self, text: &str) -> String {
        let mut log = String::new();
        eventually(LOG, &format!("the log has {text:?}"), || {
            log = self.log();
            log.contains(text)
        });
        log
    }

    fn output(&self, name: &str) -> String {
        let path = self.dir().join(output_file(name, self.generation));
        let bytes = fs::read(path).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

impl Drop for Tidegate {
    fn drop(&mut self) {
        // Both fail only if it has ended, which is what is wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if thread::panicking() {
            eprintln!("{}", self.log());
        }
    }
}

fn output_file(name: &str, generation: u32) -> String {
    if generation == 0 { name.to_owned() } else { format!("{name}.{generation}") }
}

fn write(path: &Path, text: &str) {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent).unwrap_or_else(|error| panic!("{}: {error}", parent.display()));
    }
    fs::write(path, text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
}
