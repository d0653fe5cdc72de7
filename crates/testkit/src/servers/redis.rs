//! Redis, with a password.

use std::{
    io::Write as _,
    path::PathBuf,
    process::{Command, Stdio},
};

use tempfile::TempDir;

use super::{Process, output, ready};
use crate::{port::free_port, wait::component};

#[derive(Debug)]
pub struct Redis {
    program: PathBuf,
    process: Process,
    port: u16,
    folder: TempDir,
}

impl Redis {
    /// What it takes to get in.
    pub const PASSWORD: &str = "s3cret-of-this-test";

    /// `None`: it is not installed.
    pub fn start() -> Option<Self> {
        let program = component("redis-server")?;
        let (port, folder) = (free_port(), tempfile::tempdir().expect("a temporary directory can be made"));
        let process = Process::start(&mut Self::command(&program, port, &folder));
        let redis = Self { program, process, port, folder };
        redis.wait();
        Some(redis)
    }

    fn command(program: &std::path::Path, port: u16, folder: &TempDir) -> Command {
        let mut command = Command::new(program);
        command.args(["--bind", "127.0.0.1", "--save", "", "--requirepass", Self::PASSWORD]);
        command.args(["--port", &port.to_string()]).arg("--dir").arg(folder.path());
        command
    }

    fn wait(&self) {
        ready("redis", || self.try_cli(&["PING"]).is_some_and(|answer| answer == "PONG"));
    }

    pub const fn port(&self) -> u16 {
        self.port
    }

    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Ends it, with all that it holds.
    pub fn stop(&mut self) {
        self.process.end();
    }

    /// Starts it again, empty.
    pub fn restart(&mut self) {
        self.process = Process::start(&mut Self::command(&self.program, self.port, &self.folder));
        self.wait();
    }

    fn client(&self) -> Command {
        let mut command = Command::new("redis-cli");
        command.args(["-p", &self.port.to_string(), "-a", Self::PASSWORD, "--no-auth-warning"]);
        command
    }

    fn try_cli(&self, words: &[&str]) -> Option<String> {
        output(self.client().args(words))
    }

    /// One command, and what `redis-cli` prints of its answer.
    pub fn cli(&self, words: &[&str]) -> String {
        self.try_cli(words).unwrap_or_else(|| panic!("redis-cli {words:?} failed"))
    }

    /// A number that Redis answers.
    pub fn number(&self, words: &[&str]) -> u64 {
        let answer = self.cli(words);
        answer.parse().unwrap_or_else(|_| panic!("{words:?}: {answer}"))
    }

    /// Many commands at once, one a line.
    pub fn pipe(&self, commands: &str) {
        let mut command = self.client();
        let mut child =
            command.arg("--pipe").stdin(Stdio::piped()).stdout(Stdio::null()).spawn().expect("redis-cli");
        child.stdin.take().expect("it is piped").write_all(commands.as_bytes()).expect("redis-cli reads");
        assert!(child.wait().expect("it ends").success(), "redis-cli --pipe failed");
    }
}
