//! What every benchmark lets its user choose, and the run from there to the figures.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context as _, Result, bail, ensure};
use clap::Args;
use tidegate_testkit::component;

use crate::{
    cores,
    peer::Peer,
    report::Report,
    rounds::{Cell, Rounds},
};

#[derive(Debug, Args)]
pub struct Options {
    /// Rounds of each cell; medians are reported.
    #[arg(long, default_value_t = 3)]
    pub rounds: usize,
    /// Measured seconds of each round, after half as many to warm up.
    #[arg(long, default_value_t = 2.0)]
    pub seconds: f64,
    /// The binary to measure. Default: this workspace's, built first.
    #[arg(long)]
    pub tidegate: Option<PathBuf>,
    /// Which of `tidegate` and `nginx` to measure.
    #[arg(long, value_delimiter = ',', default_value = "tidegate,nginx")]
    pub peers: Vec<String>,
    /// Core of the peers.
    #[arg(long, default_value_t = 0)]
    pub proxy_core: usize,
    /// Core of load and origin.
    #[arg(long, default_value_t = 1)]
    pub load_core: usize,
}

impl Options {
    /// Starts the peers that were asked for, each by its function, on their core.
    pub fn start(
        &self,
        tidegate: impl Fn(&Path) -> Result<Box<dyn Peer>>,
        nginx: impl Fn(&Path) -> Result<Box<dyn Peer>>,
    ) -> Result<Vec<Box<dyn Peer>>> {
        ensure!(self.rounds > 0 && self.seconds > 0.0, "nothing to measure");
        let start = |name: &String| match name.as_str() {
            "tidegate" => {
                let binary = binary(self.tidegate.as_deref())?;
                cores::pinned(self.proxy_core, || tidegate(&binary))?
            }
            "nginx" => {
                let binary = component("nginx").context("scripts/install-test-deps installs nginx")?;
                cores::pinned(self.proxy_core, || nginx(&binary))?
            }
            other => bail!("{other:?} is neither tidegate nor nginx"),
        };
        self.peers.iter().map(start).collect()
    }

    /// Measures all cells, prints the table to standard error, and writes the figures to `output`. `columns` name
    /// the labels of the cells.
    pub fn measure(
        &self,
        columns: &[&'static str],
        cells: Vec<Cell>,
        peers: &[Box<dyn Peer>],
        output: &Path,
    ) -> Result<()> {
        let rounds = Rounds {
            count: self.rounds,
            measured: Duration::from_secs_f64(self.seconds),
            load_core: self.load_core,
        };
        let found = rounds.run(cells, peers)?;
        let report = Report::new(columns, self.rounds, self.seconds, peers, found);
        eprintln!("\n{}", report.table());
        if let Some(parent) = output.parent() {
            fs::create_dir_all(parent)?;
        }
        fs::write(output, report.json()?).with_context(|| output.display().to_string())?;
        eprintln!("figures: {}", output.display());
        Ok(())
    }
}

/// The binary to measure: the one that was asked for, or this workspace's, built as a user would.
pub fn binary(given: Option<&Path>) -> Result<PathBuf> {
    if let Some(given) = given {
        // What is measured may run in a directory of its own.
        return given.canonicalize().with_context(|| given.display().to_string());
    }
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status = Command::new(cargo).args(["build", "--release", "--package", "tidegate"]).status()?;
    ensure!(status.success(), "tidegate cannot be built");
    // Both lie in the release directory of the same target directory.
    let own = std::env::current_exe()?;
    let target = own.ancestors().nth(2).context("the benchmark lies in a target directory")?;
    Ok(target.join("release/tidegate"))
}
