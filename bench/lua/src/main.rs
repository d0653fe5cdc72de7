//! What a Lua handler costs: ten of them in Tidegate beside the very same in nginx with its Lua module.

mod handlers;
mod peers;
mod redis;

use std::{path::PathBuf, process::ExitCode};

use anyhow::Result;
use bench_harness::{Cell, Options, origin::Origin};
use clap::Parser;

use crate::{handlers::HANDLERS, redis::Redis};

/// Compares the cost of Lua handlers in Tidegate and in nginx + lua-nginx-module, side by side.
#[derive(Debug, Parser)]
struct Args {
    #[command(flatten)]
    options: Options,
    #[arg(long, default_value_t = 64)]
    connections: usize,
    /// Measure only the handlers whose names contain this.
    #[arg(long, default_value = "")]
    only: String,
    /// Where the figures are written.
    #[arg(long, default_value = "bench/results/lua.json")]
    output: PathBuf,
}

fn main() -> ExitCode {
    bench_harness::main(run)
}

fn run(args: &Args) -> Result<()> {
    let origin = Origin::start(args.options.load_core, &[handlers::FILTERED])?;
    let redis = Redis::start(args.options.load_core)?;
    let files = peers::files(redis.port());
    let peers = args.options.start(
        |binary| peers::tidegate(binary, &files, origin.addr()),
        |binary| peers::nginx(binary, &files, origin.addr()),
    )?;
    let chosen = || HANDLERS.iter().filter(|handler| handler.name.contains(&args.only));
    for handler in chosen() {
        handler.check(&peers)?;
    }
    let cells = chosen().map(|handler| Cell {
        labels: vec![handler.name.to_owned()],
        connections: args.connections,
        request: handler.request(),
        body: None,
    });
    args.options.measure(&["handler"], cells.collect(), &peers, &args.output)
}
