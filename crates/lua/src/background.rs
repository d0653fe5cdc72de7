//! A thread that gives way to the others of its process.
//!
//! A low priority alone is not enough: on current kernels a thread that runs keeps its processor for a slice of some
//! milliseconds before one that wakes up gets it, whatever their priorities. So such a thread also asks for the shortest slice
//! there is; kernels before 6.12 ignore that.
//!
//! Not `SCHED_IDLE`: a thread that is not privileged does not get out of that again, and it gets next to nothing where
//! there is not enough processor for all.

use std::io;

/// The lowest priority, as `nice` counts it.
const NICENESS: i32 = 19;

/// What it runs for at a time, in nanoseconds, where somebody else wants to: the least that the kernel takes.
const SLICE_NS: u64 = 100_000;

/// From now on this thread, and threads that it starts, take what others leave.
pub fn give_way() -> io::Result<()> {
    let attributes = libc::sched_attr {
        size: size_of::<libc::sched_attr>() as u32,
        sched_policy: libc::SCHED_OTHER.unsigned_abs(),
        sched_flags: 0,
        sched_nice: NICENESS,
        sched_priority: 0,
        sched_runtime: SLICE_NS,
        sched_deadline: 0,
        sched_period: 0,
    };
    // SAFETY: it reads as many bytes as the structure says it has; 0 is the thread that calls.
    let outcome = unsafe { libc::syscall(libc::SYS_sched_setattr, 0, &raw const attributes, 0) };
    if outcome == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

#[cfg(test)]
mod tests {
    use super::*;

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
