//! `tidegate check FILE`: every mistake in a configuration, each with its place.

use std::{
    io::{self, Write},
    path::PathBuf,
};

use tidegate_config::{Diagnostic, Severity};
use tidegate_control::ConfigSource;
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
        let (snapshot, diagnostics) = ConfigSource::File(self.file.clone()).load();
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
        let counts = counts(diagnostics);
        match snapshot {
            Some(snapshot) => writeln!(
                output,
                "{name} is valid: {}, {}, {}; {counts}",
                number(snapshot.routes.len(), "route"),
                number(snapshot.upstreams.len(), "upstream"),
                number(snapshot.fleets.len(), "fleet")
            ),
            None => writeln!(output, "{name} is not valid: {counts}"),
        }
    }
}

/// `1 error, 2 warnings`.
pub(crate) fn counts(diagnostics: &[Diagnostic]) -> String {
    let of = |severity, word| number(diagnostics.iter().filter(|one| one.severity == severity).count(), word);
    format!("{}, {}", of(Severity::Error, "error"), of(Severity::Warning, "warning"))
}

fn number(count: usize, word: &str) -> String {
    format!("{count} {word}{}", if count == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_no_plural() {
        assert_eq!(counts(&[]), "0 errors, 0 warnings");
        let text = "listeners: [{ address: \"127.0.0.1:0\" }]\nroutes: []\nnonsense: 1\n";
        let (_, diagnostics) =
            tidegate_config::parse("f", text, &|_: &std::path::Path| Err(io::Error::other("none")));
        assert_eq!(counts(&diagnostics), "1 error, 0 warnings");
    }
}
