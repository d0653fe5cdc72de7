//! `tidegate check FILE`: every mistake in a configuration, each with its place.

use std::{
    fs,
    io::{self, Write},
    path::PathBuf,
};

use anyhow::Context;
use tidegate_config::{Diagnostic, Severity};
use tidegate_core::Snapshot;

use crate::{cli::Format, exit::Failure};

#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  tidegate check tidegate.yaml --format json")]
pub(crate) struct Check {
    /// The configuration.
    #[arg(default_value = "tidegate.yaml")]
    file: PathBuf,
    /// How to print what was found.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

impl Check {
    pub(crate) fn run(&self) -> Result<(), Failure> {
        let name = self.file.display().to_string();
        let text = fs::read_to_string(&self.file)
            .with_context(|| format!("cannot read {name}"))
            .map_err(Failure::Environment)?;
        let (snapshot, diagnostics) = parse(&name, &text);
        self.print(&name, snapshot.as_ref(), &diagnostics).map_err(Failure::environment)?;
        if snapshot.is_some() { Ok(()) } else { Err(Failure::Reported(1)) }
    }

    fn print(&self, name: &str, snapshot: Option<&Snapshot>, diagnostics: &[Diagnostic]) -> io::Result<()> {
        let mut output = io::stdout().lock();
        if self.format == Format::Json {
            return writeln!(output, "{}", serde_json::json!({"diagnostics": diagnostics}));
        }
        for diagnostic in diagnostics {
            writeln!(output, "{diagnostic}\n")?;
        }
        let of = |severity| diagnostics.iter().filter(|one| one.severity == severity).count();
        let counts = format!("{} errors, {} warnings", of(Severity::Error), of(Severity::Warning));
        match snapshot {
            Some(snapshot) => writeln!(
                output,
                "{name} is valid: {} routes, {} upstreams, {} fleets; {counts}",
                snapshot.routes.len(),
                snapshot.upstreams.len(),
                snapshot.fleets.len()
            ),
            None => writeln!(output, "{name} is not valid: {counts}"),
        }
    }
}

/// Parses a configuration, Lua included.
pub(crate) fn parse(name: &str, text: &str) -> (Option<Snapshot>, Vec<Diagnostic>) {
    tidegate_config::parse(name, text, &|path| fs::read_to_string(path))
}
