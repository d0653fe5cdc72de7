//! The time that a VM knows: that of the wall clock, which scripts and logs see, and of a steady one, which nobody sets.

use std::{sync::OnceLock, time::Instant};

use tidegate_core::Timestamp;

/// One moment on both clocks.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Now {
    pub(crate) wall: Timestamp,
    /// For what lasts a while. The same for all VMs of the process, and of no meaning outside of it.
    pub(crate) steady: Timestamp,
}

impl Now {
    pub(crate) fn new(wall: Timestamp, instant: Instant) -> Self {
        Self { wall, steady: steady(instant) }
    }
}

/// What the steady clock begins with, in microseconds: so much that no moment is before it.
const BEGINNING: u64 = 1 << 50;

fn steady(instant: Instant) -> Timestamp {
    // Whoever comes first has it begin. Others may have looked at the clock a moment before.
    static ORIGIN: OnceLock<Instant> = OnceLock::new();
    let origin = *ORIGIN.get_or_init(|| instant);
    let after = instant.saturating_duration_since(origin).as_micros() as u64;
    let before = origin.saturating_duration_since(instant).as_micros() as u64;
    Timestamp::from_micros((BEGINNING + after).saturating_sub(before))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_steady_clock_goes_on_from_wherever_it_was_begun() {
        let (first, second) = (Instant::now(), Duration::from_secs(1));
        let at = |instant| Now::new(Timestamp::default(), instant).steady;
        let begun = at(first);
        assert_eq!(at(first + second).since(begun), second);
        assert_eq!(begun.since(at(first.checked_sub(second).unwrap())), second);
    }
}
