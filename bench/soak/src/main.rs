//! Whether memory stays flat for ten minutes while a thousand scripts are reloaded every second.
//!
//! Each second every script is written anew, all of them distinct, and the gateway is told to reload. Meanwhile clients
//! ask for them one after another: text, JSON, regular expressions made for one version alone, shared dictionaries,
//! sleeps, timers, light threads, subrequests, bodies, coroutines. Resident memory is written down every second; it is
//! flat when, warm-up over, no minute's mean is further from the first one's than the bound. Any answer but 200 fails the run,
//! and so does a gateway that leaves out more than a fifth of the versions.

mod scripts;

use std::{
    collections::BTreeSet,
    process::ExitCode,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use clap::Parser;
use serde_json::json;
use tidegate_testkit::{
    Tidegate,
    http::{self, Client},
    process::{Signal, resident_bytes},
};

/// Measures whether memory stays flat while a thousand scripts are reloaded every second.
#[derive(Debug, Parser)]
struct Args {
    #[arg(long, default_value_t = 600)]
    seconds: u64,
    /// Seconds that do not count.
    #[arg(long, default_value_t = 60)]
    warm_up: u64,
    #[arg(long, default_value_t = 1_000)]
    scripts: usize,
    /// Requests per second.
    #[arg(long, default_value_t = 400)]
    rate: u32,
    #[arg(long, default_value_t = 4)]
    clients: u32,
    /// Percent that memory may differ by.
    #[arg(long, default_value_t = 5.0)]
    bound: f64,
    /// The binary to measure. Default: this workspace's, built first.
    #[arg(long)]
    tidegate: Option<std::path::PathBuf>,
}

/// Time between two looks at memory.
const LOOK_EVERY: u64 = 1;
/// Looks that one mean is of.
const LOOKS: usize = 60;

fn main() -> ExitCode {
    bench_harness::main(run)
}

/// What clients saw.
#[derive(Default)]
struct Seen {
    requests: AtomicU64,
    versions: Mutex<BTreeSet<u64>>,
}

#[expect(clippy::print_stdout, reason = "what the benchmark is for")]
fn run(args: &Args) -> Result<()> {
    let binary = bench_harness::binary(args.tidegate.as_deref())?;
    let files = (0..args.scripts).map(|number| (scripts::path(number), scripts::source(number, 0)));
    let setup = files.fold(Tidegate::setup(binary), |setup, (path, text)| setup.file(&path, &text));
    let gateway = setup.start(&scripts::configuration(args.scripts));
    let (seen, stop) = (Seen::default(), AtomicBool::new(false));
    let outcome = thread::scope(|scope| {
        let (gateway, seen, stop) = (&gateway, &seen, &stop);
        let clients: Vec<_> = (0..args.clients)
            .map(|number| scope.spawn(move || ask(args, gateway, number as usize, seen, stop)))
            .collect();
        let looks = reload(args, gateway, || clients.iter().any(thread::ScopedJoinHandle::is_finished));
        stop.store(true, Relaxed);
        for client in clients {
            client.join().ok().context("a client panicked")??;
        }
        looks
    });
    let looks = outcome?;
    let versions = seen.versions.lock().unwrap_or_else(PoisonError::into_inner).len() as u64;
    let means: Vec<f64> = looks.chunks_exact(LOOKS).map(mean).collect();
    let first = *means.first().context("too short for a mean")?;
    let furthest =
        means.iter().map(|mean| (mean / first - 1.0) * 100.0).max_by(|a, b| a.abs().total_cmp(&b.abs()));
    let furthest = furthest.unwrap_or_default();
    println!(
        "{:#}",
        json!({
            "seconds": args.seconds, "scripts": args.scripts, "requests": seen.requests.load(Relaxed), "versionsSeen": versions,
            "meanBytes": means, "furthestPercent": furthest,
        })
    );
    ensure!(versions * 5 >= args.seconds * 4, "only {versions} versions were served in {} s", args.seconds);
    ensure!(furthest.abs() <= args.bound, "memory is not flat: {furthest:.1} %");
    Ok(())
}

fn mean(bytes: &[u64]) -> f64 {
    bytes.iter().sum::<u64>() as f64 / bytes.len() as f64
}

/// Replaces all scripts every second; returns the memory after the warm-up.
fn reload(args: &Args, gateway: &Tidegate, failed: impl Fn() -> bool) -> Result<Vec<u64>> {
    let began = Instant::now();
    let mut looks = Vec::new();
    for version in 1..=args.seconds {
        for number in 0..args.scripts {
            gateway.write_file(&scripts::path(number), &scripts::source(number, version));
        }
        gateway.signal(Signal::HUP);
        thread::sleep((began + Duration::from_secs(version)).saturating_duration_since(Instant::now()));
        if failed() {
            break;
        }
        if version.is_multiple_of(LOOK_EVERY) {
            let bytes = resident_bytes(gateway.pid()).context("the gateway has ended")?;
            eprintln!("{version} s: {} KiB resident; {}", bytes >> 10, lua_bytes(gateway));
            if version > args.warm_up {
                looks.push(bytes);
            }
        }
    }
    Ok(looks)
}

/// What the gateway says of its VMs.
fn lua_bytes(gateway: &Tidegate) -> String {
    let page = http::get(gateway.admin(), "/metrics");
    let lines = page.text().lines().filter(|line| line.starts_with("tidegate_lua_vm_bytes"));
    lines.filter_map(|line| line.rsplit(' ').next()).collect::<Vec<_>>().join(" and ") + " bytes of Lua"
}

/// One client's share of the requests, at an even pace.
fn ask(args: &Args, gateway: &Tidegate, number: usize, seen: &Seen, stop: &AtomicBool) -> Result<()> {
    let pause = Duration::from_secs(1) * args.clients / args.rate;
    let mut client = Client::connect(gateway.addr())?;
    let (mut due, mut script) = (Instant::now(), number * args.scripts / args.clients as usize);
    while !stop.load(Relaxed) {
        script = (script + 1) % args.scripts;
        let answer = client.request("POST", &format!("/{script}"), &[], b"a body")?;
        ensure!(answer.status == 200, "script {script}: {} {}", answer.status, answer.text());
        seen.requests.fetch_add(1, Relaxed);
        let version = answer.header("X-Version").and_then(|text| text.parse().ok()).context("no version")?;
        seen.versions.lock().unwrap_or_else(PoisonError::into_inner).insert(version);
        due += pause;
        thread::sleep(due.saturating_duration_since(Instant::now()));
    }
    Ok(())
}
