//! The `tidegate` program: see [`cli`] for what it can do.

mod advise;
mod api;
mod chaos;
mod check;
mod cli;
mod cost;
mod demo;
mod exit;
mod explain;
mod file;
mod flame;
mod forecast;
mod gateway;
mod instance;
mod load;
mod logging;
mod replay;
mod schema;
mod screen;
mod script;
mod simulate;
mod span;
mod top;
mod up;
mod workers;

use std::process::ExitCode;

use clap::Parser;
use tidegate_lua::{Allocator, grow_in_small_pages};

/// Lua's garbage and what a request needs are small and short-lived, which costs less here than in C's own allocator.
#[global_allocator]
static ALLOCATOR: Allocator = Allocator;

fn main() -> ExitCode {
    // Without that, pages are what they are.
    grow_in_small_pages(&std::fs::read_to_string("/proc/self/maps").unwrap_or_default());
    let outcome = cli::Cli::parse().run();
    logging::finish();
    exit::code(outcome)
}
