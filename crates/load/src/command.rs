//! `tidegate load`: arguments in, report on standard output, progress on standard error.

use std::io::{self, IsTerminal, Write};

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::{
    args::{self, Format, LoadArgs},
    progress::Progress,
    run::{self, run},
    view::{Style, View},
};

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Args(#[from] args::Error),
    #[error(transparent)]
    Run(#[from] run::Error),
    #[error("cannot write the report")]
    Write(#[from] io::Error),
}

impl Error {
    /// What the process should exit with: 1 if the input is at fault, 3 if the environment is.
    pub const fn exit_code(&self) -> u8 {
        match self {
            Self::Args(
                args::Error::Large { .. }
                | args::Error::Trace { .. }
                | args::Error::EmptySlice
                | args::Error::TooLong,
            ) => 1,
            Self::Args(args::Error::Read { .. }) | Self::Run(_) | Self::Write(_) => 3,
        }
    }
}

/// Runs the load and prints its report. Cancelling `stop` ends it early, with a report.
pub async fn execute(args: &LoadArgs, stop: CancellationToken) -> Result<(), Error> {
    let plan = args.plan()?;
    let (sender, receiver) = watch::channel(Progress::default());
    let style = if io::stderr().is_terminal() { Style::Block } else { Style::Lines };
    let show = async {
        if !args.quiet {
            // A progress view that cannot be written is no reason to give up the run.
            let _ = View::new(style, io::stderr()).follow(receiver).await;
        }
    };
    let (report, ()) = tokio::join!(run(plan, sender, stop), show);
    let report = report?;
    let mut output = io::stdout().lock();
    match args.format {
        Format::Text => write!(output, "{report}")?,
        Format::Json => {
            serde_json::to_writer(&mut output, &report).map_err(io::Error::from)?;
            writeln!(output)?;
        }
    }
    Ok(output.flush()?)
}
