//! RabbitMQ, driven by its own command line.
//!
//! Its nodes find each other by a daemon, `epmd`, of which the test has its own.

use std::{
    fs,
    net::TcpStream,
    path::{Path, PathBuf},
    process::Command,
};

use tempfile::TempDir;

use super::{Authority, Process, output, ready};
use crate::{port::free_port, wait::component};

#[derive(Debug)]
pub struct Rabbitmq {
    process: Process,
    port: u16,
    /// Where it speaks TLS, if it does.
    secure: u16,
    epmd: u16,
    folder: TempDir,
}

/// Where Debian keeps the programs themselves; those on the path want to be another user.
const PROGRAMS: &str = "/usr/lib/rabbitmq/bin";

impl Rabbitmq {
    /// `None`: it is not installed.
    pub fn start() -> Option<Self> {
        Self::start_with(None)
    }

    /// One that also speaks TLS, with clients that `authority` knows.
    pub fn start_secure(authority: &Authority) -> Option<Self> {
        Self::start_with(Some(authority))
    }

    fn start_with(authority: Option<&Authority>) -> Option<Self> {
        component("rabbitmq-server")?;
        let folder = tempfile::tempdir().expect("a temporary directory can be made");
        let (port, dist, epmd) = (free_port(), free_port(), free_port());
        let mut command = program("rabbitmq-server", folder.path(), epmd);
        command.env("RABBITMQ_NODE_IP_ADDRESS", "127.0.0.1").env("RABBITMQ_NODE_PORT", port.to_string());
        command.env("RABBITMQ_DIST_PORT", dist.to_string());
        let secure = free_port();
        if let Some(authority) = authority {
            let (config, (certificate, key)) = (folder.path().join("tls.conf"), authority.server());
            let settings = format!(
                "listeners.ssl.1 = 127.0.0.1:{secure}\n\
                 ssl_options.cacertfile = {}\nssl_options.certfile = {}\nssl_options.keyfile = {}\n\
                 ssl_options.verify = verify_peer\nssl_options.fail_if_no_peer_cert = true\n",
                authority.certificate().display(),
                certificate.display(),
                key.display(),
            );
            fs::write(&config, settings).expect("a file can be written");
            command.env("RABBITMQ_CONFIG_FILE", config);
        }
        let rabbitmq = Self { process: Process::start(&mut command), port, secure, epmd, folder };
        ready("rabbitmq", || TcpStream::connect(("127.0.0.1", port)).is_ok());
        Some(rabbitmq)
    }

    pub fn url(&self) -> String {
        format!("amqp://127.0.0.1:{}", self.port)
    }

    /// Where it speaks TLS.
    pub fn secure_url(&self) -> String {
        format!("amqps://localhost:{}", self.secure)
    }

    /// Evaluates Erlang in the server.
    pub fn eval(&self, code: &str) -> String {
        let mut command = program("rabbitmqctl", self.folder.path(), self.epmd);
        output(command.args(["eval", code])).unwrap_or_else(|| panic!("rabbitmqctl eval {code} failed"))
    }

    /// Declares a durable queue.
    pub fn queue(&self, name: &str) {
        self.eval(&format!(
            "rabbit_amqqueue:declare(rabbit_misc:r(<<\"/\">>, queue, <<\"{name}\">>), true, false, [], none, <<\"test\">>), ok."
        ));
    }

    /// Publishes persistent messages: what the Erlang expression `bodies`, a list of binaries, says.
    pub fn publish(&self, queue: &str, bodies: &str) {
        self.eval(&format!(
            "[rabbit_basic:publish(rabbit_misc:r(<<\"/\">>, exchange, <<>>), <<\"{queue}\">>, [{{delivery_mode, 2}}], B) || \
             B <- {bodies}], ok."
        ));
    }

    /// Messages of a queue, ready and not acknowledged; `None`: there is no such queue.
    pub fn depth(&self, queue: &str) -> Option<u64> {
        let mut command = program("rabbitmqctl", self.folder.path(), self.epmd);
        let listed = output(command.args(["-q", "list_queues", "--no-table-headers", "name", "messages"]))?;
        listed.lines().find_map(|line| {
            let (name, count) = line.split_once('\t')?;
            (name == queue).then(|| count.trim().parse().ok())?
        })
    }
}

fn program(name: &str, folder: &Path, epmd: u16) -> Command {
    let mut command = Command::new(PathBuf::from(PROGRAMS).join(name));
    let inside = |name: &str| folder.join(name);
    command.env("HOME", folder).env("ERL_EPMD_PORT", epmd.to_string()).env("ERL_EPMD_ADDRESS", "127.0.0.1");
    command.env("RABBITMQ_NODENAME", format!("test{epmd}@localhost"));
    command.env("RABBITMQ_MNESIA_BASE", inside("mnesia")).env("RABBITMQ_LOG_BASE", inside("log"));
    command
        .env("RABBITMQ_ENABLED_PLUGINS_FILE", inside("plugins"))
        .env("RABBITMQ_CONF_ENV_FILE", "/dev/null");
    command.env("RABBITMQ_PID_FILE", inside("pid")).env("LC_ALL", "C.UTF-8");
    command
}

impl Drop for Rabbitmq {
    fn drop(&mut self) {
        // The program is a script; what it has started is asked to end.
        let mut stop = program("rabbitmqctl", self.folder.path(), self.epmd);
        output(stop.arg("eval").arg("erlang:halt(0, [{flush, false}])."));
        self.process.end();
        let mut epmd = Command::new("epmd");
        output(
            epmd.args(["-port", &self.epmd.to_string(), "-kill"]).env("ERL_EPMD_RELAXED_COMMAND_CHECK", "1"),
        );
    }
}
