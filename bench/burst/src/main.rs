//! How a fleet follows demand that comes in bursts out of silence, beside the rule of HPA.
//!
//! Two gateways serve the same load at the same time: one by its own policy, from no instance at all, and one by
//! `--policy hpa`, which sees metrics that are 30 s old and keeps one instance. An instance answers one request after
//! another and takes a fixed time for each without using the processor, so two cores are enough for any number of them, and
//! neither gateway takes anything from the other.
//!
//! Two courses: a recorded trace, and a step to ten times the rate. A request violates its objective when its answer
//! takes longer than that, or is none.

use std::{
    io::Read as _,
    path::{Path, PathBuf},
    process::{Child, Command, ExitCode, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use clap::Parser;
use serde_json::{Value, json};
use tidegate_testkit::{Tidegate, http};

const CONFIG: &str = "
listeners: [{ address: \"{listen}\" }]
admin: { address: \"{admin}\" }
accessLog: false
timeouts: { queue: 10s }
limits: { queue: 20000 }
fleets:
  app:
    run: { lua: app.lua }
    driver: {driver}
    scale: { min: 0, max: 60, idle: 30s, price: 0.05, slo: { latencyP99: {objective}ms } }
upstreams: { app: { fleet: app } }
routes: [{ name: app, match: { path: /* }, upstream: app }]
";

/// One request after another, each for so long: what an instance can do is known, and costs nothing.
const APP: &str = "
local ffi = require 'ffi'
if not TAKES then
  ffi.cdef 'int usleep(unsigned int);'
  TAKES = {micros}
end
ffi.C.usleep(TAKES)
ngx.say('done')
";

/// Measures how a fleet follows bursts from silence, beside the rule of HPA.
#[derive(Debug, Parser)]
struct Args {
    /// The trace: seconds and requests per second.
    #[arg(long)]
    trace: Option<PathBuf>,
    /// How much of it, in seconds.
    #[arg(long, default_value_t = 3_437)]
    length: u32,
    /// How much faster than it was recorded. Its rates stay, so it rises and falls more steeply.
    #[arg(long, default_value = "1x")]
    speed: String,
    /// Its highest rate, per second.
    #[arg(long, default_value_t = 200)]
    peak: u32,
    /// What the step goes up to from a tenth of it, per second. 0: no step.
    #[arg(long, default_value_t = 200)]
    step: u32,
    /// Seconds before the step, and after it.
    #[arg(long, default_value_t = 120)]
    before: u32,
    #[arg(long, default_value_t = 180)]
    after: u32,
    /// How long a request takes, in milliseconds.
    #[arg(long, default_value_t = 20)]
    takes: u32,
    /// What an answer may take, in milliseconds.
    #[arg(long, default_value_t = 500)]
    objective: u32,
    #[arg(long, default_value = "thread")]
    driver: String,
    /// Print what `tidegate explain` says of the last ten changes.
    #[arg(long)]
    explain: bool,
    /// The binary to measure. Default: this workspace's, built first.
    #[arg(long)]
    tidegate: Option<PathBuf>,
}

/// One gateway under one course.
struct Run {
    policy: &'static str,
    gateway: Tidegate,
    load: Child,
    /// When its load began, and of each second since then: requests that ended, and those within the objective.
    seconds: Vec<(f64, f64)>,
    last: (f64, f64),
    peak: u64,
}

fn main() -> ExitCode {
    bench_harness::main(run)
}

fn run(args: &Args) -> Result<()> {
    let binary = bench_harness::binary(args.tidegate.as_deref())?;
    eprintln!(
        "| course | policy | requests | lost | over {} ms | instance-hours | most instances | p99 ms | p99 is back after |",
        args.objective
    );
    eprintln!("| --- | --- | --: | --: | --: | --: | --: | --: | --: |");
    let mut rows = Vec::new();
    if let Some(trace) = &args.trace {
        let trace = trace.to_str().context("the trace has no readable name")?;
        let (length, peak) = (format!("{}s", args.length), args.peak.to_string());
        let words = ["--trace", trace, "--length", &length, "--peak", &peak, "--speed", &args.speed];
        let words = words.map(str::to_owned).to_vec();
        rows.extend(course("trace", &binary, args, &[words])?);
    }
    if args.step > 0 {
        let steady = |rate: u32, seconds: u32| {
            ["--rate", &rate.to_string(), "--duration", &format!("{seconds}s")].map(str::to_owned).to_vec()
        };
        let words = [steady((args.step / 10).max(1), args.before), steady(args.step, args.after)];
        rows.extend(course("step", &binary, args, &words)?);
    }
    print(&rows);
    Ok(())
}

#[expect(clippy::print_stdout, reason = "what the benchmark is for")]
fn print(rows: &[Value]) {
    println!("{:#}", json!({ "runs": rows }));
}

/// Both gateways under the same loads, one after the other.
fn course(name: &str, binary: &Path, args: &Args, loads: &[Vec<String>]) -> Result<Vec<Value>> {
    let policies = ["file", "hpa"];
    let gateways = policies.map(|policy| start(binary, args, policy));
    let mut reports = [Vec::new(), Vec::new()];
    let mut runs: Vec<Run> = Vec::new();
    let mut stepped = 0;
    for (policy, gateway) in policies.into_iter().zip(gateways) {
        let load = send(binary, &gateway, &loads[0])?;
        runs.push(Run { policy, gateway, load, seconds: Vec::new(), last: (0.0, 0.0), peak: 0 });
    }
    for (index, _) in loads.iter().enumerate() {
        if index > 0 {
            stepped = runs[0].seconds.len();
            for run in &mut runs {
                run.load = send(binary, &run.gateway, &loads[index])?;
            }
        }
        let mut due = Instant::now();
        let mut running = true;
        while running {
            due += Duration::from_secs(1);
            thread::sleep(due.saturating_duration_since(Instant::now()));
            running = false;
            for run in &mut runs {
                run.sample(args.objective)?;
                running |= run.load.try_wait()?.is_none();
            }
        }
        for (run, reports) in runs.iter_mut().zip(&mut reports) {
            let mut text = String::new();
            run.load.stdout.take().context("a load says nothing")?.read_to_string(&mut text)?;
            reports.push(serde_json::from_str::<Value>(&text)?);
        }
    }
    if args.explain {
        runs.iter().try_for_each(|run| explain(binary, name, run))?;
    }
    let rows = runs.iter().zip(&reports).map(|(run, reports)| run.row(name, reports, stepped));
    rows.collect()
}

fn explain(binary: &Path, course: &str, run: &Run) -> Result<()> {
    let admin = run.gateway.admin().to_string();
    let output =
        Command::new(binary).args(["explain", "app", "--limit", "10", "--admin", &admin]).output()?;
    eprintln!("\n{course}, {}:\n{}", run.policy, String::from_utf8_lossy(&output.stdout));
    Ok(())
}

fn start(binary: &Path, args: &Args, policy: &str) -> Tidegate {
    let app = APP.replace("{micros}", &(args.takes * 1_000).to_string());
    let setup = Tidegate::setup(binary).file("app.lua", &app).arg("--policy").arg(policy);
    setup.set("driver", &args.driver).set("objective", &args.objective).start(CONFIG)
}

fn send(binary: &Path, gateway: &Tidegate, words: &[String]) -> Result<Child> {
    let mut command = Command::new(binary);
    command.args(["load", &format!("http://{}/", gateway.addr()), "--format", "json", "--quiet"]);
    command.args(["--connections", "1024", "--timeout", "60s"]).args(words);
    Ok(command.stdout(Stdio::piped()).spawn()?)
}

impl Run {
    fn sample(&mut self, objective: u32) -> Result<()> {
        let page = http::get(self.gateway.admin(), "/metrics");
        let now = counts(page.text(), f64::from(objective) / 1_000.0);
        self.seconds.push((now.0 - self.last.0, now.1 - self.last.1));
        self.last = now;
        let fleet = self.fleet()?;
        self.peak = self.peak.max(fleet["instances"].as_array().map_or(0, Vec::len) as u64);
        Ok(())
    }

    fn fleet(&self) -> Result<Value> {
        let fleets = http::get(self.gateway.admin(), "/api/v1/fleets");
        Ok(serde_json::from_slice::<Value>(&fleets.body)?["items"][0].take())
    }

    fn row(&self, course: &str, reports: &[Value], stepped: usize) -> Result<Value> {
        let sum = |key: &str| reports.iter().filter_map(|one| one[key].as_u64()).sum::<u64>();
        let (requests, lost) = (sum("requests"), sum("failed"));
        let (all, within) = self.last;
        let over = (all - within) / all.max(1.0);
        let hours = self.fleet()?["instanceSeconds"].as_f64().unwrap_or_default() / 3_600.0;
        let p99 = reports.last().and_then(|one| one["latency"]["p99Ms"].as_f64()).unwrap_or_default();
        // The last second in which more than one of a hundred took too long.
        let bad = |&(all, within): &(f64, f64)| all > 0.0 && (all - within) / all > 0.01;
        let back = self.seconds[stepped..].iter().rposition(bad).map_or(0, |last| last + 1);
        let back_shown = if stepped > 0 { format!("{back} s") } else { String::new() };
        eprintln!(
            "| {course} | {} | {requests} | {lost} | {:.3} % | {hours:.3} | {} | {p99:.0} | {back_shown} |",
            self.policy,
            over * 100.0,
            self.peak,
        );
        let late = self.seconds.iter().filter(|second| bad(second)).count();
        Ok(json!({
            "course": course, "policy": self.policy, "requests": requests, "lost": lost, "violated": over,
            "secondsOver": late, "instanceHours": hours, "peakInstances": self.peak, "p99Ms": p99,
            "p99BackSeconds": (stepped > 0).then_some(back), "loads": reports,
        }))
    }
}

/// Requests that ended, and those within `objective` seconds, by the histogram of the one route.
fn counts(page: &str, objective: f64) -> (f64, f64) {
    let (mut all, mut within) = (0.0, 0.0);
    for line in page.lines().filter(|line| line.starts_with("tidegate_request_duration_seconds")) {
        let Some((series, value)) = line.rsplit_once(' ') else { continue };
        let value = value.parse().unwrap_or(0.0);
        let bound = series.split("le=\"").nth(1).and_then(|rest| rest.split('"').next());
        match bound.map(str::parse::<f64>) {
            Some(Ok(bound)) if bound <= objective + 1e-9 => within = f64::max(within, value),
            None if series.starts_with("tidegate_request_duration_seconds_count") => all = value,
            _ => {}
        }
    }
    (all, within)
}
