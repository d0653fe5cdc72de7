//! Chores of this repository that need more than a shell.
//!
//! `cargo xtask tidy` checks what neither the compiler nor clippy can: which crate may know which,
//! that the lower floors stay pure, and that files and functions stay small. It also runs as a test.

mod source;
mod tidy;

use std::{env, path::Path, process::ExitCode};

use anyhow::{Context as _, Result, bail};

const USAGE: &str = "usage: cargo xtask tidy";

fn main() -> ExitCode {
    match run() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::from(2)
        }
    }
}

fn run() -> Result<bool> {
    let args: Vec<String> = env::args().skip(1).collect();
    let ["tidy"] = args.iter().map(String::as_str).collect::<Vec<_>>()[..] else { bail!(USAGE) };
    let findings = tidy::check(repository()?)?;
    for finding in &findings {
        eprintln!("{finding}");
    }
    Ok(findings.is_empty())
}

fn repository() -> Result<&'static Path> {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).context("this crate lies in crates/")
}
