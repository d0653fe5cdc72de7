//! The demand of the demo's day: a quiet night, two working peaks, and a spike in the evening.

use std::{sync::Arc, time::Duration};

use tidegate_core::trace::Trace;
use tidegate_load::schedule::{Demand, Process, Schedule};

/// Requests per second at the height of the spike.
///
/// Each costs about a millisecond, so that even then the app needs half a processor: the rest is
/// for the gateway and the load itself, which have to share what may be a small machine.
pub(crate) const PEAK: f64 = 450.0;

/// Requests per second that one instance is meant for.
pub(crate) const PER_INSTANCE: f64 = 80.0;

const DAY: Duration = Duration::from_hours(24);

/// Time between two samples of the curve.
const STEP: Duration = Duration::from_mins(5);

/// Hours, and shares of the peak; straight lines between them.
const CURVE: [(f64, f64); 16] = [
    (0.0, 0.14),
    (3.0, 0.08),
    (6.0, 0.12),
    (8.0, 0.42),
    (9.0, 0.52),
    (11.5, 0.50),
    (12.2, 0.26),
    (14.5, 0.26),
    (15.0, 0.48),
    (17.5, 0.40),
    (18.6, 0.42),
    (19.0, 1.0),
    (20.2, 1.0),
    (20.6, 0.20),
    (22.0, 0.10),
    (24.0, 0.10),
];

/// The instances that a fleet of fixed size needs to have enough at the peak.
pub(crate) fn fixed_instances() -> u32 {
    (PEAK / PER_INSTANCE).ceil() as u32
}

/// The day, over within `duration`.
pub(crate) fn schedule(duration: Duration) -> Schedule {
    let samples = DAY.as_secs() / STEP.as_secs();
    let rates = (0..samples).map(|sample| PEAK * share((sample as f64 + 0.5) * STEP.as_secs_f64() / 3_600.0));
    let trace = Trace::new(STEP, rates.collect()).expect("the curve is finite and above zero");
    let demand = Demand::recorded(Arc::new(trace), DAY.as_secs_f64() / duration.as_secs_f64());
    Schedule { demand, arrivals: Process::Poisson, seed: 1 }
}

/// Hours and minutes of the day at `share` of it.
pub(crate) fn clock(share: f64) -> String {
    let minutes = (share.clamp(0.0, 1.0) * 24.0 * 60.0) as u32;
    format!("{:02}:{:02}", minutes / 60, minutes % 60)
}

/// Share of the peak that is demanded at `hour`.
fn share(hour: f64) -> f64 {
    let next = CURVE.iter().position(|&(end, _)| end >= hour).unwrap_or(CURVE.len() - 1).max(1);
    let ((from, low), (to, high)) = (CURVE[next - 1], CURVE[next]);
    low + (high - low) * (hour - from) / (to - from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_curve_goes_through_its_points() {
        for (hour, expected) in CURVE {
            assert!((share(hour) - expected).abs() < 1e-9, "{hour}: {}", share(hour));
        }
        assert!((share(4.5) - 0.10).abs() < 1e-9);
    }

    #[test]
    fn a_day_fits_into_any_duration_and_needs_the_fleet_to_grow_sixfold() {
        for seconds in [12, 120] {
            let schedule = schedule(Duration::from_secs(seconds));
            assert_eq!(schedule.demand.duration().as_secs_f64().round() as u64, seconds);
            let needed = |share: f64| schedule.demand.rate_at(share * seconds as f64) / PER_INSTANCE;
            assert!(needed(0.15) < 0.9, "one instance is enough at night");
            assert!(needed(0.81) > 5.0 && needed(0.81) <= f64::from(fixed_instances()));
            assert!(needed(0.99) < 0.9, "and enough again at the end");
        }
    }

    #[test]
    fn shares_of_the_day_are_times() {
        assert_eq!([0.0, 0.5, 0.999, 2.0].map(clock), ["00:00", "12:00", "23:58", "24:00"]);
    }
}
