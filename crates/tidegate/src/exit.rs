//! Exit codes: 0 done, 1 the input is at fault, 2 usage, 3 the environment is at fault.

use std::{
    io::{self, Write},
    process::ExitCode,
};

use crate::script::place;

/// Why a command did not do what it was asked to.
#[derive(Debug)]
pub(crate) enum Failure {
    /// What was given to it is wrong. An empty message means that all has been said already.
    Input(anyhow::Error),
    /// The command line is wrong in a way that only the command itself can see.
    Usage(anyhow::Error),
    /// What it needs is not there: a port, a file, a server.
    Environment(anyhow::Error),
    /// It has reported by itself and leaves with this code.
    Reported(u8),
}

impl Failure {
    pub(crate) fn input(error: impl Into<anyhow::Error>) -> Self {
        Self::Input(error.into())
    }

    pub(crate) fn environment(error: impl Into<anyhow::Error>) -> Self {
        Self::Environment(error.into())
    }
}

/// Prints a failure once, and says what to exit with.
pub(crate) fn code(outcome: Result<(), Failure>) -> ExitCode {
    let (error, code) = match outcome {
        Ok(()) => return ExitCode::SUCCESS,
        Err(Failure::Reported(code)) => return ExitCode::from(code),
        Err(Failure::Input(error)) => (error, 1),
        Err(Failure::Usage(error)) => (error, 2),
        Err(Failure::Environment(error)) => (error, 3),
    };
    if has_seen_enough(&error) {
        return ExitCode::SUCCESS;
    }
    // With standard error closed there is nobody left to tell.
    let _ = writeln!(io::stderr().lock(), "tidegate: {}", told(&error));
    ExitCode::from(code)
}

/// What went wrong; of `lua.init` all that helps to mend it.
fn told(error: &anyhow::Error) -> String {
    let init = error.chain().find_map(|cause| match cause.downcast_ref() {
        Some(tidegate_lua::Error::Init(error)) => Some(error),
        _ => None,
    });
    match init {
        Some(error) => {
            format!("lua.init fails: {}\n{}", place::with_file(error.message()), error.traceback())
        }
        None => format!("{error:#}"),
    }
}

/// Whether nobody reads on what is printed, as behind `| head`. What could not be sent elsewhere says where.
fn has_seen_enough(error: &anyhow::Error) -> bool {
    let closed = |error: &io::Error| error.kind() == io::ErrorKind::BrokenPipe;
    error.chain().count() == 1 && error.downcast_ref().is_some_and(closed)
}
