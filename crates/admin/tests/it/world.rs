//! A control plane with one fleet, the server under test, and a client.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    os::unix::fs::PermissionsExt as _,
    path::PathBuf,
    sync::{Arc, atomic::Ordering::Relaxed},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use serde_json::Value;
use tempfile::TempDir;
use tidegate_admin::Server;
use tidegate_control::{ConfigSource, Control, Handle, InstanceSpec, Options, ThreadHost, ThreadInstance};
use tidegate_core::Telemetry;
use tokio_util::sync::CancellationToken;

const DEADLINE: Duration = Duration::from_mins(2);

/// The fleet `web` runs an app; there are no other fleets.
const CONFIG: &str = "
listeners: [{ address: 127.0.0.1:0 }]
admin: { address: 127.0.0.1:0 }
fleets:
  web: { run: { lua: app.lua }, scale: { min: 2, max: 4 } }
upstreams: { web: { fleet: web } }
routes: [{ name: all, match: { path: /* }, upstream: web }]
";

/// No fleet here runs in threads.
#[derive(Debug)]
struct NoThreads;

impl ThreadHost for NoThreads {
    fn start(&self, _: InstanceSpec) -> Result<Box<dyn ThreadInstance>, String> {
        unreachable!("the fleet's driver is `process`")
    }
}

pub(crate) struct World {
    pub(crate) server: Server,
    pub(crate) handle: Handle,
    pub(crate) telemetry: Arc<Telemetry>,
    folder: TempDir,
    stop: CancellationToken,
    control: Option<JoinHandle<()>>,
    /// Where the instances claim to listen.
    _listener: TcpListener,
}

impl World {
    /// With two instances that never do anything but claim to listen.
    pub(crate) fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let report = format!(r#"{{"listening":{{"address":"{address}"}}}}"#);
        Self::with_program(&format!("read -r spec\necho '{report}'\nexec cat > /dev/null\n"), listener)
    }

    /// With instances that fail at once.
    pub(crate) fn broken() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        Self::with_program(r#"echo '{"failed":"app.lua:1: out of luck"}'"#, listener)
    }

    fn with_program(script: &str, listener: TcpListener) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("program");
        fs::write(&program, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        fs::write(folder.path().join("tidegate.yaml"), CONFIG).unwrap();
        fs::write(folder.path().join("app.lua"), "").unwrap();
        let config = ConfigSource::File(folder.path().join("tidegate.yaml"));
        let control = Control::load(Options {
            config,
            program,
            threads: Arc::new(NoThreads),
            sources: Arc::new(tidegate_control::NoSources),
            state_dir: None,
        })
        .unwrap();
        let (handle, telemetry) = (control.handle(), Telemetry::new(2));
        let loopback = "127.0.0.1:0".parse().unwrap();
        let server = Server::start(loopback, handle.clone(), Arc::clone(&telemetry)).unwrap();
        let stop = CancellationToken::new();
        let control = thread::spawn({
            let (telemetry, stop) = (Arc::clone(&telemetry), stop.clone());
            move || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
                runtime.block_on(control.run(telemetry, stop));
            }
        });
        Self { server, handle, telemetry, folder, stop, control: Some(control), _listener: listener }
    }

    /// Waits until the instances are ready, as workers would be.
    pub(crate) fn serving(self) -> Self {
        for worker in self.telemetry.workers() {
            worker.generation.store(1, Relaxed);
        }
        self.until("ready instances", |world| {
            let view = world.handle.view();
            let fleet = &view.fleets[0];
            (fleet.states.ready == 2 && fleet.last_step.is_some()).then_some(())
        });
        self
    }

    pub(crate) fn until<T>(&self, what: &str, found: impl Fn(&Self) -> Option<T>) -> T {
        let deadline = Instant::now() + DEADLINE;
        loop {
            if let Some(found) = found(self) {
                return found;
            }
            assert!(Instant::now() < deadline, "in vain: {what}");
            thread::sleep(Duration::from_millis(5));
        }
    }

    pub(crate) fn config(&self) -> PathBuf {
        self.folder.path().join("tidegate.yaml")
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.server.address()
    }

    pub(crate) fn get(&self, path: &str) -> Answer {
        self.ask("GET", path)
    }

    pub(crate) fn ask(&self, method: &str, path: &str) -> Answer {
        let mut stream = TcpStream::connect(self.address()).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        let head = format!("{method} {path} HTTP/1.1\r\nHost: admin\r\nConnection: close\r\n\r\n");
        stream.write_all(head.as_bytes()).unwrap();
        Answer::read(&mut stream)
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.stop.cancel();
        if let Some(control) = self.control.take() {
            _ = control.join();
        }
    }
}

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Answer {
    /// Reads until the connection ends.
    pub(crate) fn read(stream: &mut TcpStream) -> Self {
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer: {text:?}"));
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Self { status, head: head.to_lowercase(), body: body.to_owned() }
    }

    pub(crate) fn json(&self) -> Value {
        assert!(self.head.contains("content-type: application/json"), "{}", self.head);
        serde_json::from_str(&self.body).unwrap()
    }
}
