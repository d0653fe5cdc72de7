//! Runs Tidegate and nginx side by side and measures what each request costs them.
//!
//! Both serve from one worker on one core; load and origin share another. For every [`Cell`], rounds go
//! A B A B, so that a slow minute of the machine meets both. A round loads one peer in a closed loop over
//! keep-alive connections and reads the processor time that the peer's processes used meanwhile.
//! Reported are medians over the rounds; the ratio is the median of the ratios within each round.
//!
//! Not here: how a server behaves under more than it can serve, which needs an open loop.

use std::process::ExitCode;

use clap::Parser;

mod cores;
mod load;
mod options;
pub mod origin;
pub mod peer;
mod poll;
mod report;
mod rounds;
mod usage;

pub use cores::pinned;
pub use options::{Options, binary};
pub use rounds::Cell;

/// A benchmark from its arguments to its exit code.
pub fn main<Args: Parser>(run: impl FnOnce(&Args) -> anyhow::Result<()>) -> ExitCode {
    match run(&Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}
