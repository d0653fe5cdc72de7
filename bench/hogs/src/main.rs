//! What scripts that run away in one route do to those who ask for others.
//!
//! A gateway with a worker for each core serves three routes under a steady open-loop load, measured by `tidegate load`, in
//! three kinds of phases in turn: alone; while one hog after another is asked for; and while a process that has nothing to do
//! with the gateway computes at the lowest priority, which is what hogs that were perfectly set apart would be like. A hog is
//! asked for as soon as the one before has been answered and a pause is over; how often that was is part of the result.
//! Compared are medians of the phases' percentiles, and memory from before to after. By how much the phases alone
//! differ says what a difference is worth on that machine.

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
const QUANTILES: [&str; 3] = ["p50Ms", "p99Ms", "p999Ms"];

/// What starts a program at the lowest priority, wherever this begins, and in the idle class.
const LOWEST: [&str; 3] = ["nice", "-n", "39"];
const IDLE: [&str; 3] = ["chrt", "-i", "0"];

/// What the gateway has to give back memory when nobody asks for anything any more.
const SETTLE: Duration = Duration::from_secs(5);

/// Measures what runaway scripts of one route do to the others.
#[derive(Debug, Parser)]
struct Args {
    /// Rounds; medians are reported.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// How often in a round there are phases of all kinds, one after the other.
    #[arg(long, default_value_t = 3)]
    turns: usize,
    /// Seconds of each phase.
    #[arg(long, default_value_t = 10)]
    seconds: u32,
    /// Requests per second to all neighbours together.
    #[arg(long, default_value_t = 600)]
    rate: u32,
    #[arg(long, default_value_t = 2)]
    workers: u32,
    /// Milliseconds between a hog's answer and the next hog.
    #[arg(long, default_value_t = 1_000)]
    pause: u64,
    /// Keep every processor awake all the time, by a process of the idle class for each, which whoever wakes up displaces at
    /// once. A virtual machine's processor that has nothing to do is the host's, and to get it back may take a millisecond.
    #[arg(long)]
    awake: bool,
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

/// What goes on beside the neighbours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Alone,
    Hogs,
    /// A process that computes, and that nobody waits for.
    Busy,
}

#[expect(clippy::print_stdout, reason = "what the benchmark is for")]
fn run(args: &Args) -> Result<()> {
    ensure!(args.rounds > 0 && args.turns > 0, "nothing to measure");
    let binary = bench_harness::binary(args.tidegate.as_deref())?;
    let processors = if args.awake { thread::available_parallelism()?.get() } else { 0 };
    let _awake: Vec<Ended> = (0..processors).map(|_| spinning(IDLE)).collect::<Result<_>>()?;
    let rounds: Vec<Round> = (0..args.rounds).map(|_| round(args, &binary)).collect::<Result<_>>()?;
    let phases: Vec<Phase> = rounds.iter().flat_map(|round| round.phases.iter().cloned()).collect();
    let mut figures = compare(&phases);
    figures["rounds"] = rounds.into_iter().map(|round| round.figures).collect();
    println!("{figures:#}");
    Ok(())
}

/// What was measured in a phase: the worst route's quantiles, so that none hides behind the others.
#[derive(Debug, Clone)]
struct Phase {
    kind: Kind,
    worst: [f64; QUANTILES.len()],
    failed: u64,
}

struct Round {
    phases: Vec<Phase>,
    figures: Value,
}

/// Medians of each kind of phase, and what they are of those alone.
fn compare(phases: &[Phase]) -> Value {
    let of = |kind: Kind, quantile: usize| {
        let of_kind = phases.iter().filter(|phase| phase.kind == kind);
        let mut values: Vec<f64> = of_kind.map(|phase| phase.worst[quantile]).collect();
        values.sort_by(f64::total_cmp);
        values
    };
    let median = |kind, quantile| {
        let values = of(kind, quantile);
        values[values.len() / 2]
    };
    let object = |kind| -> Value {
        QUANTILES.iter().enumerate().map(|(at, name)| (*name, median(kind, at))).collect()
    };
    let percent = |value: f64, of: f64| (value / of - 1.0) * 100.0;
    let (alone, p99) = (of(Kind::Alone, 1), |kind| median(kind, 1));
    json!({
        "alone": object(Kind::Alone), "hogs": object(Kind::Hogs), "busy": object(Kind::Busy),
        "before": p99(Kind::Alone), "during": p99(Kind::Hogs), "after": phases.last().map(|last| last.worst[1]),
        "changePercent": percent(p99(Kind::Hogs), p99(Kind::Alone)),
        "busyPercent": percent(p99(Kind::Busy), p99(Kind::Alone)),
        "noisePercent": percent(alone[alone.len() - 1], alone[0]),
    })
}

/// One gateway from its start to its end.
fn round(args: &Args, binary: &std::path::Path) -> Result<Round> {
    let budget = args.budget.as_ref().map_or_else(String::new, |budget| format!("budget: {budget}"));
    let setup = Tidegate::setup(binary).set("budget", &budget).set("workers", &args.workers);
    let gateway = setup.start(CONFIG);
    let resident = || resident_bytes(gateway.pid()).context("the gateway has ended");
    // So that everything has been loaded and compiled, and every buffer taken once.
    load(args, binary, &gateway, args.seconds.div_ceil(2))?;
    let (memory_before, mut memory_peak, mut hogs, mut phases) = (resident()?, 0, 0, Vec::new());
    let kinds = [Kind::Alone, Kind::Hogs, Kind::Busy].into_iter().cycle().take(3 * args.turns);
    for kind in kinds.chain([Kind::Alone]) {
        let stop = AtomicBool::new(kind != Kind::Hogs);
        let other = (kind == Kind::Busy).then(|| spinning(LOWEST)).transpose()?;
        let (loads, asked) = thread::scope(|scope| {
            let hogs = scope.spawn(|| ask_for_hogs(args, &gateway, &stop));
            let loads = load(args, binary, &gateway, args.seconds);
            stop.store(true, Relaxed);
            (loads, hogs.join())
        });
        drop(other);
        let loads = loads?;
        let worst = QUANTILES
            .map(|name| loads.iter().filter_map(|load| load["latency"][name].as_f64()).fold(0.0, f64::max));
        let failed = loads.iter().filter_map(|load| load["failed"].as_u64()).sum();
        hogs += asked.ok().context("the hogs panicked")?;
        memory_peak = memory_peak.max(resident()?);
        eprintln!("{kind:?}: {worst:?}");
        phases.push(Phase { kind, worst, failed });
    }
    let mut figures = compare(&phases);
    figures["hogCount"] = hogs.into();
    figures["failed"] = phases.iter().map(|phase| phase.failed).sum::<u64>().into();
    figures["phasesP99Ms"] =
        phases.iter().map(|phase| json!([format!("{:?}", phase.kind), phase.worst[1]])).collect();
    figures["memoryBeforeBytes"] = memory_before.into();
    figures["memoryPeakBytes"] = memory_peak.into();
    figures["memoryAfterBytes"] = resident()?.into();
    thread::sleep(SETTLE);
    figures["memorySettledBytes"] = resident()?.into();
    eprintln!("{figures}");
    Ok(Round { phases, figures })
}

/// A process that is ended when this is dropped.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.kill().and_then(|()| self.0.wait()); // It has ended by itself otherwise.
    }
}

/// Something that computes for ever and wants nothing of the gateway, started by a program that sets its priority.
fn spinning([program, option, value]: [&str; 3]) -> Result<Ended> {
    let mut command = Command::new(program);
    command.args([option, value, "sh", "-c", "while :; do :; done"]);
    command.spawn().map(Ended).with_context(|| program.to_owned())
}

/// Loads all neighbours at once and returns the reports.
fn load(args: &Args, binary: &std::path::Path, gateway: &Tidegate, seconds: u32) -> Result<Vec<Value>> {
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
