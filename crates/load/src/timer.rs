//! Waiting until a moment, to a few microseconds.
//!
//! The runtime's own timers tick in milliseconds, which would add up to one to every latency that is
//! measured from the moment a request was due. Linux offers a timer as a file descriptor that the
//! runtime can watch like a socket; elsewhere the coarse timer has to do.

use std::{io, time::Instant};

#[cfg(target_os = "linux")]
pub(crate) use self::precise::Timer;

#[cfg(target_os = "linux")]
mod precise {
    use std::os::fd::OwnedFd;

    use rustix::time::{
        Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
        timerfd_settime,
    };
    use tokio::io::{Interest, unix::AsyncFd};

    use super::{Instant, io};

    /// A `timerfd`.
    #[derive(Debug)]
    pub(crate) struct Timer(AsyncFd<OwnedFd>);

    impl Timer {
        /// Must be called within the runtime that will wait.
        #[expect(
            deprecated,
            reason = "the successor is unsafe because of types that misreport their descriptor; \
                      `OwnedFd` does not, and unsafe code is the Lua host's alone"
        )]
        pub(crate) fn new() -> io::Result<Self> {
            let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
            let timer = timerfd_create(TimerfdClockId::Monotonic, flags)?;
            AsyncFd::with_interest(timer, Interest::READABLE).map(Self)
        }

        pub(crate) async fn wait_until(&mut self, moment: Instant) -> io::Result<()> {
            loop {
                let left = moment.saturating_duration_since(Instant::now());
                if left.is_zero() {
                    return Ok(());
                }
                let none = Timespec { tv_sec: 0, tv_nsec: 0 };
                let value = Timespec::try_from(left).map_err(io::Error::other)?;
                let spec = Itimerspec { it_interval: none, it_value: value };
                // Setting the timer takes back an earlier expiry, so it need not be read.
                timerfd_settime(self.0.get_ref(), TimerfdTimerFlags::empty(), &spec)?;
                self.0.readable().await?.clear_ready();
            }
        }
    }
}

/// The runtime's timer.
#[cfg(not(target_os = "linux"))]
#[derive(Debug)]
pub(crate) struct Timer;

#[cfg(not(target_os = "linux"))]
impl Timer {
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self)
    }

    pub(crate) async fn wait_until(&mut self, moment: Instant) -> io::Result<()> {
        tokio::time::sleep_until(moment.into()).await;
        Ok(())
    }
}
