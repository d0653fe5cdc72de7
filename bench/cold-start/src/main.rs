//! How long a request to an empty fleet takes: from the connection until the answer is complete.
//!
//! For each driver, again and again: the fleet is empty, one request comes, is held, and is answered by
//! the instance that was started for it. Drivers take turns, so that a slow minute of the machine meets all.
//! Beside it, what part of that is the start of a Lua VM with all of the API in it.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use clap::Parser;
use tidegate_core::snapshot::LuaSettings;
use tidegate_lua::{Allocator, Dicts, Vm, WorkerIdentity, grow_in_small_pages};
use tidegate_testkit::{Tidegate, eventually, http};

/// As in a gateway, so that a VM starts here as it does there.
#[global_allocator]
static ALLOCATOR: Allocator = Allocator;

/// How long a fleet may take to become empty again.
const PATIENCE: Duration = Duration::from_secs(30);

const CONFIG: &str = "
listeners: [{ address: \"{listen}\" }]
admin: { address: \"{admin}\" }
workers: 1
accessLog: false
fleets:
  app:
    run: { lua: app.lua }
    driver: {driver}
    scale: { min: 0, max: 1, idle: 1s }
upstreams: { app: { fleet: app } }
routes: [{ name: app, match: { path: /* }, upstream: app }]
";

/// Measures cold starts: a request to a fleet at zero until its answer.
#[derive(Debug, Parser)]
struct Args {
    /// Cold starts of each driver, and of a VM alone.
    #[arg(long, default_value_t = 200)]
    runs: usize,
    /// Empty for the VM alone.
    #[arg(long, value_delimiter = ',', default_value = "thread,process")]
    drivers: Vec<String>,
    /// The binary to measure. Default: this workspace's, built first.
    #[arg(long)]
    tidegate: Option<PathBuf>,
}

fn main() -> ExitCode {
    bench_harness::main(run)
}

fn run(args: &Args) -> Result<()> {
    ensure!(args.runs > 0, "nothing to measure");
    let binary = bench_harness::binary(args.tidegate.as_deref())?;
    grow_in_small_pages(&fs::read_to_string("/proc/self/maps").unwrap_or_default());
    let drivers = args.drivers.iter().filter(|driver| !driver.is_empty());
    let gateways: Vec<_> = drivers.map(|driver| (driver, start(&binary, driver))).collect();
    let mut took: BTreeMap<&str, Vec<Duration>> = BTreeMap::new();
    for _ in 0..args.runs {
        for (driver, gateway) in &gateways {
            took.entry(driver).or_default().push(cold_start(gateway)?);
        }
    }
    let vms = (0..args.runs).map(|_| vm_start()).collect::<Result<_>>()?;
    took.insert("Lua VM alone", vms);
    eprintln!("| start of | runs | median ms | p99 ms | longest ms |\n| --- | --: | --: | --: | --: |");
    for (what, mut took) in took {
        took.sort_unstable();
        // The smallest that is not below 99 of 100.
        let p99 = took[(took.len() * 99).div_ceil(100) - 1];
        let [median, p99, longest] =
            [took[took.len() / 2], p99, took[took.len() - 1]].map(|span| span.as_secs_f64() * 1e3);
        eprintln!("| {what} | {} | {median:.2} | {p99:.2} | {longest:.2} |", took.len());
    }
    Ok(())
}

fn start(binary: &Path, driver: &str) -> Tidegate {
    let setup = Tidegate::setup(binary).file("app.lua", "ngx.say('here')");
    setup.set("driver", &driver).start(CONFIG)
}

fn cold_start(gateway: &Tidegate) -> Result<Duration> {
    eventually(PATIENCE, "the fleet is empty", || {
        let fleets = http::get(gateway.admin(), "/api/v1/fleets");
        let fleets: serde_json::Value = serde_json::from_slice(&fleets.body).unwrap_or_default();
        fleets["items"][0]["instances"].as_array().is_some_and(Vec::is_empty)
    });
    let began = Instant::now();
    let answer = http::get(gateway.addr(), "/");
    let took = began.elapsed();
    ensure!(answer.status == 200 && answer.text() == "here\n", "an empty fleet answered {answer:?}");
    Ok(took)
}

fn vm_start() -> Result<Duration> {
    let (settings, dicts) = (LuaSettings::default(), Dicts::new(&BTreeMap::new()));
    let began = Instant::now();
    let vm = Vm::new(&settings, dicts, WorkerIdentity { id: 0, count: 1 }, Arc::new(|_| ()));
    let took = began.elapsed();
    vm.context("a VM cannot be started").map(|_| took)
}
