//! `tidegate chaos`: makes things go wrong at a running gateway, and tells how it got over them.
//!
//! It only picks what is done, by a seed, and asks for it by the Admin API; the gateway does it, if its configuration allows that.
//! When the time is over it waits until every fleet has what it should have.

mod dice;

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    io::{self, Write as _},
    net::SocketAddr,
    thread,
    time::{Duration, Instant},
};

use anyhow::anyhow;
use serde_json::{Value, json};

use self::dice::{Dice, Kind, Targets};
use crate::{api, cli::Format, exit::Failure};

const EXAMPLES: &str = "Examples:
  tidegate chaos --duration 5m
  tidegate chaos --seed 7 --every 500ms --only kill,pause --format json

The gateway's configuration has to allow it: `chaos: { enabled: true }`.";

/// How often it is looked whether the fleets are as they should be.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Make things go wrong at a running gateway, and tell how it got over them.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Chaos {
    /// The gateway's admin address.
    #[arg(long, default_value = "127.0.0.1:9000", value_name = "ADDRESS")]
    admin: SocketAddr,
    /// The same seed picks the same things, as long as there are the same instances.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How long.
    #[arg(long, value_name = "TIME", default_value = "1m", value_parser = tidegate_load::args::length)]
    duration: Duration,
    /// Time between two things that go wrong, on average.
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = tidegate_load::args::length)]
    every: Duration,
    /// Only these kinds.
    #[arg(long, value_enum, value_delimiter = ',', value_name = "KIND")]
    only: Vec<Kind>,
    /// How long fleets may take afterwards until they are as they should be.
    #[arg(long, value_name = "TIME", default_value = "1m", value_parser = tidegate_load::args::length)]
    settle: Duration,
    /// How to print the report.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// How often things of one kind were done.
#[derive(Debug, Default, Clone, Copy)]
struct Count {
    done: u64,
    refused: u64,
}

/// What came of it all.
#[derive(Debug, Default)]
struct Report {
    counts: BTreeMap<&'static str, Count>,
    /// How long it took each time until all fleets were as they should be again.
    recoveries: Vec<Duration>,
    disturbed: Option<Instant>,
    settled_after: Option<Duration>,
}

impl Chaos {
    pub(crate) fn run(&self) -> Result<(), Failure> {
        let allowed = api::get(self.admin, "/api/v1/chaos")?;
        if allowed["enabled"] != true {
            return Err(Failure::Input(anyhow!(
                "chaos is not allowed at {}; write `chaos: {{ enabled: true }}` into its configuration, where nobody minds",
                self.admin
            )));
        }
        let report = self.wreak()?;
        let text = match self.format {
            Format::Text => report.text(self),
            Format::Json => format!("{:#}\n", report.json(self)),
        };
        io::stdout().write_all(text.as_bytes()).map_err(Failure::environment)?;
        if report.settled_after.is_none() {
            let within = self.settle.as_secs_f64();
            return Err(Failure::Environment(anyhow!("fleets are not as they should be after {within} s")));
        }
        Ok(())
    }

    fn wreak(&self) -> Result<Report, Failure> {
        let kinds = if self.only.is_empty() { Kind::ALL.to_vec() } else { self.only.clone() };
        let (mut dice, mut report) = (Dice::new(self.seed), Report::default());
        let end = Instant::now() + self.duration;
        let mut next = Instant::now();
        while Instant::now() < end {
            let fleets = api::get(self.admin, "/api/v1/fleets")?;
            report.look(&fleets);
            if Instant::now() >= next {
                next += self.every.mul_f64(0.5 + dice.unit());
                if let Some((kind, wish)) = dice.next(&kinds, &targets(&fleets)) {
                    report.ask(self.admin, kind, &wish)?;
                }
            }
            thread::sleep(LOOK_EVERY);
        }
        let over = Instant::now();
        while over.elapsed() < self.settle && report.settled_after.is_none() {
            let fleets = api::get(self.admin, "/api/v1/fleets")?;
            report.look(&fleets);
            report.settled_after = settled(&fleets).then(|| over.elapsed());
            thread::sleep(LOOK_EVERY);
        }
        Ok(report)
    }
}

impl Report {
    fn ask(&mut self, admin: SocketAddr, kind: Kind, wish: &Value) -> Result<(), Failure> {
        let count = self.counts.entry(kind.name()).or_default();
        match api::post(admin, "/api/v1/chaos", wish) {
            Ok(_) => {
                count.done += 1;
                if matches!(kind, Kind::Kill | Kind::Reclaim | Kind::ReclaimPool) {
                    self.disturbed.get_or_insert_with(Instant::now);
                }
            }
            // The instance has gone meanwhile, for one.
            Err(Failure::Input(_)) => count.refused += 1,
            Err(failure) => return Err(failure),
        }
        Ok(())
    }

    fn look(&mut self, fleets: &Value) {
        if settled(fleets)
            && let Some(since) = self.disturbed.filter(|since| since.elapsed() > LOOK_EVERY)
        {
            self.recoveries.push(since.elapsed());
            self.disturbed = None;
        }
    }

    /// That share of recoveries took no longer, in milliseconds.
    fn quantile(&self, share: f64) -> Option<f64> {
        let mut sorted = self.recoveries.clone();
        sorted.sort_unstable();
        let index = (share * sorted.len() as f64).ceil() as usize;
        sorted.get(index.checked_sub(1)?).map(|span| span.as_secs_f64() * 1_000.0)
    }

    fn json(&self, chaos: &Chaos) -> Value {
        let counts = self.counts.iter().map(|(kind, count)| {
            ((*kind).to_owned(), json!({ "done": count.done, "refused": count.refused }))
        });
        json!({
            "seed": chaos.seed,
            "durationSeconds": chaos.duration.as_secs_f64(),
            "actions": counts.collect::<serde_json::Map<_, _>>(),
            "recoveries": {
                "count": self.recoveries.len(),
                "p50Ms": self.quantile(0.5),
                "p99Ms": self.quantile(0.99),
                "maxMs": self.quantile(1.0),
            },
            "settled": self.settled_after.is_some(),
            "settledAfterMs": self.settled_after.map(|span| span.as_secs_f64() * 1_000.0),
        })
    }

    fn text(&self, chaos: &Chaos) -> String {
        let mut text = format!("seed {}, {} s\n", chaos.seed, chaos.duration.as_secs_f64());
        for (kind, Count { done, refused }) in &self.counts {
            _ = writeln!(text, "{kind:>13}  {done} done, {refused} refused");
        }
        if let (Some(half), Some(most)) = (self.quantile(0.5), self.quantile(1.0)) {
            let count = self.recoveries.len();
            _ = writeln!(
                text,
                "counts were right again {count} times, after {half:.0} ms in the median and {most:.0} ms at most"
            );
        }
        let verdict = match self.settled_after {
            Some(span) => format!("settled {:.1} s after the end", span.as_secs_f64()),
            None => "not settled".to_owned(),
        };
        _ = writeln!(text, "{verdict}");
        text
    }
}

/// All instances that run, and the spot pools that have some.
fn targets(fleets: &Value) -> Targets {
    let mut targets = Targets::default();
    for fleet in list(fleets, "items") {
        let runs = |one: &&Value| matches!(one["state"].as_str(), Some("ready" | "starting"));
        targets.instances.extend(list(fleet, "instances").filter(runs).cloned());
        let spot = list(fleet, "pools").filter(|pool| pool["kind"] == "spot" && pool["ready"] != 0);
        targets.pools.extend(spot.map(|pool| json!({ "fleet": fleet["name"], "pool": pool["name"] })));
    }
    targets
}

fn list<'a>(value: &'a Value, key: &str) -> impl Iterator<Item = &'a Value> {
    value[key].as_array().into_iter().flatten()
}

/// Whether every fleet has as many ready instances as it should have, and no other.
fn settled(fleets: &Value) -> bool {
    let mut items = fleets["items"].as_array().into_iter().flatten();
    items.all(|fleet| {
        let instances = fleet["instances"].as_array().into_iter().flatten();
        let states: Vec<_> = instances.map(|one| one["state"].as_str()).collect();
        states.iter().all(|state| *state == Some("ready")) && fleet["desired"] == states.len()
    })
}
