//! Redis, with a password.

use std::{
    ffi::OsString,
    io::Write as _,
    path::PathBuf,
    process::{Command, Stdio},
};

use tempfile::TempDir;

use super::{Authority, Process, output, ready};
use crate::{port::free_port, wait::component};

#[derive(Debug)]
pub struct Redis {
    program: PathBuf,
    process: Process,
    port: u16,
    /// The port where it speaks TLS, and what it is told about that.
    secure: Option<(u16, Vec<OsString>)>,
    folder: TempDir,
}

impl Redis {
    /// What it takes to get in.
    pub const PASSWORD: &str = "s3cret-of-this-test";

    /// `None`: it is not installed.
    pub fn start() -> Option<Self> {
        Self::start_with(None)
    }

    /// One that also speaks TLS, with clients that `authority` knows.
    pub fn start_secure(authority: &Authority) -> Option<Self> {
        let words = ["--tls-ca-cert-file", "--tls-cert-file", "--tls-key-file"];
        Self::start_with(Some((free_port(), authority.options(words, authority.server()))))
    }

    fn start_with(secure: Option<(u16, Vec<OsString>)>) -> Option<Self> {
        let program = component("redis-server")?;
        let (port, folder) = (free_port(), tempfile::tempdir().expect("a temporary directory can be made"));
        let process = Process::start(&mut Self::command(&program, port, secure.as_ref(), &folder));
        let redis = Self { program, process, port, secure, folder };
        redis.wait();
        Some(redis)
    }

    fn command(
        program: &std::path::Path,
        port: u16,
        secure: Option<&(u16, Vec<OsString>)>,
        folder: &TempDir,
    ) -> Command {
        let mut command = Command::new(program);
        if let Some((port, options)) = secure {
            command.args(["--tls-port", &port.to_string(), "--tls-auth-clients", "yes"]).args(options);
        }
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

    /// Where it speaks TLS.
    pub fn secure_url(&self) -> String {
        let (port, _) = self.secure.as_ref().expect("it was started so");
        format!("rediss://localhost:{port}")
    }

    /// Ends it, with all that it holds.
    pub fn stop(&mut self) {
        self.process.end();
    }

    /// Starts it again, empty.
    pub fn restart(&mut self) {
        self.process =
            Process::start(&mut Self::command(&self.program, self.port, self.secure.as_ref(), &self.folder));
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
