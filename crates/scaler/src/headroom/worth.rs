//! What a change is worth, compared with what it usually is.
//!
//! Sparing changes costs capacity, and is done so that they are few: a third of those of the cheapest [`plain`](super::plain) loop. Where they
//! are fewer than that anyway, some more are nobody's loss, and where few are out of reach whatever is paid for it, sparing them buys nothing. In both
//! cases a change is worth less, courses fall sooner and rise in smaller steps, and the fleet is cheaper for it.
//!
//! How many changes there would be at the usual worth is counted on paper, in a fleet that wants what the real one wants and
//! shrinks as usual: so what follows from a lower worth is no reason for it.

use serde::{Deserialize, Serialize};

use super::course::change;

/// Changes of the plain loop from which on it is known how many are few.
const KNOWN: f64 = 60.0;
/// Below this share of few there is room for more. Then this power of how far below is what a change is worth, but at least so much.
const ROOM: f64 = 0.7;
const EASY: i32 = 2;
const LEAST_IN_ROOM: f64 = 0.6;
/// More than so many times few is out of reach, and from so much more on surely: then a change is worth so much.
const FAR: f64 = 1.7;
const FURTHER: f64 = 0.05;
const LEAST_FAR: f64 = 0.25;
/// What is out of reach is told after a day, in seconds: of many demands the day is a part.
const DAY: f64 = 86_400.0;

/// The fleet on paper, and what follows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Worth {
    kept: f32,
    /// Instance-seconds by which that was more than wanted since it last was not.
    spared: f32,
    /// Fading.
    changes: f64,
    /// Seconds, all of them.
    seen: f64,
    times: f32,
}

impl Default for Worth {
    fn default() -> Self {
        Self { kept: 0.0, spared: 0.0, changes: 0.0, seen: 0.0, times: 1.0 }
    }
}

impl Worth {
    /// `passed` more seconds were seen, after which this share of what was counted is kept.
    pub(super) fn fade(&mut self, passed: f64, kept: f64) {
        self.seen += passed;
        self.changes *= kept;
    }

    pub(super) fn keep(&mut self, wanted: f32, passed: f64) {
        self.spared += (self.kept - wanted) * passed as f32;
        if wanted > self.kept || self.spared >= change(self.kept) {
            self.spared = 0.0;
            if wanted.to_bits() != self.kept.to_bits() {
                (self.kept, self.changes) = (wanted, self.changes + 1.0);
            }
        }
    }

    /// Looks anew at what a change is worth where the plain loop made so many, of which `few` are few; none where no
    /// plain loop keeps the objective.
    pub(super) fn choose(&mut self, plain: Option<f64>, few: f64) {
        let known = plain.filter(|&changes| changes >= KNOWN);
        self.times = known.map_or(1.0, |changes| self.where_often(self.changes / (few * changes))) as f32;
    }

    /// What it is worth where changes are so many times as many as are few.
    fn where_often(&self, often: f64) -> f64 {
        if often < ROOM {
            return (often / ROOM).powi(EASY).max(LEAST_IN_ROOM);
        }
        let far = if self.seen < DAY { 0.0 } else { ((often - FAR) / FURTHER).clamp(0.0, 1.0) };
        1.0 - far * (1.0 - LEAST_FAR)
    }

    /// How many times what it usually is.
    pub(super) fn times(&self) -> f32 {
        self.times
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a change is worth after `days` in which there were so many times as many changes as few, and `plain` by the plain loop.
    fn worth(often: f64, plain: Option<f64>, days: f64) -> f32 {
        let few = 0.32;
        let mut worth = Worth { changes: often * few * plain.unwrap_or(1_000.0), ..Worth::default() };
        worth.fade(days * DAY, 1.0);
        worth.choose(plain, few);
        worth.times()
    }

    #[test]
    fn what_is_few_or_nearly_is_worth_sparing() {
        for often in [0.7, 1.0, 1.3, 1.7] {
            assert!((worth(often, Some(300.0), 3.0) - 1.0).abs() < 1e-6, "{often}");
        }
    }

    #[test]
    fn the_more_room_there_is_the_less_a_change_is_worth() {
        let [little, more, most] = [0.67, 0.62, 0.1].map(|often| worth(often, Some(300.0), 0.1));
        assert!(1.0 > little && little > more && more > most, "{little}, {more}, {most}");
        assert!((f64::from(most) - LEAST_IN_ROOM).abs() < 1e-6, "{most}");
    }

    #[test]
    fn what_is_out_of_reach_is_not_worth_sparing_once_a_day_has_shown_it() {
        assert!((worth(2.0, Some(300.0), 0.9) - 1.0).abs() < 1e-6);
        assert!((f64::from(worth(2.0, Some(300.0), 1.1)) - LEAST_FAR).abs() < 1e-6);
    }

    #[test]
    fn where_little_is_known_it_is_as_usual() {
        for plain in [None, Some(0.0), Some(KNOWN - 1.0)] {
            assert!((worth(3.0, plain, 3.0) - 1.0).abs() < 1e-6, "{plain:?}");
            assert!((worth(0.1, plain, 3.0) - 1.0).abs() < 1e-6, "{plain:?}");
        }
    }

    #[test]
    fn changes_are_counted_as_if_they_were_worth_what_they_usually_are() {
        let mut worth = Worth::default();
        // One instance less for a minute is not worth two changes; ten for half a minute are.
        for wanted in [[20.0; 60].as_slice(), &[19.0; 60], &[20.0; 60], &[10.0; 30], &[20.0; 10]].concat() {
            worth.keep(wanted, 1.0);
        }
        assert!((worth.changes - 3.0).abs() < 1e-9, "{}", worth.changes);
    }
}
