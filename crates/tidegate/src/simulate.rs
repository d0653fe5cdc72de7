//! `tidegate simulate`: what a policy would have cost on recorded demand, and whom it would have hurt.
//!
//! Every trace is run under every start-up time and every buffer, by the policy and by each baseline.
//! All input is read before the first run, so a mistake in the last file does not cost the time of the
//! runs before it.
//!
//! Invariant: what is printed depends on the arguments and the files alone. Not here: how a world goes
//! by, which is `tidegate_sim`'s.

mod history;
pub(crate) mod input;
mod seconds;
mod table;

use std::{
    io::{self, Write},
    path::PathBuf,
};

use clap::ValueEnum;
use tidegate_sim::{Conditions, Contender, Demand, Report};

use self::{
    history::FromHistory,
    input::{Source, Subject},
    seconds::Seconds,
};
use crate::{cli::Format, exit::Failure};

const EXAMPLES: &str = "Examples:
  tidegate simulate --trace day.csv
  tidegate simulate --trace day.csv --policy tidegate.yaml#orders --vs hpa,loop --start-up 5s,30s --buffer 0s,1s
  tidegate simulate --from-history 7d --policy tidegate.yaml#orders --vs hpa";

/// Run scaling policies through recorded demand: what they cost, whom they hurt
///
/// Each trace is scaled to a peak of 4,000 requests/s, and an instance serves 100 requests/s. Options that
/// take several values take them with commas: --start-up 5s,30s.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Simulate {
    /// Recorded demand: a CSV file of seconds and requests per second; may be repeated
    #[arg(long = "trace", value_name = "FILE", required_unless_present = "from_history")]
    traces: Vec<PathBuf>,
    #[command(flatten)]
    history: FromHistory,
    /// Whose policy: FILE#FLEET, or the one that needs no file
    #[arg(long, value_name = "FILE#FLEET|default", default_value = "default")]
    policy: Source,
    /// What to compare with, at every setting of its sweep
    #[arg(long, value_enum, value_name = "BASELINE", value_delimiter = ',')]
    vs: Vec<Baseline>,
    /// From launch until an instance serves
    #[arg(long, value_name = "TIME", value_delimiter = ',', default_value = "30s")]
    start_up: Vec<Seconds>,
    /// How long the gateway holds a request that finds no capacity
    #[arg(long, value_name = "TIME", value_delimiter = ',', default_value = "0s")]
    buffer: Vec<Seconds>,
    /// Decides the arrivals within rows longer than a second: the same seed, the same arrivals
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// How to print the figures
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Baseline {
    /// Kubernetes' HPA with its defaults, at targets of 30 % to 90 %
    Hpa,
    /// A loop without lag or limits, whose target and hold are chosen in hindsight
    Loop,
}

impl Simulate {
    pub(crate) fn run(&self) -> Result<(), Failure> {
        let subject = self.policy.load(self.format)?;
        if self.history.is_given() {
            return self.look_back(&subject);
        }
        let demands = self.demands()?;
        let mut report = Report::default();
        for (trace, demand) in &demands {
            for conditions in self.conditions() {
                for contender in self.contenders(&subject, conditions) {
                    report.add(trace, demand, conditions, &contender);
                }
            }
        }
        self.print(&report, &subject).map_err(Failure::environment)
    }

    /// Runs what was recorded instead of a trace.
    fn look_back(&self, subject: &Subject) -> Result<(), Failure> {
        let mut report = Report::default();
        if let Some(world) = self.history.world(subject, self.seed)? {
            for buffer in &self.buffer {
                let conditions = world.conditions(buffer.0);
                for contender in self.contenders(subject, conditions) {
                    let contender = match contender {
                        Contender::Policy { name, .. } => {
                            Contender::Policy { name, policy: Box::new(world.policy(subject, buffer.0)?) }
                        }
                        other => other,
                    };
                    report.add(&world.name, &world.demand, conditions, &contender);
                }
            }
        }
        self.print(&report, subject).map_err(Failure::environment)
    }

    /// Each trace under the name that it was given by.
    fn demands(&self) -> Result<Vec<(String, Demand)>, Failure> {
        let demand = |path: &PathBuf| {
            let trace = input::trace(path)?;
            Ok((path.display().to_string(), Demand::replay(&trace, self.seed)))
        };
        self.traces.iter().map(demand).collect()
    }

    fn conditions(&self) -> impl Iterator<Item = Conditions> {
        let under =
            |start_up: Seconds, buffer: Seconds| Conditions { start_up: start_up.0, buffer: buffer.0 };
        self.start_up
            .iter()
            .flat_map(move |&start_up| self.buffer.iter().map(move |&buffer| under(start_up, buffer)))
    }

    fn contenders(&self, subject: &Subject, conditions: Conditions) -> Vec<Contender> {
        let (name, policy) = (subject.name().to_owned(), Box::new(subject.policy(conditions.buffer)));
        let baselines = self.vs.iter().map(|baseline| match baseline {
            Baseline::Hpa => Contender::Hpa,
            Baseline::Loop => Contender::Loop,
        });
        [Contender::Policy { name, policy }].into_iter().chain(baselines).collect()
    }

    fn print(&self, report: &Report, subject: &Subject) -> io::Result<()> {
        let mut output = io::stdout().lock();
        match self.format {
            Format::Json => {
                serde_json::to_writer(&mut output, report)?;
                writeln!(output)
            }
            Format::Text => write!(output, "{}", table::tell(report, subject)),
        }
    }
}
