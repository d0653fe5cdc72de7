//! Courses: what loops follow before they add their margin.
//!
//! A course is the level of demand or one of its trends, held for a while. It falls only once holding on has
//! cost as much as starting again would ([`change`]): ten instances too many for ten seconds, or one for
//! a hundred, and for longer in a large fleet. Where demand surely grows it rises by more than is needed at
//! once, as much as makes the cost of being early equal to that of the changes saved.

use serde::{Deserialize, Serialize};

use super::{
    outlook::{Outlook, TRENDS},
    window::Window,
};

/// How long a course holds the highest demand beyond the time that instances take to start, in seconds.
const HOLDS: [f32; 4] = [0.0, 60.0, 300.0, 900.0];
/// The level, and each trend.
const FOLLOWS: usize = TRENDS.len() + 1;
pub(super) const COURSES: usize = FOLLOWS * HOLDS.len();
/// The trend of twenty readings, held for five minutes.
pub(super) const CAUTIOUS: usize = 2 * HOLDS.len() + 2;
/// The level and the quickest trend, held for different whiles: what standby is combined with.
pub(super) const WITH_STANDBY: [usize; 4] = [HOLDS.len(), HOLDS.len() + 1, HOLDS.len() + 2, 2 * HOLDS.len()];
/// Seconds of one instance that a change is worth at least, and how many more for each instance that there is.
const CHANGE: f32 = 95.0;
const CHANGE_EACH: f32 = 3.0;

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

    /// All courses, as if demand had always been what it is.
    pub(super) fn all(outlook: &Outlook) -> Vec<Self> {
        vec![Self::new(outlook.level() as f32); COURSES]
    }

    /// Lets each see the newest demand; true for those that changed.
    pub(super) fn follow(
        courses: &mut [Self],
        outlook: &Outlook,
        passed: f64,
        start_up: f64,
    ) -> [bool; COURSES] {
        let mut expected = [outlook.level() as f32; FOLLOWS];
        for (which, rising) in expected[1..].iter_mut().enumerate() {
            *rising = outlook.rising(which, start_up) as f32;
        }
        // Early by x costs x²/2 over the growth, and saves a change for each x: the least of both together.
        let ahead = (2.0 * change(expected[0]) * outlook.growth() as f32).sqrt();
        let (passed, start_up) = (passed as f32, start_up as f32);
        let mut changed = [false; COURSES];
        for (index, (course, changed)) in courses.iter_mut().zip(&mut changed).enumerate() {
            let hold = start_up + HOLDS[index % HOLDS.len()];
            let before = (course.level, course.ready);
            let held = course.highest.largest(passed, hold, expected[index / HOLDS.len()]);
            course.heed(held, ahead, passed);
            course.ready = course.lowest.smallest(passed, start_up, course.level);
            *changed = before != (course.level, course.ready);
        }
        changed
    }

    fn heed(&mut self, held: f32, ahead: f32, passed: f32) {
        if held > self.level {
            (self.level, self.spared) = (held + ahead, 0.0);
            return;
        }
        self.spared += (self.level - held) * passed;
        if self.spared >= change(self.level) {
            (self.level, self.spared) = (held, 0.0);
        }
    }
}

/// Whether a course follows a trend, and how long it holds, in seconds beyond the start-up.
pub(super) fn describe(course: usize) -> (bool, f32) {
    (course >= HOLDS.len(), HOLDS[course % HOLDS.len()])
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
            Course::follow(&mut courses, &outlook, 1.0, 5.0);
            courses[0].level
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
        assert!((15..=30).contains(&by_ten), "{by_ten}");
        assert!((155..=175).contains(&by_one), "{by_one}");
    }

    #[test]
    fn steep_growth_is_met_in_few_steps() {
        let levels = levels([5.0; 60].into_iter().chain((0..60).map(|second| 5.0 + f64::from(second) * 0.6)));
        let steps = levels.windows(2).filter(|pair| pair[1] > pair[0]).count();
        assert!(steps <= 12, "{steps}");
        assert!(levels[119] >= 38.0, "{}", levels[119]);
    }
}
