//! The shim that starts a command: binds itself to the parent, then becomes the command.
//!
//! The tie survives `exec`, unless the command gains privileges by it (set-user-id): the kernel then
//! cuts it. The parent's process id travels in [`PARENT_VARIABLE`], so that the command line shows
//! nothing but the command.

use std::{
    ffi::{OsStr, OsString},
    io,
    os::unix::process::CommandExt,
    path::Path,
    process::Command,
};

use super::{Orphaned, bind_to_parent};

/// The environment variable with the parent's process id. The command does not see it.
pub const PARENT_VARIABLE: &str = "TIDEGATE_PARENT";

/// Why a command was not started.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("a command to execute is missing")]
    Nothing,
    #[error(
        "{PARENT_VARIABLE} does not name a process; `instance --exec` is started by the control plane only"
    )]
    NoParent,
    #[error(transparent)]
    Orphaned(#[from] Orphaned),
    #[error("cannot execute {program:?}{}", place(program))]
    Execute { program: OsString, source: io::Error },
}

/// Where a program is looked for whose path is relative.
fn place(program: &OsStr) -> String {
    let is_relative = program.to_string_lossy().contains('/') && Path::new(program).is_relative();
    let folder = std::env::current_dir().ok().filter(|_| is_relative);
    folder.map_or_else(String::new, |folder| format!(" from {}", folder.display()))
}

/// Replaces this process by `command`, a program and its arguments. Returns only what went wrong.
pub fn exec(command: &[OsString]) -> Error {
    let Some((program, arguments)) = command.split_first() else {
        return Error::Nothing;
    };
    let parent = std::env::var(PARENT_VARIABLE).ok().and_then(|text| text.parse().ok());
    let Some(parent) = parent else {
        return Error::NoParent;
    };
    if let Err(orphaned) = bind_to_parent(parent) {
        return orphaned.into();
    }
    let source = Command::new(program).args(arguments).env_remove(PARENT_VARIABLE).exec();
    Error::Execute { program: program.clone(), source }
}
