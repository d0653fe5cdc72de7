//! A control plane under test, and ways to look at it.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use tempfile::TempDir;
use tidegate_control::{
    ConfigSource, Control, Handle, Options,
    view::{FleetView, InstanceView, View},
};
use tidegate_core::{Endpoint, FleetId, Roster, Snapshot, Telemetry};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    sync::watch,
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use crate::threads::Threads;

/// Whatever is waited for comes sooner, or never.
const DEADLINE: Duration = Duration::from_mins(2);

pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_control-test-program");

/// A configuration with the fleet `f` in it.
pub(crate) fn config(run: &str, rest: &str) -> String {
    format!(
        "listeners: [{{ address: 127.0.0.1:0 }}]\n\
         admin: {{ address: 127.0.0.1:0 }}\n\
         fleets:\n  f:\n    run: {run}\n    grace: 5s\n{rest}\
         upstreams: {{ u: {{ fleet: f }} }}\n\
         routes: [{{ name: r, match: {{ path: /* }}, upstream: u }}]\n"
    )
}

/// The same with a Lua app and a fixed number of instances.
pub(crate) fn lua_config(count: u32) -> String {
    config("{ lua: app.lua }", &format!("    scale: {{ min: {count}, max: {count} }}\n"))
}

/// The same with a server that is told its port.
pub(crate) fn command_config(words: &str, rest: &str) -> String {
    config(&format!("{{ command: [\"{PROGRAM}\", {words}] }}"), rest)
}

/// A folder with a configuration.
pub(crate) struct Folder(TempDir);

impl Folder {
    pub(crate) fn new(config: &str, app: &str) -> Self {
        let folder = Self(tempfile::tempdir().unwrap());
        folder.write("tidegate.yaml", config);
        folder.write("app.lua", app);
        folder
    }

    /// Replaces a file as a whole.
    pub(crate) fn write(&self, name: &str, text: &str) {
        let new = self.path().join("new");
        fs::write(&new, text).unwrap();
        fs::rename(new, self.path().join(name)).unwrap();
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    pub(crate) fn config(&self) -> PathBuf {
        self.path().join("tidegate.yaml")
    }
}

pub(crate) struct World {
    pub(crate) folder: Folder,
    pub(crate) handle: Handle,
    pub(crate) snapshots: watch::Receiver<Arc<Snapshot>>,
    pub(crate) roster: watch::Receiver<Arc<Roster>>,
}

/// Runs a control plane, and `test` beside it; then stops the one, and returns when all processes are gone.
pub(crate) fn run(config: &str, app: &str, test: impl AsyncFnOnce(&World)) -> Handle {
    let (handle, _) = run_in(Folder::new(config, app), async |world| {
        test(world).await;
        world.handle.clone()
    });
    handle
}

/// The same in a folder that there is; returns what `test` says, and the folder.
pub(crate) fn run_in<T>(folder: Folder, test: impl AsyncFnOnce(&World) -> T) -> (T, Folder) {
    let options = Options {
        config: ConfigSource::File(folder.config()),
        program: PROGRAM.into(),
        threads: Arc::new(Threads),
        sources: Arc::new(tidegate_control::NoSources),
        state_dir: Some(folder.path().join("state")),
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let control = Control::load(options).unwrap();
        let (telemetry, stop) = (Telemetry::new(1), CancellationToken::new());
        let (handle, roster) = (control.handle(), control.roster());
        let world = World { folder, handle, snapshots: control.snapshots(), roster };
        let test = async {
            let said = test(&world).await;
            stop.cancel();
            said
        };
        let ((), said) = tokio::join!(control.run(telemetry, stop.clone()), test);
        (said, world.folder)
    })
}

impl World {
    pub(crate) fn fleet(&self) -> FleetView {
        fleet(&self.handle.view())
    }

    pub(crate) fn instances(&self, state: &str) -> Vec<InstanceView> {
        self.fleet().instances.into_iter().filter(|one| one.state == state).collect()
    }

    /// Waits until what is shown is so.
    pub(crate) async fn until(&self, what: &str, condition: impl Fn(&FleetView) -> bool) -> FleetView {
        let found = || Some(self.handle.view().fleets.iter().find(|one| condition(one))?.as_ref().clone());
        let Ok(found) = timeout(DEADLINE, soon(found)).await else {
            panic!("in vain: {what}: {:#?}", self.handle.view());
        };
        found
    }

    /// Waits until so many instances are listed in the roster, and no other has a process.
    pub(crate) async fn until_ready(&self, count: usize) -> Arc<[Endpoint]> {
        until(&format!("{count} ready"), || {
            let view = self.handle.view();
            let running = view.fleets.first()?.instances.iter().filter(|one| one.pid.is_some()).count();
            let endpoints = self.endpoints();
            (endpoints.len() == count && running == count).then_some(endpoints)
        })
        .await
    }

    /// Who can serve now.
    pub(crate) fn endpoints(&self) -> Arc<[Endpoint]> {
        self.roster.borrow().fleets.get(&FleetId::new("f").unwrap()).cloned().unwrap_or_default()
    }

    /// Changes the configuration, and waits until it is in use.
    pub(crate) async fn configure(&self, config: &str) {
        let generation = self.handle.view().config.generation;
        self.folder.write("tidegate.yaml", config);
        self.handle.reload();
        until("reload", || (self.handle.view().config.generation > generation).then_some(())).await;
    }
}

fn fleet(view: &View) -> FleetView {
    view.fleets.first().expect("a fleet").as_ref().clone()
}

/// Waits until there is something.
pub(crate) async fn until<T>(what: &str, found: impl FnMut() -> Option<T>) -> T {
    timeout(DEADLINE, soon(found)).await.unwrap_or_else(|_| panic!("in vain: {what}"))
}

async fn soon<T>(mut found: impl FnMut() -> Option<T>) -> T {
    loop {
        if let Some(found) = found() {
            return found;
        }
        sleep(Duration::from_millis(5)).await;
    }
}

/// The body of the answer to `GET /`.
pub(crate) async fn get(address: SocketAddr) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer.split_once("\r\n\r\n").unwrap().1.to_owned()
}

/// Whether there is such a process, and it is not just waiting to be reaped.
pub(crate) fn is_alive(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, fields)| !fields.starts_with('Z'))
}

/// Waits until there is no such process.
pub(crate) fn gone(pid: u32) {
    let deadline = Instant::now() + DEADLINE;
    while is_alive(pid) {
        assert!(Instant::now() < deadline, "{pid} lives on");
        std::thread::sleep(Duration::from_millis(5));
    }
}

pub(crate) fn kill(pid: u32) {
    let pid = rustix::process::Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
}
