//! Chores of this repository that need more than a shell.
//!
//! `cargo xtask tidy` checks what neither the compiler nor clippy can: which crate may know which,
//! that the lower floors stay pure, and that files and functions stay small. It also runs as a test.
//!
//! `cargo xtask ngx-suite` runs the tests of others, converted, against the gateway; `cargo xtask lua-libraries` puts
//! Lua libraries of others to work in it.

mod lua_libraries;
mod ngx_suite;
mod source;
mod tidy;

use std::{path::Path, process::ExitCode};

use anyhow::{Context as _, Result};
use clap::{Parser, Subcommand};

use crate::{lua_libraries::LuaLibraries, ngx_suite::NgxSuite};

/// Chores of this repository.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    chore: Chore,
}

#[derive(Debug, Subcommand)]
enum Chore {
    /// Check what neither the compiler nor clippy can.
    Tidy,
    NgxSuite(Box<NgxSuite>),
    LuaLibraries(LuaLibraries),
}

fn main() -> ExitCode {
    match run(&Cli::parse().chore) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::from(2)
        }
    }
}

fn run(chore: &Chore) -> Result<bool> {
    match chore {
        Chore::Tidy => {
            let findings = tidy::check(repository()?)?;
            for finding in &findings {
                eprintln!("{finding}");
            }
            Ok(findings.is_empty())
        }
        Chore::NgxSuite(suite) => suite.run(repository()?),
        Chore::LuaLibraries(libraries) => libraries.run(repository()?),
    }
}

fn repository() -> Result<&'static Path> {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).context("this crate lies in crates/")
}
