//! Courses: what loops follow before they add their margin.
//!
//! A course is the level of demand or one of its trends, held for a while or not at all. It falls only once holding on
//! has cost as much as starting again would ([`change`]): ten instances too many for twelve seconds, or one for
//! two minutes, and for longer in a large fleet. Where demand surely grows it rises by more than is needed at
//! once, as much as makes the cost of being early equal to that of the changes saved.

use serde::{Deserialize, Serialize};
use tidegate_core::Flaw;

use super::{
    either,
    outlook::{Outlook, TRENDS},
    window::{Abreast, Largest, Smallest, Window},
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

/// Courses that hold alike follow the level and the three trends, in this order, so their windows go abreast. Where not all are
/// followed, the first is there again in place of those that are not.
const ABREAST: usize = FOLLOWS;
/// The numbers of those that hold alike, last of those that do not hold.
const ALIKE: [[usize; ABREAST]; 5] =
    [[1, 5, 8, 13], [2, 6, 9, 14], [3, 7, 10, 15], [4, 4, 11, 16], [0, 0, 0, 12]];
const LANES: usize = ALIKE.len() * ABREAST;
const HOLDS: usize = ALIKE.len() - 1;
/// A number for each lane.
type Rows = [[f32; ABREAST]; ALIKE.len()];
/// How long the courses of each row hold.
const HOLDS_OF_ROWS: [f32; HOLDS] = {
    let (mut holds, mut row) = ([0.0; HOLDS], HOLDS);
    while row > 0 {
        row -= 1;
        if let Some(hold) = KINDS[ALIKE[row][0]].1 {
            holds[row] = hold;
        }
    }
    holds
};
/// The lane of each course, the first where there are several.
const LANE: [usize; COURSES] = {
    let (mut lanes, mut lane) = ([0; COURSES], LANES);
    while lane > 0 {
        lane -= 1;
        lanes[ALIKE[lane / ABREAST][lane % ABREAST]] = lane;
    }
    lanes
};

/// All courses, in instances, a lane for each.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Courses {
    highest: Abreast<Largest, HOLDS, ABREAST>,
    lowest: Abreast<Smallest, 1, LANES>,
    /// Instance-seconds by which each was above what is followed since it last was not.
    spared: Rows,
    level: Rows,
    /// The lowest of the time that an instance takes to start: what is ready.
    ready: [f32; LANES],
}

/// Which courses changed, where any did.
pub(super) type Changed = Option<[bool; COURSES]>;

impl Courses {
    /// As if demand had always been what it is.
    pub(super) fn new(outlook: &Outlook) -> Self {
        let level = outlook.level() as f32;
        Self {
            highest: Abreast::new(level),
            lowest: Abreast::new(level),
            spared: [[0.0; ABREAST]; ALIKE.len()],
            level: [[level; ABREAST]; ALIKE.len()],
            ready: [level; LANES],
        }
    }

    pub(super) fn check(&self) -> Result<(), Flaw> {
        self.highest.check().map_err(Flaw::of("highest"))?;
        self.lowest.check().map_err(Flaw::of("lowest"))
    }

    /// What a course is at, and what of that is ready.
    pub(super) fn of(&self, course: usize) -> (f32, f32) {
        let lane = LANE[course];
        (self.level.as_flattened()[lane], self.ready[lane])
    }

    /// Lets each see the newest demand, whose level is `level`, where changes are `worth` so many times what they usually
    /// are; says which changed.
    #[inline(always)]
    pub(super) fn follow(
        &mut self,
        (outlook, level): (&Outlook, f64),
        (passed, start_up): (f64, f64),
        worth: f32,
    ) -> Changed {
        let slopes = outlook.slopes();
        let [quick, usual, slow] = outlook.rising(level, start_up, &slopes).map(|rising| rising as f32);
        let level = level as f32;
        // Early by x costs x²/2 over the growth, and saves a change for each x: the least of both together.
        let ahead = (2.0 * worth * change(level) * outlook.growth(&slopes) as f32).sqrt();
        let (passed, start_up) = (passed as f32, start_up as f32);
        let all = [level, quick, usual, slow];
        let spans = HOLDS_OF_ROWS.map(|hold| start_up + hold);
        let [short, minute, minutes, quarter] =
            self.highest.hold(passed, &spans, &[all, all, all, [level, level, usual, slow]]);
        let held = [short, minute, minutes, quarter, [level, level, level, slow]];
        let mut changed = self.heed(&held, (ahead, passed, worth));
        let mut level = [0.0; LANES];
        level.copy_from_slice(self.level.as_flattened());
        let [ready] = self.lowest.hold(passed, &[start_up], &[level]);
        for ((changed, before), after) in changed.iter_mut().zip(&mut self.ready).zip(ready) {
            *changed |= before.to_bits() ^ after.to_bits();
            *before = after;
        }
        // Mostly none are, and that is told from all together.
        let any = changed.iter().fold(0, |any, bits| any | bits);
        (any != 0).then(|| LANE.map(|lane| changed[lane] != 0))
    }

    /// Lets each rise to what is `held`, or `ahead` of that, or fall to it once that is worth it. Returns the bits in which it changed.
    #[inline(always)]
    fn heed(&mut self, held: &Rows, (ahead, passed, worth): (f32, f32, f32)) -> [u32; LANES] {
        let mut changed = [0; LANES];
        let levels = self.level.as_flattened_mut().iter_mut().zip(self.spared.as_flattened_mut());
        for ((changed, (level, spared)), &held) in changed.iter_mut().zip(levels).zip(held.as_flattened()) {
            let besides = *spared + (*level - held) * passed;
            let rises = held > *level;
            let moves = rises | (besides >= worth * change(*level));
            let now = either(moves, either(rises, held + ahead, held), *level);
            *changed = now.to_bits() ^ level.to_bits();
            (*level, *spared) = (now, either(moves, 0.0, besides));
        }
        changed
    }
}

/// One course, as it is written down.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Course {
    /// Of those that hold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    highest: Option<Window>,
    lowest: Window,
    spared: f32,
    level: f32,
    ready: f32,
}

/// All courses, where there are any, are written down one after the other. Those of another version are of no use.
pub(super) mod written {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    use super::{ABREAST, ALIKE, Abreast, COURSES, Course, Courses, HOLDS, LANE, LANES, Window};

    #[expect(clippy::ref_option, reason = "as serde calls it")]
    pub(in super::super) fn serialize<S: Serializer>(
        courses: &Option<Courses>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        let course = |courses: &Courses, lane: usize| Course {
            highest: (lane / ABREAST < HOLDS).then(|| courses.highest.window(lane / ABREAST, lane % ABREAST)),
            lowest: courses.lowest.window(0, lane),
            spared: courses.spared.as_flattened()[lane],
            level: courses.level.as_flattened()[lane],
            ready: courses.ready[lane],
        };
        serializer.collect_seq(courses.iter().flat_map(|courses| LANE.map(|lane| course(courses, lane))))
    }

    pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Courses>, D::Error> {
        let all = Vec::<Course>::deserialize(deserializer)?;
        if all.len() != COURSES {
            return Ok(None);
        }
        let of_lane = |lane: usize| &all[ALIKE[lane / ABREAST][lane % ABREAST]];
        let lanes: [&Course; LANES] = std::array::from_fn(of_lane);
        let highest: Vec<&Window> =
            lanes[..HOLDS * ABREAST].iter().filter_map(|course| course.highest.as_ref()).collect();
        if highest.len() < HOLDS * ABREAST {
            return Err(D::Error::custom("the window of a course that holds is missing"));
        }
        let highest = std::array::from_fn(|row| std::array::from_fn(|lane| highest[row * ABREAST + lane]));
        let highest = Abreast::of(highest).ok_or_else(|| {
            D::Error::custom("the windows of courses that hold alike are not of the same time")
        })?;
        let lowest = Abreast::of([lanes.map(|course| &course.lowest)])
            .ok_or_else(|| D::Error::custom("the windows of what is ready are not of the same time"))?;
        Ok(Some(Courses {
            highest,
            lowest,
            spared: ALIKE.map(|alike| alike.map(|course| all[course].spared)),
            level: ALIKE.map(|alike| alike.map(|course| all[course].level)),
            ready: lanes.map(|course| course.ready),
        }))
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
        let (mut outlook, mut courses) = (Outlook::default(), None);
        let level = |demand| {
            outlook.observe(1.0, demand);
            let courses = courses.get_or_insert_with(|| Courses::new(&outlook));
            courses.follow((&outlook, outlook.level()), (1.0, 5.0), 1.0);
            courses.of(1).0
        };
        demand.into_iter().map(level).collect()
    }

    #[test]
    fn courses_that_hold_alike_lie_beside_each_other_in_the_order_of_what_they_follow() {
        for (row, alike) in ALIKE.iter().enumerate() {
            for (follows, &course) in alike.iter().enumerate() {
                assert_eq!(KINDS[course].1, KINDS[alike[0]].1, "{course}");
                let first = LANE[course] == row * ABREAST + follows;
                assert!(if first { follows == KINDS[course].0 } else { course == alike[0] }, "{course}");
            }
        }
        assert!((0..COURSES).all(|course| ALIKE.as_flattened()[LANE[course]] == course));
    }

    #[test]
    fn courses_come_back_from_a_journal_as_they_were() {
        #[derive(Debug, PartialEq, Serialize, Deserialize)]
        struct All(#[serde(with = "written")] Option<Courses>);
        let mut outlook = Outlook::default();
        outlook.observe(1.0, 7.0);
        let mut courses = Courses::new(&outlook);
        for second in 0..100_u32 {
            outlook.observe(1.0, f64::from(second.wrapping_mul(2_654_435_761) >> 28));
            courses.follow((&outlook, outlook.level()), (1.0, 30.0), 1.0);
        }
        let all = All(Some(courses));
        let mut json = serde_json::to_value(&all).unwrap();
        assert_eq!(serde_json::from_value::<All>(json.clone()).unwrap(), all);
        let written = json.as_array().unwrap();
        assert_eq!((written.len(), written[3]["highest"].as_object().unwrap().len()), (COURSES, 3));
        // One that has lived through another time than those that hold alike.
        json[3]["highest"]["at"] = 17.into();
        assert!(serde_json::from_value::<All>(json).is_err());
        assert_eq!(serde_json::from_str::<All>("[]").unwrap(), All(None));
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
        let (mut outlook, mut courses, mut fell) = (Outlook::default(), None, [0; 2]);
        for (second, demand) in demand.enumerate() {
            outlook.observe(1.0, demand);
            let courses = courses.get_or_insert_with(|| Courses::new(&outlook));
            courses.follow((&outlook, outlook.level()), (1.0, 30.0), 1.0);
            for (course, fell) in fell.iter_mut().enumerate() {
                *fell = if courses.of(course).0 > 10.0 { second } else { *fell };
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
