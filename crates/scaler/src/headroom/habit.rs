//! Habits: bursts that come at the same minute of the hour.
//!
//! Much of what bursts is started by a clock. Where the followed loop was short of capacity in one minute, it is
//! remembered how much demand there was and how much work was left undone. From then on capacity for it stands by
//! in that minute of each hour, started ahead, for as long as that pays: what it is expected to save, at the price
//! that the [book](super::book) asks for the same, is more than what it costs, both changes for nothing included.
//!
//! How likely it is to come back follows from how often it did (Laplace's rule of succession), and while little is known of a minute, from
//! how often others did. That is counted whether or not anything stood by.

use serde::{Deserialize, Serialize};

use super::{budget, course::change, packed};

const MINUTES: usize = 60;
/// Seconds.
const MINUTE: f64 = 60.0;
/// What is expected to be saved has to be so many times the cost: of sixty estimates the highest are too high.
const ADVANTAGE: f32 = 1.5;
/// What is thought of a minute before it is known, in hours that it was looked at.
const BELIEF: f32 = 2.0;

/// Per minute of an hour that began with the first step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Habit {
    /// Instances that were needed when most work was left undone, and how many instance-seconds of it that were.
    #[serde(with = "packed")]
    sizes: Vec<f32>,
    #[serde(with = "packed")]
    undone: Vec<f32>,
    /// Hours since, and in how many of them as much would have been left undone again.
    #[serde(with = "packed")]
    hours: Vec<f32>,
    #[serde(with = "packed")]
    returns: Vec<f32>,
    /// Instances that stand by, zero where it does not pay.
    #[serde(with = "packed")]
    awaited: Vec<f32>,
    /// Work left undone in all minutes together that could have come back and that did; and the most of one.
    looked_for: f32,
    returned: f32,
    most: f32,
    minute: Minute,
}

/// The minute that is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Minute {
    at: usize,
    /// What the followed loop had when it began, by itself.
    kept: f32,
    /// The highest level, and the work that the loop left undone by itself.
    size: f32,
    undone: f32,
    waiting: f64,
}

/// What a second was like.
#[derive(Debug, Clone, Copy)]
pub(super) struct Second {
    /// Since the first step.
    pub(super) now: f64,
    pub(super) passed: f64,
    /// Work that arrived, and what of the work that waits is not late, in instance-seconds.
    pub(super) work: f64,
    pub(super) patient: f64,
    pub(super) level: f64,
    /// What the followed loop keeps and has ready by itself.
    pub(super) alone: (f32, f32),
    /// Instance-seconds that work left undone is worth.
    pub(super) price: f64,
    pub(super) start_up: f64,
}

impl Default for Habit {
    fn default() -> Self {
        let column = || vec![0.0; MINUTES];
        Self {
            sizes: column(),
            undone: column(),
            hours: column(),
            returns: column(),
            awaited: column(),
            looked_for: 0.0,
            returned: 0.0,
            most: 0.0,
            minute: Minute::default(),
        }
    }
}

impl Habit {
    /// Returns how many instances stand by now, those that have to be started by then included, and how many of them are ready.
    pub(super) fn observe(&mut self, second: Second) -> (f32, f32) {
        let (at, past) = minute(second.now);
        if at != self.minute.at {
            self.close(&second);
            let (kept, waiting) = (second.alone.0, self.minute.waiting);
            self.minute = Minute { at, kept, waiting, ..Minute::default() };
        }
        let minute = &mut self.minute;
        let capacity = f64::from(second.alone.1) * second.passed;
        let late = budget::serve(&mut minute.waiting, second.work, capacity, second.patient);
        minute.undone += late as f32;
        minute.size = minute.size.max(second.level as f32);
        self.awaited((at, past), second.start_up)
    }

    fn awaited(&self, (at, past): (usize, f64), start_up: f64) -> (f32, f32) {
        let left = MINUTE - past;
        let later = if start_up < left { 0 } else { ((start_up - left) / MINUTE) as usize + 1 };
        let ready = self.awaited[at];
        let ahead = (1..=later.min(MINUTES - 1)).map(|later| self.awaited[(at + later) % MINUTES]);
        (ahead.fold(ready, f32::max), ready)
    }

    /// Whether the columns are as long as there are minutes: they come from a journal.
    pub(super) fn is_whole(&self) -> bool {
        let columns = [&self.sizes, &self.undone, &self.hours, &self.returns, &self.awaited];
        self.minute.at < MINUTES && columns.iter().all(|column| column.len() == MINUTES)
    }

    /// The minute is over: what is to be expected of it in the next hour?
    fn close(&mut self, second: &Second) {
        let Minute { at, kept, size, undone, .. } = self.minute;
        let before = self.undone[at];
        if before > 0.0 {
            let returned = undone.min(before);
            self.looked_for += before;
            self.returned += returned;
            self.hours[at] += 1.0;
            self.returns[at] += returned / before;
        }
        if undone > before {
            (self.undone[at], self.sizes[at]) = (undone, size);
            self.most = self.most.max(undone);
        }
        let usual = (self.returned + self.most) / (self.looked_for + 2.0 * self.most).max(f32::MIN_POSITIVE);
        let likely = (self.returns[at] + BELIEF * usual) / (self.hours[at] + BELIEF);
        let size = self.sizes[at];
        let standing = (size - kept).max(1.0) * (MINUTE + second.start_up) as f32;
        let cost = standing + 2.0 * (1.0 - likely) * change(size);
        let pays = likely * self.undone[at] * second.price as f32 > ADVANTAGE * cost;
        self.awaited[at] = if pays { size } else { 0.0 };
    }
}

/// Which minute of the hour it is, and the seconds of it that are past. As quotient and remainder, which processors are slow at.
fn minute(now: f64) -> (usize, f64) {
    let minute = (now * (1.0 / MINUTE)) as usize;
    let past = now - minute as f64 * MINUTE;
    // Next to the end of a minute the quotient may have been rounded across it.
    let (minute, past) = if past < 0.0 {
        (minute.wrapping_sub(1), past + MINUTE)
    } else if past >= MINUTE {
        (minute + 1, past - MINUTE)
    } else {
        (minute, past)
    };
    (minute % MINUTES, past)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What stands by, second by second, where the loop alone has `kept` instances.
    fn run(demand: impl Fn(u32) -> f64, hours: u32, price: f64) -> Vec<(f32, f32)> {
        let mut habit = Habit::default();
        let step = |second: u32| {
            let (now, demand) = (f64::from(second), demand(second));
            let alone = (5.0, 5.0);
            let seen = Second {
                now,
                passed: 1.0,
                work: demand,
                patient: 0.0,
                level: demand,
                alone,
                price,
                start_up: 30.0,
            };
            habit.observe(seen)
        };
        (0..hours * 3_600).map(step).collect()
    }

    /// A burst in the first twenty seconds of the eleventh minute of some hours.
    fn burst(hours: impl Fn(u32) -> bool) -> impl Fn(u32) -> f64 {
        move |second| if hours(second / 3_600) && (600..620).contains(&(second % 3_600)) { 20.0 } else { 4.0 }
    }

    #[test]
    fn a_burst_that_came_is_waited_for_in_the_next_hour() {
        let awaited = run(burst(|_| true), 3, 100.0);
        assert!(awaited[..3_600].iter().all(|&counts| counts == (0.0, 0.0)), "nobody knew");
        let of = |second: usize| awaited[3_600 + second];
        assert_eq!(of(569), (0.0, 0.0));
        assert_eq!(of(570), (20.0, 0.0), "started ahead");
        assert_eq!((of(600), of(659)), ((20.0, 20.0), (20.0, 20.0)));
        assert_eq!(of(660), (0.0, 0.0));
    }

    #[test]
    fn seconds_past_the_minute_are_the_remainder() {
        for now in [0.0, 0.1, 59.999_999, 60.0, 60.0_f64.next_down(), 1e9 + 0.7, 6e9_f64.next_down()] {
            assert_eq!(minute(now).1.to_bits(), (now % MINUTE).to_bits(), "{now}");
        }
    }

    #[test]
    fn whole_seconds_are_of_the_minute_that_they_are_of() {
        for second in (0..4_000_u32).chain((0..400).map(|times| times * 9_999_991)) {
            let expected = ((second / 60 % 60) as usize, f64::from(second % 60));
            assert_eq!(minute(second.into()), expected, "{second}");
        }
    }

    #[test]
    fn what_does_not_come_back_is_not_waited_for_for_long() {
        let awaited = run(burst(|hour| hour == 0), 24, 30.0);
        let waits = (1..24).filter(|hour| awaited[hour * 3_600 + 600].0 > 0.0).count();
        assert!((1..8).contains(&waits), "{waits}");
        assert!(awaited[23 * 3_600..].iter().all(|&(kept, _)| kept <= 0.0));
    }

    #[test]
    fn what_others_do_for_less_is_not_waited_for() {
        assert!(run(burst(|_| true), 4, 2.0).iter().all(|&(kept, _)| kept <= 0.0));
    }

    #[test]
    fn a_start_that_takes_minutes_begins_minutes_ahead() {
        let mut habit = Habit::default();
        habit.awaited[10] = 7.0;
        for (now, kept) in [(479.0, 0.0), (480.0, 7.0), (600.0, 7.0), (660.0, 0.0)] {
            let (ahead, ready) = habit.awaited(minute(now), 120.0);
            assert!((ahead - kept).abs() < f32::EPSILON, "{ahead} at {now}");
            assert_eq!(ready > 0.0, (600.0..660.0).contains(&now));
        }
    }
}
