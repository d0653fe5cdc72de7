//! What a proxied request costs: Tidegate beside nginx with its Lua module, doing the same work.
//!
//! Both proxies run one worker on one core; load and origin share another. For every number of
//! connections and size of body, rounds go A B A B, so that a slow minute of the machine meets both.
//! A round loads one proxy in a closed loop over keep-alive connections and reads the processor time
//! that the proxy's processes used meanwhile. Reported are medians over the rounds; the ratio is the
//! median of the ratios within each round.
//!
//! Not here: how a proxy behaves under more than it can serve, which needs an open loop.

mod cores;
mod load;
mod matrix;
mod origin;
mod peer;
mod poll;
mod report;
mod usage;

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use clap::Parser;
use tidegate_testkit::component;

use crate::{
    matrix::Matrix,
    origin::Origin,
    peer::{Nginx, Peer, gateway},
};

/// Compares Tidegate with nginx + lua-nginx-module, side by side.
#[derive(Debug, Parser)]
struct Args {
    /// Rounds of each cell; medians are reported.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Measured seconds of each round, after half as many to warm up.
    #[arg(long, default_value_t = 2.0)]
    seconds: f64,
    #[arg(long, value_delimiter = ',', default_value = "4,64,512")]
    connections: Vec<usize>,
    /// Bytes of an answer's body.
    #[arg(long, value_delimiter = ',', default_value = "0,1024,65536")]
    bodies: Vec<usize>,
    /// The binary to measure. Default: this workspace's, built first.
    #[arg(long)]
    tidegate: Option<PathBuf>,
    /// Which of `tidegate` and `nginx` to measure.
    #[arg(long, value_delimiter = ',', default_value = "tidegate,nginx")]
    peers: Vec<String>,
    /// Core of the proxies.
    #[arg(long, default_value_t = 0)]
    proxy_core: usize,
    /// Core of load and origin.
    #[arg(long, default_value_t = 1)]
    load_core: usize,
    /// Where the figures are written.
    #[arg(long, default_value = "bench/results/proxy.json")]
    output: PathBuf,
}

fn main() -> ExitCode {
    match run(&Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args) -> Result<()> {
    ensure!(args.rounds > 0 && args.seconds > 0.0, "nothing to measure");
    let origin = Origin::start(args.load_core, &args.bodies)?;
    let peers = start_peers(args, &origin)?;
    let matrix = Matrix {
        rounds: args.rounds,
        measured: Duration::from_secs_f64(args.seconds),
        connections: args.connections.clone(),
        bodies: args.bodies.clone(),
        load_core: args.load_core,
    };
    let cells = matrix.run(&peers)?;
    let report = report::Report::new(args.rounds, args.seconds, &peers, cells);
    eprintln!("\n{}", report.table());
    write(&args.output, &report.json()?)
}

fn start_peers(args: &Args, origin: &Origin) -> Result<Vec<Box<dyn Peer>>> {
    let mut peers: Vec<Box<dyn Peer>> = Vec::new();
    for name in &args.peers {
        let peer: Box<dyn Peer> = match name.as_str() {
            "tidegate" => {
                let binary = args.tidegate.clone().map_or_else(build, Ok)?;
                Box::new(cores::pinned(args.proxy_core, || gateway::start(&binary, origin.addr()))?)
            }
            "nginx" => {
                let binary = component("nginx").context("scripts/install-test-deps installs nginx")?;
                Box::new(cores::pinned(args.proxy_core, || Nginx::start(&binary, origin.addr()))??)
            }
            other => anyhow::bail!("{other:?} is neither tidegate nor nginx"),
        };
        peer::check(peer.as_ref(), &args.bodies)?;
        peers.push(peer);
    }
    Ok(peers)
}

/// Builds the binary as a user would, and names it.
fn build() -> Result<PathBuf> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status = Command::new(cargo).args(["build", "--release", "--package", "tidegate"]).status()?;
    ensure!(status.success(), "tidegate cannot be built");
    // Both lie in the release directory of the same target directory.
    let own = std::env::current_exe()?;
    let target = own.ancestors().nth(2).context("the benchmark lies in a target directory")?;
    Ok(target.join("release/tidegate"))
}

fn write(path: &Path, text: &str) -> Result<()> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    fs::write(path, text).with_context(|| path.display().to_string())?;
    eprintln!("figures: {}", path.display());
    Ok(())
}
