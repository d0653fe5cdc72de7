//! What a proxied request costs: Tidegate beside nginx with its Lua module, doing the same work.
//!
//! Both execute the very same Lua files, add the same forwarding headers and keep their connections to
//! the origin.

mod peers;

use std::{path::PathBuf, process::ExitCode};

use anyhow::Result;
use bench_harness::{Cell, Options, origin::Origin};
use clap::Parser;

/// Compares Tidegate with nginx + lua-nginx-module, side by side.
#[derive(Debug, Parser)]
struct Args {
    #[command(flatten)]
    options: Options,
    #[arg(long, value_delimiter = ',', default_value = "4,64,512")]
    connections: Vec<usize>,
    /// Bytes of an answer's body.
    #[arg(long, value_delimiter = ',', default_value = "0,1024,65536")]
    bodies: Vec<usize>,
    /// Where the figures are written.
    #[arg(long, default_value = "bench/results/proxy.json")]
    output: PathBuf,
}

fn main() -> ExitCode {
    bench_harness::main(run)
}

fn run(args: &Args) -> Result<()> {
    let origin = Origin::start(args.options.load_core, &args.bodies)?;
    let peers = args.options.start(
        |binary| peers::tidegate(binary, origin.addr()),
        |binary| peers::nginx(binary, origin.addr()),
    )?;
    for peer in &peers {
        peers::check(peer.as_ref(), &args.bodies)?;
    }
    let cells = args.connections.iter().flat_map(|&connections| {
        args.bodies.iter().map(move |&body| Cell {
            labels: vec![connections.to_string(), size(body)],
            connections,
            request: request(body),
            body: Some(body),
        })
    });
    args.options.measure(&["connections", "body"], cells.collect(), &peers, &args.output)
}

/// Asks for a body of that many bytes, with as many headers as a browser's request has.
fn request(body: usize) -> Vec<u8> {
    format!(
        "GET /{body} HTTP/1.1\r\nHost: bench.test\r\nUser-Agent: bench\r\nAccept: */*\r\nX-Tenant: acme\r\n\r\n"
    )
    .into_bytes()
}

fn size(bytes: usize) -> String {
    if bytes >= 1_024 && bytes.is_multiple_of(1_024) {
        format!("{} KiB", bytes / 1_024)
    } else {
        format!("{bytes} B")
    }
}
