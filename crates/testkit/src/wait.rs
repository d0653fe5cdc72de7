//! Waiting for what will be, and for what may not be installed.

use std::{
    env,
    io::{self, Write as _},
    path::PathBuf,
    thread,
    time::{Duration, Instant},
};

const POLL: Duration = Duration::from_millis(10);

/// How many times slower than the machine that deadlines were set on another may be, with others at work on it.
const SLOWER: u32 = 6;

/// Polls `condition` until it holds. Panics with `what` when it does not within `deadline`, on a machine that is as fast as it
/// should be; a slow one has several times as long.
pub fn eventually(deadline: Duration, what: &str, mut condition: impl FnMut() -> bool) {
    let end = Instant::now() + deadline * SLOWER;
    loop {
        // Read before the condition, so that it is always tried once after the deadline.
        let late = Instant::now() >= end;
        if condition() {
            return;
        }
        assert!(!late, "not within {SLOWER} times {deadline:?}: {what}");
        thread::sleep(POLL);
    }
}

/// Where a program that a test needs is installed.
///
/// When it is not, the test is to return: a message on standard error says so, past the capture of
/// test output. With `CI=true` a missing program is a failure instead, so that no check is ever
/// skipped where it counts.
pub fn component(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    // Debian keeps servers where only root's PATH looks.
    let places =
        env::split_paths(&path).chain([PathBuf::from("/usr/sbin"), PathBuf::from("/usr/local/sbin")]);
    let found = places.map(|place| place.join(name)).find(|file| file.is_file());
    if found.is_none() {
        let missing = format!("{name} is not installed; scripts/install-test-deps installs it");
        assert!(env::var_os("CI").is_none_or(|ci| ci != "true"), "{missing}");
        // Not `eprintln!`, which the test harness keeps to itself.
        let _ = writeln!(io::stderr(), "SKIPPED: {missing}");
    }
    found
}
