//! `tidegate simulate`: what a policy would have cost on recorded demand, and whom it would have hurt.
//!
//! Every trace is run under every start-up time and every buffer, by the policy and by each baseline.
//! All input is read before the first run, so a mistake in the last file does not cost the time of the
//! runs before it. With bands, the runs are held against them; a scenario brings its own.
//!
//! Invariant: what is printed depends on the arguments and the files alone. Not here: how a world goes
//! by, which is `tidegate_sim`'s.

mod bands;
mod drawing;
mod history;
pub(crate) mod input;
mod part;
mod scenarios;
mod table;

use std::{
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::Context;

use clap::ValueEnum;
use serde::Serialize;
use tidegate_core::policy::{Policy, Pressure, Trigger};
use tidegate_scaler::SAFE_AT_FIRST;
use tidegate_sim::{
    Conditions, Contender, Demand, Report,
    live::{Known, learns_how_busy},
};

use self::{
    bands::{Bands, Finding},
    history::{FromHistory, note},
    input::{Source, Subject},
    part::Part,
};
use crate::{cli::Format, exit::Failure, span::Span};

const EXAMPLES: &str = "Examples:
  tidegate simulate --trace day.csv
  tidegate simulate --trace day.csv --policy tidegate.yaml#orders --vs hpa,loop --start-up 5s,30s --buffer 0s,1s
  tidegate simulate --trace day.csv --vs hpa --plot day.svg
  tidegate simulate --trace day.csv --check bands.yaml
  tidegate simulate --trace day.csv --speed 60x --peak 400 --start 9h --length 1h --capacity 10 --start-up 0s
  tidegate simulate --scenario scenarios/metrics-lost.yaml
  tidegate simulate --from-history 7d --policy tidegate.yaml#orders --vs hpa";

/// A time in a simulated world, which has whole seconds: up to an hour.
type Seconds = Span<0, 3_600>;

/// Run scaling policies through recorded demand: what they cost, whom they hurt
///
/// Each trace is scaled to a peak of 4,000 requests/s, and an instance serves 100 requests/s. Options that
/// take several values take them with commas: --start-up 5s,30s.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Simulate {
    /// Recorded demand: a CSV file of seconds and requests per second; may be repeated
    #[arg(long = "trace", value_name = "FILE", required_unless_present_any = ["scenarios", "from_history"])]
    traces: Vec<PathBuf>,
    #[command(flatten)]
    part: Part,
    #[command(flatten)]
    history: FromHistory,
    /// A made-up world with what is expected of a policy there; may be repeated
    #[arg(
        long = "scenario",
        value_name = "FILE",
        conflicts_with_all = ["traces", "vs", "start_up", "buffer", "check", "from_history"]
    )]
    scenarios: Vec<PathBuf>,
    /// Whose policy: FILE#FLEET, or the one that needs no file. Unless given: default, or what a scenario brings
    #[arg(long, value_name = "FILE#FLEET|default")]
    policy: Option<Source>,
    /// What to compare with, at every setting of its sweep
    #[arg(long, value_enum, value_name = "BASELINE", value_delimiter = ',')]
    vs: Vec<Baseline>,
    /// From launch until an instance serves
    ///
    /// A recorded history has its own.
    #[arg(
        long,
        value_name = "TIME",
        value_delimiter = ',',
        default_value = "30s",
        conflicts_with = "from_history"
    )]
    start_up: Vec<Seconds>,
    /// How long the gateway holds a request that finds no capacity
    #[arg(long, value_name = "TIME", value_delimiter = ',', default_value = "0s")]
    buffer: Vec<Seconds>,
    /// The share of time that instances may be busy, as far as the policy knows
    ///
    /// Live it is learned from latency. Unless given: 85% for the policy of a fleet, as where nothing was measured yet; 100% for
    /// the default policy, and for a recorded history, where it is part of what an instance serves.
    #[arg(long, value_name = "SHARE", value_parser = share, conflicts_with_all = ["from_history", "scenarios"])]
    safe_utilization: Option<f64>,
    /// Decides the arrivals within rows longer than a second: the same seed, the same arrivals
    ///
    /// Unless given: 1, or what a scenario brings
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Bands that figures have to stay within, for automated checks: else the exit code is 1
    #[arg(long, value_name = "FILE")]
    check: Option<PathBuf>,
    /// Draw demand, capacity, violations and cost into this SVG file; with several worlds, one file for each
    #[arg(long, value_name = "FILE.svg")]
    plot: Option<PathBuf>,
    /// How to print the figures
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// The seed of arrivals, unless given.
const SEED: u64 = 1;

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Baseline {
    /// Kubernetes' HPA with its defaults, at targets of 30 % to 90 %
    Hpa,
    /// A loop without lag or limits, whose target and hold are chosen in hindsight
    Loop,
}

/// What is printed for programs.
#[derive(Debug, Serialize)]
struct Told<'a> {
    #[serde(flatten)]
    report: &'a Report,
    #[serde(skip_serializing_if = "Option::is_none")]
    bands: Option<&'a [Finding]>,
}

/// Demand and conditions, and the policy for them.
struct Case<'a> {
    trace: &'a str,
    /// What it is called in a picture.
    title: &'a str,
    demand: &'a Demand,
    conditions: Conditions,
    policy: Policy,
    known: Known,
}

impl Simulate {
    pub(crate) fn run(&self) -> Result<(), Failure> {
        let source = self.policy.clone().unwrap_or(Source::Default);
        let subject = source.load(self.format)?;
        if !self.scenarios.is_empty() {
            return self.play(&subject);
        }
        let bands = self.check.as_deref().map(|file| Bands::load(file, self.format)).transpose()?;
        if let Some(world) = self.history.world(&subject, self.part.capacity, self.seed.unwrap_or(SEED))? {
            let case = |buffer: &Seconds| {
                let buffer = buffer.seconds() as u32;
                let (conditions, policy) = (world.conditions(buffer), world.policy(&subject, buffer)?);
                let known = Known { start_up: Some(started(conditions)), safe: None };
                let (trace, title, demand) = (&world.name, &world.name, &world.demand);
                Ok(Case { trace, title, demand, conditions, policy, known })
            };
            let cases = distinct(&self.buffer).iter().map(case).collect::<Result<Vec<_>, Failure>>()?;
            return self.replay(&subject, &cases, bands.as_ref());
        }
        let demands = self.demands()?;
        let safe = self.safe(&subject)?;
        let case = |(trace, demand), conditions: Conditions| {
            let (title, policy) = (drawing::file_name(trace), self.part.policy(&subject, conditions.buffer)?);
            // A fleet has started instances before: the fewest that it has.
            let start_up = matches!(subject, Subject::Fleet { .. }).then(|| started(conditions));
            Ok(Case { trace, title, demand, conditions, policy, known: Known { start_up, safe } })
        };
        let cases = demands
            .iter()
            .flat_map(|(trace, demand)| {
                self.conditions().map(move |conditions| case((trace.as_str(), demand), conditions))
            })
            .collect::<Result<Vec<_>, Failure>>()?;
        self.replay(&subject, &cases, bands.as_ref())
    }

    /// Runs all contenders through each case, and prints, checks and draws what came of it.
    fn replay(&self, subject: &Subject, cases: &[Case<'_>], bands: Option<&Bands>) -> Result<(), Failure> {
        let mut report = Report::default();
        let short = |case: &&Case<'_>| case.policy.max < case.demand.busiest();
        if let Some(case) = cases.iter().filter(short).max_by_key(|case| case.demand.busiest()) {
            let (name, most, busiest) = (subject.name(), case.policy.max, case.demand.busiest());
            note(&format!("{name} has at most {most} instances, where the busiest second needs {busiest}"))?;
        }
        for case in cases {
            for contender in self.contenders(subject.name(), case) {
                report.add(case.trace, case.demand, case.conditions, &contender);
            }
        }
        let findings = bands.map(|bands| bands.check(&report)).transpose()?;
        self.print(&report, subject, findings.as_deref()).map_err(Failure::environment)?;
        if let Some(file) = &self.plot {
            for (at, case) in cases.iter().enumerate() {
                let figure = drawing::replay(case, &report, subject.name());
                write(&numbered(file, at, cases.len()), &figure.svg())?;
            }
        }
        let held = findings.is_none_or(|findings| findings.iter().all(|finding| finding.holds));
        if held { Ok(()) } else { Err(Failure::Reported(1)) }
    }

    /// Plays the scenarios.
    fn play(&self, subject: &Subject) -> Result<(), Failure> {
        let load = |file: &PathBuf| {
            let mut scenario = scenarios::load(file, self.format)?;
            scenario.seed = self.seed.unwrap_or(scenario.seed);
            if self.policy.is_some() {
                scenario.policy = None;
            }
            Ok((file.display().to_string(), scenario))
        };
        let loaded = self.scenarios.iter().map(load).collect::<Result<Vec<_>, Failure>>()?;
        let played: Vec<_> =
            loaded.iter().map(|(name, scenario)| scenarios::play(name, scenario, subject)).collect();
        scenarios::print(&played, self.format).map_err(Failure::environment)?;
        if let Some(file) = &self.plot {
            for (at, one) in played.iter().enumerate() {
                write(&numbered(file, at, played.len()), &one.figure().svg())?;
            }
        }
        if played.iter().all(|one| one.outcome.holds()) { Ok(()) } else { Err(Failure::Reported(1)) }
    }

    /// Each trace under the name that it was given by.
    fn demands(&self) -> Result<Vec<(String, Demand)>, Failure> {
        let demand = |path: &PathBuf| {
            let demand = self.part.demand(path, self.seed.unwrap_or(SEED))?;
            Ok((path.display().to_string(), demand))
        };
        distinct(&self.traces).iter().map(demand).collect()
    }

    fn conditions(&self) -> impl Iterator<Item = Conditions> {
        let under = |start_up: Seconds, buffer: Seconds| Conditions {
            start_up: start_up.seconds() as u32,
            buffer: buffer.seconds() as u32,
        };
        // What is named twice is run once.
        let (start_ups, buffers) = (distinct(&self.start_up), distinct(&self.buffer));
        start_ups
            .into_iter()
            .flat_map(move |start_up| buffers.clone().into_iter().map(move |buffer| under(start_up, buffer)))
    }

    /// How busy instances may be, as said, or as a fleet takes it that has measured nothing yet.
    fn safe(&self, subject: &Subject) -> Result<Option<f64>, Failure> {
        let Subject::Fleet { name, policy } = subject else { return Ok(self.safe_utilization) };
        if self.safe_utilization.is_none() && asks_how_busy(policy) {
            note(&format!(
                "{name} keeps its instances busy for no more than {}, as where no latency was measured yet; --safe-utilization \
                 says another share",
                bands::number(SAFE_AT_FIRST, true)
            ))?;
        }
        Ok(self.safe_utilization.or(Some(SAFE_AT_FIRST)))
    }

    fn contenders(&self, name: &str, case: &Case<'_>) -> Vec<Contender> {
        let (name, policy) = (name.to_owned(), Box::new(case.policy.clone()));
        let own = Contender::Policy { name, policy, known: case.known };
        let baselines = distinct(&self.vs).into_iter().map(|baseline| match baseline {
            Baseline::Hpa => Contender::Hpa,
            Baseline::Loop => Contender::Loop,
        });
        [own].into_iter().chain(baselines).collect()
    }

    fn print(&self, report: &Report, subject: &Subject, findings: Option<&[Finding]>) -> io::Result<()> {
        let mut output = io::stdout().lock();
        match self.format {
            Format::Json => {
                serde_json::to_writer(&mut output, &Told { report, bands: findings })?;
                writeln!(output)
            }
            Format::Text => {
                write!(output, "{}", table::tell(report, subject))?;
                findings.map_or(Ok(()), |findings| write!(output, "\n{}", bands::tell(findings)))
            }
        }
    }
}

/// How long instances took that are there when a run begins.
fn started(conditions: Conditions) -> Duration {
    Duration::from_secs(conditions.start_up.into())
}

/// Whether `policy` goes by how busy instances may be, and is shown no latency to learn it from.
fn asks_how_busy(policy: &Policy) -> bool {
    let asks = |trigger: &Trigger| match trigger {
        Trigger::Headroom(_) | Trigger::Forecast(_) => true,
        Trigger::Backlog(backlog) => matches!(backlog.pressure, Pressure::Drain { rate: None, .. }),
        Trigger::Target(_) | Trigger::Threshold(_) | Trigger::Schedule(_) | Trigger::Formula(_) => false,
    };
    !learns_how_busy(policy) && policy.triggers.iter().any(asks)
}

/// `85%`, from 40 to 100: what a gateway may learn, and all the time.
fn share(text: &str) -> Result<f64, String> {
    let percent = text.strip_suffix('%').and_then(|number| number.parse::<f64>().ok());
    let within = percent.filter(|percent| (40.0..=100.0).contains(percent));
    within.map(|percent| percent / 100.0).ok_or_else(|| "write a share from 40% to 100%, as 85%".to_owned())
}

/// Each once, in the order of its first place.
fn distinct<T: Clone + PartialEq>(all: &[T]) -> Vec<T> {
    let new = |(at, one): (usize, &T)| (!all[..at].contains(one)).then(|| one.clone());
    all.iter().enumerate().filter_map(new).collect()
}

/// `plot.svg`, or `plot-1.svg`, `plot-2.svg` where there are several.
fn numbered(file: &Path, at: usize, of: usize) -> PathBuf {
    if of == 1 {
        return file.to_owned();
    }
    let stem = file.file_stem().unwrap_or_default().to_string_lossy();
    let extension = file.extension().map_or_else(|| "svg".into(), |extension| extension.to_string_lossy());
    file.with_file_name(format!("{stem}-{}.{extension}", at + 1))
}

fn write(file: &Path, text: &str) -> Result<(), Failure> {
    let name = file.display();
    fs::write(file, text).with_context(|| format!("cannot write {name}")).map_err(Failure::Environment)?;
    // Beside the figures, which may be for a program.
    writeln!(io::stderr().lock(), "{name} is written").map_err(Failure::environment)
}
