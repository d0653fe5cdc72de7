//! A gateway takes the place of another one, with one configuration and without losing a request.

use std::{
    fs, io,
    net::TcpListener,
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use tidegate_testkit::{
    Tidegate, eventually,
    http::{self, Client},
    process::Signal,
};

use crate::{PATIENCE, TIDEGATE, load::Load, metric};

const CONFIG: &str = "
listeners: [{ address: \"{listen}\" }, { address: \"unix:{dir}/path.sock\" }]
admin: { address: \"{admin}\" }
fleets: { app: { run: { lua: app.lua }, scale: { min: 1, max: 2 } } }
upstreams: { app: { fleet: app } }
routes:
  - { name: app, match: { path: /* }, upstream: app }
";

fn start() -> Tidegate {
    Tidegate::setup(TIDEGATE).file("app.lua", "ngx.say('served')").start(CONFIG)
}

fn state(tidegate: &Tidegate) -> PathBuf {
    tidegate.dir().join(".tidegate/tidegate")
}

fn end(tidegate: &mut Tidegate) {
    tidegate.signal(Signal::TERM);
    assert_eq!(tidegate.wait_exit(PATIENCE).code(), Some(0));
}

/// The process that answers at the admin address.
fn answering(tidegate: &Tidegate) -> Option<u64> {
    let answer = http::try_get(tidegate.admin(), "/readyz").ok()?;
    serde_json::from_slice::<serde_json::Value>(&answer.body).ok()?["pid"].as_u64()
}

/// Clients that come by a path, each time anew.
struct Neighbours {
    stop: Arc<AtomicBool>,
    served: Arc<AtomicUsize>,
    threads: Vec<JoinHandle<io::Result<()>>>,
}

impl Neighbours {
    fn start(path: &Path) -> Self {
        let (stop, served) = (Arc::<AtomicBool>::default(), Arc::<AtomicUsize>::default());
        let one = || {
            let (stop, served, path) = (Arc::clone(&stop), Arc::clone(&served), path.to_owned());
            thread::spawn(move || {
                while !stop.load(Relaxed) {
                    ask(&path)?;
                    served.fetch_add(1, Relaxed);
                    thread::sleep(Duration::from_millis(5));
                }
                Ok(())
            })
        };
        let threads = (0..4).map(|_| one()).collect();
        Self { stop, served, threads }
    }

    fn end(self) {
        self.stop.store(true, Relaxed);
        for thread in self.threads {
            thread.join().unwrap().unwrap();
        }
        assert!(self.served.load(Relaxed) > 0);
    }
}

fn ask(path: &Path) -> io::Result<()> {
    let stream = UnixStream::connect(path)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let answer = Client::over(stream, "localhost").get("/")?;
    if answer.status == 200 { Ok(()) } else { Err(io::Error::other(format!("{answer:?}"))) }
}

#[test]
fn one_after_the_other_serves_with_one_configuration() {
    let mut now = start();
    let path = now.dir().join("path.sock");
    let load = Load::without_end(&format!("http://{}/", now.addr()), 100);
    let neighbours = Neighbours::start(&path);
    for _ in 0..3 {
        let next = now.succeed();
        now.log_with("a successor has taken over the sockets");
        end(&mut now);
        now = next;
        assert_eq!(answering(&now), Some(now.pid().into()));
        let before = metric(&now, "tidegate_requests_total");
        eventually(PATIENCE, "it serves", || metric(&now, "tidegate_requests_total") > before + 50.0);
    }
    load.end();
    neighbours.end();
    assert!(path.exists());
    end(&mut now);
    assert!(!path.exists() && !state(&now).join("handover.sock").exists(), "who leaves last cleans up");
}

#[test]
fn one_that_cannot_start_changes_nothing() {
    let mut old = start();
    let load = Load::without_end(&format!("http://{}/", old.addr()), 100);
    let path = old.dir().join("path.sock");
    let neighbours = Neighbours::start(&path);
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let more = format!("}}, {{ address: \"{}\" }}]", taken.local_addr().unwrap());
    let config = CONFIG
        .replace("{listen}", &old.addr().to_string())
        .replace("{dir}", &old.dir().display().to_string())
        .replace("}]", &more);
    let setup = Tidegate::setup(TIDEGATE).arg("--state-dir").arg(state(&old).to_str().unwrap());
    let mut failing = setup.file("app.lua", "").spawn(&config);
    assert_eq!(failing.wait_exit(PATIENCE).code(), Some(3));
    assert!(failing.log().contains("took over listening sockets"), "{}", failing.log());
    old.log_with("did not start");
    let mut new = old.succeed();
    end(&mut old);
    load.end();
    neighbours.end();
    end(&mut new);
    assert!(!path.exists());
}

#[test]
fn one_that_fails_late_has_taken_no_connection_with_it() {
    let old = start();
    let broken = "workers: 8\nlua: { init: \"local t = os.clock() while os.clock() - t < 0.2 do end error('no')\" }\nfleets:";
    let config = CONFIG
        .replace("{listen}", &old.addr().to_string())
        .replace("{dir}", &old.dir().display().to_string())
        .replace("fleets:", broken);
    let setup = Tidegate::setup(TIDEGATE).arg("--state-dir").arg(state(&old).to_str().unwrap());
    let mut failing = setup.file("app.lua", "").spawn(&config);
    let has_ended = AtomicBool::new(false);
    thread::scope(|scope| {
        let asking = scope.spawn(|| {
            while !has_ended.load(Relaxed) {
                assert_eq!(http::get(old.addr(), "/").text(), "served\n");
            }
        });
        assert_eq!(failing.wait_exit(PATIENCE).code(), Some(1));
        has_ended.store(true, Relaxed);
        asking.join().unwrap();
    });
    assert!(failing.log().contains("took over listening sockets"), "{}", failing.log());
}

#[test]
fn the_old_one_goes_on_when_the_new_one_is_ended() {
    let mut old = start();
    let path = old.dir().join("path.sock");
    let load = Load::without_end(&format!("http://{}/", old.addr()), 100);
    let neighbours = Neighbours::start(&path);
    let mut second = old.succeed();
    // It has its sockets from the second, and stays when that is gone.
    let mut third = second.succeed();
    end(&mut second);
    assert_eq!(answering(&old), Some(third.pid().into()));
    end(&mut third);
    eventually(PATIENCE, "the old one answers again", || answering(&old) == Some(old.pid().into()));
    let mut last = old.succeed();
    end(&mut old);
    load.end();
    neighbours.end();
    end(&mut last);
    assert!(!path.exists());
}

#[test]
fn all_sockets_are_accepted_from_however_many_workers_there_are() {
    let of = |workers: u32| CONFIG.replace("fleets:", &format!("workers: {workers}\nfleets:"));
    let mut now = Tidegate::setup(TIDEGATE).file("app.lua", "ngx.say('served')").start(&of(4));
    let (addr, state, dir) = (now.addr(), state(&now), now.dir().display().to_string());
    let first = now.dir().join("path.sock");
    let mut gone = Vec::new();
    for workers in [1, 3, 2] {
        let config = of(workers).replace("{listen}", &addr.to_string()).replace("{dir}", &dir);
        let setup = Tidegate::setup(TIDEGATE).arg("--state-dir").arg(state.to_str().unwrap());
        let next = setup.file("app.lua", "ngx.say('served')").start(&config);
        end(&mut now);
        gone.push(std::mem::replace(&mut now, next));
        // Sixteen in a row that all miss one of four sockets are one of a hundred, a hundred are none.
        for _ in 0..100 {
            assert_eq!(http::get(addr, "/").text(), "served\n");
        }
        ask(&first).unwrap();
    }
}

#[test]
fn nothing_is_taken_from_who_says_odd_things() {
    let setup = Tidegate::setup(TIDEGATE).file("app.lua", "ngx.say('served')");
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("handover.sock");
    let odd = std::os::unix::net::UnixListener::bind(&place).unwrap();
    let answering =
        thread::spawn(move || io::Write::write_all(&mut odd.accept().unwrap().0, b"{\"version\":7}\n"));
    let mut tidegate = setup.arg("--state-dir").arg(folder.path().to_str().unwrap()).start(CONFIG);
    answering.join().unwrap().unwrap();
    let log = tidegate.log_with("sockets are not taken over");
    assert!(log.contains("is of version 7"), "{log}");
    assert_eq!(http::get(tidegate.addr(), "/").text(), "served\n");
    // Who is gone leaves its file; that of the one who took its place is a socket that others may not use.
    let mode = std::os::unix::fs::PermissionsExt::mode(&fs::metadata(&place).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600);
    end(&mut tidegate);
    assert!(!place.exists());
}
