//! Measures a round of decisions about a thousand fleets.
//!
//! The control plane runs as in `tidegate up`, journal on disk included; only the instances are made up, so
//! that what is measured is the loop: every second it reads what is counted, decides, and keeps that. Requests
//! are counted for every fleet all the time, some thirty a second, so policies have something to decide upon.

use std::{
    fmt::Write as _,
    net::{SocketAddr, TcpListener},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::Context;
use clap::Parser;
use tidegate_control::{
    ConfigSource, Control, Handle, InstanceSpec, Options, ThreadHost, ThreadInstance,
    instance::protocol::Status, usage,
};
use tidegate_core::{Telemetry, UpstreamId};
use tidegate_lua::Allocator;
use tokio_util::sync::CancellationToken;

/// As in a gateway.
#[global_allocator]
static ALLOCATOR: Allocator = Allocator;

/// A round has to be over within this.
const GOAL: Duration = Duration::from_millis(50);

/// Longest wait for all fleets to be ready.
const PATIENCE: Duration = Duration::from_secs(20);

#[derive(Debug, Parser)]
struct Arguments {
    /// Fleets, of one instance at first.
    #[arg(long, default_value_t = 1_000)]
    fleets: usize,
    /// Seconds that are measured, after the fleets are ready.
    #[arg(long, default_value_t = 60)]
    seconds: u64,
}

fn main() -> anyhow::Result<()> {
    let Arguments { fleets, seconds } = Arguments::parse();
    let before = memory();
    let folder = tempfile::tempdir()?;
    let config = folder.path().join("tidegate.yaml");
    std::fs::write(folder.path().join("app.lua"), "ngx.say('hello')\n")?;
    std::fs::write(&config, text(fleets))?;
    let host = Arc::new(MadeUp::new()?);
    let options = Options {
        config: ConfigSource::File(config),
        program: "unused".into(),
        threads: host,
        sources: Arc::new(tidegate_control::NoSources),
        state_dir: None,
    };
    let control = Control::load(options).context("the configuration")?;
    let (handle, telemetry) = (control.handle(), Telemetry::new(1));
    let stop = CancellationToken::new();
    let load = Load::start(fleets, Arc::clone(&telemetry));
    let watch = thread::spawn({
        let stop = stop.clone();
        move || {
            let seen = watch(&handle, fleets, seconds);
            stop.cancel();
            seen
        }
    });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(control.run(telemetry, stop));
    drop(load);
    let seen = watch.join().map_err(|_| anyhow::anyhow!("the watch failed"))?;
    report(fleets, seen, before);
    Ok(())
}

/// As many fleets, of which every fourth has more to decide upon than the default.
fn text(fleets: usize) -> String {
    let mut text = "listeners: [{ address: 127.0.0.1:0 }]\nadmin: { address: 127.0.0.1:0 }\n\
                    state: { path: state, journal: 4GiB }\nfleets:\n"
        .to_owned();
    for fleet in 0..fleets {
        let scale = if fleet % 4 == 0 {
            "{ max: 20, triggers: [{ target: { metric: utilization, value: 75% } }, { forecast: { horizon: auto } }, \
             { threshold: { metric: latencyP99, above: 250ms } }] }"
        } else {
            "{ max: 20 }"
        };
        writeln!(text, "  f{fleet}: {{ run: {{ lua: app.lua }}, driver: thread, scale: {scale} }}")
            .expect("a string takes everything");
    }
    text += "upstreams:\n";
    for fleet in 0..fleets {
        writeln!(text, "  f{fleet}: {{ fleet: f{fleet} }}").expect("a string takes everything");
    }
    text += "routes:\n";
    for fleet in 0..fleets {
        writeln!(text, "  - {{ match: {{ path: /f{fleet}/* }}, upstream: f{fleet} }}")
            .expect("a string takes everything");
    }
    text
}

/// What was seen of the rounds.
#[derive(Debug, Default)]
struct Seen {
    rounds: Vec<Duration>,
    lag: Duration,
    late: u64,
    changes: u64,
    journal_lost: u64,
    /// Of the process, at the end.
    memory: u64,
    cpu: Duration,
    /// Of the thread that the control plane runs on.
    own: Duration,
}

fn watch(handle: &Handle, fleets: usize, seconds: u64) -> Seen {
    let ready = || handle.view().fleets.iter().filter(|fleet| fleet.states.ready > 0).count();
    let began = Instant::now();
    while ready() < fleets {
        thread::sleep(Duration::from_millis(50));
        if began.elapsed() > PATIENCE {
            #[expect(clippy::print_stderr, reason = "beside the figures")]
            {
                eprintln!(
                    "only {} of {fleets} fleets are ready: {:?}",
                    ready(),
                    handle.view().fleets.iter().find_map(|fleet| fleet.last_failure.clone())
                );
            }
            break;
        }
    }
    let (first, cpu, own) = (handle.view().rounds, used(), own_time());
    let (mut seen, mut last) = (Seen::default(), first.count);
    let end = Instant::now() + Duration::from_secs(seconds);
    while Instant::now() < end {
        thread::sleep(Duration::from_millis(20));
        let rounds = handle.view().rounds;
        if rounds.count > last {
            last = rounds.count;
            seen.rounds.push(Duration::from_secs_f64(rounds.seconds));
            seen.lag = seen.lag.max(Duration::from_secs_f64(rounds.lag_seconds));
        }
    }
    let view = handle.view();
    seen.late = view.rounds.late - first.late;
    seen.changes = view.fleets.iter().map(|fleet| fleet.changes).sum();
    seen.journal_lost = view.journal_lost;
    seen.own = own_time().saturating_sub(own);
    (seen.memory, seen.cpu) = (memory(), used().saturating_sub(cpu));
    seen
}

#[expect(clippy::print_stdout, reason = "the figures")]
fn report(fleets: usize, mut seen: Seen, before: u64) {
    // The first comes when all have just started, and is the first that needs most of what it needs.
    let first = if seen.rounds.is_empty() { Duration::ZERO } else { seen.rounds.remove(0) };
    seen.rounds.sort_unstable();
    let at = |share: f64| {
        let index = (seen.rounds.len() as f64 * share) as usize;
        seen.rounds.get(index.min(seen.rounds.len().saturating_sub(1))).copied().unwrap_or_default()
    };
    let (median, p99, most) = (at(0.5), at(0.99), at(1.0));
    let kib = seen.memory.saturating_sub(before) / 1_024 / fleets.max(1) as u64;
    let verdict = if p99 <= GOAL { "within" } else { "beyond" };
    println!(
        "{fleets} fleets, {} rounds after the first, which took {first:.1?}, {} changes, {} entries lost",
        seen.rounds.len(),
        seen.changes,
        seen.journal_lost
    );
    println!("round: median {median:.1?}, p99 {p99:.1?}, longest {most:.1?} ({verdict} {GOAL:?})");
    println!("longest lag {:.1?}, {} late rounds", seen.lag, seen.late);
    let each = seen.own / (seen.rounds.len() + 1) as u32;
    println!("processor time of the loop for each second, rounds and all else: {each:.1?}");
    println!("memory: {kib} KiB for each fleet; processor time of everything: {:.2?}", seen.cpu);
}

/// Time that the main thread ran.
fn own_time() -> Duration {
    let path = format!("/proc/self/task/{}/schedstat", std::process::id());
    let nanos = std::fs::read_to_string(path).ok().and_then(|text| text.split(' ').next()?.parse().ok());
    Duration::from_nanos(nanos.unwrap_or(0))
}

fn used() -> Duration {
    usage::read(std::process::id()).map_or(Duration::ZERO, |usage| usage.cpu)
}

fn memory() -> u64 {
    usage::read(std::process::id()).map_or(0, |usage| usage.memory)
}

/// Instances that claim to serve.
#[derive(Debug)]
struct MadeUp {
    /// Where all of them claim to listen.
    address: SocketAddr,
    _listener: TcpListener,
}

impl MadeUp {
    fn new() -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        let accepting = listener.try_clone()?;
        // Whoever asks whether an instance is ready.
        thread::spawn(move || while accepting.accept().is_ok() {});
        Ok(Self { address, _listener: listener })
    }
}

impl ThreadHost for MadeUp {
    fn start(&self, _: InstanceSpec) -> Result<Box<dyn ThreadInstance>, String> {
        Ok(Box::new(Instance { address: self.address, began: Instant::now() }))
    }
}

#[derive(Debug)]
struct Instance {
    address: SocketAddr,
    began: Instant,
}

impl ThreadInstance for Instance {
    fn address(&self) -> SocketAddr {
        self.address
    }

    fn status(&self) -> Status {
        let up_micros = self.began.elapsed().as_micros() as u64;
        // Half of the time, and once in a while nearly all of it.
        let busy = up_micros / 2 + up_micros / 10_000_000 % 2 * 2_000_000;
        Status { busy_micros: busy, up_micros, ..Status::default() }
    }

    fn has_ended(&self) -> bool {
        false
    }

    fn end(self: Box<Self>) {}
}

/// Counts requests for every fleet, as workers would.
struct Load {
    stop: Arc<AtomicBool>,
}

impl Load {
    fn start(fleets: usize, telemetry: Arc<Telemetry>) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        thread::spawn(move || {
            let names = (0..fleets).filter_map(|fleet| UpstreamId::new(&format!("f{fleet}")).ok());
            let series: Vec<_> = names.map(|name| telemetry.upstream(&name)).collect();
            let mut turn = 0_usize;
            while !stopped.load(Relaxed) {
                turn += 1;
                for (fleet, series) in series.iter().enumerate() {
                    // More and less in the course of a minute, and each fleet at another time.
                    for _ in 0..2 + (turn / 10 + fleet) % 60 / 20 {
                        series.shard(0).arrive();
                        series.shard(0).end(200, Duration::from_micros(900));
                    }
                }
                thread::sleep(Duration::from_millis(100));
            }
        });
        Self { stop }
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.stop.store(true, Relaxed);
    }
}
