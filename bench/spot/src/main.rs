//! A spot storm: a trace served by instances that commands start on a market of spot pools, which takes all of them back
//! at the peak, with ten seconds' notice.
//!
//! The market is that of `examples/spot.yaml`: each instance is a process that answers two requests at a time and takes fifty
//! milliseconds for each without using the processor, so what an instance can do is known and two cores do for many. A request
//! violates the objective when its answer takes longer than half a second, or is none. What was paid is held against what as many
//! instances as were wanted would have cost on demand.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, ExitCode, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use clap::Parser;
use serde_json::Value;
use tidegate_testkit::{Tidegate, http};

use self::{bill::Bill, market::Market};

mod bill;
mod market;

const EXAMPLE: &str = include_str!("../../../examples/spot.yaml");

/// What an answer may take, in seconds: a bound of the histogram of durations.
const OBJECTIVE: &str = "le=\"0.5\"";

/// Serves a trace on a market that takes all spot instances back at its peak.
#[derive(Debug, Parser)]
struct Args {
    /// The trace: seconds and requests per second.
    #[arg(long)]
    trace: PathBuf,
    /// The part of it, in seconds.
    #[arg(long, default_value_t = 518_400)]
    start: u64,
    #[arg(long, default_value_t = 86_400)]
    length: u64,
    /// So much faster than it was.
    #[arg(long, default_value_t = 24)]
    speed: u64,
    /// Its highest rate, per second.
    #[arg(long, default_value_t = 300)]
    peak: u32,
    /// How long an instance takes to start, in seconds.
    #[arg(long, default_value_t = 2.0)]
    boot: f64,
    /// The notice, in seconds.
    #[arg(long, default_value_t = 10)]
    notice: u64,
    /// The binary to measure. Default: this workspace's, built first.
    #[arg(long)]
    tidegate: Option<PathBuf>,
    /// Write a line for every half second into this file: time, instances wanted, dollars so far, and each pool's instances
    /// by their state.
    #[arg(long)]
    timeline: Option<PathBuf>,
}

fn main() -> ExitCode {
    bench_harness::main(run)
}

fn run(args: &Args) -> Result<()> {
    let binary = bench_harness::binary(args.tidegate.as_deref())?;
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples").canonicalize()?;
    let folder = tempfile::tempdir()?;
    let market = Market::open(examples.join("spot/market.sh"), folder.path().join("market"))?;
    let config = EXAMPLE
        .replace("127.0.0.1:8000", "{listen}")
        .replace("127.0.0.1:9000", "{admin}")
        .replace("examples/spot/market.sh", &market.script().display().to_string());
    let gateway = Tidegate::setup(&binary)
        .env("TIDEGATE_EXAMPLE_STATE", market.state().to_str().context("a path that is text")?)
        .env("TIDEGATE_EXAMPLE_BOOT", &args.boot.to_string())
        .spawn(&format!("accessLog: false\ntimeouts: {{ queue: 10s }}\n{config}"));
    market.end_with(gateway.pid())?;
    let mut gateway = gateway;
    gateway.wait_ready();
    let storm = peak(args)?;
    let (began, mut load) = (Instant::now(), send(&binary, &gateway, args)?);
    market.end_with(load.id())?;
    let (mut most, mut taken, mut reclaim, mut bill) = (0, 0, None, Bill::default());
    while load.try_wait()?.is_none() {
        let fleet = fleet(&gateway);
        bill.look(began.elapsed(), &fleet);
        most = most.max(instances(&fleet, |_| true));
        if reclaim.is_none() && began.elapsed() >= storm {
            taken =
                instances(&fleet, |one| one["pool"].as_str().is_some_and(|pool| pool.starts_with("spot-")));
            reclaim = Some(market.reclaim(args.notice)?);
        }
        thread::sleep(Duration::from_millis(500));
    }
    if let Some(path) = &args.timeline {
        fs::write(path, bill.timeline()).with_context(|| path.display().to_string())?;
    }
    ensure!(reclaim.context("the load ended before its peak")?.wait()?.success(), "the market failed");
    let report: Value = serde_json::from_reader(load.stdout.take().context("the load says nothing")?)?;
    tell(&binary, &gateway, &report, (storm, taken, most), &bill)
}

fn tell(
    binary: &Path,
    gateway: &Tidegate,
    report: &Value,
    (storm, taken, most): (Duration, usize, usize),
    bill: &Bill,
) -> Result<()> {
    let violated = violated(http::get(gateway.admin(), "/metrics").text());
    let cost = fleet(gateway)["cost"].take();
    let usd = |key: &str| cost[key].as_f64().unwrap_or_default();
    let (paid, on_demand) = (usd("usd"), usd("onDemandUsd"));
    eprintln!(
        "| requests | lost | over 500 ms | most instances | spot taken back | at s | USD | on demand | saved |"
    );
    eprintln!("| --: | --: | --: | --: | --: | --: | --: | --: | --: |");
    eprintln!(
        "| {} | {} | {:.4} % | {most} | {taken} | {:.0} | {paid:.4} | {on_demand:.4} | {:.1} % |",
        report["requests"],
        report["failed"],
        violated * 100.0,
        storm.as_secs_f64(),
        (1.0 - paid / on_demand) * 100.0,
    );
    eprintln!("\n{}", bill.table(on_demand));
    let mut explain = Command::new(binary);
    explain.args(["explain", "server", "--limit", "10", "--admin", &gateway.admin().to_string()]);
    eprintln!("\n{}", String::from_utf8_lossy(&explain.output()?.stdout));
    Ok(())
}

/// When the trace is at its highest, played so fast.
fn peak(args: &Args) -> Result<Duration> {
    let text = fs::read_to_string(&args.trace).with_context(|| args.trace.display().to_string())?;
    let row = |line: &str| {
        let mut cells = line.split(',');
        Some((cells.next()?.parse::<f64>().ok()?, cells.next()?.parse::<f64>().ok()?))
    };
    let (start, end) = (args.start as f64, (args.start + args.length) as f64);
    let rows = text.lines().filter_map(row).filter(|(at, _)| (start..end).contains(at));
    let (at, _) = rows.max_by(|one, other| one.1.total_cmp(&other.1)).context("nothing is in that part")?;
    Ok(Duration::from_secs_f64((at - start) / args.speed as f64))
}

fn send(binary: &Path, gateway: &Tidegate, args: &Args) -> Result<Child> {
    let mut command = Command::new(binary);
    command.args(["load", &format!("http://{}/", gateway.addr()), "--format", "json", "--quiet"]);
    command.args(["--connections", "512", "--timeout", "60s"]).arg("--trace").arg(&args.trace);
    command.args(["--start", &format!("{}s", args.start), "--length", &format!("{}s", args.length)]);
    command.args(["--speed", &format!("{}x", args.speed), "--peak", &args.peak.to_string()]);
    Ok(command.stdout(Stdio::piped()).spawn()?)
}

fn fleet(gateway: &Tidegate) -> Value {
    let fleets = http::get(gateway.admin(), "/api/v1/fleets");
    serde_json::from_slice::<Value>(&fleets.body).unwrap_or_default()["items"][0].take()
}

fn instances(fleet: &Value, which: impl Fn(&Value) -> bool) -> usize {
    fleet["instances"].as_array().map_or(0, |all| all.iter().filter(|one| which(one)).count())
}

/// The share of requests that took longer than the objective.
fn violated(page: &str) -> f64 {
    let (mut all, mut within) = (0.0, 0.0);
    for line in page.lines().filter(|line| line.starts_with("tidegate_request_duration_seconds")) {
        let Some((series, value)) = line.rsplit_once(' ') else { continue };
        let value: f64 = value.parse().unwrap_or_default();
        if series.starts_with("tidegate_request_duration_seconds_count") {
            all += value;
        } else if series.contains(OBJECTIVE) {
            within += value;
        }
    }
    (all - within) / f64::max(all, 1.0)
}
