//! Threads that give way to others.
//!
//! A low priority alone is not enough: on current kernels a thread that runs keeps its processor for a slice of some
//! milliseconds before one that wakes up gets it, whatever their priorities. But who wakes up and wants a shorter slice than
//! who runs gets it at once. So such a thread asks for a longer slice than anybody has by default, and a thread that has to act
//! soon, for a short time, for the shortest; kernels before 6.12 ignore both.
//!
//! Not `SCHED_IDLE`: a thread that is not privileged does not get out of that again, and it gets next to nothing where
//! there is not enough processor for all.

use std::io;

/// The lowest priority, as `nice` counts it.
const NICENESS: i32 = 19;

/// What a thread runs for at a time, in nanoseconds: the least that the kernel takes, and more than its default, which is below
/// 4 ms. Not the most: who has used more than its share, and wakes up, may have to wait for the end of it.
const SHORTEST_NS: u64 = 100_000;
const LONG_NS: u64 = 10_000_000;

/// From now on this thread, and threads that it starts, take what others leave.
pub fn give_way() -> io::Result<()> {
    let attributes = libc::sched_attr { sched_nice: NICENESS, sched_runtime: LONG_NS, ..usual() };
    set(0, &attributes)
}

/// From now on this thread, which never runs for long, gets the processor as soon as it wakes up, at its priority.
pub(crate) fn come_first() -> io::Result<()> {
    set(0, &libc::sched_attr { sched_runtime: SHORTEST_NS, ..of(0)? })
}

/// From now on this thread lets others of its priority have the processor as they wake up.
pub(crate) fn come_last() -> io::Result<()> {
    set(0, &libc::sched_attr { sched_runtime: LONG_NS, ..of(0)? })
}

/// A thread of this process that goes on for longer than it should: until this is dropped it lets others have the
/// processor as they wake up, on Linux 6.12 and later. Its priority stays as it is, for a thread that is not privileged could
/// not raise that again.
#[derive(Debug)]
pub struct Yielding {
    thread: libc::pid_t,
    before: libc::sched_attr,
}

impl Yielding {
    /// The thread that calls. `None`: that is refused, or not known to the kernel, or it yields already, to somebody who may end that
    /// before this would.
    pub fn here() -> Option<Self> {
        Self::new(0)
    }

    /// `None` as there.
    pub(crate) fn new(thread: libc::pid_t) -> Option<Self> {
        let before = of(thread).ok()?;
        let is_usual =
            before.sched_policy == libc::SCHED_OTHER.unsigned_abs() && before.sched_runtime < LONG_NS;
        let attributes = libc::sched_attr { sched_runtime: LONG_NS, ..before };
        (is_usual && set(thread, &attributes).is_ok()).then_some(Self { thread, before })
    }
}

impl Drop for Yielding {
    fn drop(&mut self) {
        let _ = set(self.thread, &self.before); // What was allowed before is allowed again.
    }
}

const fn usual() -> libc::sched_attr {
    libc::sched_attr {
        size: size_of::<libc::sched_attr>() as u32,
        sched_policy: libc::SCHED_OTHER.unsigned_abs(),
        sched_flags: 0,
        sched_nice: 0,
        sched_priority: 0,
        sched_runtime: 0,
        sched_deadline: 0,
        sched_period: 0,
    }
}

/// 0 is the thread that calls.
fn set(thread: libc::pid_t, attributes: &libc::sched_attr) -> io::Result<()> {
    // SAFETY: it reads as many bytes as the structure says it has.
    let outcome = unsafe { libc::syscall(libc::SYS_sched_setattr, thread, &raw const *attributes, 0) };
    if outcome == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

fn of(thread: libc::pid_t) -> io::Result<libc::sched_attr> {
    let mut attributes = usual();
    let size = attributes.size;
    // SAFETY: it writes to as many bytes as it is told there are.
    let outcome = unsafe { libc::syscall(libc::SYS_sched_getattr, thread, &raw mut attributes, size, 0) };
    if outcome == 0 { Ok(attributes) } else { Err(io::Error::last_os_error()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_yields_is_as_before_when_it_is_over() {
        // SAFETY: it has no precondition.
        let thread = unsafe { libc::gettid() };
        let before = of(thread).unwrap();
        let yielding = Yielding::new(thread).expect("it is a usual thread");
        let meanwhile = of(thread).unwrap();
        // Who ended it last would else leave the thread as it was in between.
        assert!(before.sched_runtime == 0 || Yielding::here().is_none());
        drop(yielding);
        let after = of(thread).unwrap();
        assert_eq!((meanwhile.sched_nice, meanwhile.sched_policy), (before.sched_nice, before.sched_policy));
        assert_eq!((after.sched_nice, after.sched_runtime), (before.sched_nice, before.sched_runtime));
        // Kernels before 6.12 say nothing of slices.
        assert!(before.sched_runtime == 0 || meanwhile.sched_runtime == LONG_NS);
    }

    #[test]
    fn who_comes_first_has_the_priority_that_it_had() {
        let (before, after) = std::thread::spawn(|| {
            let before = of(0).unwrap();
            come_first().expect("it is a usual thread");
            (before, of(0).unwrap())
        })
        .join()
        .unwrap();
        assert_eq!((after.sched_nice, after.sched_policy), (before.sched_nice, before.sched_policy));
        assert!(before.sched_runtime == 0 || after.sched_runtime == SHORTEST_NS);
    }

    #[test]
    fn it_is_the_threads_own_priority_and_that_of_threads_it_starts() {
        // `nice 0` changes nothing and says what it is.
        let own = || rustix::process::nice(0).unwrap();
        let before = own();
        let (there, below) = std::thread::spawn(move || {
            give_way().unwrap();
            (own(), std::thread::spawn(own).join().unwrap())
        })
        .join()
        .unwrap();
        assert_eq!((there, below, own()), (NICENESS, NICENESS, before));
    }
}
