//! Ties the life of this process to that of its parent.

use std::io;

use rustix::process::{Signal, getppid, set_parent_process_death_signal};

/// Why a process could not be tied to its parent.
#[derive(Debug, thiserror::Error)]
pub enum Orphaned {
    #[error("the parent, process {0}, is gone")]
    Gone(u32),
    #[error("the kernel refused to watch the parent")]
    Refused(#[source] io::Error),
}

/// From now on the kernel kills this process when the thread that started it ends. Fails if process
/// `parent` is no longer the parent; leave at once then.
pub fn bind_to_parent(parent: u32) -> Result<(), Orphaned> {
    set_parent_process_death_signal(Some(Signal::KILL)).map_err(|error| Orphaned::Refused(error.into()))?;
    // Looked up after the signal is armed: a parent that died before is seen here, one that dies
    // later sends the signal.
    let found = getppid().map_or(0, |pid| pid.as_raw_pid().unsigned_abs());
    if found == parent { Ok(()) } else { Err(Orphaned::Gone(parent)) }
}
