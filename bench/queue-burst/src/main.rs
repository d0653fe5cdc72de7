//! A burst of messages from zero, worked off while consumers are killed.
//!
//! The queue is filled while no instance runs. Then the fleet scales by it, and once a second a random instance is killed with
//! `kill -9`. A Redis beside counts how often each message was worked on. What must hold: every message at least once; more
//! than once only where an instance died before its acknowledgement, so at most what the dead had in their hands; nothing
//! left, no dead letters, no instance afterwards.

use std::{
    any::Any,
    fmt::Write as _,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use clap::Parser;
use serde_json::Value;
use tidegate_testkit::{
    Tidegate, http, process,
    process::Signal,
    servers::{Nats, Rabbitmq, Redis},
};

const CONFIG: &str = "
listeners: [{ address: \"{listen}\" }]
admin: { address: \"{admin}\" }
workers: 1
accessLog: false
sources:
  jobs: { {jobs} }
fleets:
  worker:
    run: { lua: worker.lua, consume: jobs }
    worker: { concurrency: {concurrency}, attempts: 100 }
    scale:
      min: 0
      max: {max}
      idle: 2s
      price: 0.05
      triggers: [{ backlog: { source: jobs, drain: {drain}s } }]
      behavior: { scaleIn: { stabilization: 5s } }
";

const WORKER: &str = include_str!("worker.lua");

/// Works off bursts of messages while consumers are killed.
#[derive(Debug, Parser)]
struct Args {
    /// Messages of each burst.
    #[arg(long, default_value_t = 100_000)]
    messages: u64,
    #[arg(long, value_delimiter = ',', default_value = "redis-stream,redis-list,nats,rabbitmq")]
    systems: Vec<String>,
    /// Most instances.
    #[arg(long, default_value_t = 12)]
    max: u32,
    /// Messages that an instance works on at once.
    #[arg(long, default_value_t = 16)]
    concurrency: u64,
    /// How long a message takes, in milliseconds in which the instance waits for something else.
    #[arg(long, default_value_t = 0)]
    takes: u32,
    /// The time in which all of it is to be worked off, in seconds.
    #[arg(long, default_value_t = 10)]
    drain: u32,
    /// Print what `tidegate explain` says of the last ten changes.
    #[arg(long)]
    explain: bool,
    /// Which instances are killed follows from it.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// A burst that takes longer has failed.
    #[arg(long, default_value_t = 900)]
    patience: u64,
    /// The binary to measure. Default: this workspace's, built first.
    #[arg(long)]
    tidegate: Option<PathBuf>,
}

/// What came of one burst.
struct Outcome {
    /// Until all were worked on but those that the dead may have had in hand, which come back after a pause.
    drained: Duration,
    took: Duration,
    kills: u64,
    peak: usize,
    /// Messages that were worked on more than once.
    repeated: u64,
    /// Settled in vain, as the instances say.
    lost: u64,
    rest: Duration,
}

fn main() -> ExitCode {
    bench_harness::main(run)
}

fn run(args: &Args) -> Result<()> {
    let binary = bench_harness::binary(args.tidegate.as_deref())?;
    eprintln!(
        "| queue | messages | drained s | seconds | kills | peak instances | missed | repeated | in hand at most | \
         at rest after s |"
    );
    eprintln!("| --- | --: | --: | --: | --: | --: | --: | --: | --: | --: |");
    for system in &args.systems {
        let Outcome { drained, took, kills, peak, repeated, lost, rest } =
            burst(&binary, system, args).with_context(|| system.clone())?;
        eprintln!(
            "| {system} | {} | {:.1} | {:.1} | {kills} | {peak} | 0 | {repeated} | {} | {:.1} |",
            args.messages,
            drained.as_secs_f64(),
            took.as_secs_f64(),
            kills * 2 * args.concurrency + lost,
            rest.as_secs_f64(),
        );
        ensure!(repeated <= kills * 2 * args.concurrency + lost, "{system}: more than the dead had in hand");
    }
    Ok(())
}

/// A queue with the burst in it.
struct Queue {
    /// What the configuration says of it.
    text: String,
    /// Ends when this is dropped, unless it is the Redis that counts.
    _server: Option<Box<dyn Any>>,
}

impl Queue {
    fn fill(system: &str, redis: &Redis, messages: u64) -> Result<Self> {
        let of_redis = |key: &str, command: &str| {
            let url = redis.url();
            redis.pipe(&(0..messages).fold(String::new(), |mut text, number| {
                let _ = writeln!(text, "{command} m{number}");
                text
            }));
            let text = format!("redis: {{ url: \"{url}\", {key}, password: \"${{env:REDIS_PASSWORD}}\" }}");
            Self { text, _server: None }
        };
        match system {
            "redis-list" => Ok(of_redis("list: jobs", "LPUSH jobs")),
            "redis-stream" => Ok(of_redis("stream: jobs, group: workers", "XADD jobs * body")),
            "nats" => {
                let nats = Nats::start().context("no nats-server")?;
                nats.stream("JOBS");
                nats.publish("JOBS.new", (0..messages).map(|number| format!("m{number}")));
                let text = format!("nats: {{ url: \"{}\", stream: JOBS, consumer: workers }}", nats.url());
                Ok(Self { text, _server: Some(Box::new(nats)) })
            }
            "rabbitmq" => {
                let rabbitmq = Rabbitmq::start().context("no rabbitmq-server")?;
                rabbitmq.queue("jobs");
                let all =
                    format!("[<<\"m\", (integer_to_binary(N))/binary>> || N <- lists:seq(1, {messages})]");
                rabbitmq.publish("jobs", &all);
                let text = format!("rabbitmq: {{ url: \"{}\", queue: jobs }}", rabbitmq.url());
                Ok(Self { text, _server: Some(Box::new(rabbitmq)) })
            }
            other => anyhow::bail!("{other} is none of redis-stream, redis-list, nats, rabbitmq"),
        }
    }
}

fn burst(binary: &Path, system: &str, args: &Args) -> Result<Outcome> {
    let redis = Redis::start().context("no redis-server")?;
    let queue = Queue::fill(system, &redis, args.messages)?;
    let worker = WORKER.replace("PORT", &redis.port().to_string()).replace("PASSWORD", Redis::PASSWORD);
    let worker = worker.replace("TAKES", &(f64::from(args.takes) / 1_000.0).to_string());
    let setup = Tidegate::setup(binary).file("worker.lua", &worker).env("REDIS_PASSWORD", Redis::PASSWORD);
    let setup = setup
        .set("jobs", &queue.text)
        .set("max", &args.max)
        .set("concurrency", &args.concurrency)
        .set("drain", &args.drain);
    let began = Instant::now();
    let gateway = setup.start(CONFIG);
    let mut random = fastrand::Rng::with_seed(args.seed);
    let (mut kills, mut peak, mut killed, mut drained) = (0, 0, Instant::now(), None);
    loop {
        let worked = redis.number(&["HLEN", "worked"]);
        if worked + kills * args.concurrency >= args.messages {
            drained.get_or_insert_with(|| began.elapsed());
        }
        if worked >= args.messages {
            break;
        }
        ensure!(began.elapsed().as_secs() < args.patience, "not worked off in time");
        let ready = ready(&gateway);
        peak = peak.max(ready.len());
        if killed.elapsed() >= Duration::from_secs(1)
            && let Some(&victim) = random.choice(&ready)
            && process::signal(victim, Signal::KILL)
        {
            kills += 1;
            killed = Instant::now();
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    let took = began.elapsed();
    while !fleet(&gateway)["instances"].as_array().is_some_and(Vec::is_empty) {
        ensure!(began.elapsed().as_secs() < args.patience, "not back at zero in time");
        std::thread::sleep(Duration::from_millis(50));
    }
    let rest = began.elapsed().saturating_sub(took);
    let counts = redis.cli(&["HVALS", "worked"]);
    ensure!(counts.lines().count() as u64 == args.messages, "messages that nobody has queued were worked on");
    if args.explain {
        let mut explain = Command::new(binary);
        explain.args(["explain", "worker", "--limit", "10", "--admin", &gateway.admin().to_string()]);
        eprintln!("\n{system}:\n{}", String::from_utf8_lossy(&explain.output()?.stdout));
    }
    let fleet = fleet(&gateway);
    ensure!(fleet["messages"]["dead"] == 0, "there are dead letters");
    Ok(Outcome {
        drained: drained.unwrap_or(took),
        took,
        kills,
        peak,
        repeated: counts.lines().filter(|count| *count != "1").count() as u64,
        lost: fleet["messages"]["lost"].as_u64().unwrap_or(0),
        rest,
    })
}

fn fleet(gateway: &Tidegate) -> Value {
    let fleets = http::get(gateway.admin(), "/api/v1/fleets");
    let fleets: Value = serde_json::from_slice(&fleets.body).unwrap_or_default();
    fleets["items"][0].clone()
}

/// The processes of instances that work.
fn ready(gateway: &Tidegate) -> Vec<u32> {
    let fleet = fleet(gateway);
    let instances = fleet["instances"].as_array().into_iter().flatten();
    let ready = instances.filter(|instance| instance["state"] == "ready");
    ready.filter_map(|instance| instance["pid"].as_u64()?.try_into().ok()).collect()
}
