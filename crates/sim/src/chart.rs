//! Runs as a chart shows them: so many seconds together as one dot of a screen.

use crate::{
    demand::each_of_floor,
    world::{Autoscaler, Moment, World},
};

/// Dots of a chart, about.
const DOTS: usize = 1_100;

/// What is drawn of a run.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Chart {
    pub dots: Vec<Dot>,
}

/// Some seconds together.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Dot {
    /// The first of its seconds.
    pub second: f64,
    /// Requests per second: the fewest, the mean, the most.
    pub arrivals: (f64, f64, f64),
    /// Instances that serve, mean.
    pub ready: f64,
    /// Instances that are paid for, mean.
    pub launched: f64,
    /// Requests without capacity so far, as a share of all that come.
    pub lost: f64,
    /// Instance-hours so far: of the run, and of the floor.
    pub paid: f64,
    pub floor: f64,
}

impl Chart {
    /// What happened in `moments`, with instances that start in `start_up` seconds.
    pub fn of(moments: &[Moment], start_up: u32) -> Self {
        let mut floor = Vec::with_capacity(moments.len());
        each_of_floor(moments.len(), start_up, |second| moments[second].needed, |count| floor.push(count));
        let width = moments.len().div_ceil(DOTS).max(1);
        let requests = moments.iter().map(|one| f64::from(one.arrivals)).sum::<f64>().max(1.0);
        let (mut paid, mut least, mut violated) = (0.0, 0.0, 0.0);
        let dot = |(at, (moments, floor)): (usize, (&[Moment], &[u32]))| {
            let sum = |of: fn(&Moment) -> u32| moments.iter().map(|one| f64::from(of(one))).sum::<f64>();
            let seconds = moments.len() as f64;
            let arrivals = || moments.iter().map(|one| f64::from(one.arrivals));
            paid += sum(|one| one.launched) / 3_600.0;
            violated += sum(|one| one.violated);
            least += floor.iter().map(|&count| f64::from(count)).sum::<f64>() / 3_600.0;
            Dot {
                second: (at * width) as f64,
                arrivals: (
                    arrivals().fold(f64::INFINITY, f64::min),
                    sum(|one| one.arrivals) / seconds,
                    arrivals().fold(0.0, f64::max),
                ),
                ready: sum(|one| one.ready) / seconds,
                launched: sum(|one| one.launched) / seconds,
                lost: violated / requests,
                paid,
                floor: least,
            }
        };
        Self { dots: moments.chunks(width).zip(floor.chunks(width)).enumerate().map(dot).collect() }
    }

    /// Runs `autoscaler` and keeps what is drawn of it.
    pub fn record<A: Autoscaler>(world: &World<'_>, autoscaler: &mut A) -> Self {
        let mut moments = Vec::with_capacity(world.demand.seconds());
        world.run(autoscaler, |_, moment, _| moments.push(moment));
        Self::of(&moments, world.conditions.start_up)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::supply::Bill;

    #[test]
    fn seconds_are_drawn_together_and_nothing_is_lost() {
        let moment = |second: u32| Moment {
            arrivals: 100 + second % 2 * 100,
            violated: u32::from(second == 5_000) * 60,
            ready: 2,
            launched: 3,
            desired: 3,
            needed: 1 + second % 2,
            bill: Bill::default(),
        };
        let moments: Vec<_> = (0..7_200).map(moment).collect();
        let chart = Chart::of(&moments, 1);
        assert!((900..=DOTS).contains(&chart.dots.len()), "{}", chart.dots.len());
        let last = chart.dots.last().unwrap();
        assert!((last.paid - 6.0).abs() < 1e-9 && (last.floor - 4.0).abs() < 1e-3, "{last:?}");
        assert!((last.arrivals.0 - 100.0).abs() < 1e-9);
        assert!((last.arrivals.2 - 200.0).abs() < 1e-9);
        assert!((last.lost - 60.0 / (150.0 * 7_200.0)).abs() < 1e-12, "{last:?}");
        assert!(chart.dots[0].lost.abs() < 1e-12);
        assert_eq!(Chart::of(&moments[..10], 1).dots.len(), 10);
        assert_eq!(Chart::of(&[], 1), Chart::default());
    }
}
