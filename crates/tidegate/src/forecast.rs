//! `tidegate forecast`: how well demand could have been foreseen, by whom, and how sure.
//!
//! Each file is gone through as if it happened now, at each horizon: by the rolling choice that the
//! `forecast` trigger asks, by each of its models alone, and by a referee that it does not use. The
//! figures are those of moments after a warm-up.
//!
//! Invariant: what is printed depends on the arguments and the files alone. Not here: how forecasts are
//! made, which is `tidegate_forecast`'s.

mod input;
mod plot;
mod report;
mod table;

use std::{
    fs,
    io::{self, Write},
    path::PathBuf,
};

use anyhow::Context;

use self::{
    input::Span,
    report::{Course, Report},
};
use crate::{cli::Format, exit::Failure};

const EXAMPLES: &str = "Examples:
  tidegate forecast day.csv
  tidegate forecast day.csv --plot day.svg --plot-horizon 15m
  tidegate forecast day.csv week.csv --horizons 5m,1h --format json";

/// Forecast recorded demand as if it happened now, and say how good that was
///
/// A file is CSV with the columns `timestamp_seconds,requests_per_second`; absent rows and empty values are
/// gaps. A horizon shorter than the step of a file is taken as one step, and the table says so.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Forecast {
    /// Recorded demand
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    /// How far ahead
    #[arg(long, value_name = "TIME", value_delimiter = ',', default_value = "1m,5m,15m,60m")]
    horizons: Vec<Span>,
    /// How much of a file is learned from before forecasts count; of a file shorter than twice as long, a quarter
    #[arg(long, value_name = "TIME", default_value = "1d")]
    warm_up: Span,
    /// How often an offline model from elsewhere (MSTL and ETS by augurs) is fitted beside; 0: not at all
    #[arg(long, value_name = "TIMES", default_value_t = 100, value_parser = clap::value_parser!(u32).range(..=10_000))]
    referee: u32,
    /// Draw demand, intervals and errors into this SVG file
    #[arg(long, value_name = "FILE")]
    plot: Option<PathBuf>,
    /// The horizon whose intervals are drawn; unless said, the last one of --horizons
    #[arg(long, value_name = "TIME", requires = "plot")]
    plot_horizon: Option<Span>,
    /// How to print the figures
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

impl Forecast {
    pub(crate) fn run(&self) -> Result<(), Failure> {
        // All input is read first, so a mistake in the last file does not cost the time of the others.
        let recordings = self.files.iter().map(|path| input::recording(path));
        let recordings = recordings.collect::<Result<Vec<_>, _>>()?;
        let mut report = Report::default();
        let course = Course {
            horizons: &self.horizons,
            warm_up: self.warm_up,
            fits: self.referee,
            drawn: self.plot_horizon.or(self.horizons.last().copied()).filter(|_| self.plot.is_some()),
        };
        let mut sketches = Vec::new();
        for (path, recording) in self.files.iter().zip(&recordings) {
            sketches.extend(report.add(&path.display().to_string(), recording, &course));
        }
        if let Some(path) = &self.plot {
            let svg = plot::figure(&report, &recordings, &sketches).svg();
            fs::write(path, svg)
                .with_context(|| format!("cannot write {}", path.display()))
                .map_err(Failure::Environment)?;
        }
        self.print(&report).map_err(Failure::environment)
    }

    fn print(&self, report: &Report) -> io::Result<()> {
        let mut output = io::stdout().lock();
        match self.format {
            Format::Json => {
                serde_json::to_writer(&mut output, report)?;
                writeln!(output)
            }
            Format::Text => write!(output, "{}", table::tell(report)),
        }
    }
}
