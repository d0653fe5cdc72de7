//! How good the default scaling policy is: beside HPA and the tuned loop.

mod clairvoyant;
mod demands;
mod generated;
mod habits;
mod hindsight;
mod limits;
mod runs;
mod table;

use std::{io, path::PathBuf, process::ExitCode};

use anyhow::Result;
use clap::{Parser, ValueEnum};

use crate::habits::Habits;

/// Runs the default policy and its baselines through recorded and generated demand.
#[derive(Debug, Parser)]
struct Args {
    /// Where the recordings are.
    #[arg(long, env = "TIDEGATE_TRACES", default_value = "../shared/traces")]
    traces: PathBuf,
    /// Only demands whose names contain one of these.
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    #[arg(long, value_delimiter = ',', default_value = "5,30,120")]
    start_up: Vec<u32>,
    #[arg(long, value_delimiter = ',', default_value = "0,1")]
    buffer: Vec<u32>,
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How many runs at once.
    #[arg(long, default_value_t = 2)]
    threads: usize,
    /// Runs of the baselines are read from here where they are, and written there.
    #[arg(long)]
    baselines: Option<PathBuf>,
    /// Run what the file of baselines lacks, and nothing else.
    #[arg(long, requires = "baselines")]
    baselines_only: bool,
    /// For which rows to work out what the best could do. All of them take hours.
    #[arg(long, value_enum, default_value_t)]
    limits: Asked,
    /// Of the best, work out only who knows the future, and not what habits are worth, which takes longer.
    #[arg(long)]
    without_habits: bool,
    /// What habits are worth is read from here where it is, and written there. It does not depend on the policy.
    #[arg(long, conflicts_with = "without_habits")]
    habits: Option<PathBuf>,
}

/// Rows of the table.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
enum Asked {
    None,
    /// Those that miss a goal, and those of a mean that does.
    #[default]
    Missed,
    All,
}

fn main() -> ExitCode {
    bench_harness::main(run)
}

fn run(args: &Args) -> Result<()> {
    let demands = demands::load(&args.traces, &args.only, args.seed)?;
    let report = runs::all(args, &demands)?;
    if args.baselines_only {
        return Ok(());
    }
    // The first two at once, as the rest takes longer.
    table::print(&report, &demands, &mut io::stdout().lock())?;
    table::print_curve(&report, &demands, &mut io::stdout().lock())?;
    let questions = match args.limits {
        Asked::None => Vec::new(),
        asked => table::questions(&report, &demands, asked == Asked::All),
    };
    let habits = (!args.without_habits).then(|| Habits::read(args.habits.as_deref())).transpose()?;
    let limits = limits::all(args.threads, habits.as_ref(), &questions);
    table::print_limits(&report, &demands, &limits, &mut io::stdout().lock())?;
    Ok(())
}
