//! The gateway's side of its keeper: see [`keep`](crate::instance::keep).

use std::{
    collections::BTreeSet,
    io::{self, Write as _},
    os::unix::process::CommandExt as _,
    path::PathBuf,
    process::{Child, ChildStdin, Command, Stdio},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use crate::{clock::Moment, instance::keep::MARK_VARIABLE};

/// How many there have been in this process.
static KEEPERS: AtomicU64 = AtomicU64::new(0);

/// Tells the keeper which process groups there are. A keeper that died is replaced when something is next told.
#[derive(Debug, Clone)]
pub(super) struct Keeper(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    program: PathBuf,
    mark: String,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    groups: BTreeSet<u32>,
    /// `None`: none was needed so far, or the last one is gone.
    running: Option<(Child, ChildStdin)>,
}

impl Keeper {
    pub(super) fn new(program: PathBuf) -> Self {
        // The number, because two gateways of one process may begin within a microsecond, and whoever ended first would take
        // the other's instances with it.
        let number = KEEPERS.fetch_add(1, Relaxed);
        let mark = format!("{}-{:x}-{number}", std::process::id(), Moment::now().time.as_micros());
        Self(Arc::new(Inner { program, mark, state: Mutex::default() }))
    }

    /// What an instance's environment has to hold, so that the keeper knows what it started.
    pub(super) fn mark(&self) -> (&'static str, &str) {
        (MARK_VARIABLE, &self.0.mark)
    }

    /// The group is there from now on.
    pub(super) fn add(&self, group: u32) {
        let mut state = self.0.lock();
        state.groups.insert(group);
        self.0.tell(&mut state, &format!("+{group}\n"));
    }

    /// The group is gone, and its number may soon be another's.
    pub(super) fn remove(&self, group: u32) {
        let mut state = self.0.lock();
        state.groups.remove(&group);
        self.0.tell(&mut state, &format!("-{group}\n"));
    }
}

impl Inner {
    fn tell(&self, state: &mut State, line: &str) {
        if let Some((_, input)) = &mut state.running
            && input.write_all(line.as_bytes()).is_ok()
        {
            return;
        }
        if let Some((mut child, _)) = state.running.take() {
            tracing::warn!(pid = child.id(), "the keeper of instances has ended; another takes its place");
            // It no longer reads, so it has ended or is about to.
            _ = child.kill().and_then(|()| child.wait());
        }
        match self.begin(&state.groups) {
            Ok(running) => state.running = Some(running),
            Err(error) => {
                tracing::warn!(%error, "what instances start may outlive the gateway: their keeper cannot be started");
            }
        }
    }

    fn begin(&self, groups: &BTreeSet<u32>) -> io::Result<(Child, ChildStdin)> {
        let mut command = Command::new(&self.program);
        command.args(["instance", "--keep"]).env(MARK_VARIABLE, &self.mark);
        // In a group of its own, so that an interrupt from a terminal does not reach it.
        command.process_group(0).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut child = command.spawn()?;
        let mut input = child.stdin.take().ok_or_else(|| io::Error::other("it has no standard input"))?;
        for group in groups {
            writeln!(input, "+{group}")?;
        }
        Ok((child, input))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing panics while it is held.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        let state = self.state.get_mut().unwrap_or_else(PoisonError::into_inner);
        if let Some((mut child, input)) = state.running.take() {
            drop(input);
            // It ends within a second: looking for what is left is all that it does now.
            _ = child.wait();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_keepers_of_a_process_share_a_mark() {
        let mark = |_| Keeper::new(PathBuf::new()).mark().1.to_owned();
        let marks: BTreeSet<String> = (0..1_000).map(mark).collect();
        assert_eq!(marks.len(), 1_000);
    }
}
