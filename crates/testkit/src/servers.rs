//! Servers of others that tests speak to, each started for one test on ports of its own.
//!
//! Dropping one kills it. What is not installed is said by [`component`].

mod authority;
mod nats;
mod openssl;
mod postgresql;
mod prometheus;
mod rabbitmq;
mod redis;

pub use self::{
    authority::Authority, nats::Nats, openssl::Openssl, postgresql::Postgresql, prometheus::Prometheus,
    rabbitmq::Rabbitmq, redis::Redis,
};

use std::{
    process::{Child, Command, Stdio},
    time::Duration,
};

use crate::wait::eventually;

/// How long a server may take to answer.
const START: Duration = Duration::from_mins(1);

/// A child process that does not outlive its test.
#[derive(Debug)]
struct Process(Child);

impl Process {
    fn start(command: &mut Command) -> Self {
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        Self(command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}")))
    }

    fn end(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.end();
    }
}

/// What a client program prints; `None` when it fails.
fn output(command: &mut Command) -> Option<String> {
    let output = command.stderr(Stdio::null()).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

fn ready(name: &str, condition: impl FnMut() -> bool) {
    eventually(START, &format!("{name} answers"), condition);
}
