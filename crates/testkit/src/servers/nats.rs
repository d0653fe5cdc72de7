//! NATS with JetStream, and as much of a client as a test needs.

use std::{
    fmt::Write as _,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpStream,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::{Authority, Process, ready};
use crate::{port::free_port, wait::component};

#[derive(Debug)]
pub struct Nats {
    process: Process,
    program: PathBuf,
    port: u16,
    folder: TempDir,
}

impl Nats {
    /// `None`: it is not installed.
    pub fn start() -> Option<Self> {
        let program = component("nats-server")?;
        let (port, folder) = (free_port(), tempfile::tempdir().expect("a temporary directory can be made"));
        let process = Process::start(&mut command(&program, port, folder.path()));
        let nats = Self { process, program, port, folder };
        nats.wait();
        ready("jetstream", || nats.ask("INFO", &Value::Null).get("memory").is_some());
        Some(nats)
    }

    /// Starts it again with all that it holds. From now on it speaks TLS only, with clients that `authority` knows, so
    /// nothing can be asked of it here.
    pub fn secure(&mut self, authority: &Authority) {
        self.process.end();
        let mut command = command(&self.program, self.port, self.folder.path());
        let options = authority.options(["--tlscacert", "--tlscert", "--tlskey"], authority.server());
        self.process = Process::start(command.args(["--tls", "--tlsverify"]).args(options));
        self.wait();
    }

    fn wait(&self) {
        ready("nats", || TcpStream::connect(("127.0.0.1", self.port)).is_ok());
    }

    pub fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    /// A stream of that name that takes the subject `name.*`.
    pub fn stream(&self, name: &str) {
        let config = json!({ "name": name, "subjects": [format!("{name}.*")], "storage": "file" });
        let made = self.ask(&format!("STREAM.CREATE.{name}"), &config);
        assert!(made.get("error").is_none(), "{made}");
    }

    /// Publishes, and returns when the server has taken all of it.
    pub fn publish(&self, subject: &str, bodies: impl IntoIterator<Item = String>) {
        let mut out = String::new();
        for body in bodies {
            let _ = write!(out, "PUB {subject} {}\r\n{body}\r\n", body.len());
        }
        let mut client = self.connect();
        client.get_mut().write_all((out + "PING\r\n").as_bytes()).expect("nats reads");
        while !line(&mut client).starts_with("PONG") {}
    }

    /// Asks the API of JetStream.
    pub fn ask(&self, what: &str, request: &Value) -> Value {
        let body = if request.is_null() { String::new() } else { request.to_string() };
        let mut client = self.connect();
        let ask = format!("SUB in 1\r\nPUB $JS.API.{what} in {}\r\n{body}\r\n", body.len());
        client.get_mut().write_all(ask.as_bytes()).expect("nats reads");
        loop {
            let line = line(&mut client);
            if let Some(size) = line.strip_prefix("MSG ").and_then(|rest| rest.rsplit(' ').next()) {
                let mut body = vec![0; size.trim().parse().expect("a length")];
                client.read_exact(&mut body).expect("nats answers");
                return serde_json::from_slice(&body).expect("JSON");
            }
            if line.starts_with("HMSG") {
                return Value::Null;
            }
        }
    }

    fn connect(&self) -> BufReader<TcpStream> {
        let mut client = BufReader::new(TcpStream::connect(("127.0.0.1", self.port)).expect("nats listens"));
        let hello = "CONNECT {\"verbose\":false,\"headers\":true,\"no_responders\":true}\r\n";
        client.get_mut().write_all(hello.as_bytes()).expect("nats reads");
        client
    }
}

fn command(program: &Path, port: u16, folder: &Path) -> Command {
    let mut command = Command::new(program);
    command.args(["-a", "127.0.0.1", "-p", &port.to_string(), "-js", "-sd"]).arg(folder);
    command
}

fn line(client: &mut BufReader<TcpStream>) -> String {
    let mut line = String::new();
    client.read_line(&mut line).expect("nats says something");
    assert!(!line.is_empty() && !line.starts_with("-ERR"), "nats: {line}");
    line
}
