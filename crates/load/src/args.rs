//! The arguments of `tidegate load`, and the plan that they add up to.

use std::{
    fs::File,
    io::{self, Read as _},
    num::NonZeroUsize,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use clap::{ArgGroup, Args, ValueEnum};
use tidegate_core::trace::{self, Trace};

pub use self::quantity::{length, per_second, speed};
use crate::{
    plan::Plan,
    request::{Header, Method, Request},
    schedule::{Demand, LONGEST, Process, Schedule, Shape},
    url::Url,
};

mod quantity;

/// Requests per second, unless something else is asked for.
const RATE: f64 = 100.0;

/// Most bytes of a trace or of a body.
const LARGEST: u64 = 1 << 30;

const EXAMPLES: &str = "Examples:
  tidegate load http://localhost:8000/ --rate 500 --duration 1m
  tidegate load http://localhost:8000/ --rate 2000 --shape spike --duration 2m --format json
  tidegate load http://localhost:8000/ --trace day.csv --speed 600x --peak 2000 --start 10d --length 1d";

/// Send HTTP requests on a schedule, however slow the answers are
///
/// Latency counts from the moment a request was due, so a server that stalls is not spared the
/// requests that its users would have sent meanwhile.
#[derive(Debug, Clone, Args)]
#[command(after_help = EXAMPLES, group = ArgGroup::new("demand").args(["rate", "trace"]))]
pub struct LoadArgs {
    /// Where to send requests; http:// only
    pub url: Url,

    /// Requests per second; with --shape, where the shape is highest. Without it, and without --trace: 100
    #[arg(long, value_name = "N", value_parser = per_second, help_heading = "Demand")]
    pub rate: Option<f64>,

    /// Course of demand over the duration
    #[arg(long, default_value = "steady", conflicts_with = "trace", help_heading = "Demand")]
    pub shape: Shape,

    /// How long to send: 30s unless a trace says otherwise
    #[arg(long, value_name = "TIME", value_parser = length, help_heading = "Demand")]
    pub duration: Option<Duration>,

    /// Replay recorded demand: a CSV file of seconds and requests per second
    #[arg(long, value_name = "FILE", help_heading = "Demand")]
    pub trace: Option<PathBuf>,

    /// How much faster than recorded to replay; rates stay what they are
    #[arg(long, value_name = "FACTOR", default_value = "1x", value_parser = speed, conflicts_with = "rate", requires = "trace", help_heading = "Demand")]
    pub speed: f64,

    /// Scale the replayed part so that its highest rate is this many requests per second
    #[arg(long, value_name = "N", value_parser = per_second, conflicts_with = "rate", requires = "trace", help_heading = "Demand")]
    pub peak: Option<f64>,

    /// Where in the trace to begin, in recorded time
    #[arg(long, value_name = "TIME", value_parser = length, conflicts_with = "rate", requires = "trace", help_heading = "Demand")]
    pub start: Option<Duration>,

    /// How much of the trace to replay, in recorded time
    #[arg(long, value_name = "TIME", value_parser = length, conflicts_with = "rate", requires = "trace", help_heading = "Demand")]
    pub length: Option<Duration>,

    /// How requests are spread around the rate
    #[arg(long, default_value = "poisson", help_heading = "Demand")]
    pub arrivals: Process,

    /// Decides the moments of a Poisson process: the same seed, the same moments
    #[arg(long, value_name = "N", default_value_t = 1, help_heading = "Demand")]
    pub seed: u64,

    /// Request method; POST if there is a body, else GET
    #[arg(long, short = 'X', help_heading = "Request")]
    pub method: Option<Method>,

    /// Header to send; may be repeated
    #[arg(long = "header", short = 'H', value_name = "NAME: VALUE", help_heading = "Request")]
    pub headers: Vec<Header>,

    /// Request body, or @FILE to read it from a file
    #[arg(long, value_name = "TEXT|@FILE", help_heading = "Request")]
    pub body: Option<String>,

    /// Statuses that count as success, instead of all below 400
    #[arg(long, value_name = "STATUS", value_delimiter = ',', value_parser = clap::value_parser!(u16).range(200..1000), help_heading = "Request")]
    pub expect_status: Vec<u16>,

    /// Longest time from when a request is due until it is answered
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = length, help_heading = "Request")]
    pub timeout: Duration,

    /// Connections to keep open; each carries one request at a time
    #[arg(long, value_name = "N", default_value = "64", help_heading = "Connections")]
    pub connections: NonZeroUsize,

    /// Most requests that may wait for a connection
    #[arg(long, value_name = "N", default_value = "100000", help_heading = "Connections")]
    pub queue: NonZeroUsize,

    /// Threads that share the connections
    #[arg(long, value_name = "N", default_value = "1", help_heading = "Connections")]
    pub threads: NonZeroUsize,

    /// Form of the report on standard output
    #[arg(long, default_value = "text")]
    pub format: Format,

    /// Do not show progress on standard error
    #[arg(long, short)]
    pub quiet: bool,
}

/// How the report is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Format {
    #[default]
    Text,
    Json,
}

/// Why arguments that are sound one by one make no plan.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot read {path}")]
    Read { path: PathBuf, source: io::Error },
    #[error("{path} is larger than {most} bytes, the most that is read")]
    Large { path: PathBuf, most: u64 },
    #[error("{path} is no trace")]
    Trace { path: PathBuf, source: trace::Error },
    #[error("the trace has no demand from --start on for --length")]
    EmptySlice,
    #[error("a run of more than a year is not supported; replay less with --length or faster with --speed")]
    TooLong,
}

impl LoadArgs {
    /// Reads the files that are named, and nothing else.
    pub fn plan(&self) -> Result<Plan, Error> {
        let schedule = Schedule { demand: self.demand()?, arrivals: self.arrivals, seed: self.seed };
        Ok(Plan {
            request: self.request()?,
            connections: self.connections,
            threads: self.threads,
            timeout: self.timeout,
            queue: self.queue,
            expect: self.expect_status.clone(),
            ..Plan::new(self.url.clone(), schedule)
        })
    }

    fn demand(&self) -> Result<Demand, Error> {
        let Some(path) = &self.trace else {
            let duration = self.duration.unwrap_or(Duration::from_secs(30));
            return Ok(Demand::Shaped { shape: self.shape, peak: self.rate.unwrap_or(RATE), duration });
        };
        // What is no text is no number either, and is named with its line.
        let text = String::from_utf8_lossy(&read(path, LARGEST)?).into_owned();
        let trace = Trace::parse(&text).map_err(|source| Error::Trace { path: path.clone(), source })?;
        let (from, length) = (self.start.unwrap_or_default(), self.length.unwrap_or(Duration::MAX));
        let part = trace.slice(from, length).ok_or(Error::EmptySlice)?;
        let part = self.peak.map_or_else(|| part.clone(), |peak| part.scaled_to_peak(peak));
        if part.duration().as_secs_f64() / self.speed > LONGEST.as_secs_f64() {
            return Err(Error::TooLong);
        }
        let mut demand = Demand::recorded(Arc::new(part), self.speed);
        if let (Demand::Recorded { duration, .. }, Some(limit)) = (&mut demand, self.duration) {
            *duration = limit.min(*duration);
        }
        Ok(demand)
    }

    fn request(&self) -> Result<Request, Error> {
        let body = match self.body.as_deref().map(|body| (body, body.strip_prefix('@'))) {
            None => Vec::new(),
            Some((_, Some(path))) => read(Path::new(path), LARGEST)?,
            Some((text, None)) => text.into(),
        };
        let usual = if self.body.is_some() { Method::post() } else { Method::get() };
        Ok(Request { method: self.method.clone().unwrap_or(usual), headers: self.headers.clone(), body })
    }
}

/// A file of at most `most` bytes: it may be a device or a pipe without an end.
fn read(path: &Path, most: u64) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|file| file.take(most + 1).read_to_end(&mut bytes));
    read.map_err(|source| Error::Read { path: path.into(), source })?;
    if bytes.len() as u64 > most {
        return Err(Error::Large { path: path.into(), most });
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests;
