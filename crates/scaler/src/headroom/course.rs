//! Courses: what loops follow before they add their margin.
//!
//! A course is the level of demand or one of its trends, held for a while or not at all. It falls only once holding on
//! has cost as much as starting again would ([`change`]): ten instances too many for twelve seconds, or one for
//! two minutes, and for longer in a large fleet. Where demand surely grows it rises by more than is needed at
//! once, as much as makes the cost of being early equal to that of the changes saved.

use serde::{Deserialize, Serialize};
use tidegate_core::Flaw;

use super::{
    outlook::{Outlook, TRENDS},
    window::Window,
};

/// The level, and each trend.
const FOLLOWS: usize = TRENDS.len() + 1;
pub(super) const COURSES: usize = 17;
/// What each course follows, the level or a trend by its number from one, and how long it holds the highest of
/// that beyond the time that instances take to start, in seconds. Without a hold it gives up what still starts
/// as soon as that is not needed any more, and a peak costs no start-up time after it.
const KINDS: [(usize, Option<f32>); COURSES] = [
    (0, None),
    (0, Some(0.0)),
    (0, Some(60.0)),
    (0, Some(300.0)),
    (0, Some(900.0)),
    (1, Some(0.0)),
    (1, Some(60.0)),
    (1, Some(300.0)),
    (2, Some(0.0)),
    (2, Some(60.0)),
    (2, Some(300.0)),
    (2, Some(900.0)),
    (3, None),
    (3, Some(0.0)),
    (3, Some(60.0)),
    (3, Some(300.0)),
    (3, Some(900.0)),
];
/// The trend of twenty readings, held for five minutes.
pub(super) const CAUTIOUS: usize = 10;
/// The quickest trend, held for different whiles, and the next: what standby is combined with.
pub(super) const WITH_STANDBY: [usize; 3] = [5, 6, 8];
/// Seconds of one instance that a change is worth at least, and how many more for each instance that there is.
const CHANGE: f32 = 110.0;
const CHANGE_EACH: f32 = 5.0;

/// Instance-seconds that a change of so many instances to others is worth. The larger a fleet, the less does
/// what it spares matter, and the more are the changes that noise alone would make.
pub(super) fn change(instances: f32) -> f32 {
    CHANGE + CHANGE_EACH * instances
}

/// One course, in instances.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Course {
    highest: Window,
    lowest: Window,
    /// Instance-seconds by which it was above what is followed since it last was not.
    spared: f32,
    pub(super) level: f32,
    /// The lowest of the time that an instance takes to start: what is ready.
    pub(super) ready: f32,
}

impl Course {
    fn new(level: f32) -> Self {
        let (highest, lowest) = (Window::new(level), Window::new(level));
        Self { highest, lowest, spared: 0.0, level, ready: level }
    }

    pub(super) fn check(&self) -> Result<(), Flaw> {
        self.highest.check().map_err(Flaw::of("highest"))?;
        self.lowest.check().map_err(Flaw::of("lowest"))
    }

    /// All courses, as if demand had always been what it is.
    pub(super) fn all(outlook: &Outlook) -> Vec<Self> {
        vec![Self::new(outlook.level() as f32); COURSES]
    }

    /// Lets each see the newest demand, whose level is `level`, where changes are `worth` so many times what they usually
    /// are; true for those that changed.
    pub(super) fn follow(
        courses: &mut [Self],
        (outlook, level): (&Outlook, f64),
        (passed, start_up): (f64, f64),
        worth: f32,
    ) -> [bool; COURSES] {
        let mut expected = [level as f32; FOLLOWS];
        for (expected, rising) in expected[1..].iter_mut().zip(outlook.rising(level, start_up)) {
            *expected = rising as f32;
        }
        // Early by x costs x²/2 over the growth, and saves a change for each x: the least of both together.
        let ahead = (2.0 * worth * change(expected[0]) * outlook.growth() as f32).sqrt();
        let (passed, start_up) = (passed as f32, start_up as f32);
        let mut changed = [false; COURSES];
        for ((course, changed), (follows, hold)) in courses.iter_mut().zip(&mut changed).zip(KINDS) {
            let hold = hold.map_or(0.0, |hold| start_up + hold);
            let before = (course.level, course.ready);
            let held = course.highest.largest(passed, hold, expected[follows]);
            course.heed(held, ahead, passed, worth);
            course.ready = course.lowest.smallest(passed, start_up, course.level);
            *changed = before != (course.level, course.ready);
        }
        changed
    }

    fn heed(&mut self, held: f32, ahead: f32, passed: f32, worth: f32) {
        if held > self.level {
            (self.level, self.spared) = (held + ahead, 0.0);
            return;
        }
        self.spared += (self.level - held) * passed;
        if self.spared >= worth * change(self.level) {
            (self.level, self.spared) = (held, 0.0);
        }
    }
}

/// Whether a course follows a trend, and how long it holds, in seconds beyond the start-up.
pub(super) fn describe(course: usize) -> (bool, f32) {
    let (follows, hold) = KINDS[course];
    (follows > 0, hold.unwrap_or(0.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The level of the course that holds least, second by second.
    fn levels(demand: impl IntoIterator<Item = f64>) -> Vec<f32> {
        let (mut outlook, mut courses) = (Outlook::default(), Vec::new());
        let level = |demand| {
            outlook.observe(1.0, demand);
            if courses.is_empty() {
                courses = Course::all(&outlook);
            }
            Course::follow(&mut courses, (&outlook, outlook.level()), (1.0, 5.0), 1.0);
            courses[1].level
        };
        demand.into_iter().map(level).collect()
    }

    #[test]
    fn the_more_is_spare_the_sooner_it_is_given_back() {
        let fall = |to: f64| {
            let levels = levels([20.0; 60].into_iter().chain([to; 600]));
            levels.iter().skip(60).position(|&level| level < 19.5).unwrap()
        };
        let (by_ten, by_one) = (fall(10.0), fall(19.0));
        assert!((15..=35).contains(&by_ten), "{by_ten}");
        assert!((205..=235).contains(&by_one), "{by_one}");
    }

    #[test]
    fn a_peak_costs_no_start_up_time_without_a_hold() {
        let demand = [5.0; 60].into_iter().chain([45.0; 60]).chain([5.0; 300]);
        let (mut outlook, mut courses, mut fell) = (Outlook::default(), Vec::new(), [0; 2]);
        for (second, demand) in demand.enumerate() {
            outlook.observe(1.0, demand);
            if courses.is_empty() {
                courses = Course::all(&outlook);
            }
            Course::follow(&mut courses, (&outlook, outlook.level()), (1.0, 30.0), 1.0);
            for (fell, course) in fell.iter_mut().zip(&courses) {
                *fell = if course.level > 10.0 { second } else { *fell };
            }
        }
        assert!((120..=130).contains(&fell[0]), "{fell:?}");
        assert!((150..=165).contains(&fell[1]), "{fell:?}");
    }

    #[test]
    fn steep_growth_is_met_in_few_steps() {
        let levels = levels([5.0; 60].into_iter().chain((0..60).map(|second| 5.0 + f64::from(second) * 0.6)));
        let steps = levels.windows(2).filter(|pair| pair[1] > pair[0]).count();
        assert!(steps <= 12, "{steps}");
        assert!(levels[119] >= 38.0, "{}", levels[119]);
    }
}
