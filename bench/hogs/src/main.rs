//! What scripts that run away in one route do to those who ask for others.
//!
//! A gateway with a worker for each core serves three routes under a steady open-loop load, measured by `tidegate load`:
//! for a while alone, then while one hog after another is asked for, then alone again. A hog is asked for as soon as
//! the one before has been answered and a pause is over; how often that was is part of the result. Compared are the
//! 99th percentiles of all three, and memory from before to after. By how much the two phases alone differ says what a
//! difference is worth on that machine.

use std::{
    io::Read as _,
    process::{Child, Command, ExitCode, Stdio},
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use clap::Parser;
use serde_json::{Value, json};
use tidegate_testkit::{Tidegate, http, process::resident_bytes};

const CONFIG: &str = "
listeners: [{ address: '{listen}' }]
admin: { address: '{admin}' }
workers: {workers}
accessLog: false
errorLog: { level: crit }
lua:
  sharedDicts: { counters: 1MiB }
  {budget}
routes:
  - { name: loop, match: { path: /loop }, lua: { content: 'while true do end' } }
  - { name: rep, match: { path: /rep }, lua: { content: 'local s = [[x]] while true do s = s:rep(2) end' } }
  - name: coroutines
    match: { path: /coroutines }
    lua:
      content: |
        local all = {}
        while true do
          all[#all + 1] = coroutine.wrap(function() coroutine.yield() end)
          all[#all]()
        end
  - name: timers
    match: { path: /timers }
    lua: { content: 'for i = 1, 10000 do ngx.timer.at(0, function() end) end ngx.say([[set]])' }
  - { name: hello, match: { path: /hello }, lua: { content: ngx.say('hello') } }
  - name: counter
    match: { path: /counter }
    lua: { content: \"ngx.say(ngx.shared.counters:incr('n', 1, 0))\" }
  - name: match
    match: { path: /match }
    lua: { content: \"ngx.say(ngx.re.match(ngx.var.request_uri, [[/(\\\\w+)]], 'jo')[1])\" }
";

const NEIGHBOURS: [&str; 3] = ["hello", "counter", "match"];
const HOGS: [&str; 4] = ["loop", "rep", "coroutines", "timers"];
const PHASES: [&str; 3] = ["before", "during", "after"];

/// What the gateway has to give back memory when nobody asks for anything any more.
const SETTLE: Duration = Duration::from_secs(5);

/// Measures what runaway scripts of one route do to the others.
#[derive(Debug, Parser)]
struct Args {
    /// Rounds; medians are reported.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Seconds of each of a round's three phases.
    #[arg(long, default_value_t = 20)]
    seconds: u32,
    /// Requests per second to all neighbours together.
    #[arg(long, default_value_t = 600)]
    rate: u32,
    #[arg(long, default_value_t = 2)]
    workers: u32,
    /// Milliseconds between a hog's answer and the next hog.
    #[arg(long, default_value_t = 1_000)]
    pause: u64,
    /// `lua.budget` of the gateway, such as `{ cpu: 50ms, memory: 64MiB }`. Default: what it has by itself.
    #[arg(long)]
    budget: Option<String>,
    /// Only this hog.
    #[arg(long)]
    only: Option<String>,
    /// The binary to measure. Default: this workspace's, built first.
    #[arg(long)]
    tidegate: Option<std::path::PathBuf>,
}

fn main() -> ExitCode {
    bench_harness::main(run)
}

#[expect(clippy::print_stdout, reason = "what the benchmark is for")]
fn run(args: &Args) -> Result<()> {
    ensure!(args.rounds > 0, "nothing to measure");
    let binary = bench_harness::binary(args.tidegate.as_deref())?;
    let rounds: Vec<Value> = (0..args.rounds).map(|_| round(args, &binary)).collect::<Result<_>>()?;
    let median = |key: &str| {
        let mut values: Vec<f64> = rounds.iter().filter_map(|round| round[key].as_f64()).collect();
        values.sort_by(f64::total_cmp);
        values[values.len() / 2]
    };
    println!(
        "{:#}",
        json!({
            "p99MsBefore": median("before"), "p99MsDuring": median("during"), "p99MsAfter": median("after"),
            "changePercent": median("changePercent"), "noisePercent": median("noisePercent"),
            "rounds": rounds,
        })
    );
    Ok(())
}

/// One gateway from its start to its end.
fn round(args: &Args, binary: &std::path::Path) -> Result<Value> {
    let budget = args.budget.as_ref().map_or_else(String::new, |budget| format!("budget: {budget}"));
    let setup = Tidegate::setup(binary).set("budget", &budget).set("workers", &args.workers);
    let gateway = setup.start(CONFIG);
    let resident = || resident_bytes(gateway.pid()).context("the gateway has ended");
    // So that everything has been loaded and compiled, and every buffer taken once.
    phase(args, binary, &gateway, args.seconds.div_ceil(4))?;
    let (mut figures, memory_before) = (json!({}), resident()?);
    for name in PHASES {
        let stop = AtomicBool::new(name != "during");
        let (loads, asked) = thread::scope(|scope| {
            let hogs = scope.spawn(|| ask_for_hogs(args, &gateway, &stop));
            let loads = phase(args, binary, &gateway, args.seconds);
            stop.store(true, Relaxed);
            (loads, hogs.join())
        });
        let loads = loads?;
        let p99: Vec<f64> = loads.iter().filter_map(|load| load["latency"]["p99Ms"].as_f64()).collect();
        // The worst of the routes, so that none hides behind the others.
        figures[name] = p99.iter().copied().fold(0.0, f64::max).into();
        figures["p99Ms"][name] = json!(p99);
        figures["failed"][name] = loads.iter().filter_map(|load| load["failed"].as_u64()).sum::<u64>().into();
        if name == "during" {
            figures["hogs"] = asked.ok().context("the hogs panicked")?.into();
            figures["memoryPeakBytes"] = resident()?.into();
        }
    }
    let p99 = |name: &str| figures[name].as_f64().with_context(|| format!("no latency {name}"));
    let (before, during, after) = (p99("before")?, p99("during")?, p99("after")?);
    figures["changePercent"] = ((during / before - 1.0) * 100.0).into();
    figures["noisePercent"] = ((after / before - 1.0) * 100.0).abs().into();
    figures["memoryBeforeBytes"] = memory_before.into();
    figures["memoryAfterBytes"] = resident()?.into();
    thread::sleep(SETTLE);
    figures["memorySettledBytes"] = resident()?.into();
    eprintln!("{figures}");
    Ok(figures)
}

/// Loads all neighbours at once and returns the reports.
fn phase(args: &Args, binary: &std::path::Path, gateway: &Tidegate, seconds: u32) -> Result<Vec<Value>> {
    let loads: Vec<Child> = NEIGHBOURS
        .iter()
        .map(|name| {
            let mut command = Command::new(binary);
            command.args(["load", &format!("http://{}/{name}", gateway.addr())]);
            command.args(["--rate", &(args.rate / NEIGHBOURS.len() as u32).to_string()]);
            command.args(["--duration", &format!("{seconds}s"), "--format", "json", "--quiet"]);
            command.stdout(Stdio::piped()).spawn().context("tidegate load")
        })
        .collect::<Result<_>>()?;
    loads.into_iter().map(report).collect()
}

fn report(mut load: Child) -> Result<Value> {
    let mut text = String::new();
    load.stdout.take().context("a load says nothing")?.read_to_string(&mut text)?;
    load.wait()?;
    serde_json::from_str(&text).with_context(|| format!("a load says {text:?}"))
}

/// One after the other until told to stop; says how many.
fn ask_for_hogs(args: &Args, gateway: &Tidegate, stop: &AtomicBool) -> u64 {
    let chosen = HOGS.iter().filter(|name| args.only.as_deref().is_none_or(|only| only == **name));
    let mut asked = 0;
    for name in chosen.cycle() {
        if stop.load(Relaxed) {
            break;
        }
        let status = http::get(gateway.addr(), &format!("/{name}")).status;
        assert_eq!(status, if *name == "timers" { 200 } else { 500 }, "{name}");
        asked += 1;
        thread::sleep(Duration::from_millis(args.pause));
    }
    asked
}
