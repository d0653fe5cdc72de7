//! How long to wait before something that failed is started again.

use std::time::{Duration, Instant};

const FIRST_DELAY: Duration = Duration::from_millis(100);
const LONGEST_DELAY: Duration = Duration::from_secs(30);

/// Time from one start to the next after `failures` in a row: none, 100 ms, 200 ms … 30 s.
pub(super) fn back_off(failures: u32) -> Duration {
    match failures.checked_sub(1) {
        None => Duration::ZERO,
        // Nine doublings are beyond the longest already.
        Some(doublings) => (FIRST_DELAY * (1 << doublings.min(9))).min(LONGEST_DELAY),
    }
}

/// Starts that fail, and nothing that became ready since.
#[derive(Debug, Clone, Copy)]
pub(super) struct Trouble {
    failures: u32,
    /// When the next may be tried.
    until: Instant,
    /// When the last failure was counted.
    counted: Instant,
}

impl Trouble {
    /// Notes a failed start, and returns when the next may be tried. Instances that were started
    /// together and fail together count once.
    pub(super) fn note(trouble: &mut Option<Self>, launched: Instant, now: Instant) -> Instant {
        match trouble {
            Some(known) if launched <= known.counted => known.until,
            _ => {
                let failures = trouble.map_or(0, |known| known.failures).saturating_add(1);
                let until = launched + back_off(failures);
                *trouble = Some(Self { failures, until, counted: now });
                until
            }
        }
    }

    pub(super) fn allows(trouble: Option<&Self>, now: Instant) -> bool {
        trouble.is_none_or(|trouble| trouble.until <= now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_delay_doubles_from_a_tenth_of_a_second_to_half_a_minute() {
        let millis: Vec<u128> = (0..12).map(|failures| back_off(failures).as_millis()).collect();
        assert_eq!(millis[..6], [0, 100, 200, 400, 800, 1_600]);
        assert_eq!(millis[8..], [12_800, 25_600, 30_000, 30_000]);
        assert_eq!(back_off(u32::MAX), LONGEST_DELAY);
    }

    #[test]
    fn failures_of_one_wave_count_once() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut trouble = None;
        assert_eq!(Trouble::note(&mut trouble, at(0), at(20)), at(100));
        assert_eq!(Trouble::note(&mut trouble, at(1), at(30)), at(100));
        assert!(!Trouble::allows(trouble.as_ref(), at(99)));
        assert!(Trouble::allows(trouble.as_ref(), at(100)));
        assert_eq!(Trouble::note(&mut trouble, at(100), at(120)), at(300));
    }
}
