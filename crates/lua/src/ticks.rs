//! Time that passes, read as cheaply as can be: twice for each stretch of code, on the path of every request.
//!
//! Where the kernel makes its clock of the processor's counter, that is read as it is. The kernel does so only with a counter
//! that goes on at one rate, whatever the processor does, and as long as all processors agree on it. To read it takes half of
//! what the kernel's clock takes, which besides has the processor finish first what it has begun. Where the kernel has another
//! clock, that is read.
//!
//! Not here: when something is to happen. That goes by the kernel's clock alone.

use std::{sync::OnceLock, time::Duration};

use crate::budget::elapsed_time;

/// Over so long the counter is held against the clock: both are read within a microsecond, so it is known to a thousandth.
const SPAN: Duration = Duration::from_millis(1);

/// Times that both are read for one pair: something may come between.
const TRIES: u32 = 8;

/// Bits of [`Pace::scale`] behind the point.
const POINT: u32 = 32;

/// A moment, as it was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ticks(pub(crate) u64);

/// What is read, and what a tick of it is worth; the same for as long as the process lives.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pace {
    is_counter: bool,
    /// Nanoseconds of one tick.
    scale: u64,
}

/// Both at the same moment.
#[derive(Debug, Clone, Copy)]
struct Pair {
    ticks: u64,
    clock: Duration,
}

static FIRST: OnceLock<Option<Pair>> = OnceLock::new();
static PACE: OnceLock<Pace> = OnceLock::new();

/// What the kernel makes its clock of, by its own name for that. Told before anything runs in any VM, best long before;
/// otherwise it is that clock that is read.
pub fn tell_clock_source(name: &str) {
    FIRST.get_or_init(|| counter::is_meant(name).then(Pair::read));
}

impl Pace {
    /// The kernel's clock.
    pub(crate) const CLOCK: Self = Self { is_counter: false, scale: 1 << POINT };

    pub(crate) fn get() -> Self {
        *PACE.get_or_init(Self::find)
    }

    #[cold]
    fn find() -> Self {
        let Some(first) = FIRST.get().copied().flatten() else { return Self::CLOCK };
        let mut last = Pair::read();
        while last.clock.saturating_sub(first.clock) < SPAN {
            last = Pair::read(); // Mostly it is long over.
        }
        Self::between(first, last)
    }

    fn between(first: Pair, last: Pair) -> Self {
        let nanos = last.clock.saturating_sub(first.clock).as_nanos() << POINT;
        let ticks = u128::from(last.ticks.saturating_sub(first.ticks));
        let scale = nanos.checked_div(ticks).and_then(|scale| u64::try_from(scale).ok());
        match scale {
            Some(scale) if scale > 0 => Self { is_counter: true, scale },
            _ => Self::CLOCK, // It stands still.
        }
    }

    #[inline]
    pub(crate) fn now(self) -> Ticks {
        Ticks(if self.is_counter { counter::read() } else { clock_ns() })
    }

    /// Nanoseconds from `earlier` until `later`; none if that was before.
    #[inline]
    pub(crate) fn nanos(self, earlier: Ticks, later: Ticks) -> u64 {
        let ticks = u128::from(later.0.saturating_sub(earlier.0));
        // Of a span of centuries only the end would be cut off.
        ((ticks * u128::from(self.scale)) >> POINT) as u64
    }
}

impl Pair {
    /// Of several tries the one in which least came between.
    fn read() -> Self {
        let tries = (0..TRIES).map(|_| {
            let (before, clock, after) = (counter::read(), elapsed_time(), counter::read());
            (after.saturating_sub(before), Self { ticks: before.midpoint(after), clock })
        });
        let best = tries.min_by_key(|(apart, _)| *apart);
        best.expect("it is tried at least once").1
    }
}

fn clock_ns() -> u64 {
    let now = elapsed_time();
    now.as_secs() * 1_000_000_000 + u64::from(now.subsec_nanos())
}

#[cfg(target_arch = "x86_64")]
mod counter {
    use std::arch::x86_64;

    /// The leaf of what is said of power management, and the bit for a counter that power does not change.
    const POWER: u32 = 0x8000_0007;
    const IS_INVARIANT: u32 = 1 << 8;

    pub(super) fn is_meant(name: &str) -> bool {
        name.trim_ascii() == "tsc"
            && x86_64::__cpuid(POWER & (1 << 31)).eax >= POWER
            && x86_64::__cpuid(POWER).edx & IS_INVARIANT != 0
    }

    #[inline]
    pub(super) fn read() -> u64 {
        // SAFETY: it has no precondition but that programs may; the kernel's clock, which is read in this process too, is
        // made with the same instruction.
        unsafe { x86_64::_rdtsc() }
    }
}

#[cfg(not(target_arch = "x86_64"))]
mod counter {
    pub(super) const fn is_meant(_: &str) -> bool {
        false
    }

    pub(super) const fn read() -> u64 {
        0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const POINTED: u64 = 1 << POINT;

    #[test]
    fn the_counter_goes_as_the_clock_does() {
        let source = "/sys/devices/system/clocksource/clocksource0/current_clocksource";
        tell_clock_source(&std::fs::read_to_string(source).unwrap_or_default());
        let pace = Pace::get();
        let (before, from, after) = (elapsed_time(), pace.now(), elapsed_time());
        std::thread::sleep(Duration::from_millis(20));
        let (end, to, late) = (elapsed_time(), pace.now(), elapsed_time());
        let nanos = u128::from(pace.nanos(from, to));
        let (least, most) = (end.saturating_sub(after).as_nanos(), late.saturating_sub(before).as_nanos());
        assert!(
            (least - least / 100..=most + most / 100).contains(&nanos),
            "{nanos} of {least} to {most}: {pace:?}"
        );
    }

    #[test]
    fn a_tick_is_worth_what_the_clock_says() {
        let at = |ticks, nanos| Pair { ticks, clock: Duration::from_nanos(nanos) };
        let pace = Pace::between(at(1_000, 70), at(5_000, 1_070));
        assert_eq!((pace.is_counter, pace.scale), (true, POINTED / 4));
        assert_eq!(pace.nanos(Ticks(10), Ticks(50)), 10);
        assert_eq!(pace.nanos(Ticks(50), Ticks(10)), 0, "processors may be apart by some ticks");
        let year = 365 * 24 * 3_600 * 4_000_000_000;
        assert_eq!(pace.nanos(Ticks(0), Ticks(year)), year / 4);
    }

    #[test]
    fn a_counter_that_stands_still_is_not_read() {
        let at = Pair { ticks: 5, clock: Duration::from_secs(1) };
        let pace = Pace::between(at, Pair { clock: Duration::from_secs(2), ..at });
        assert!(!pace.is_counter && pace.scale == POINTED);
    }
}
