use std::sync::Arc;

use proptest::prelude::*;
use tidegate_core::trace::Trace;

use super::*;

fn shaped(shape: Shape, peak: f64, seconds: u64, arrivals: Process, seed: u64) -> Schedule {
    let demand = Demand::Shaped { shape, peak, duration: Duration::from_secs(seconds) };
    Schedule { demand, arrivals, seed }
}

/// How many arrivals the shape asks for: known areas, not a second integration.
fn expected(shape: Shape) -> f64 {
    match shape {
        Shape::Steady => 1.0,
        Shape::Ramp => 0.5,
        Shape::Spike => 0.1 + 0.9 * 0.15,
        Shape::Diurnal => 0.55,
    }
}

#[test]
fn even_arrivals_of_a_steady_rate_are_exact() {
    let schedule = shaped(Shape::Steady, 500.0, 10, Process::Even, 0);
    let moments: Vec<Duration> = schedule.moments().collect();
    assert_eq!(moments.len(), 5_000);
    for (index, moment) in moments.iter().enumerate() {
        let ideal = (index as f64 + 0.5) / 500.0;
        assert!((moment.as_secs_f64() - ideal).abs() < 1e-6, "{index}: {moment:?}");
    }
}

#[test]
fn every_shape_sends_the_area_below_it() {
    for &shape in Shape::value_variants() {
        let count = shaped(shape, 1_000.0, 100, Process::Even, 0).moments().count() as f64;
        let area = expected(shape) * 1e5;
        assert!((count - area).abs() <= area * 0.001, "{shape:?}: {count} instead of {area}");
    }
}

#[test]
fn poisson_gaps_vary_as_much_as_their_mean() {
    let schedule = shaped(Shape::Steady, 1_000.0, 50, Process::Poisson, 3);
    let moments: Vec<f64> = schedule.moments().map(|moment| moment.as_secs_f64()).collect();
    let gaps: Vec<f64> = moments.windows(2).map(|pair| pair[1] - pair[0]).collect();
    let mean = gaps.iter().sum::<f64>() / gaps.len() as f64;
    let deviation = (gaps.iter().map(|gap| (gap - mean).powi(2)).sum::<f64>() / gaps.len() as f64).sqrt();
    assert!((deviation / mean - 1.0).abs() < 0.05, "{mean} ± {deviation}");
}

#[test]
fn a_seed_determines_the_schedule() {
    let moments =
        |seed| shaped(Shape::Diurnal, 200.0, 5, Process::Poisson, seed).moments().collect::<Vec<_>>();
    assert_eq!(moments(1), moments(1));
    assert_ne!(moments(1), moments(2));
}

#[test]
fn a_finished_schedule_stays_finished() {
    let schedule = shaped(Shape::Steady, 10.0, 1, Process::Even, 0);
    let mut moments = schedule.moments();
    assert_eq!(moments.by_ref().count(), 10);
    assert_eq!((moments.next(), moments.next()), (None, None));
}

#[test]
fn a_day_at_two_thousand_a_second_needs_no_memory_for_it() {
    let schedule = shaped(Shape::Steady, 2_000.0, 86_400, Process::Poisson, 1);
    let first: Vec<Duration> = schedule.moments().take(1_000).collect();
    assert!(first[999] < Duration::from_secs(1));
}

#[test]
fn no_time_is_no_request() {
    let schedule = shaped(Shape::Diurnal, 1e6, 0, Process::Even, 0);
    assert_eq!(schedule.moments().count(), 0);
}

#[test]
fn silence_sends_nothing() {
    let trace = Arc::new(Trace::new(Duration::from_secs(1), vec![0.0; 10]).unwrap());
    let schedule = Schedule { demand: Demand::recorded(trace, 1.0), arrivals: Process::Poisson, seed: 1 };
    assert_eq!(schedule.moments().count(), 0);
}

proptest! {
    #[test]
    fn any_window_gets_as_many_arrivals_as_the_demand_has_area(
        rates in prop::collection::vec(0.0..2_000.0_f64, 2..12),
        speed in 1.0..100.0_f64,
        from in 0.0..1.0_f64,
        seed in any::<u64>(),
    ) {
        let trace = Arc::new(Trace::new(Duration::from_secs(10), rates).unwrap());
        let demand = Demand::recorded(trace, speed);
        let length = demand.duration().as_secs_f64();
        let from = from * length;
        // The naive twin: a sum over 100,000 slices of the window.
        let slice = (length - from) / 1e5;
        let area: f64 = (0..100_000).map(|i| demand.rate_at((f64::from(i) + 0.5) * slice + from) * slice).sum();
        for (arrivals, tolerance) in [(Process::Even, 1.0 + 0.002 * area), (Process::Poisson, 6.0 * area.sqrt() + 6.0)] {
            let schedule = Schedule { demand: demand.clone(), arrivals, seed };
            let count = schedule.moments().filter(|moment| moment.as_secs_f64() >= from).count() as f64;
            prop_assert!((count - area).abs() <= tolerance, "{arrivals:?}: {count} instead of {area}");
        }
    }

    #[test]
    fn moments_are_ordered_and_end_in_time(peak in 0.1..3_000.0_f64, seed in any::<u64>(), shape in 0..4_usize) {
        let schedule = shaped(Shape::value_variants()[shape], peak, 3, Process::Poisson, seed);
        let moments: Vec<Duration> = schedule.moments().collect();
        prop_assert!(moments.is_sorted());
        prop_assert!(moments.last().is_none_or(|&last| last <= Duration::from_secs(3)));
    }
}
